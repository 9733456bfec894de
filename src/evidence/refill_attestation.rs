//! What the co-signer signed of a refill: that the hot address is ours, and that the share allows what comes (laws L13, L16).
//! The cold room checks it offline before anything is signed there.

use ed25519_dalek::VerifyingKey;

use super::attestation::INDEX_MAX;
use super::canonical::{Form, Reader, Writer, malformed, same};
use super::signature::{Signed, holds, read_signature};
use super::statement::each_once;
use super::{NotProven, field};
use crate::withdrawal::{Code, Invalid, Network, Seconds};

/// The form of a refill's attestation.
pub static REFILL_ATTESTATION: Form = Form::new(
    "countersign refill-attestation v1",
    &["refill", "wallet", "network", "index", "address", "transaction", "attested_at"],
);

/// The most transactions of one refill.
pub const TRANSACTIONS_MAX: usize = 16;

/// One transaction of a refill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillTransactionLine {
    /// Its id, as explorers print it.
    pub txid: String,
    /// Which output pays the address.
    pub vout: u32,
    /// How much, in base units.
    pub amount_sat: u64,
}

/// What the co-signer vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillAttestation {
    /// The refill's id at the signer.
    pub refill: String,
    /// The hot wallet's fingerprint.
    pub wallet: String,
    /// Its network.
    pub network: Network,
    /// The address's index on branch 1.
    pub index: u32,
    /// The address.
    pub address: String,
    /// The transactions that pay it.
    pub transactions: Vec<RefillTransactionLine>,
    /// When the co-signer signed.
    pub attested_at: Seconds,
}

/// The canonical text of a refill's attestation.
pub fn render_refill_attestation(attestation: &RefillAttestation) -> String {
    let line = |t: &RefillTransactionLine| format!("{}:{} {}", t.txid, t.vout, t.amount_sat);
    Writer::new(&REFILL_ATTESTATION)
        .line("refill", &attestation.refill)
        .line("wallet", &attestation.wallet)
        .line("network", attestation.network)
        .line("index", attestation.index)
        .line("address", &attestation.address)
        .lines("transaction", attestation.transactions.iter().map(line))
        .line("attested_at", attestation.attested_at.0)
        .finish()
}

/// Reads the canonical text of a refill's attestation; every other spelling is refused.
pub fn parse_refill_attestation(text: &str) -> Result<RefillAttestation, Invalid> {
    let mut reader = Reader::open(text, &REFILL_ATTESTATION)?;
    let attestation = RefillAttestation {
        refill: field::name("refill", reader.take("refill")?)?,
        wallet: field::wallet(reader.take("wallet")?)?,
        network: field::network("network", reader.take("network")?)?,
        index: field::number_32("index", reader.take("index")?)?,
        address: field::graphic("address", reader.take("address")?)?,
        transactions: reader
            .take_all("transaction", TRANSACTIONS_MAX)?
            .into_iter()
            .map(transaction)
            .collect::<Result<_, _>>()?,
        attested_at: field::seconds("attested_at", reader.take("attested_at")?)?,
    };
    reader.close()?;
    if attestation.index > INDEX_MAX {
        return Err(malformed("index", format!("is above {INDEX_MAX}")));
    }
    if attestation.transactions.is_empty() {
        return Err(malformed("transaction", "is missing"));
    }
    each_once("transaction", attestation.transactions.iter().map(|t| t.txid.as_str()))?;
    same(text, &render_refill_attestation(&attestation))?;
    Ok(attestation)
}

fn transaction(text: &str) -> Result<RefillTransactionLine, Invalid> {
    let parts = text.split_once(' ').and_then(|(point, amount)| Some((point.split_once(':')?, amount)));
    let Some(((txid, vout), amount)) = parts else {
        return Err(malformed("transaction", "is not `<txid>:<vout> <amount>`"));
    };
    field::hex::<32>("transaction", txid)?;
    Ok(RefillTransactionLine {
        txid: txid.to_owned(),
        vout: field::number_32("transaction", vout)?,
        amount_sat: field::number("transaction", amount)?,
    })
}

/// Renders and signs it, for the co-signer; refuses one that could not be read back.
pub fn sign_refill_attestation(
    attestation: &RefillAttestation,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_refill_attestation(attestation);
    parse_refill_attestation(&text)?;
    Ok(Signed::of(text, sign))
}

/// The door: form and signature under the co-signer's attestation key. It says what was so when it was signed.
pub fn verify_refill_attestation(
    text: &str,
    signature: &[u8],
    key: &VerifyingKey,
) -> Result<RefillAttestation, NotProven> {
    let attestation = parse_refill_attestation(text)?;
    let signature = read_signature(signature)?;
    if key.is_weak() || !holds(key, text, &signature) {
        return Err(NotProven::refused(Code::EvidenceInvalid, "the co-signer did not attest this refill"));
    }
    Ok(attestation)
}
