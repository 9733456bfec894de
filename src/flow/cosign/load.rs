//! Recovery of the co-signer: its rows are read, its facts verified again, its sums put back in time order.

use std::sync::Arc;

use ::bitcoin::ScriptBuf;

use super::state::State;
use crate::audit::{Head, NodeHash};
use crate::bitcoin::Branch;
use crate::flow::context::Context;
use crate::flow::ledger::journal::JournalFault;
use crate::flow::ledger::lane::{self, Claim};
use crate::flow::ledger::odd::{self, OddRow};
use crate::flow::ledger::refills::RefillRow;
use crate::flow::ledger::rows::{
    self, AddressRow, CoinRow, CosignedRow, Errand, RegistrationRow, StatementRow,
};
use crate::flow::ledger::treasury::{Spend, SweepInFlight};
use crate::flow::rail::Kind;
use crate::flow::rail::deposit::take_back;
use crate::flow::recover::{load_facts, load_odd};
use crate::store::{Row, Table};
use crate::withdrawal::{Asset, Code, Finding, Krw, ReservationId, Seconds};

/// The key of the row that holds the head of the signer's log.
pub const WITNESSED: &str = "signer";
/// The key of the row that says that a fork was seen.
pub const STOPPED: &str = "stopped";

/// What is kept of the rows while they pass by.
#[derive(Default)]
pub struct Seen {
    coins: Vec<(String, CoinRow)>,
    addresses: Vec<(String, AddressRow)>,
    latest: Vec<(StatementRow, Seconds)>,
    accepted: Vec<(StatementRow, Seconds)>,
    signed: Vec<(u64, String, CosignedRow)>,
    swept: Vec<String>,
    refills: Vec<(String, RefillRow)>,
    registrations: Vec<(String, RegistrationRow)>,
    witnessed: Option<Head>,
    stopped: Option<Finding>,
    odd: Vec<(String, OddRow)>,
    noted: crate::flow::brake::Noted,
    broken: Option<JournalFault>,
}

impl Seen {
    /// Looks at one row.
    pub fn visit(&mut self, row: &Row) {
        if let Err(bad) = self.look(row) {
            self.broken.get_or_insert(bad);
        }
    }

    fn look(&mut self, row: &Row) -> Result<(), JournalFault> {
        let (key, content) = (row.key(), row.content());
        let bad = |_| JournalFault::Unreadable(key.to_owned());
        match (row.table(), row.state()) {
            (Table::Coin, "unspent") => {
                self.coins.push((key.to_owned(), rows::read(key, content).map_err(bad)?))
            }
            (Table::Address, _) => {
                self.addresses.push((key.to_owned(), rows::read(key, content).map_err(bad)?))
            }
            (Table::Statement, "latest") => {
                self.latest.push((rows::read(key, content).map_err(bad)?, row.at()));
            }
            (Table::Statement, "accepted" | "grown") => {
                self.accepted.push((rows::read(key, content).map_err(bad)?, row.at()));
            }
            (Table::SignedReservation, "signed") => {
                let read = rows::read(key, content).map_err(bad)?;
                self.signed.push((row.log_index(), key.to_owned(), read));
            }
            (Table::SignedReservation, _) => {
                // One that a custodian refused was booked, and its sums stay.
                let read: CosignedRow = rows::read(key, content).map_err(bad)?;
                if read.custody.is_some() {
                    self.signed.push((row.log_index(), key.to_owned(), read));
                }
            }
            (Table::Registration, _) => {
                self.registrations.push((key.to_owned(), rows::read(key, content).map_err(bad)?));
            }
            (Table::Refill, _) => {
                self.refills.push((key.to_owned(), rows::read(key, content).map_err(bad)?));
            }
            (Table::Setting, "counted") => self.swept.extend(key.strip_prefix("swept/").map(str::to_owned)),
            (Table::Setting, "stopped") => self.stopped = Some(Finding::new(Code::LogForked, content)),
            (Table::Setting, odd::STATE) => {
                self.odd.push((key.to_owned(), rows::read(key, content).map_err(bad)?))
            }
            (Table::Setting, "frozen" | "resumed") => self.noted.visit(row)?,
            (Table::WitnessedLog, _) => {
                self.witnessed = Some(read_head(content).ok_or(JournalFault::Unreadable(key.to_owned()))?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A head as its row says it: size and root, hex.
pub fn write_head(head: &Head) -> String {
    format!("{} {}", head.size, data_encoding::HEXLOWER.encode(&head.root.0))
}

fn read_head(content: &str) -> Option<Head> {
    let (size, root) = content.split_once(' ')?;
    let root = data_encoding::HEXLOWER.decode(root.as_bytes()).ok()?.try_into().ok()?;
    Some(Head { size: size.parse().ok()?, root: NodeHash(root) })
}

/// Builds the state from what was seen.
pub fn load(context: &Context, seen: Seen) -> Result<State, JournalFault> {
    if let Some(broken) = seen.broken {
        return Err(broken);
    }
    let mut state =
        State { witnessed: seen.witnessed, stopped: seen.stopped, noted: seen.noted, ..State::default() };
    state.treasury = context.treasury();
    for (key, row) in seen.addresses {
        let Some(row) = take_back(&mut state.treasury, row)? else { continue };
        let script =
            ScriptBuf::from_hex(&row.script_pubkey).map_err(|_| JournalFault::Unreadable(key.clone()))?;
        state.scripts.note((0, row.index), script);
        state.addresses.put(key, row);
    }
    for (key, row) in &seen.coins {
        state.treasury.coins.put(row.coin(key).map_err(|e| JournalFault::Unreadable(e.key))?);
    }
    load_facts(context, &mut state.treasury, &seen.accepted, &seen.latest);
    load_odd(context, &mut state.treasury, seen.odd)?;
    for (name, row) in seen.registrations {
        state.registrations.take_back(&context.trust, name, row)?;
    }
    for (id, row) in seen.refills {
        let script = context.wallet.script(Branch::Change, row.index);
        state.scripts.put(Arc::new(script.map_err(|_| JournalFault::Unreadable(id.clone()))?));
        state.treasury.refills.put(id, row);
    }
    let mut signed = seen.signed;
    signed.sort_by_key(|(log_index, _, row)| (row.at, *log_index));
    for (_, key, row) in signed {
        remember(context, &mut state, (&key, &row), &seen.swept)?;
        if row.custody.as_ref().is_some_and(|custody| custody.psbt.is_none()) && row.state == "signed" {
            let id = ReservationId::parse(&key).map_err(|_| JournalFault::Unreadable(key))?;
            state.pending.insert(id, Arc::new(row));
        }
    }
    Ok(state)
}

fn remember(
    context: &Context,
    state: &mut State,
    (key, row): (&str, &CosignedRow),
    swept: &[String],
) -> Result<(), JournalFault> {
    let unreadable = || JournalFault::Unreadable(row.txid.clone());
    let at = Seconds(row.at);
    let unnamed = Krw(row.unnamed_krw.parse().map_err(|_| unreadable())?);
    let asset = Asset::parse(&row.asset).map_err(|_| unreadable())?;
    let errand =
        [Kind::Sweep, Kind::Refuel, Kind::Emptying].into_iter().find(|kind| row.kind == kind.as_str());
    let errand = errand.and_then(Kind::errand);
    let refuelled = if errand == Some(Errand::Refuel) { row.outgoing } else { 0 };
    let emptied = if errand == Some(Errand::Emptying) { row.fee } else { 0 };
    let spend =
        Spend { leaving: row.leaving, fee: row.fee, unnamed, unsigned: row.unsigned, refuelled, emptied };
    state.treasury.spend(asset, at, spend).map_err(|_| unreadable())?;
    if row.state == "dead" {
        return Ok(());
    }
    let anchor = row.inputs.first().ok_or_else(unreadable)?;
    if asset.chain().evm().is_some() && lane::place_of(anchor).is_none() {
        return Err(unreadable());
    }
    // A Safe that is not pinned any more signs nothing, so what it signed away matters no more.
    if let Some((lane, nonce)) = state.treasury.lanes.at_mut(anchor) {
        let reservation = ReservationId::parse(key).map_err(|_| unreadable())?;
        lane.sign(
            nonce,
            Claim {
                reservation,
                hash: row.txid.clone(),
                asset,
                amount: row.outgoing,
                withdrawals: Vec::new(),
                errand,
            },
        );
        if !row.emptied.is_empty() {
            state.treasury.take_away(anchor, &row.emptied);
        }
    }
    if let Some(change) = row.change {
        let script = context.wallet.script(Branch::Change, change.index).map_err(|_| unreadable())?;
        state.scripts.put(Arc::new(script));
    }
    if let Some((amount, index)) = row.swept {
        state.cold_highest = state.cold_highest.max(index);
        if !swept.contains(&row.txid) {
            let sweep = SweepInFlight { amount, since: at, tx_hex: None, is_told: false };
            if let Some(account) = state.treasury.of_mut(asset) {
                account.sweeps.insert(row.txid.clone(), sweep);
            }
        }
    }
    Ok(())
}
