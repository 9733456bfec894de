//! The ledger in memory: what is open, what coins there are, what was told. It mirrors the store and is thrown away
//! whenever the two might differ.

pub mod coins;
pub mod facts;
pub mod journal;
pub mod rows;
pub mod treasury;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ::bitcoin::{OutPoint, ScriptBuf};

pub use self::treasury::{Sums, SweepInFlight, Treasury};

use self::coins::CoinState;
use self::rows::{AddressRow, Purpose, ReservationRow, WithdrawalRow};
use crate::evidence::answer::Clearance;
use crate::evidence::approval::Approval;
use crate::evidence::request::VerifiedRequest;
use crate::withdrawal::{Amount, Organisation, ReservationId, Seconds, WithdrawalId};

/// A withdrawal that is not final.
pub struct Open {
    /// Its id.
    pub id: WithdrawalId,
    /// As it stands in the store.
    pub row: WithdrawalRow,
    /// The exchange's verified request.
    pub request: Arc<VerifiedRequest>,
    /// The travel rule's yes.
    pub clearance: Option<Clearance>,
    /// The operators' verified yeses, with the armored signatures.
    pub approvals: Vec<(Approval, String)>,
    /// The index of its newest log entry.
    pub log_index: u64,
    /// When it last changed.
    pub updated_at: Seconds,
}

/// A reservation that is not finished.
#[derive(Debug, Clone)]
pub struct OpenReservation {
    /// As it stands in the store.
    pub row: Arc<ReservationRow>,
    /// Its inputs.
    pub inputs: Vec<OutPoint>,
    /// The withdrawals it pays.
    pub withdrawals: Vec<WithdrawalId>,
}

/// Deposit addresses and the next free index of each branch.
#[derive(Debug, Default)]
pub struct Addresses {
    by_customer: HashMap<(Organisation, String), AddressRow>,
    by_script: HashMap<ScriptBuf, (u32, u32)>,
    /// Next index on branch 0.
    pub next_deposit: u32,
    /// Next index on branch 1.
    pub next_change: u32,
}

impl Addresses {
    /// The address of a customer, if it has one.
    pub fn of_customer(&self, organisation: &Organisation, customer: &str) -> Option<&AddressRow> {
        self.by_customer.get(&(organisation.clone(), customer.to_owned()))
    }

    /// Puts a customer's address in.
    pub fn put(&mut self, organisation: Organisation, row: AddressRow, script: ScriptBuf) {
        self.next_deposit = self.next_deposit.max(row.index.saturating_add(1));
        self.by_script.insert(script, (0, row.index));
        self.by_customer.insert((organisation, row.customer_ref.clone()), row);
    }

    /// Remembers a script of branch 1.
    pub fn put_change(&mut self, index: u32, script: ScriptBuf) {
        self.next_change = self.next_change.max(index.saturating_add(1));
        self.by_script.insert(script, (1, index));
    }

    /// Branch and index of one of our scripts.
    pub fn find(&self, script: &ScriptBuf) -> Option<(u32, u32)> {
        self.by_script.get(script).copied()
    }
}

/// The signer's ledger.
#[derive(Default)]
pub struct Ledger {
    /// What is not final, by id.
    pub open: HashMap<WithdrawalId, Open>,
    /// The order in which open withdrawals were asked.
    pub queue: BTreeMap<u64, WithdrawalId>,
    next_place: u64,
    /// Which open withdrawals are to be decided again.
    pub ripe: HashSet<WithdrawalId>,
    /// Reservations that are not finished.
    pub reservations: HashMap<ReservationId, OpenReservation>,
    /// The addresses.
    pub addresses: Addresses,
    /// Coins, facts and sums.
    pub treasury: Treasury,
    /// Next index on the cold wallet's branch 0.
    pub next_cold: u32,
}

impl Ledger {
    /// Puts an open withdrawal at the end of the queue and marks it ripe.
    pub fn admit(&mut self, open: Open) {
        self.queue.insert(self.next_place, open.id);
        self.next_place = self.next_place.saturating_add(1);
        self.ripe.insert(open.id);
        self.open.insert(open.id, open);
    }

    /// Drops final withdrawals from the queue.
    pub fn forget_final(&mut self) {
        let open = &self.open;
        self.queue.retain(|_, id| open.contains_key(id));
    }

    /// Marks everything that waits without a reservation as to be decided again.
    pub fn ripen_all(&mut self) {
        self.ripe.extend(self.open.values().filter(|o| o.row.reservation.is_none()).map(|o| o.id));
    }

    /// What leaves with the reservations that are not finished, in satoshi.
    pub fn outgoing_sat(&self) -> u64 {
        self.reservations.values().map(|r| r.row.outgoing_sat).sum()
    }

    /// What rests hot: credited coins and own change, less what is reserved to leave (law L11).
    pub fn hot(&self) -> Amount {
        Amount::from_sat(self.treasury.coins.hot_sat().saturating_sub(self.outgoing_sat()))
    }

    /// Whether a sweep is reserved that does not carry both signatures yet.
    pub fn sweep_is_pending(&self) -> bool {
        self.reservations.values().any(|r| matches!(r.row.purpose, Purpose::Sweep { .. }))
    }

    /// Claims the inputs of a reservation.
    pub fn reserve(&mut self, id: ReservationId, reservation: OpenReservation) {
        for input in &reservation.inputs {
            self.treasury.coins.set_state(input, CoinState::Reserved(id));
        }
        self.reservations.insert(id, reservation);
    }
}
