//! Owns what the policy is told. Every field is computed, verified and timed by the caller from its own store and clock;
//! nothing here comes from the other party.

use std::collections::BTreeSet;

use crate::amount::{Krw, Seconds, Units};
use crate::ratio::{InTotal, Position};

/// What kind of transaction it is, decided from its outputs and never from a label (L9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pays a customer.
    Withdraw,
    /// Moves a surplus from hot to the pinned cold descriptor.
    Sweep,
    /// Moves from cold to hot.
    Refill,
    /// Joins own coins.
    Consolidate,
    /// Gives the pinned account that pays gas what it needs.
    Refuel,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Withdraw, Self::Sweep, Self::Refill, Self::Consolidate, Self::Refuel];

    /// The name of the action in the policy files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withdraw => "withdraw",
            Self::Sweep => "sweep",
            Self::Refill => "refill",
            Self::Consolidate => "consolidate",
            Self::Refuel => "refuel",
        }
    }
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The address in the asset's normalised spelling.
    pub address: String,
    /// Whether it is an address of this wallet, on any branch.
    pub own: bool,
    /// Whether it is pinned in the trust file or derived by this party itself.
    pub pinned: bool,
}

/// The travel rule's answer, already verified with its evidence and bound to this withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearance {
    /// There is none.
    Absent,
    /// The beneficiary VASP has been asked and has not answered.
    Pending,
    /// There is one.
    Given {
        /// The older of the answer's own time and the time of receipt; a time ahead of `now` counts as expired.
        at: Seconds,
        /// The first second in which it no longer holds.
        expires_at: Seconds,
        /// Whether the beneficiary's name was matched; otherwise the unnamed total counts it (L3, L4).
        named: bool,
        /// Whether the VASP, or our own exchange, signed for it; otherwise the lower limit counts (L4).
        signed: bool,
    },
}

/// The network fee of the transaction (L8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fee {
    /// Base units per 1,000 virtual bytes, or units of gas.
    pub rate: Units,
    /// Base units this transaction pays, of the asset in which its chain takes fees.
    pub paid: Units,
    /// What of it leaves the wallet in the asset itself; nothing, where another account pays.
    pub leaving: Units,
    /// Base units all transactions of this lineage of bumps have committed to pay, this one included.
    pub lineage: Units,
    /// What of `paid` falls on this request: all of it, or its part where the transaction pays several.
    pub share: Units,
    /// The request's own cap on that; `None` where no request stands behind the transaction.
    pub request_max: Option<Units>,
}

/// What the windows hold before this transaction; see [`crate::window::RollingSum`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Left within the last hour: amounts of withdrawals and fees of every kind.
    pub hour: Units,
    /// Left within the last day, counted likewise.
    pub day: Units,
    /// Fees of every kind within the last day.
    pub fee_day: Units,
    /// Value cleared without a name match within the last day.
    pub unnamed_day: Krw,
    /// Amounts cleared by nobody's signature within the last day.
    pub unsigned_day: Units,
}

/// When each fact was last stated: the older of the statement's time and the time of receipt. `None` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    /// The cold balance.
    pub position: Option<Seconds>,
    /// The price.
    pub price: Option<Seconds>,
    /// The fee rate.
    pub fee_rate: Option<Seconds>,
    /// The chain's tip.
    pub tip: Option<Seconds>,
}

/// One operator's verified approval of exactly this withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The person, not the key: two keys of one person are one person.
    pub person: String,
    /// The groups the trust file puts the person in.
    pub groups: Vec<String>,
}

/// Everything a decision is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What kind of transaction it is.
    pub kind: Kind,
    /// Who asks, or whose wallet it is.
    pub organisation: String,
    /// The asset's id, as the settings spell it (CAIP-19).
    pub asset: String,
    /// The deciding party's own clock.
    pub now: Seconds,
    /// Who asked: the organisation, and the people who hold the key it signed with. None of them counts as an approver.
    pub requesters: BTreeSet<String>,
    /// Where it goes.
    pub destination: Destination,
    /// The VASP that holds the destination; empty where there is none.
    pub beneficiary_vasp: String,
    /// How much the payees get.
    pub amount: Units,
    /// Its value at the party's own price, rounded up; `None` where there is no price.
    pub value: Option<Krw>,
    /// The travel rule's answer.
    pub clearance: Clearance,
    /// The network fee.
    pub fee: Fee,
    /// What the windows hold.
    pub spent: Spent,
    /// How old the facts are.
    pub stated: Stated,
    /// Whether the price has moved and not settled; see [`crate::price::PriceTrack`].
    pub price_moved: bool,
    /// What rests hot and cold before this transaction (L11).
    pub position: Position,
    /// The asset as a part of the total in won; `None` where a price is missing or too old.
    pub in_total: Option<InTotal>,
    /// For a refill: the held withdrawals it is made for, which leave afterwards (L13).
    pub earmarked: Units,
    /// What the hot wallet can spend now.
    pub spendable: Units,
    /// The approvals given.
    pub approvals: Vec<Approval>,
    /// Whether a freeze is in force for this kind of transaction (L15).
    pub frozen: bool,
    /// Whether it was asked while a freeze was in force: then it needs approval whatever its tier (L15).
    pub queued: bool,
}

impl Facts {
    /// What the rolling limits count (L7): a withdrawal's or refuel's amount and fee, of the other kinds the fee.
    /// `None` where it overflows.
    pub fn leaving(&self) -> Option<Units> {
        match self.kind {
            Kind::Withdraw | Kind::Refuel => self.amount.plus(self.fee.leaving),
            Kind::Sweep | Kind::Refill | Kind::Consolidate => Some(self.fee.leaving),
        }
    }
}
