//! What the exchange signed of its customer's own wallet: that it is theirs, and later that it no longer counts (law L3).
//!
//! Whether the proof in it holds is for the asset's own room to say, which comes in as an argument. When it was first seen,
//! and whether it was removed, is for the caller's store.

use data_encoding::HEXLOWER;

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::key_signed::KeySigned;
use super::request::check_age;
use super::signature::Signed;
use super::wallet_challenge::{VerifiedChallenge, WalletClaim};
use super::{NotProven, Trust, field};
use crate::withdrawal::{Chain, Code, CustomerRef, Finding, Invalid, Organisation, Seconds};

/// The longest proof, in characters: a contract's largest, with an observer's statement.
const PROOF_LEN_MAX: usize = 12_288;

/// The form of a registration.
pub static REGISTRATION: Form = Form::new(
    "countersign wallet-registration v1",
    &[
        "organisation",
        "customer_ref",
        "asset",
        "network",
        "address",
        "challenge",
        "proof_kind",
        "proof",
        "registered_at",
    ],
)
.limits(16_384, PROOF_LEN_MAX);

/// The form of a removal.
pub static REMOVAL: Form =
    Form::new("countersign wallet-removal v1", &["organisation", "challenge", "asked_at"]);

/// How ownership is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofKind {
    /// BIP-0322 in its simple form: the base64 of one witness. On Bitcoin.
    Bip322Simple,
    /// EIP-191: `0x` and the 65 bytes r, s, v of `personal_sign`, in lower-case hex. On EVM chains.
    Eip191,
    /// EIP-1271: the bytes that the contract at the address accepts for the message, and an observer's statement that it does
    /// ([`super::wallet_witness`]). On EVM chains; only the chain knows whether it does.
    Eip1271,
}

impl ProofKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Bip322Simple, Self::Eip191, Self::Eip1271];

    /// The kind by which a plain key proves itself on a chain.
    pub const fn of_key(chain: Chain) -> Self {
        match chain {
            Chain::Bitcoin(_) => Self::Bip322Simple,
            Chain::Evm(_) => Self::Eip191,
        }
    }

    /// Whether wallets of that chain prove themselves so.
    pub const fn serves(self, chain: Chain) -> bool {
        match (self, chain) {
            (Self::Bip322Simple, Chain::Bitcoin(_)) | (Self::Eip191 | Self::Eip1271, Chain::Evm(_)) => true,
            (Self::Bip322Simple, Chain::Evm(_)) | (Self::Eip191 | Self::Eip1271, Chain::Bitcoin(_)) => false,
        }
    }

    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bip322Simple => "bip322-simple",
            Self::Eip191 => "eip191",
            Self::Eip1271 => "eip1271",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| malformed("proof_kind", "is neither bip322-simple, eip191 nor eip1271"))
    }
}

/// One registration of a customer's own wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletRegistration {
    /// Whose wallet it is.
    pub claim: WalletClaim,
    /// The name of the challenge it answers; it is the registration's name as well.
    pub challenge: [u8; 32],
    /// How ownership is proved.
    pub proof_kind: ProofKind,
    /// The proof, printable and without blanks.
    pub proof: String,
    /// When the exchange signed.
    pub registered_at: Seconds,
}

/// The canonical text of a registration.
pub fn render_registration(registration: &WalletRegistration) -> String {
    let claim = &registration.claim;
    Writer::new(&REGISTRATION)
        .line("organisation", &claim.organisation)
        .line("customer_ref", &claim.customer_ref)
        .line("asset", claim.asset)
        .line("network", claim.asset.chain())
        .line("address", &claim.address)
        .line("challenge", HEXLOWER.encode(&registration.challenge))
        .line("proof_kind", registration.proof_kind.as_str())
        .line("proof", &registration.proof)
        .line("registered_at", registration.registered_at.0)
        .finish()
}

/// Reads the canonical text of a registration; every other spelling is refused.
pub fn parse_registration(text: &str) -> Result<WalletRegistration, Invalid> {
    let mut reader = Reader::open(text, &REGISTRATION)?;
    let organisation = Organisation::parse(reader.take("organisation")?)?;
    let customer_ref = CustomerRef::parse(reader.take("customer_ref")?)?;
    let asset = field::asset("asset", reader.take("asset")?)?;
    let network = field::chain("network", reader.take("network")?)?;
    if network != asset.chain() {
        return Err(malformed("network", "contradicts the asset"));
    }
    let address = field::wallet_address(reader.take("address")?)?;
    let challenge = field::hex("challenge", reader.take("challenge")?)?;
    let proof_kind = ProofKind::parse(reader.take("proof_kind")?)?;
    if !proof_kind.serves(network) {
        return Err(malformed("proof_kind", "is no proof of wallets on this network"));
    }
    let registration = WalletRegistration {
        claim: WalletClaim { organisation, customer_ref, asset, address },
        challenge,
        proof_kind,
        proof: field::graphic("proof", reader.take("proof")?)?,
        registered_at: field::seconds("registered_at", reader.take("registered_at")?)?,
    };
    reader.close()?;
    same(text, &render_registration(&registration))?;
    Ok(registration)
}

/// Renders and signs a registration, for clients; refuses one that could not be read back.
pub fn sign_registration(
    registration: &WalletRegistration,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_registration(registration);
    parse_registration(&text)?;
    Ok(Signed::of(text, sign))
}

/// A registration whose signature, challenge and proof held under this party's own trust file.
#[derive(Debug)]
pub struct VerifiedRegistration {
    registration: WalletRegistration,
    challenge: VerifiedChallenge,
    signed: KeySigned,
}

/// The door for a new registration: all that [`VerifiedRegistration::reverify`] asks, then the times.
pub fn verify_registration(
    (text, key_id, signature): (&str, &str, &[u8]),
    challenge: VerifiedChallenge,
    trust: &Trust,
    (now, age_s_max): (Seconds, u64),
    owns: impl FnOnce(&WalletRegistration, &str) -> Result<(), Finding>,
) -> Result<VerifiedRegistration, NotProven> {
    let verified = VerifiedRegistration::reverify((text, key_id, signature), challenge, trust, owns)?;
    let said = &verified.registration;
    verified.signed.check_key_age(&said.claim.organisation, trust, now)?;
    check_age(said.registered_at, now, age_s_max)?;
    verified.challenge.check_current(now)?;
    Ok(verified)
}

impl VerifiedRegistration {
    /// The door for a registration that was taken before: form, key, signature, challenge and proof, and no times.
    ///
    /// `owns` says whether the registration's proof shows that whoever holds its address signed this message.
    pub fn reverify(
        (text, key_id, signature): (&str, &str, &[u8]),
        challenge: VerifiedChallenge,
        trust: &Trust,
        owns: impl FnOnce(&WalletRegistration, &str) -> Result<(), Finding>,
    ) -> Result<Self, NotProven> {
        let registration = parse_registration(text)?;
        let claim = &registration.claim;
        let signed = (text, key_id, signature);
        let signed = KeySigned::check(signed, &claim.organisation, registration.registered_at, trust)?;
        let is_its_own = challenge.challenge().claim == *claim
            && challenge.name() == HEXLOWER.encode(&registration.challenge);
        if !is_its_own {
            let detail = "the challenge was issued for another wallet, customer or asset";
            return Err(NotProven::refused(Code::EvidenceInvalid, detail));
        }
        owns(&registration, &challenge.message()).map_err(NotProven::Refused)?;
        Ok(Self { registration, challenge, signed })
    }

    /// What was registered.
    pub fn registration(&self) -> &WalletRegistration {
        &self.registration
    }

    /// The challenge it answers.
    pub fn challenge(&self) -> &VerifiedChallenge {
        &self.challenge
    }

    /// What was signed, by which key.
    pub fn signed(&self) -> &KeySigned {
        &self.signed
    }
}

/// What the exchange asks when a wallet no longer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletRemoval {
    /// Who asks.
    pub organisation: Organisation,
    /// The name of the registration.
    pub challenge: [u8; 32],
    /// When the exchange signed.
    pub asked_at: Seconds,
}

/// The canonical text of a removal.
pub fn render_removal(removal: &WalletRemoval) -> String {
    Writer::new(&REMOVAL)
        .line("organisation", &removal.organisation)
        .line("challenge", HEXLOWER.encode(&removal.challenge))
        .line("asked_at", removal.asked_at.0)
        .finish()
}

/// Reads the canonical text of a removal.
pub fn parse_removal(text: &str) -> Result<WalletRemoval, Invalid> {
    let mut reader = Reader::open(text, &REMOVAL)?;
    let removal = WalletRemoval {
        organisation: Organisation::parse(reader.take("organisation")?)?,
        challenge: field::hex("challenge", reader.take("challenge")?)?,
        asked_at: field::seconds("asked_at", reader.take("asked_at")?)?,
    };
    reader.close()?;
    same(text, &render_removal(&removal))?;
    Ok(removal)
}

/// Renders and signs a removal, for clients.
pub fn sign_removal(
    removal: &WalletRemoval,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_removal(removal);
    parse_removal(&text)?;
    Ok(Signed::of(text, sign))
}

/// A removal whose signature held.
#[derive(Debug)]
pub struct VerifiedRemoval {
    removal: WalletRemoval,
    signed: KeySigned,
}

/// The door for a removal: form, key and signature. It does not grow old: a late no is still a no.
pub fn verify_removal(
    text: &str,
    key_id: &str,
    signature: &[u8],
    trust: &Trust,
    now: Seconds,
) -> Result<VerifiedRemoval, NotProven> {
    let removal = parse_removal(text)?;
    let signed = KeySigned::check((text, key_id, signature), &removal.organisation, removal.asked_at, trust)?;
    check_age(removal.asked_at, now, u64::MAX)?;
    Ok(VerifiedRemoval { removal, signed })
}

impl VerifiedRemoval {
    /// What is to be removed.
    pub fn removal(&self) -> &WalletRemoval {
        &self.removal
    }

    /// The name of the registration, hex.
    pub fn name(&self) -> String {
        HEXLOWER.encode(&self.removal.challenge)
    }

    /// What was signed, by which key.
    pub fn signed(&self) -> &KeySigned {
        &self.signed
    }
}
