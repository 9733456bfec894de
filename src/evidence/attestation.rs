//! What the co-signer signed of a deposit address: that it derived the same (law L19). Clients check it offline.

use ed25519_dalek::VerifyingKey;

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::signature::{Signed, holds, read_signature};
use super::{NotProven, digest, field};
use crate::withdrawal::evm_address::read;
use crate::withdrawal::{Chain, Code, CustomerRef, Invalid, Organisation, Seconds};

/// The form of an attestation.
pub static ATTESTATION: Form = Form::new(
    "countersign address-attestation v1",
    &["organisation", "customer_ref", "wallet", "network", "branch", "index", "address", "attested_at"],
);

/// The largest index of a child that is not hardened (BIP-0032).
pub const INDEX_MAX: u32 = (1 << 31) - 1;

/// Whose address it is and where it stands in the wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressAttestation {
    /// The exchange whose customer it is.
    pub organisation: Organisation,
    /// The customer, as the exchange named them.
    pub customer_ref: CustomerRef,
    /// What it is derived from, 8 to 64 lower-case hex digits: the fingerprint of the wallet's descriptor, or the treasury
    /// Safe's address without `0x`.
    pub wallet: String,
    /// Which network the address belongs to.
    pub network: Chain,
    /// 0 for deposits, 1 for change; on an EVM chain always 0.
    pub branch: u32,
    /// The address's index on that branch, or among the addresses of the treasury Safe.
    pub index: u32,
    /// The address, on an EVM chain with the EIP-55 checksum.
    pub address: String,
    /// When the co-signer signed.
    pub attested_at: Seconds,
}

/// The canonical text of an attestation.
pub fn render_attestation(attestation: &AddressAttestation) -> String {
    Writer::new(&ATTESTATION)
        .line("organisation", &attestation.organisation)
        .line("customer_ref", &attestation.customer_ref)
        .line("wallet", &attestation.wallet)
        .line("network", attestation.network)
        .line("branch", attestation.branch)
        .line("index", attestation.index)
        .line("address", &attestation.address)
        .line("attested_at", attestation.attested_at.0)
        .finish()
}

/// Reads the canonical text of an attestation; every other spelling is refused.
pub fn parse_attestation(text: &str) -> Result<AddressAttestation, Invalid> {
    let mut reader = Reader::open(text, &ATTESTATION)?;
    let attestation = AddressAttestation {
        organisation: Organisation::parse(reader.take("organisation")?)?,
        customer_ref: CustomerRef::parse(reader.take("customer_ref")?)?,
        wallet: field::wallet(reader.take("wallet")?)?,
        network: field::chain("network", reader.take("network")?)?,
        branch: field::number_32("branch", reader.take("branch")?)?,
        index: field::number_32("index", reader.take("index")?)?,
        address: field::graphic("address", reader.take("address")?)?,
        attested_at: field::seconds("attested_at", reader.take("attested_at")?)?,
    };
    reader.close()?;
    if attestation.branch > 1 {
        return Err(malformed("branch", "is neither 0 nor 1"));
    }
    if attestation.index > INDEX_MAX {
        return Err(malformed("index", format!("is above {INDEX_MAX}")));
    }
    if let Chain::Evm(_) = attestation.network {
        if attestation.branch != 0 {
            return Err(malformed("branch", "is not 0 on an EVM chain"));
        }
        read(&attestation.address).map_err(|problem| malformed("address", problem))?;
    }
    same(text, &render_attestation(&attestation))?;
    Ok(attestation)
}

/// Renders and signs an attestation, for the co-signer; refuses one that could not be read back.
pub fn sign_attestation(
    attestation: &AddressAttestation,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_attestation(attestation);
    parse_attestation(&text)?;
    Ok(Signed::of(text, sign))
}

/// An attestation whose signature held.
#[derive(Debug)]
pub struct VerifiedAttestation {
    attestation: AddressAttestation,
    digest: [u8; 32],
}

/// The door: form and signature under the co-signer's attestation key. An attestation does not grow old.
pub fn verify_attestation(
    text: &str,
    signature: &[u8],
    key: &VerifyingKey,
) -> Result<VerifiedAttestation, NotProven> {
    let attestation = parse_attestation(text)?;
    let signature = read_signature(signature)?;
    if key.is_weak() || !holds(key, text, &signature) {
        return Err(NotProven::refused(Code::EvidenceInvalid, "the co-signer did not attest this"));
    }
    Ok(VerifiedAttestation { attestation, digest: digest(text) })
}

impl VerifiedAttestation {
    /// What the co-signer says.
    pub fn attestation(&self) -> &AddressAttestation {
        &self.attestation
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
