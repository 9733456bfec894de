//! The rows of reservations: one whole unsigned transaction each.

use serde::{Deserialize, Serialize};

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

/// What a reservation is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Purpose {
    /// Pays these withdrawals.
    Withdrawals(Vec<String>),
    /// Moves this much to the pinned cold descriptor, at this index of its branch 0.
    Sweep {
        /// Base units to cold.
        amount: u128,
        /// Index on the cold wallet's branch 0.
        cold_index: u32,
    },
    /// Gives this much to the pinned account that pays gas.
    Refuel {
        /// Base units of the chain's coin.
        amount: u128,
    },
    /// Brings what lies at these deposit addresses to a hot Safe.
    Emptying {
        /// What lies where, in the order of the calls.
        deposits: Vec<EmptiedRow>,
    },
}

/// One asset of one deposit address, on its way to a hot Safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptiedRow {
    /// The index of the address.
    pub index: u32,
    /// What lies there.
    pub asset: String,
    /// All of it, in base units.
    pub amount: u128,
    /// Whether the address's Safe is deployed before.
    pub deploy: bool,
    /// The gas kept for the transfer.
    pub gas: u64,
}

impl Purpose {
    /// Which errand of the house it is; none, where somebody asked for it.
    pub const fn errand(&self) -> Option<Errand> {
        match self {
            Self::Withdrawals(_) => None,
            Self::Sweep { .. } => Some(Errand::Sweep),
            Self::Refuel { .. } => Some(Errand::Refuel),
            Self::Emptying { .. } => Some(Errand::Emptying),
        }
    }
}

/// What the house pays by itself, because a level of its own says so. One of a kind is under way for an asset at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// A surplus to cold.
    Sweep,
    /// Gas for the account that carries.
    Refuel,
    /// Deposits to a hot Safe.
    Emptying,
}

impl std::fmt::Display for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sweep => "sweep",
            Self::Refuel => "refuel",
            Self::Emptying => "emptying",
        })
    }
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
    /// The asset that leaves.
    pub asset: String,
    /// The fee, in base units of the asset in which it is taken.
    pub fee: u128,
    /// What leaves the hot wallet, in base units, with the fee where the wallet pays it.
    pub outgoing: u128,
    /// What the rolling limits count, in base units: of a sweep only the fee.
    pub leaving: u128,
    /// Whether the sums were charged for it; an attempt within the hour after another is not (ADR 16).
    pub charged: bool,
    /// What of it was cleared without a name match, in won.
    pub unnamed_krw: String,
    /// What of it was cleared by nobody's signature, in base units.
    pub unsigned: u128,
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
    /// The finished transaction, hex, once released; of a Safe the data of a call of `execTransaction`. It stands nowhere else.
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
