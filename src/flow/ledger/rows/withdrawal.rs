//! The rows of withdrawals.

use serde::{Deserialize, Serialize};

use super::{PrevoutRow, Signed};
use crate::withdrawal::{Code, Finding, Outcome, Seconds, Stage};

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

/// What became of a Safe transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutedRow {
    /// The transaction of the chain that executed it, whoever sent that.
    pub transaction: String,
    /// `paid`, `reverted` or `odd`.
    pub ending: String,
    /// The height of its block.
    pub height: u64,
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
    /// What became of its Safe transaction, once that is in the chain for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<ExecutedRow>,
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

/// What a withdrawal keeps of the transaction that pays it. The transaction itself stands in the row of its reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedRow {
    /// The transaction id, as nodes print it; of a Safe the Safe transaction's hash.
    pub txid: String,
    /// The place of a Safe transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe: Option<String>,
    /// The fee, in base units of the asset in which it is taken.
    pub fee: u128,
    /// What its inputs spend.
    pub prevouts: Vec<PrevoutRow>,
    /// The index of the log entry that released it.
    pub log_index: u64,
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
            executed: None,
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
