//! What the co-signer signed so that a proof of ownership must be fresh, and the message the customer signs for it (law L3).
//!
//! The co-signer issues it, so that it need not believe the signer about when the customer signed.

use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::signature::{Signed, holds, read_signature};
use super::{NotProven, digest, field};
use crate::withdrawal::{Asset, Chain, Code, CustomerRef, Invalid, Organisation, Seconds};

/// How long a challenge may be used, in seconds.
pub const CHALLENGE_S: u64 = 3_600;

/// The form of a challenge.
pub static CHALLENGE: Form = Form::new(
    "countersign wallet-challenge v1",
    &["organisation", "customer_ref", "asset", "address", "nonce", "issued_at", "expires_at"],
);

/// The form of the message that the customer signs with the wallet.
pub static OWNERSHIP: Form = Form::new(
    "countersign wallet-ownership v1",
    &["organisation", "customer_ref", "address", "network", "challenge"],
);

/// Whose wallet it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalletClaim {
    /// The exchange whose customer it is.
    pub organisation: Organisation,
    /// The customer, as the exchange names them.
    pub customer_ref: CustomerRef,
    /// What may be paid there; the network follows from it.
    pub asset: Asset,
    /// The wallet's address, in its normal spelling.
    pub address: String,
}

/// One challenge, for one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletChallenge {
    /// What is to be proved.
    pub claim: WalletClaim,
    /// Drawn for this challenge.
    pub nonce: [u8; 16],
    /// When the co-signer signed.
    pub issued_at: Seconds,
    /// The last second at which it may be used.
    pub expires_at: Seconds,
}

/// The canonical text of a challenge.
pub fn render_challenge(challenge: &WalletChallenge) -> String {
    let claim = &challenge.claim;
    Writer::new(&CHALLENGE)
        .line("organisation", &claim.organisation)
        .line("customer_ref", &claim.customer_ref)
        .line("asset", claim.asset)
        .line("address", &claim.address)
        .line("nonce", HEXLOWER.encode(&challenge.nonce))
        .line("issued_at", challenge.issued_at.0)
        .line("expires_at", challenge.expires_at.0)
        .finish()
}

/// Reads the canonical text of a challenge; every other spelling is refused.
pub fn parse_challenge(text: &str) -> Result<WalletChallenge, Invalid> {
    let mut reader = Reader::open(text, &CHALLENGE)?;
    let challenge = WalletChallenge {
        claim: WalletClaim {
            organisation: Organisation::parse(reader.take("organisation")?)?,
            customer_ref: CustomerRef::parse(reader.take("customer_ref")?)?,
            asset: field::asset("asset", reader.take("asset")?)?,
            address: field::wallet_address(reader.take("address")?)?,
        },
        nonce: field::hex("nonce", reader.take("nonce")?)?,
        issued_at: field::seconds("issued_at", reader.take("issued_at")?)?,
        expires_at: field::seconds("expires_at", reader.take("expires_at")?)?,
    };
    reader.close()?;
    if challenge.expires_at != challenge.issued_at.plus(CHALLENGE_S) {
        return Err(malformed("expires_at", format!("is not {CHALLENGE_S} s after `issued_at`")));
    }
    same(text, &render_challenge(&challenge))?;
    Ok(challenge)
}

/// Renders and signs a challenge, for the co-signer; refuses one that could not be read back.
pub fn sign_challenge(
    challenge: &WalletChallenge,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_challenge(challenge);
    parse_challenge(&text)?;
    Ok(Signed::of(text, sign))
}

/// The name a challenge goes by everywhere: the digest of its text, hex.
pub fn challenge_name(text: &str) -> String {
    HEXLOWER.encode(&digest(text))
}

/// The message the customer signs: the canonical text without its last line feed, which wallets tend to lose.
pub fn ownership_message(claim: &WalletClaim, challenge: &str) -> String {
    let mut text = Writer::new(&OWNERSHIP)
        .line("organisation", &claim.organisation)
        .line("customer_ref", &claim.customer_ref)
        .line("address", &claim.address)
        .line("network", claim.asset.chain())
        .line("challenge", challenge)
        .finish();
    text.pop();
    text
}

/// The chain and the address of which a customer's message speaks; every other spelling is refused.
pub fn read_ownership(message: &str) -> Result<(Chain, String), Invalid> {
    let text = format!("{message}\n");
    let mut reader = Reader::open(&text, &OWNERSHIP)?;
    Organisation::parse(reader.take("organisation")?)?;
    CustomerRef::parse(reader.take("customer_ref")?)?;
    let address = field::wallet_address(reader.take("address")?)?;
    let chain = field::chain("network", reader.take("network")?)?;
    field::hex::<32>("challenge", reader.take("challenge")?)?;
    reader.close()?;
    Ok((chain, address))
}

/// A challenge whose signature held. Whether it is still in time is asked where it is used first.
#[derive(Debug)]
pub struct VerifiedChallenge {
    challenge: WalletChallenge,
    name: String,
    text: String,
    signature: [u8; 64],
}

/// The door: form and signature under the co-signer's attestation key.
pub fn verify_challenge(
    text: &str,
    signature: &[u8],
    key: &VerifyingKey,
) -> Result<VerifiedChallenge, NotProven> {
    let challenge = parse_challenge(text)?;
    let signature = read_signature(signature)?;
    if key.is_weak() || !holds(key, text, &signature) {
        return Err(NotProven::refused(Code::EvidenceInvalid, "the co-signer did not issue this challenge"));
    }
    Ok(VerifiedChallenge { challenge, name: challenge_name(text), text: text.to_owned(), signature })
}

impl VerifiedChallenge {
    /// What the co-signer said.
    pub fn challenge(&self) -> &WalletChallenge {
        &self.challenge
    }

    /// The name it goes by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The message the customer signs.
    pub fn message(&self) -> String {
        ownership_message(&self.challenge.claim, &self.name)
    }

    /// Whether it may be used at `now`.
    pub fn check_current(&self, now: Seconds) -> Result<(), NotProven> {
        let WalletChallenge { issued_at, expires_at, .. } = self.challenge;
        if now > expires_at {
            return Err(NotProven::refused(Code::ChallengeExpired, format!("it expired at {expires_at}")));
        }
        if issued_at > now.plus(super::SKEW_S_MAX) {
            let detail = format!("issued at {issued_at}, it is {now}");
            return Err(NotProven::refused(Code::EvidenceInvalid, detail));
        }
        Ok(())
    }

    /// The exact text that was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The co-signer's signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}
