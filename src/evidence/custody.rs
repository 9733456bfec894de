//! What passes between the co-signer and an outside custodian of key B, beside the PSBT: the co-signer's signed order to sign
//! it, and the custodian's signed word that it never will.

use ed25519_dalek::VerifyingKey;

use super::canonical::{Form, Reader, Writer, same};
use super::signature::{Signed, holds, read_signature};
use super::{NotProven, digest, field};
use crate::withdrawal::{Code, Invalid, ReservationId, Seconds};

/// The form of an order.
pub static CUSTODY_ORDER: Form =
    Form::new("countersign custody-order v1", &["reservation", "txid", "wallet", "psbt_digest"]);

/// The form of a refusal.
pub static CUSTODY_REFUSAL: Form =
    Form::new("countersign custody-refusal v1", &["reservation", "txid", "reason", "refused_at"]);

/// Which transaction the custodian is to sign. It is the same for ever, and so is its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodyOrder {
    /// The reservation.
    pub reservation: ReservationId,
    /// The id of its transaction, in the order in which nodes print it.
    pub txid: [u8; 32],
    /// The wallet's fingerprint, 8 to 64 lower-case hex digits.
    pub wallet: String,
    /// SHA-256 of the PSBT, in binary form.
    pub psbt_digest: [u8; 32],
}

/// The custodian's word that it has not signed a transaction and never will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustodyRefusal {
    /// The reservation.
    pub reservation: ReservationId,
    /// The id of its transaction, in the order in which nodes print it.
    pub txid: [u8; 32],
    /// Why, for people.
    pub reason: String,
    /// When the custodian signed this.
    pub refused_at: Seconds,
}

/// The canonical text of an order.
pub fn render_custody_order(order: &CustodyOrder) -> String {
    Writer::new(&CUSTODY_ORDER)
        .line("reservation", order.reservation)
        .line("txid", data_encoding::HEXLOWER.encode(&order.txid))
        .line("wallet", &order.wallet)
        .line("psbt_digest", data_encoding::HEXLOWER.encode(&order.psbt_digest))
        .finish()
}

/// Reads the canonical text of an order; every other spelling is refused.
pub fn parse_custody_order(text: &str) -> Result<CustodyOrder, Invalid> {
    let mut reader = Reader::open(text, &CUSTODY_ORDER)?;
    let order = CustodyOrder {
        reservation: ReservationId::parse(reader.take("reservation")?)?,
        txid: field::hex("txid", reader.take("txid")?)?,
        wallet: field::wallet(reader.take("wallet")?)?,
        psbt_digest: field::hex("psbt_digest", reader.take("psbt_digest")?)?,
    };
    reader.close()?;
    same(text, &render_custody_order(&order))?;
    Ok(order)
}

/// The canonical text of a refusal.
pub fn render_custody_refusal(refusal: &CustodyRefusal) -> String {
    Writer::new(&CUSTODY_REFUSAL)
        .line("reservation", refusal.reservation)
        .line("txid", data_encoding::HEXLOWER.encode(&refusal.txid))
        .line("reason", &refusal.reason)
        .line("refused_at", refusal.refused_at.0)
        .finish()
}

/// Reads the canonical text of a refusal; every other spelling is refused.
pub fn parse_custody_refusal(text: &str) -> Result<CustodyRefusal, Invalid> {
    let mut reader = Reader::open(text, &CUSTODY_REFUSAL)?;
    let refusal = CustodyRefusal {
        reservation: ReservationId::parse(reader.take("reservation")?)?,
        txid: field::hex("txid", reader.take("txid")?)?,
        reason: reader.take("reason")?.to_owned(),
        refused_at: field::seconds("refused_at", reader.take("refused_at")?)?,
    };
    reader.close()?;
    same(text, &render_custody_refusal(&refusal))?;
    Ok(refusal)
}

/// Renders and signs a refusal, for a custodian; refuses one that could not be read back.
pub fn sign_custody_refusal(
    refusal: &CustodyRefusal,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Signed, Invalid> {
    let text = render_custody_refusal(refusal);
    parse_custody_refusal(&text)?;
    Ok(Signed::of(text, sign))
}

/// A refusal whose signature held.
#[derive(Debug)]
pub struct VerifiedCustodyRefusal {
    refusal: CustodyRefusal,
    digest: [u8; 32],
}

/// The door: form, signature under the custodian's key of the trust file, and that it is of this transaction. Without such a
/// key nothing is a refusal. A refusal does not grow old.
pub fn verify_custody_refusal(
    text: &str,
    signature: &[u8],
    key: Option<&VerifyingKey>,
    reservation: ReservationId,
    txid: &[u8; 32],
) -> Result<VerifiedCustodyRefusal, NotProven> {
    let no = |detail: &str| NotProven::refused(Code::EvidenceInvalid, detail);
    let refusal = parse_custody_refusal(text)?;
    let signature = read_signature(signature)?;
    let key = key.ok_or_else(|| no("the trust file has no key of a custodian, so nothing is a refusal"))?;
    if key.is_weak() || !holds(key, text, &signature) {
        return Err(no("the custodian did not sign this refusal"));
    }
    if refusal.reservation != reservation || refusal.txid != *txid {
        return Err(no("the refusal is of another transaction"));
    }
    Ok(VerifiedCustodyRefusal { refusal, digest: digest(text) })
}

impl VerifiedCustodyRefusal {
    /// What the custodian says.
    pub fn refusal(&self) -> &CustodyRefusal {
        &self.refusal
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
