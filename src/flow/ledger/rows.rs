//! What stands in the rows of the ledger: plain JSON, read strictly. Evidence is kept as its text and verified again
//! whenever it is read; nothing here vouches for anything.

use std::str::FromStr;

use ::bitcoin::OutPoint;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::coins::{Coin, CoinState};
use crate::bitcoin::{Branch, OwnCoin, WalletDescriptor};
use crate::desk::SignedText;
use crate::enclave::Word;
use crate::withdrawal::{Code, Finding, Outcome, ReservationId, Seconds, Stage};

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

/// One finding, by its stable spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingRow {
    /// The code.
    pub code: String,
    /// The detail.
    pub detail: String,
}

impl FindingRow {
    /// The row of a finding.
    pub fn of(finding: &Finding) -> Self {
        Self { code: finding.code.as_str().to_owned(), detail: finding.detail.clone() }
    }

    /// The finding of a row.
    pub fn finding(&self) -> Finding {
        Finding::new(Code::parse(&self.code).unwrap_or(Code::Internal), self.detail.clone())
    }
}

/// One withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalRow {
    /// The exchange's signed request.
    pub request: Signed,
    /// SHA-256 of the request text, hex.
    pub digest: String,
    /// The enclave's keyed hash of the travel-rule payload, hex; `-` without payload.
    pub payload: String,
    /// How far it has come.
    pub stage: String,
    /// `moving`, `held`, `refused` or `released`.
    pub outcome: String,
    /// What is missing or wrong.
    pub findings: Vec<FindingRow>,
    /// When this party wrote it down.
    pub asked_at: u64,
    /// The counterparty's signed answer, or the registration of the customer's own wallet.
    pub evidence: Option<Signed>,
    /// The reservation in force.
    pub reservation: Option<String>,
    /// The input every transaction for it spends (law L17), once the co-signer has signed.
    pub anchor: Option<String>,
    /// The released transaction.
    pub released: Option<ReleasedRow>,
    /// That it was taken back, once the co-signer has said that it never signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<TakenBackRow>,
}

/// That a withdrawal was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenBackRow {
    /// The co-signer's signed receipt.
    pub receipt: Signed,
    /// By whom, as the outcome says it.
    pub finding: FindingRow,
}

/// A released transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedRow {
    /// The transaction id, as nodes print it.
    pub txid: String,
    /// The raw transaction, hex.
    pub tx_hex: String,
    /// The fee, in satoshi.
    pub fee_sat: u64,
    /// What its inputs spend.
    pub prevouts: Vec<PrevoutRow>,
    /// The index of the log entry that released it.
    pub log_index: u64,
}

/// An output that is spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrevoutRow {
    /// `txid:vout`.
    pub outpoint: String,
    /// Satoshi.
    pub value_sat: u64,
    /// Hex.
    pub script_pubkey: String,
}

impl WithdrawalRow {
    /// A withdrawal that was just asked.
    pub fn asked(request: Signed, digest: String, payload: String, now: Seconds) -> Self {
        Self {
            request,
            digest,
            payload,
            stage: Stage::Asked.as_str().to_owned(),
            outcome: "moving".to_owned(),
            findings: Vec::new(),
            asked_at: now.0,
            evidence: None,
            reservation: None,
            anchor: None,
            released: None,
            taken_back: None,
        }
    }

    /// The stage as a word.
    pub fn stage(&self) -> Stage {
        [Stage::Cleared, Stage::Reserved, Stage::Signed, Stage::Released]
            .into_iter()
            .find(|s| s.as_str() == self.stage)
            .unwrap_or(Stage::Asked)
    }

    /// Moves it to a stage.
    pub fn set_stage(&mut self, stage: Stage) {
        self.stage = stage.as_str().to_owned();
    }

    /// The outcome as a word.
    pub fn outcome(&self) -> Outcome {
        let findings = || self.findings.iter().map(FindingRow::finding).collect();
        match self.outcome.as_str() {
            "held" => Outcome::Held(findings()),
            "refused" => Outcome::Refused(findings()),
            "released" => Outcome::Released,
            _ => Outcome::Moving,
        }
    }

    /// Sets the outcome; returns whether it is news. The same codes with another detail (a fact that grew older by a
    /// second) are no news.
    pub fn set_outcome(&mut self, outcome: &Outcome) -> bool {
        let (name, findings) = match outcome {
            Outcome::Moving => ("moving", Vec::new()),
            Outcome::Held(f) => ("held", f.iter().map(FindingRow::of).collect()),
            Outcome::Refused(f) => ("refused", f.iter().map(FindingRow::of).collect()),
            Outcome::Released => ("released", Vec::new()),
        };
        let codes = |f: &[FindingRow]| f.iter().map(|f| f.code.clone()).collect::<Vec<_>>();
        let changed = self.outcome != name || codes(&self.findings) != codes(&findings);
        self.outcome = name.to_owned();
        self.findings = findings;
        changed
    }

    /// Whether nothing will ever change about it.
    pub fn is_final(&self) -> bool {
        matches!(self.outcome.as_str(), "refused" | "released")
    }

    /// The state column: `open` while something can still happen.
    pub fn state(&self) -> &'static str {
        match self.outcome.as_str() {
            "refused" => "refused",
            "released" => "released",
            "held" => "held",
            _ => "open",
        }
    }
}

/// What a reservation is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Purpose {
    /// Pays these withdrawals.
    Withdrawals(Vec<String>),
    /// Moves this much to the pinned cold descriptor, at this index of its branch 0.
    Sweep {
        /// Satoshi to cold.
        amount_sat: u64,
        /// Index on the cold wallet's branch 0.
        cold_index: u32,
    },
}

/// One reservation: an unsigned transaction, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReservationRow {
    /// What it is for.
    pub purpose: Purpose,
    /// The PSBT as the co-signer gets it, hex.
    pub psbt: String,
    /// The transaction id, fixed from here on.
    pub txid: String,
    /// The inputs, `txid:vout`; the first is the anchor.
    pub inputs: Vec<String>,
    /// The fee, in satoshi.
    pub fee_sat: u64,
    /// What leaves the hot wallet, fee included, in satoshi.
    pub outgoing_sat: u64,
    /// What the rolling limits count, in satoshi: of a sweep only the fee.
    pub leaving_sat: u64,
    /// What of it was cleared without a name match, in won.
    pub unnamed_krw: String,
    /// What of it was cleared by nobody's signature, in satoshi.
    #[serde(default)]
    pub unsigned_sat: u64,
    /// The change output, if there is one.
    pub change: Option<ChangeRow>,
    /// The height it was built on.
    pub tip_height: u32,
    /// When it was made.
    pub reserved_at: u64,
    /// The index of its log entry.
    pub log_index: u64,
    /// `reserved`, `released` or `dead`.
    pub state: String,
    /// The finished transaction, hex, once released.
    pub tx_hex: Option<String>,
}

/// The change of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRow {
    /// Which output.
    pub vout: u32,
    /// Satoshi.
    pub amount_sat: u64,
    /// Index on branch 1.
    pub index: u32,
}

/// One coin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoinRow {
    /// Satoshi.
    pub amount_sat: u64,
    /// Branch of the wallet.
    pub branch: u32,
    /// Index on the branch.
    pub index: u32,
    /// Depth the observer last saw.
    pub confirmations: u32,
    /// Own unconfirmed ancestors.
    pub chain_depth: u8,
    /// Whether a block made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coinbase: bool,
    /// `free`, `spent` (with the reservation that spends it).
    pub spent_by: Option<String>,
}

impl CoinRow {
    /// The row of a coin. A reserved coin's row says free: the reservation's own row holds the claim.
    pub fn of(coin: &Coin) -> Self {
        let spent_by = match coin.state {
            CoinState::Spent(by) => Some(by.to_string()),
            CoinState::Free | CoinState::Reserved(_) => None,
        };
        Self {
            amount_sat: coin.amount_sat,
            branch: coin.branch,
            index: coin.index,
            confirmations: coin.confirmations,
            chain_depth: coin.chain_depth,
            coinbase: coin.coinbase,
            spent_by,
        }
    }

    /// The state column.
    pub const fn state(&self) -> &'static str {
        if self.spent_by.is_some() { "spent" } else { "unspent" }
    }

    /// The coin of a row.
    pub fn coin(&self, key: &str) -> Result<Coin, BadRow> {
        let bad = |problem: &str| BadRow { key: key.to_owned(), problem: problem.to_owned() };
        let outpoint = OutPoint::from_str(key).map_err(|_| bad("the key is no outpoint"))?;
        let state = match &self.spent_by {
            None => CoinState::Free,
            Some(by) => CoinState::Spent(
                ReservationId::parse(by).map_err(|_| bad("`spent_by` names no reservation"))?,
            ),
        };
        Ok(Coin {
            outpoint,
            amount_sat: self.amount_sat,
            branch: self.branch,
            index: self.index,
            confirmations: self.confirmations,
            chain_depth: self.chain_depth,
            coinbase: self.coinbase,
            state,
        })
    }
}

/// One deposit address. The key is `organisation/customer reference`.
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
    /// Its script, hex.
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

/// What the co-signer keeps of a request for ever. The key is the withdrawal id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenRequestRow {
    /// SHA-256 of the request text, hex.
    pub digest: String,
    /// The anchor of its transactions, once one was signed.
    pub anchor: Option<String>,
    /// The reservation that was signed for it last.
    pub reservation: Option<String>,
    /// The verification that was used up for it.
    pub uuid: Option<String>,
    /// That it is never signed. With it nothing else is there: a request is signed or void, never both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<VoidRow>,
}

impl SeenRequestRow {
    /// A request that is never signed, whatever stands in it.
    pub const fn void(void: VoidRow) -> Self {
        Self { digest: String::new(), anchor: None, reservation: None, uuid: None, void: Some(void) }
    }
}

/// Why the co-signer never signs a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoidRow {
    /// `cancelled` or `rejected`.
    pub cause: String,
    /// The text of the cancellation or rejection.
    pub evidence: String,
    /// The request key that signed it; empty for an operator.
    pub key_id: String,
    /// Its signature: hex, or an operator's armored SSHSIG.
    pub signature: String,
    /// The receipt that was given.
    pub receipt: Signed,
}

/// What the co-signer keeps of a reservation for ever. The key is the reservation id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignedRow {
    /// `signed` or `dead`.
    pub state: String,
    /// The PSBT as it was judged, hex; signing it again gives the same bytes.
    pub psbt: String,
    /// The transaction id.
    pub txid: String,
    /// Inputs, `txid:vout`.
    pub inputs: Vec<String>,
    /// The coins behind the inputs, so that it can be signed again when they are long spent.
    pub coins: Vec<SpentRow>,
    /// The withdrawals it pays; empty for a sweep.
    pub withdrawals: Vec<String>,
    /// `withdrawal`, `sweep` or `consolidation`, from its outputs.
    pub kind: String,
    /// What leaves the hot wallet, fee included, in satoshi.
    pub outgoing_sat: u64,
    /// What the rolling limits count, in satoshi.
    pub leaving_sat: u64,
    /// The fee, in satoshi.
    pub fee_sat: u64,
    /// What of it was cleared without a name match, in won.
    pub unnamed_krw: String,
    /// What of it was cleared by nobody's signature, in satoshi.
    #[serde(default)]
    pub unsigned_sat: u64,
    /// The change output, if there is one.
    pub change: Option<ChangeRow>,
    /// What goes to the cold wallet, in satoshi, and its index there.
    pub swept: Option<(u64, u32)>,
    /// When it was decided.
    pub at: u64,
    /// Why not, for a dead one.
    pub code: Option<String>,
    /// What an outside custodian has to do with it; absent where key B is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<CustodyRow>,
}

/// What an outside custodian said of a transaction: nothing yet, one of the two, never both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustodyRow {
    /// The PSBT with the custodian's signatures, hex: the first that held, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psbt: Option<String>,
    /// The custodian's signed refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Signed>,
}

impl CosignedRow {
    /// A reservation that will never be signed.
    pub fn dead(code: Code, now: Seconds) -> Self {
        Self {
            state: "dead".to_owned(),
            psbt: String::new(),
            txid: String::new(),
            inputs: Vec::new(),
            coins: Vec::new(),
            withdrawals: Vec::new(),
            kind: String::new(),
            outgoing_sat: 0,
            leaving_sat: 0,
            fee_sat: 0,
            unnamed_krw: "0".to_owned(),
            unsigned_sat: 0,
            change: None,
            swept: None,
            at: now.0,
            code: Some(code.to_string()),
            custody: None,
        }
    }
}

/// A coin that a signed transaction spends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpentRow {
    /// `txid:vout`.
    pub outpoint: String,
    /// Satoshi.
    pub amount_sat: u64,
    /// Branch of the wallet.
    pub branch: u32,
    /// Index on the branch.
    pub index: u32,
}

impl SpentRow {
    /// The row of a coin.
    pub fn of(coin: &OwnCoin) -> Self {
        Self {
            outpoint: coin.outpoint.to_string(),
            amount_sat: coin.amount_sat,
            branch: coin.script.branch().number(),
            index: coin.script.index(),
        }
    }

    /// The coin of the row, its script derived anew.
    pub fn own_coin(&self, wallet: &WalletDescriptor) -> Option<OwnCoin> {
        let script = wallet.script(Branch::of_number(self.branch)?, self.index).ok()?;
        let outpoint = self.outpoint.parse().ok()?;
        Some(OwnCoin { outpoint, amount_sat: self.amount_sat, script: std::sync::Arc::new(script) })
    }
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
