//! The co-signer's rows: what it has seen, what it took back, and what it signed or never will.

use serde::{Deserialize, Serialize};

use super::{ChangeRow, EmptiedRow, Signed, SpentRow};
use crate::withdrawal::{Code, Seconds};

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
    /// `withdrawal`, `sweep`, `refuel`, `emptying` or `consolidation`, from its outputs.
    pub kind: String,
    /// The asset that leaves; empty where nothing does.
    pub asset: String,
    /// What leaves the hot wallet, in base units, with the fee where the wallet pays it.
    pub outgoing: u128,
    /// What the rolling limits count, in base units.
    pub leaving: u128,
    /// The fee, in base units of the asset in which it is taken.
    pub fee: u128,
    /// What of it was cleared without a name match, in won.
    pub unnamed_krw: String,
    /// What of it was cleared by nobody's signature, in base units.
    pub unsigned: u128,
    /// The change output, if there is one.
    pub change: Option<ChangeRow>,
    /// What goes to the cold wallet, in base units, and its index there.
    pub swept: Option<(u128, u32)>,
    /// What it empties of deposit addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<EmptiedRow>,
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
            asset: String::new(),
            outgoing: 0,
            leaving: 0,
            fee: 0,
            unnamed_krw: "0".to_owned(),
            unsigned: 0,
            change: None,
            swept: None,
            emptied: Vec::new(),
            at: now.0,
            code: Some(code.to_string()),
            custody: None,
        }
    }
}
