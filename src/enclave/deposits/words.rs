//! Owns the words about arriving coins: what the own backend hands in, and what it is told of it.

use std::fmt;

use crate::enclave::backend::TransferStatus;
use crate::withdrawal::{Seconds, VaspId};

/// Coins that have arrived, as the own backend saw them.
#[derive(Clone, PartialEq, Eq)]
pub struct DepositSeen {
    /// The asset's ticker.
    pub symbol: String,
    /// The network's name, where the ticker alone does not say.
    pub network: Option<String>,
    /// The transaction, exactly as the node prints it.
    pub tx_hash: String,
    /// Its output, where the chain has outputs.
    pub vout: Option<String>,
    /// The address they arrived at.
    pub address: String,
    /// How much, in whole coins.
    pub amount: String,
    /// When they were seen.
    pub received_at: Seconds,
}

/// Does not show the address.
impl fmt::Debug for DepositSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DepositSeen").field("tx_hash", &self.tx_hash).finish_non_exhaustive()
    }
}

/// How far a deposit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepositState {
    /// Nothing fits yet; those who could have sent it are asked.
    Waiting,
    /// Several verifications fit; their senders are asked which it is, for a time. Then people decide.
    Ambiguous,
    /// It belongs to one verification.
    Matched,
    /// It belongs to none: people decide.
    Unmatched,
}

impl DepositState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Ambiguous, Self::Matched, Self::Unmatched];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Ambiguous => "AMBIGUOUS",
            Self::Matched => "MATCHED",
            Self::Unmatched => "UNMATCHED",
        }
    }

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a deposit is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepositReason {
    /// The sender named the transaction, in a report or in its answer to an inquiry.
    Tx,
    /// One verification alone has this address, asset and amount.
    Amount,
    /// There is no open verification of that address.
    NoVerification,
    /// Those who could have sent it have all said that they will send nothing.
    Canceled,
    /// Nobody has named this transaction in time.
    NotNamed,
    /// The sender named the transaction, and verified another amount.
    OtherAmount,
}

impl DepositReason {
    const ALL: [Self; 6] =
        [Self::Tx, Self::Amount, Self::NoVerification, Self::Canceled, Self::NotNamed, Self::OtherAmount];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tx => "TX",
            Self::Amount => "AMOUNT",
            Self::NoVerification => "NO-VERIFICATION",
            Self::Canceled => "CANCELED",
            Self::NotNamed => "NOT-NAMED",
            Self::OtherAmount => "OTHER-AMOUNT",
        }
    }

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What a possible sender has said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositInquiry {
    /// The verification it was asked about.
    pub uuid: String,
    /// Who was asked.
    pub vasp: VaspId,
    /// How far the transfer has come; nothing while nobody has answered.
    pub status: Option<TransferStatus>,
    /// The transaction it named.
    pub tx_hash: Option<String>,
    /// Its output.
    pub vout: Option<String>,
    /// When it was asked.
    pub asked_at: Seconds,
}

/// A deposit with everything that is known of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Deposit {
    /// Its number in this database.
    pub id: u64,
    /// What was handed in, its network named.
    pub seen: DepositSeen,
    /// How far it has come.
    pub state: DepositState,
    /// Why; nothing while it waits.
    pub reason: Option<DepositReason>,
    /// The verification it belongs to.
    pub uuid: Option<String>,
    /// The verifications that fit, where several do.
    pub candidates: Vec<String>,
    /// What possible senders have said.
    pub inquiries: Vec<DepositInquiry>,
    /// Whether possible senders are still being asked.
    pub is_open: bool,
    /// When it was handed in.
    pub created_at: Seconds,
    /// When it came to where it is.
    pub settled_at: Option<Seconds>,
}

/// Does not show the address.
impl fmt::Debug for Deposit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deposit")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("reason", &self.reason)
            .field("uuid", &self.uuid)
            .finish_non_exhaustive()
    }
}

/// Which deposits are wanted: everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DepositSearch {
    /// How far it has come.
    pub state: Option<DepositState>,
    /// The transaction.
    pub tx_hash: Option<String>,
    /// Those before this number.
    pub before: Option<u64>,
}
