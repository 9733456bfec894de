//! Owns what came of a case: the outcome, and the released transaction, checked here once more without asking anybody.

use bitcoin::{ScriptBuf, Transaction, TxOut, consensus};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::audit::VerifiedHead;
use super::cases::Case;
use super::{Fault, NETWORK};
use crate::bitcoin::{Destination, verify_consensus};
use crate::desk::WithdrawalView;
use crate::withdrawal::{Amount, Code, Outcome};

/// What came of one case.
pub struct Played {
    /// What it shows.
    pub name: String,
    /// Its request id.
    pub request_id: String,
    /// released, held or refused.
    pub outcome: &'static str,
    /// Why it is refused or held; of a released one, why it was held last.
    pub code: Option<Code>,
    /// Every code it was held with, in order.
    pub held: Vec<Code>,
    /// The transaction, where it was released.
    pub released: Option<Released>,
    /// The log entry that says so.
    pub log_index: u64,
}

/// A released transaction that does what was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Released {
    /// Its id, as explorers print it.
    pub txid: String,
    /// Its bytes, hex.
    pub tx_hex: String,
    /// What it spends: txid, output, satoshi and script.
    pub prevouts: Vec<(String, u32, u64, String)>,
    /// Its fee, in satoshi.
    pub fee_sat: u64,
}

impl Played {
    /// What the last view and the changes before it say.
    pub fn of(case: &Case, last: &WithdrawalView, changes: &[WithdrawalView]) -> Result<Self, Fault> {
        let mut held: Vec<Code> = changes.iter().flat_map(|view| holds(&view.outcome)).collect();
        held.dedup();
        let (outcome, code) = match &last.outcome {
            Outcome::Released => ("released", held.last().copied()),
            Outcome::Held(findings) => ("held", findings.first().map(|f| f.code)),
            Outcome::Refused(findings) => ("refused", findings.first().map(|f| f.code)),
            Outcome::Moving => ("moving", None),
        };
        let released = (last.outcome == Outcome::Released).then(|| Released::of(last)).transpose()?;
        Ok(Self {
            name: case.name.clone(),
            request_id: last.request.request_id.to_string(),
            outcome,
            code,
            held,
            released,
            log_index: last.log_index,
        })
    }

    /// A request that became no withdrawal.
    pub fn refused(case: &Case, request_id: &str, code: Code, log_index: u64) -> Self {
        Self {
            name: case.name.clone(),
            request_id: request_id.to_owned(),
            outcome: "refused",
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
        let released = self.released.as_ref();
        let prevout = |(txid, vout, value_sat, script): &(String, u32, u64, String)| json!({ "txid": txid, "vout": vout, "value_sat": value_sat, "script_pubkey_hex": script });
        json!({
            "name": self.name,
            "request_id": self.request_id,
            "outcome": self.outcome,
            "code": self.code.map(Code::as_str),
            "held": self.held.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
            "txid": released.map(|r| &r.txid),
            "tx_hex": released.map(|r| &r.tx_hex),
            "prevouts": released.map(|r| r.prevouts.iter().map(prevout).collect::<Vec<_>>()).unwrap_or_default(),
            "fee_sat": released.map(|r| r.fee_sat),
            "log": {
                "index": self.log_index,
                "tree_size": log.head.size,
                "root_hex": HEXLOWER.encode(&log.head.root.0),
            },
        })
    }
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

impl Released {
    /// Takes the transaction of a released withdrawal only if it pays exactly what was asked, for the fee named, by the
    /// consensus rules.
    pub fn of(view: &WithdrawalView) -> Result<Self, Fault> {
        let no = |problem: &str| Fault::call("the released transaction", &format!("{}: {problem}", view.id));
        let transaction: Transaction =
            consensus::encode::deserialize(&view.raw_transaction).map_err(|_| no("is no transaction"))?;
        let txid = transaction.compute_txid().to_string();
        if view.txid.as_deref() != Some(txid.as_str()) {
            return Err(no("has another id than stated"));
        }
        let spent = spent(view).ok_or_else(|| no("its prevouts do not fit in satoshi"))?;
        verify_consensus(&transaction, &spent).map_err(|error| no(&error.to_string()))?;
        let destination =
            Destination::parse(&view.request.destination, NETWORK).map_err(|e| no(&e.to_string()))?;
        let pays = |out: &&TxOut| out.script_pubkey.as_script() == destination.script_pubkey();
        let paid: Vec<u64> = transaction.output.iter().filter(pays).map(|out| out.value.to_sat()).collect();
        if paid.as_slice() != view.request.amount.sat().as_slice() {
            return Err(no("does not pay exactly what was asked"));
        }
        let total = |outs: &[TxOut]| outs.iter().map(|out| out.value.to_sat()).sum::<u64>();
        let fee_sat = total(&spent).checked_sub(total(&transaction.output));
        if fee_sat.is_none() || fee_sat != view.fee.and_then(Amount::sat) {
            return Err(no("has another fee than stated"));
        }
        let prevout = |p: &crate::desk::Prevout| {
            Some((p.txid.clone(), p.vout, p.value.sat()?, HEXLOWER.encode(&p.script_pubkey)))
        };
        Ok(Self {
            txid,
            tx_hex: HEXLOWER.encode(&view.raw_transaction),
            prevouts: view.prevouts.iter().filter_map(prevout).collect(),
            fee_sat: fee_sat.unwrap_or_default(),
        })
    }
}

fn spent(view: &WithdrawalView) -> Option<Vec<TxOut>> {
    let out = |prevout: &crate::desk::Prevout| {
        let script_pubkey = ScriptBuf::from_bytes(prevout.script_pubkey.clone());
        Some(TxOut { value: bitcoin::Amount::from_sat(prevout.value.sat()?), script_pubkey })
    };
    view.prevouts.iter().map(out).collect()
}
