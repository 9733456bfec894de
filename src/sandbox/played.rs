//! Owns what came of a case: the outcome, its codes, and the log entry that says so.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use super::Fault;
use super::audit::VerifiedHead;
use super::cases::{Case, CaseRequest};
use super::released::{Released, asset_name};
use crate::desk::WithdrawalView;
use crate::ethereum::SafeWallet;
use crate::withdrawal::{Code, Outcome};

/// What came of one case.
pub struct Played {
    /// What it shows.
    pub name: String,
    /// Its request id.
    pub request_id: String,
    /// What was asked: asset, address, base units.
    pub asked: (String, String, String),
    /// released, held, refused, or invalid: a request that nobody can ask.
    pub outcome: &'static str,
    /// Why it is refused or held; of a released one, why it was held last.
    pub code: Option<Code>,
    /// Every code it was held with, in order.
    pub held: Vec<Code>,
    /// The transaction, where it was released.
    pub released: Option<Released>,
    /// The log entry that says so; of what could not even be asked there is none.
    pub log_index: Option<u64>,
}

impl Played {
    /// What the last view and the changes before it say.
    pub fn of(
        case: &Case,
        last: &WithdrawalView,
        changes: &[WithdrawalView],
        safe: &SafeWallet,
    ) -> Result<Self, Fault> {
        let mut held: Vec<Code> = changes.iter().flat_map(|view| holds(&view.outcome)).collect();
        held.dedup();
        let (outcome, code) = match &last.outcome {
            Outcome::Released => ("released", held.last().copied()),
            Outcome::Held(findings) => ("held", findings.first().map(|f| f.code)),
            Outcome::Refused(findings) => ("refused", findings.first().map(|f| f.code)),
            Outcome::Moving => ("moving", None),
        };
        let released = (last.outcome == Outcome::Released).then(|| Released::of(last, safe)).transpose()?;
        let request = &last.request;
        Ok(Self {
            name: case.name.clone(),
            request_id: request.request_id.to_string(),
            asked: (asset_name(request.asset), request.destination.clone(), request.amount.to_string()),
            outcome,
            code,
            held,
            released,
            log_index: Some(last.log_index),
        })
    }

    /// A request that became no withdrawal; one that is not even in the log could not be asked.
    pub fn refused(case: &Case, request: &CaseRequest, code: Code, log_index: Option<u64>) -> Self {
        let outcome = if log_index.is_some() { "refused" } else { "invalid" };
        Self {
            name: case.name.clone(),
            request_id: request.request_id.clone(),
            asked: (asset_name(request.asset), request.destination.clone(), request.amount.to_string()),
            outcome,
            code: Some(code),
            held: Vec::new(),
            released: None,
            log_index,
        }
    }

    /// Whether it came as the file says.
    pub fn check(&self, case: &Case) -> Result<(), Fault> {
        let expected = &case.expect;
        let held: Vec<&str> = self.held.iter().map(|code| code.as_str()).collect();
        let code = self.code.map(Code::as_str).filter(|_| self.outcome != "released");
        let same = expected.outcome == self.outcome
            && expected.code.as_deref() == code
            && expected.held.iter().all(|wanted| held.contains(&wanted.as_str()));
        if same {
            return Ok(());
        }
        let words = |outcome: &str, code: Option<&str>, held: &[&str]| {
            let code = code.map(|code| format!(", {code}")).unwrap_or_default();
            let held = if held.is_empty() {
                String::new()
            } else {
                format!(", held on the way by {}", held.join(" "))
            };
            format!("{outcome}{code}{held}")
        };
        let wanted: Vec<&str> = expected.held.iter().map(String::as_str).collect();
        Err(Fault::Unexpected {
            case: self.name.clone(),
            expected: words(&expected.outcome, expected.code.as_deref(), &wanted),
            found: words(self.outcome, code, &held),
        })
    }

    /// For programs.
    pub fn json(&self, log: &VerifiedHead) -> Value {
        let (asset, destination, amount) = &self.asked;
        let mut json = Map::new();
        for key in ["txid", "tx_hex", "fee", "fee_sat", "safe"] {
            json.insert(key.into(), Value::Null);
        }
        json.insert("prevouts".into(), json!([]));
        let own = [
            ("name", json!(self.name)),
            ("request_id", json!(self.request_id)),
            ("asset", json!(asset)),
            ("destination", json!(destination)),
            ("amount", json!(amount)),
            ("outcome", json!(self.outcome)),
            ("code", json!(self.code.map(Code::as_str))),
            ("held", self.held.iter().map(|code| code.as_str()).collect()),
            ("log", self.log_index.map_or(Value::Null, |index| entry(index, log))),
        ];
        json.extend(own.map(|(key, value)| (key.to_owned(), value)));
        if let Some(released) = &self.released {
            released.json(&mut json);
        }
        Value::Object(json)
    }
}

fn entry(index: u64, log: &VerifiedHead) -> Value {
    json!({ "index": index, "tree_size": log.head.size, "root_hex": HEXLOWER.encode(&log.head.root.0) })
}

/// Whether a hold of this code ends without anybody doing anything.
pub const fn passes(code: Code) -> bool {
    matches!(code, Code::ClearancePending | Code::CosignerUnreachable)
}

/// What somebody had to do something about; nothing while the beneficiary's VASP has not answered.
fn holds(outcome: &Outcome) -> Vec<Code> {
    match outcome {
        Outcome::Held(findings) if !findings.iter().any(|f| passes(f.code)) => {
            findings.iter().map(|f| f.code).collect()
        }
        Outcome::Held(_) | Outcome::Refused(_) | Outcome::Moving | Outcome::Released => Vec::new(),
    }
}
