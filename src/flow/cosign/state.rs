//! What the co-signer knows: its own coins, scripts, sums, facts, and the head of the signer's log it has witnessed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ::bitcoin::{OutPoint, Script, ScriptBuf};

use crate::audit::{Head, NodeHash, Witnessed};
use crate::bitcoin::coin::OwnCoin;
use crate::bitcoin::{Branch, OwnScript, WalletDescriptor};
use crate::flow::ledger::rows::{AddressRow, CosignedRow, SeenRequestRow};
use crate::flow::ledger::{Registrations, Treasury};
use crate::flow::statement::OwnScripts;
use crate::withdrawal::{Amount, Asset, Finding, Invalid, ReservationId, Seconds, WithdrawalId};

/// How far above the highest change index it has seen the co-signer accepts another (law L16).
pub const CHANGE_AHEAD_MAX: u32 = 1_000;
/// How far above the highest deposit index it has attested the co-signer attests another.
pub const DEPOSIT_AHEAD_MAX: u32 = 100_000;

/// The scripts it has derived itself.
#[derive(Debug, Default)]
pub struct Scripts {
    by_script: HashMap<ScriptBuf, (u32, u32)>,
    derived: HashMap<(u32, u32), Arc<OwnScript>>,
    /// Highest index seen on branch 0, and on branch 1.
    pub highest: [u32; 2],
}

impl Scripts {
    /// Puts a script in that was derived here.
    pub fn put(&mut self, script: Arc<OwnScript>) {
        let place = (script.branch().number(), script.index());
        self.note(place, script.script_pubkey().to_owned());
        self.derived.insert(place, script);
    }

    /// Remembers a script by its place without deriving it again.
    pub fn note(&mut self, (branch, index): (u32, u32), script: ScriptBuf) {
        if let Some(highest) = self.highest.get_mut(usize::try_from(branch).unwrap_or(2)) {
            *highest = (*highest).max(index);
        }
        self.by_script.insert(script, (branch, index));
    }

    /// The script at a place, if it was derived before.
    pub fn known(&self, branch: u32, index: u32) -> Option<Arc<OwnScript>> {
        self.derived.get(&(branch, index)).cloned()
    }

    /// The script at a place, derived once.
    pub fn script(
        &mut self,
        wallet: &WalletDescriptor,
        branch: Branch,
        index: u32,
    ) -> Result<Arc<OwnScript>, Invalid> {
        if let Some(known) = self.known(branch.number(), index) {
            return Ok(known);
        }
        let script = Arc::new(wallet.script(branch, index)?);
        self.put(script.clone());
        Ok(script)
    }
}

impl OwnScripts for Scripts {
    fn find(&self, script: &Script) -> Option<(u32, u32)> {
        self.by_script.get(script).copied()
    }
}

/// The addresses it has attested: one index belongs to one customer.
#[derive(Default)]
pub struct Attested {
    by_customer: HashMap<String, AddressRow>,
    taken: HashSet<u32>,
}

impl Attested {
    /// The address of a customer, by the customer's key.
    pub fn get(&self, customer: &str) -> Option<&AddressRow> {
        self.by_customer.get(customer)
    }

    /// Whether an index belongs to somebody.
    pub fn is_taken(&self, index: u32) -> bool {
        self.taken.contains(&index)
    }

    /// Puts a customer's address in.
    pub fn put(&mut self, customer: String, row: AddressRow) {
        self.taken.insert(row.index);
        self.by_customer.insert(customer, row);
    }
}

/// The co-signer's ledger in memory.
#[derive(Default)]
pub struct State {
    /// Coins, facts and sums, its own.
    pub treasury: Treasury,
    /// Its own scripts.
    pub scripts: Scripts,
    /// Addresses by customer key.
    pub addresses: Attested,
    /// Customers' own wallets, as it has seen them itself.
    pub registrations: Registrations,
    /// The signer's head it has witnessed last.
    pub witnessed: Option<Head>,
    /// The freezes that the log knows.
    pub noted: crate::flow::brake::Noted,
    /// Why it no longer signs: a fork was seen. Only people can end it.
    pub stopped: Option<Finding>,
    /// Highest index of the cold wallet's branch 0 that was paid.
    pub cold_highest: u32,
    /// What was booked and waits for an outside custodian, by reservation.
    pub pending: BTreeMap<ReservationId, Arc<CosignedRow>>,
}

impl State {
    /// What rests hot, as the co-signer counts it: everything it has not signed away, less what came for withdrawals that
    /// it has not signed yet (laws L11, L13).
    pub fn hot(&self, asset: Asset, now: Seconds) -> Amount {
        let refills = asset.chain().bitcoin().map(|_| &self.treasury.refills);
        let earmarked = refills.map_or(0, |refills| refills.earmarked_sat(now, &|_| true));
        Amount::from_units(self.treasury.credited(asset).units().saturating_sub(u128::from(earmarked)))
    }

    /// The last head witnessed of the log with that origin.
    pub fn witness_of(&self, origin: &str, root_at_size: Option<NodeHash>) -> Witnessed {
        Witnessed { origin: origin.to_owned(), last: self.witnessed.unwrap_or(Head::EMPTY), root_at_size }
    }

    /// A recorded coin with its script, for the checks of a PSBT.
    pub fn own_coin(&self, wallet: &WalletDescriptor, outpoint: &OutPoint) -> Option<OwnCoin> {
        let coin = self.treasury.coins.coin(outpoint)?;
        let branch = Branch::of_number(coin.branch)?;
        let script = match self.scripts.known(coin.branch, coin.index) {
            Some(known) => known,
            None => Arc::new(wallet.script(branch, coin.index).ok()?),
        };
        Some(OwnCoin { outpoint: *outpoint, amount_sat: coin.amount_sat, script })
    }
}

/// What the store says of a batch: read before it is judged.
#[derive(Default)]
pub struct Past {
    /// Requests seen before.
    pub requests: HashMap<WithdrawalId, SeenRequestRow>,
    /// Which withdrawal used a verification up.
    pub uuids: HashMap<String, String>,
    /// Reservations decided before.
    pub reservations: HashMap<ReservationId, CosignedRow>,
}
