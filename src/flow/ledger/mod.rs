//! The ledger in memory: what is open, what coins there are, what was told. It mirrors the store and is thrown away
//! whenever the two might differ.

pub mod claims;
pub mod coins;
pub mod deposits;
pub mod facts;
pub mod journal;
pub mod lane;
pub mod lanes;
pub mod odd;
pub mod refills;
pub mod registrations;
pub mod rows;
pub mod treasury;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ::bitcoin::{OutPoint, Script, ScriptBuf};

pub use self::registrations::Registrations;
pub use self::treasury::{Account, Sums, SweepInFlight, Treasury};

use self::refills::ColdCoinRow;
use self::rows::{AddressRow, Errand, ReservationRow, WithdrawalRow};
use crate::bitcoin::{Branch, OwnScript, WalletDescriptor};
use crate::evidence::Passage;
use crate::evidence::approval::Approval;
use crate::evidence::request::VerifiedRequest;
use crate::withdrawal::{Amount, Asset, Code, Invalid, Organisation, ReservationId, Seconds, WithdrawalId};

/// A withdrawal that is not final.
pub struct Open {
    /// Its id.
    pub id: WithdrawalId,
    /// Its place in the order asked; given when it is admitted.
    pub place: u64,
    /// As it stands in the store.
    pub row: WithdrawalRow,
    /// The exchange's verified request.
    pub request: Arc<VerifiedRequest>,
    /// The travel rule's yes.
    pub clearance: Option<Passage>,
    /// The operators' verified yeses.
    pub approvals: Vec<Approval>,
    /// Yeses read from the store whose text could not be rebuilt yet: armored, not verified, worth nothing till then.
    pub stored_approvals: Vec<String>,
    /// When the sums were last charged for it: another attempt within the hour is not charged again.
    pub charged_at: Option<Seconds>,
    /// How long it waited after the co-signer's last no, in seconds; zero before the first.
    pub retry_s: u64,
    /// Time alone does not have it decided again before this.
    pub not_before: Seconds,
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
    /// What leaves with it.
    pub asset: Asset,
    /// The withdrawals it pays.
    pub withdrawals: Vec<WithdrawalId>,
}

/// Own addresses: who has which, which scripts are ours, and the next free index of each branch.
#[derive(Debug, Default)]
pub struct Addresses {
    by_customer: HashMap<(Organisation, String), AddressRow>,
    by_script: HashMap<ScriptBuf, (u32, u32)>,
    derived: HashMap<(u32, u32), Arc<OwnScript>>,
    /// Indices on branch 1 below the next that only dead reservations had: nothing was ever signed for them.
    free_change: BTreeSet<u32>,
    used_change: BTreeSet<u32>,
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

    /// Puts a newer view of a customer's address in.
    pub fn update(&mut self, organisation: &Organisation, row: AddressRow) {
        self.by_customer.insert((organisation.clone(), row.customer_ref.clone()), row);
    }

    /// Remembers a script of branch 1.
    pub fn put_change(&mut self, script: &OwnScript) {
        self.next_change = self.next_change.max(script.index().saturating_add(1));
        self.free_change.remove(&script.index());
        self.used_change.insert(script.index());
        self.by_script.insert(script.script_pubkey().to_owned(), (1, script.index()));
    }

    /// The index on branch 1 that the next change gets. One that was given back comes first: a co-signer that says no
    /// for a while must not drive it beyond what it derives (law L16).
    pub fn change_index(&self) -> u32 {
        self.free_change.first().copied().unwrap_or(self.next_change)
    }

    /// Gives the index of a change back whose reservation is dead.
    pub fn give_change_back(&mut self, index: u32) {
        self.used_change.remove(&index);
        self.free_change(index);
    }

    /// Takes note of an index that a dead reservation had.
    pub fn free_change(&mut self, index: u32) {
        let is_used = self.used_change.contains(&index);
        if index < self.next_change && !is_used {
            self.free_change.insert(index);
        }
    }

    /// Branch and index of one of our scripts.
    pub fn find(&self, script: &Script) -> Option<(u32, u32)> {
        self.by_script.get(script).copied()
    }

    /// How many scripts are known.
    pub fn len(&self) -> usize {
        self.by_script.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_script.is_empty()
    }

    /// The script at a place of the wallet, derived once.
    pub fn script(
        &mut self,
        wallet: &WalletDescriptor,
        branch: Branch,
        index: u32,
    ) -> Result<Arc<OwnScript>, Invalid> {
        if let Some(known) = self.derived.get(&(branch.number(), index)) {
            return Ok(known.clone());
        }
        let script = Arc::new(wallet.script(branch, index)?);
        self.derived.insert((branch.number(), index), script.clone());
        Ok(script)
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
    /// The places of those that are to be decided again.
    pub ripe: BTreeSet<u64>,
    /// Reservations that the co-signer will never sign: such a transaction is not built a second time.
    pub dead: HashSet<ReservationId>,
    /// Reservations that are not finished.
    pub reservations: HashMap<ReservationId, OpenReservation>,
    /// The addresses.
    pub addresses: Addresses,
    /// Customers' own wallets.
    pub registrations: Registrations,
    /// Coins, facts and sums.
    pub treasury: Treasury,
    /// Next index on the cold wallet's branch 0.
    pub next_cold: u32,
    /// Coins of the cold wallet that are known with their transactions.
    pub cold_coins: BTreeMap<OutPoint, ColdCoinRow>,
    /// Next index on the cold wallet's branch 1, for the change of refills.
    pub next_cold_change: u32,
    /// What became of the errands that are wanted and could not be made, by the asset that is to leave.
    pub retries: BTreeMap<(Errand, Asset), Retry>,
    /// The last Korean day that was closed, as days since 1970-01-01.
    pub day_closed: Option<u64>,
    /// Read back, and their request does not verify any more.
    pub disowned: Vec<(WithdrawalId, WithdrawalRow)>,
    /// How many statements have not reached the co-signer, as far as is known.
    pub undelivered: usize,
    /// The freezes that the log knows.
    pub noted: crate::flow::brake::Noted,
    /// Statements that have reached the co-signer and whose rows do not say so yet.
    pub delivered: Vec<String>,
    /// How many withdrawals one transaction pays at most, where the co-signer said no to one and named nobody.
    at_once: BTreeMap<Asset, usize>,
}

/// An errand that is wanted and could not be made: planned again after a pause that doubles, told once, charged once an hour (ADR 16).
#[derive(Debug, Clone, Copy, Default)]
pub struct Retry {
    /// Not again before this time.
    pub not_before: Seconds,
    pause_s: u64,
    told: Option<Code>,
    /// When the sums were last charged for an attempt that came to nothing.
    pub charged_at: Option<Seconds>,
}

impl Retry {
    const PAUSE_S: (u64, u64) = (10, 300);

    /// An attempt came to nothing; whether its reason is news.
    pub fn failed(&mut self, now: Seconds, why: Code) -> bool {
        self.pause_s = self.pause_s.saturating_mul(2).clamp(Self::PAUSE_S.0, Self::PAUSE_S.1);
        self.not_before = now.plus(self.pause_s);
        self.told.replace(why) != Some(why)
    }
}

impl Ledger {
    /// Puts an open withdrawal at the end of the queue and marks it ripe.
    pub fn admit(&mut self, open: Open) {
        let place = self.next_place;
        self.next_place = place.saturating_add(1);
        self.queue.insert(place, open.id);
        self.ripe.insert(place);
        self.open.insert(open.id, Open { place, ..open });
    }

    /// Takes a withdrawal out of memory.
    pub fn remove(&mut self, id: &WithdrawalId) -> Option<Open> {
        let open = self.open.remove(id)?;
        self.queue.remove(&open.place);
        self.ripe.remove(&open.place);
        Some(open)
    }

    /// Marks a withdrawal as to be decided again.
    pub fn ripen(&mut self, id: &WithdrawalId) {
        if let Some(open) = self.open.get(id) {
            self.ripe.insert(open.place);
        }
    }

    /// The next withdrawal to be decided, in the order asked.
    pub fn next_ripe(&mut self) -> Option<WithdrawalId> {
        let place = self.ripe.pop_first()?;
        self.queue.get(&place).copied()
    }

    /// Marks everything that waits without a reservation as to be decided again.
    pub fn ripen_all(&mut self) {
        self.ripe.extend(self.open.values().filter(|o| o.row.reservation.is_none()).map(|o| o.place));
    }

    /// Marks what waits without a reservation as to be decided again, but what is not due yet.
    pub fn ripen_due(&mut self, now: Seconds) {
        let due = |open: &&Open| open.row.reservation.is_none() && open.not_before <= now;
        self.ripe.extend(self.open.values().filter(due).map(|open| open.place));
    }

    /// What of an asset leaves with the reservations that are not finished.
    pub fn outgoing(&self, asset: Asset) -> Amount {
        let of_asset = self.reservations.values().filter(|r| r.asset == asset);
        Amount::from_units(of_asset.fold(0u128, |sum, r| sum.saturating_add(r.row.outgoing)))
    }

    /// What rests hot: what is credited, less what is reserved to leave and what came for held withdrawals (law L11).
    pub fn hot(&self, asset: Asset, now: Seconds) -> Amount {
        let there = self.treasury.credited(asset).units().saturating_sub(self.outgoing(asset).units());
        Amount::from_units(there.saturating_sub(self.earmarked(asset, now).units()))
    }

    /// What came from cold for withdrawals of an asset that are still held (law L13). There are refills of Bitcoin alone.
    pub fn earmarked(&self, asset: Asset, now: Seconds) -> Amount {
        asset.chain().bitcoin().map_or(Amount::ZERO, |_| Amount::from_sat(self.earmarked_sat(now)))
    }

    /// What came from cold for withdrawals that are still held, in satoshi (law L13).
    pub fn earmarked_sat(&self, now: Seconds) -> u64 {
        self.treasury.refills.earmarked_sat(now, &|withdrawal| self.is_held(withdrawal))
    }

    /// The withdrawals that wait without a reservation.
    pub fn waiting(&self) -> impl Iterator<Item = &Open> {
        self.open.values().filter(|open| open.row.reservation.is_none() && !open.row.is_final())
    }

    /// Whether a withdrawal waits without a reservation.
    pub fn is_held(&self, withdrawal: &str) -> bool {
        let id = WithdrawalId::parse(withdrawal).ok();
        id.and_then(|id| self.open.get(&id)).is_some_and(|o| o.row.reservation.is_none() && !o.row.is_final())
    }

    /// Whether an errand is reserved for an asset that does not carry both signatures yet.
    pub fn is_pending(&self, errand: Errand, asset: Asset) -> bool {
        let mut of_asset = self.reservations.values().filter(|r| r.asset == asset);
        of_asset.any(|r| r.row.purpose.errand() == Some(errand))
    }

    /// Whether an errand is not to be planned now: it could not be made a moment ago, or is under way.
    pub fn waits(&self, errand: Errand, asset: Asset, now: Seconds) -> bool {
        let is_early = self.retries.get(&(errand, asset)).is_some_and(|retry| now < retry.not_before);
        is_early || self.is_pending(errand, asset)
    }

    /// There are new facts: an errand that could not be made is looked at again.
    pub fn look_again(&mut self, errand: Errand, asset: Asset) {
        if let Some(retry) = self.retries.get_mut(&(errand, asset)) {
            retry.not_before = Seconds(0);
        }
    }

    /// What of an asset can be spent now.
    pub fn spendable(&self, asset: Asset, now: Seconds) -> Amount {
        self.treasury.spendable(asset, self.hot(asset, now))
    }

    /// How many withdrawals of an asset one transaction pays at most, as far as the co-signer's nos go.
    pub fn at_once(&self, asset: Asset) -> usize {
        self.at_once.get(&asset).copied().unwrap_or(usize::MAX)
    }

    /// One of so many was refused and nobody was named: half as many are next.
    pub fn fewer_at_once(&mut self, asset: Asset, count: usize) {
        let half = (count / 2).max(1);
        self.at_once.entry(asset).and_modify(|most| *most = half.min(*most)).or_insert(half);
    }

    /// One was signed: twice as many are next, until nothing is left to be found out.
    pub fn more_at_once(&mut self, asset: Asset) {
        if let Some(most) = self.at_once.get_mut(&asset) {
            *most = most.saturating_mul(2);
        }
    }

    /// Claims what a reservation spends.
    pub fn reserve(&mut self, id: ReservationId, reservation: OpenReservation) {
        super::rail::claim(self, id, &reservation);
        self.reservations.insert(id, reservation);
    }
}
