//! What stands in the rows of the ledger: plain JSON, read strictly. Evidence is kept as its text and verified again
//! whenever it is read; nothing here vouches for anything.

mod coin;
mod cosigned;
mod reservation;
mod withdrawal;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::coin::{CoinRow, SpentRow};
pub use self::cosigned::{CosignedRow, CustodyRow, SeenRequestRow, VoidRow};
pub use self::reservation::{ChangeRow, EmptiedRow, Errand, PrevoutRow, Purpose, ReservationRow};
pub use self::withdrawal::{ExecutedRow, FindingRow, ReleasedRow, TakenBackRow, WithdrawalRow};

use crate::desk::SignedText;
use crate::enclave::Word;

/// A row's content could not be read back: the ledger and this version do not fit.
#[derive(Debug, thiserror::Error)]
#[error("the content of row `{key}` cannot be read: {problem}")]
pub struct BadRow {
    /// The row's key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

/// Reads a row's content.
pub fn read<T: DeserializeOwned>(key: &str, content: &str) -> Result<T, BadRow> {
    serde_json::from_str(content).map_err(|e| BadRow { key: key.to_owned(), problem: e.to_string() })
}

/// Writes a row's content.
pub fn write<T: Serialize>(row: &T) -> String {
    // Plain structs of strings and integers: serialising them cannot fail.
    serde_json::to_string(row).unwrap_or_default()
}

/// A text somebody signed, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The canonical text.
    pub text: String,
    /// The name of the key, where there are several.
    pub key_id: String,
    /// The signature, lower-case hex.
    pub signature: String,
}

impl Signed {
    /// What somebody handed over.
    pub fn of(given: &SignedText) -> Self {
        Self {
            text: given.text.clone(),
            key_id: given.key_id.clone(),
            signature: HEXLOWER.encode(&given.signature),
        }
    }

    /// A counterparty's answer, which is signed, or a report, which is not; `None` if what stands in the place of a signature is none.
    pub fn word(&self) -> Option<Word> {
        if self.signature.is_empty() {
            return Some(Word::Reported(self.text.clone()));
        }
        self.signed_text().map(|SignedText { text, signature, .. }| Word::Signed { text, signature })
    }

    /// As it is handed on; `None` if the row does not hold a signature.
    pub fn signed_text(&self) -> Option<SignedText> {
        let signature = HEXLOWER.decode(self.signature.as_bytes()).ok()?.try_into().ok()?;
        Some(SignedText { text: self.text.clone(), key_id: self.key_id.clone(), signature })
    }
}

/// One deposit address. The key is a hash of organisation, customer reference and, beside Bitcoin, chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressRow {
    /// Who the customer belongs to.
    pub organisation: String,
    /// The exchange's name for the customer.
    pub customer_ref: String,
    /// Index on branch 0.
    pub index: u32,
    /// The address.
    pub address: String,
    /// The CAIP-2 id of its EVM chain; none at an address of the Bitcoin wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Its script, hex; none on an EVM chain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub script_pubkey: String,
    /// The co-signer's attestation, once it has derived the same.
    pub attestation: Option<Signed>,
}

/// One statement. The key is `observer/kind/number`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementRow {
    /// As the observer signed it.
    pub signed: Signed,
}

/// One operator's word on a withdrawal. The key is `withdrawal/operator`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRow {
    /// The withdrawal.
    pub withdrawal: String,
    /// The operator's name in the trust file.
    pub operator: String,
    /// The armored SSHSIG.
    pub armored: String,
}

/// One registration of a customer's own wallet. Its key is the name of its challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRow {
    /// The exchange's signed registration.
    pub registration: Signed,
    /// The co-signer's signed challenge.
    pub challenge: Signed,
    /// When this party first saw it.
    pub first_seen: u64,
    /// The co-signer's own time for it (signer only).
    pub cosigner_effective_at: Option<u64>,
    /// The exchange's signed removal.
    pub removal: Option<Signed>,
    /// When this party took that.
    pub removed_at: Option<u64>,
}

impl RegistrationRow {
    /// The state column.
    pub fn state(&self) -> &'static str {
        if self.removal.is_some() { "removed" } else { "registered" }
    }
}
