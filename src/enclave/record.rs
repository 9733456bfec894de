//! Owns a verification as it is shown to the exchange's own backend, and how records are searched for.

use std::fmt;

use zeroize::Zeroizing;

use super::answer::{Decision, Kind};
use super::asset_info::AssetInfo;
use crate::withdrawal::{Code, Invalid, Seconds, VaspId};

/// Most records on one page.
pub const RPP_MAX: u32 = 100;

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not answered yet.
    Wait,
    /// Yes.
    Verified,
    /// No, or nobody answered in time.
    Denied,
    /// It could not be found out, or a verified transfer was taken back.
    Error,
}

impl From<Decision> for Outcome {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Verified => Self::Verified,
            Decision::Denied => Self::Denied,
            Decision::Error => Self::Error,
        }
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Wait, Self::Verified, Self::Denied, Self::Error];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "WAIT",
            Self::Verified => "VERIFIED",
            Self::Denied => "DENIED",
            Self::Error => "ERROR",
        }
    }

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// On which side of a transfer this VASP stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It sends.
    Send,
    /// It receives.
    Receive,
}

impl Action {
    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "SEND",
            Self::Receive => "RECEIVE",
        }
    }

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Send, Self::Receive].into_iter().find(|action| action.as_str() == text)
    }
}

/// One verification with everything that is known of it, persons included.
pub struct Record {
    /// Its number in this database.
    pub id: u64,
    /// Its uuid.
    pub uuid: String,
    /// Whether a person or an address was asked about.
    pub kind: Kind,
    /// Whether this VASP sends or receives.
    pub action: Action,
    /// How far it has come.
    pub result: Outcome,
    /// Why: `OK` or a code.
    pub reason: Option<String>,
    /// The reason's parameter, or plain words.
    pub message: Option<String>,
    /// Asset and worth. Where a verification was asked for without its worth, those texts are empty.
    pub asset_info: AssetInfo,
    /// The transaction, once it was reported.
    pub tx_hash: Option<String>,
    /// Its output.
    pub vout: Option<String>,
    /// Who sends.
    pub originating_vasp: VaspId,
    /// Who receives.
    pub beneficiary_vasp: VaspId,
    /// The sender's account; empty if it was not given.
    pub originator_account: String,
    /// The address.
    pub beneficiary_account: String,
    /// JSON; `{}` where nothing is known.
    pub ivms101_originator: Zeroizing<String>,
    /// JSON; `{}` where nothing is known.
    pub ivms101_originating_vasp: Zeroizing<String>,
    /// JSON, as its VASP knows it once that has said so; `{}` where nothing is known.
    pub ivms101_beneficiary: Zeroizing<String>,
    /// JSON; `{}` where nothing is known.
    pub ivms101_beneficiary_vasp: Zeroizing<String>,
    /// When the result was set.
    pub verified_at: Option<Seconds>,
    /// When the transaction was reported.
    pub ordered_at: Option<Seconds>,
    /// When it was written down.
    pub created_at: Seconds,
}

/// Shows no persons and no free text.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("uuid", &self.uuid)
            .field("action", &self.action)
            .field("result", &self.result)
            .field("tx_hash", &self.tx_hash)
            .finish_non_exhaustive()
    }
}

/// Which records are wanted: everything that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Written down at that time or later.
    pub from: Option<Seconds>,
    /// Written down at that time or earlier.
    pub to: Option<Seconds>,
    /// The asset's ticker.
    pub symbol: Option<String>,
    /// The network's name.
    pub network: Option<String>,
    /// The transaction.
    pub tx_hash: Option<String>,
    /// How far it has come.
    pub result: Option<Outcome>,
    /// Whether this VASP sends or receives.
    pub action: Option<Action>,
    /// The other VASP.
    pub opposite_vasp: Option<VaspId>,
    /// The sender's account.
    pub originator_account: Option<String>,
    /// The address.
    pub beneficiary_account: Option<String>,
    /// Which page, from 1.
    pub page: u32,
    /// Records on a page, at most [`RPP_MAX`].
    pub rpp: u32,
}

/// The first ten of all.
impl Default for Search {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            symbol: None,
            network: None,
            tx_hash: None,
            result: None,
            action: None,
            opposite_vasp: None,
            originator_account: None,
            beneficiary_account: None,
            page: 1,
            rpp: 10,
        }
    }
}

impl Search {
    /// Says no to a page that cannot be.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let no = |field, problem: String| {
            Err(Invalid::new(Code::FieldMalformed, field, problem, "count pages from 1"))
        };
        if self.page == 0 {
            return no("page", "is zero".to_owned());
        }
        if !(1..=RPP_MAX).contains(&self.rpp) {
            return no("rpp", format!("is not between 1 and {RPP_MAX}"));
        }
        Ok(())
    }
}

/// One page of records, the newest first.
#[derive(Debug)]
pub struct Page {
    /// How many there are on all pages together.
    pub count: u64,
    /// Which page this is.
    pub page: u32,
    /// How many records stand on a full one.
    pub rpp: u32,
    /// The records.
    pub records: Vec<Record>,
}
