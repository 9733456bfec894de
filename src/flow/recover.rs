//! Recovery is the normal path: what the store holds is read, evidence is verified again, and whatever was under way is
//! taken up by the very functions that a fresh request uses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ::bitcoin::ScriptBuf;

use super::context::Context;
use super::courier::Parcel;
use super::ledger::facts::heard_at;
use super::ledger::journal::{Journal, JournalFault};
use super::ledger::odd::{self, OddRow};
use super::ledger::refills::{ColdCoinRow, RefillRow};
use super::ledger::rows::{
    self, AddressRow, ApprovalRow, CoinRow, Purpose, RegistrationRow, ReservationRow, StatementRow,
    WithdrawalRow,
};
use super::ledger::treasury::{Spend, SweepInFlight};
use super::ledger::{Ledger, Open, OpenReservation, Treasury};

use super::{Effect, approve, clear, rail, refill, reserve};
use crate::bitcoin::Branch;
use crate::evidence::NameMatch;
use crate::evidence::request::VerifiedRequest;
use crate::evidence::statement::{StatementKind, VerifiedStatement};
use crate::store::{Row, Table};
use crate::withdrawal::{Asset, Chain, Krw, Organisation, ReservationId, Seconds, WithdrawalId};

/// What is kept of the rows while they pass by: everything that is not final.
#[derive(Default)]
pub struct Seen {
    withdrawals: BTreeMap<(u64, String), (WithdrawalRow, u64, Seconds)>,
    reservations: Vec<(String, ReservationRow)>,
    coins: Vec<(String, CoinRow)>,
    addresses: Vec<AddressRow>,
    latest: Vec<(StatementRow, Seconds)>,
    accepted: Vec<(StatementRow, Seconds)>,
    undelivered: BTreeSet<String>,
    approvals: HashMap<String, Vec<ApprovalRow>>,
    registrations: Vec<(String, RegistrationRow)>,
    swept: Vec<String>,
    noted: super::brake::Noted,
    day_closed: Option<u64>,
    refills: Vec<(String, RefillRow)>,
    cold_coins: Vec<(String, ColdCoinRow)>,
    odd: Vec<(String, OddRow)>,
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
            (Table::Withdrawal, "refused" | "released") => {}
            (Table::Withdrawal, _) => {
                let read: WithdrawalRow = rows::read(key, content).map_err(bad)?;
                let place = (read.asked_at, key.to_owned());
                self.withdrawals.insert(place, (read, row.log_index(), row.at()));
            }
            (Table::Reservation, _) => {
                self.reservations.push((key.to_owned(), rows::read(key, content).map_err(bad)?));
            }
            (Table::Coin, "unspent") => {
                self.coins.push((key.to_owned(), rows::read(key, content).map_err(bad)?))
            }
            (Table::Address, _) => self.addresses.push(rows::read(key, content).map_err(bad)?),
            (Table::Statement, "latest") => {
                self.latest.push((rows::read(key, content).map_err(bad)?, row.at()));
            }
            (Table::Statement, "accepted" | "grown") => {
                self.accepted.push((rows::read(key, content).map_err(bad)?, row.at()));
            }
            (Table::Statement, "undelivered") => {
                self.undelivered.insert(key.to_owned());
            }
            (Table::Registration, _) => {
                self.registrations.push((key.to_owned(), rows::read(key, content).map_err(bad)?));
            }
            (Table::Approval, _) => {
                let read: ApprovalRow = rows::read(key, content).map_err(bad)?;
                self.approvals.entry(read.withdrawal.clone()).or_default().push(read);
            }
            (Table::Refill, _) => {
                self.refills.push((key.to_owned(), rows::read(key, content).map_err(bad)?));
            }
            (Table::Setting, "cold_coin") => {
                self.cold_coins.push((key.to_owned(), rows::read(key, content).map_err(bad)?));
            }
            (Table::Setting, "daily") if key == super::daily::LAST => {
                self.day_closed =
                    Some(content.parse().map_err(|_| JournalFault::Unreadable(key.to_owned()))?);
            }
            (Table::Setting, "counted") => {
                self.swept.extend(key.strip_prefix("swept/").map(str::to_owned));
            }
            (Table::Setting, odd::STATE) => {
                self.odd.push((key.to_owned(), rows::read(key, content).map_err(bad)?))
            }
            (Table::Setting, "frozen" | "resumed") => self.noted.visit(row)?,
            _ => {}
        }
        Ok(())
    }
}

/// After a commit that failed or may have: throws memory away and reads the store again.
pub async fn reload(context: &Context, journal: &mut Journal) -> Result<(Ledger, Vec<Effect>), JournalFault> {
    let mut seen = Seen::default();
    journal.catch_up(&mut |row| seen.visit(row)).await?;
    load(context, journal, seen).await
}

/// Builds the ledger from what was seen, and says what is to be taken up.
pub async fn load(
    context: &Context,
    journal: &Journal,
    seen: Seen,
) -> Result<(Ledger, Vec<Effect>), JournalFault> {
    if let Some(broken) = seen.broken {
        return Err(broken);
    }
    let mut ledger = Ledger::default();
    ledger.noted = seen.noted;
    ledger.day_closed = seen.day_closed;
    ledger.treasury = context.treasury();
    let mut effects = Vec::new();
    load_addresses(&mut ledger, seen.addresses)?;
    load_coins(&mut ledger, &seen.coins)?;
    for (name, row) in seen.registrations {
        ledger.registrations.take_back(&context.trust, name, row)?;
    }
    load_facts(context, &mut ledger.treasury, &seen.accepted, &seen.latest);
    load_odd(context, &mut ledger.treasury, seen.odd)?;
    ledger.undelivered = seen.undelivered.len();
    effects.extend(seen.undelivered.into_iter().map(Effect::Deliver));
    for ((_, key), (row, log_index, updated_at)) in seen.withdrawals {
        let approvals = seen.approvals.get(&key).map_or(&[][..], Vec::as_slice);
        let Some(request) = request_of(context, &key, &row)? else {
            let id = WithdrawalId::parse(&key).map_err(|_| JournalFault::Unreadable(key.clone()))?;
            ledger.disowned.push((id, row));
            continue;
        };
        let open = reopen(context, (&key, request), row, (log_index, updated_at), approvals)?;
        if open.clearance.is_none() && open.row.reservation.is_none() {
            effects.push(Effect::Clear(open.id));
        }
        ledger.admit(open);
    }
    load_refills(context, &mut ledger, seen.refills, seen.cold_coins)?;
    let mut under_way = Vec::new();
    load_reservations(context, &mut ledger, seen.reservations, &seen.swept, &mut under_way)?;
    for id in under_way {
        effects.push(Effect::Cosign(parcel(context, &mut ledger, journal, id).await?));
    }
    Ok((ledger, effects))
}

fn load_addresses(ledger: &mut Ledger, addresses: Vec<AddressRow>) -> Result<(), JournalFault> {
    for row in addresses {
        let Some(row) = rail::deposit::take_back(&mut ledger.treasury, row)? else { continue };
        let unreadable = || JournalFault::Unreadable(row.address.clone());
        let organisation = Organisation::parse(&row.organisation).map_err(|_| unreadable())?;
        let script = ScriptBuf::from_hex(&row.script_pubkey).map_err(|_| unreadable())?;
        ledger.addresses.put(organisation, row, script);
    }
    Ok(())
}

fn load_coins(ledger: &mut Ledger, coins: &[(String, CoinRow)]) -> Result<(), JournalFault> {
    for (key, row) in coins {
        ledger.treasury.coins.put(row.coin(key).map_err(|e| JournalFault::Unreadable(e.key))?);
    }
    Ok(())
}

/// Refills with the scripts they pay, and cold coins; each coin is proved again when it is used.
fn load_refills(
    context: &Context,
    ledger: &mut Ledger,
    refills: Vec<(String, RefillRow)>,
    cold_coins: Vec<(String, ColdCoinRow)>,
) -> Result<(), JournalFault> {
    for (id, row) in refills {
        let unreadable = |_| JournalFault::Unreadable(id.clone());
        let script = context.wallet.script(Branch::Change, row.index).map_err(unreadable)?;
        ledger.addresses.put_change(&script);
        let changes = row.parts.iter().filter_map(|part| part.change.map(|(_, index)| index));
        let next = changes.map(|index| index.saturating_add(1)).max().unwrap_or_default();
        ledger.next_cold_change = ledger.next_cold_change.max(next);
        ledger.treasury.refills.put(id, row);
    }
    for (key, row) in cold_coins {
        let outpoint = row.outpoint.parse().map_err(|_| JournalFault::Unreadable(key.clone()))?;
        if row.branch == Branch::Change.number() {
            ledger.next_cold_change = ledger.next_cold_change.max(row.index.saturating_add(1));
        }
        ledger.cold_coins.insert(outpoint, row);
    }
    Ok(())
}

/// Facts are verified again under the trust file of today; what no longer verifies is no fact. A row's time is when it was
/// heard.
pub fn load_facts(
    context: &Context,
    treasury: &mut Treasury,
    accepted: &[(StatementRow, Seconds)],
    latest: &[(StatementRow, Seconds)],
) {
    for (row, received) in accepted.iter().chain(latest) {
        let Some(signed) = row.signed.signed_text() else { continue };
        match VerifiedStatement::reverify(&signed.text, &signed.signature, &context.trust) {
            Ok(verified) => {
                let said = verified.statement();
                let at = heard_at(said.at, *received);
                treasury.take(said, at, &|asset| context.band(asset));
            }
            Err(no) => tracing::warn!(code = %no.code(), "a stored statement no longer holds: {no}"),
        }
    }
}

/// What tokens paid otherwise than asked counts as long as its observer may speak of Safes: whoever lied is believed no more, as with
/// every other fact.
pub fn load_odd(
    context: &Context,
    treasury: &mut Treasury,
    found: Vec<(String, OddRow)>,
) -> Result<(), JournalFault> {
    for (key, row) in found {
        let asset = Asset::parse(&row.asset).map_err(|_| JournalFault::Unreadable(key))?;
        if context.trust.observers(StatementKind::Safe).any(|name| name == row.observer) {
            treasury.odd.put(asset, row);
        } else {
            tracing::warn!(
                asset = row.asset,
                observer = row.observer,
                "whoever stated its odd end states nothing any more"
            );
        }
    }
    Ok(())
}

/// The request of a row, if it verifies under the trust file of today. Its key may have been taken out since, or have
/// ended at a time before it was asked; that is no reason for all others not to start.
fn request_of(
    context: &Context,
    key: &str,
    row: &WithdrawalRow,
) -> Result<Option<VerifiedRequest>, JournalFault> {
    let signed = row.request.signed_text().ok_or_else(|| JournalFault::Unreadable(key.to_owned()))?;
    let trust = &context.trust;
    Ok(VerifiedRequest::reverify(&signed.text, &signed.key_id, &signed.signature, trust).ok())
}

/// A withdrawal that was final and is not any more; nothing, where its request does not verify under the trust file of today.
pub fn reopened(context: &Context, key: &str, row: WithdrawalRow, newest: (u64, Seconds)) -> Option<Open> {
    let request = request_of(context, key, &row).ok()??;
    reopen(context, (key, request), row, newest, &[]).ok()
}

fn reopen(
    context: &Context,
    (key, request): (&str, VerifiedRequest),
    row: WithdrawalRow,
    (log_index, updated_at): (u64, Seconds),
    approvals: &[ApprovalRow],
) -> Result<Open, JournalFault> {
    let unreadable = || JournalFault::Unreadable(key.to_owned());
    let id = WithdrawalId::parse(key).map_err(|_| unreadable())?;
    let clearance = row.evidence.as_ref().and_then(|evidence| {
        // An exemption is found again when it is decided. Whether names had to match was judged when
        // the answer came; one that has grown old is asked for again.
        clear::prove(context, &evidence.word()?, &request, NameMatch::NotRequired).ok()
    });
    let mut open = Open {
        id,
        place: 0,
        row,
        request: Arc::new(request),
        clearance,
        approvals: Vec::new(),
        stored_approvals: approvals.iter().map(|row| row.armored.clone()).collect(),
        charged_at: None,
        retry_s: 0,
        not_before: Seconds(0),
        log_index,
        updated_at,
    };
    approve::take_up(context, &mut open, context.now());
    Ok(open)
}

fn load_reservations(
    context: &Context,
    ledger: &mut Ledger,
    mut reservations: Vec<(String, ReservationRow)>,
    swept: &[String],
    under_way: &mut Vec<ReservationId>,
) -> Result<(), JournalFault> {
    reservations.sort_by_key(|(_, row)| (row.reserved_at, row.log_index));
    let mut unused = Vec::new();
    for (key, row) in reservations {
        let unreadable = || JournalFault::Unreadable(key.clone());
        let id = ReservationId::parse(&key).map_err(|_| unreadable())?;
        let at = Seconds(row.reserved_at);
        let unnamed = Krw(row.unnamed_krw.parse().map_err(|_| unreadable())?);
        // An attempt that was charged before stands there with nothing (ADR 16).
        let fee = if row.charged { row.fee } else { 0 };
        let asset = Asset::parse(&row.asset).map_err(|_| unreadable())?;
        let refuelled = match row.purpose {
            Purpose::Refuel { amount } if row.state == "released" => amount,
            _ => 0,
        };
        let emptied = match row.purpose {
            Purpose::Emptying { .. } if row.state == "released" => row.fee,
            _ => 0,
        };
        let spend = Spend { leaving: row.leaving, fee, unnamed, unsigned: row.unsigned, refuelled, emptied };
        ledger.treasury.spend(asset, at, spend).map_err(|_| unreadable())?;
        if let (Purpose::Withdrawals(ids), true) = (&row.purpose, row.charged) {
            for withdrawal in ids.iter().filter_map(|w| WithdrawalId::parse(w).ok()) {
                // In a batch there may be one that had been charged before, and was not charged with it.
                if let Some(open) = ledger.open.get_mut(&withdrawal)
                    && !reserve::is_charged(open.charged_at, at)
                {
                    open.charged_at = Some(at);
                }
            }
        }
        if let (Some(errand), true) = (row.purpose.errand(), row.charged) {
            let retry = ledger.retries.entry((errand, asset)).or_default();
            retry.charged_at = Some(at).filter(|_| row.state != "released");
        }
        if row.state == "dead" {
            ledger.dead.insert(id);
            unused.extend(row.change.map(|c| c.index));
            continue;
        }
        if let Purpose::Sweep { amount, cold_index } = row.purpose {
            rail::put_cold(ledger, asset, cold_index);
            let coin = row.tx_hex.as_deref().filter(|_| asset == context.asset);
            let coin = coin.and_then(|hex| refill::swept_coin(context, hex, cold_index));
            if let Some((coin, outpoint)) = coin.and_then(|c| c.outpoint.parse().ok().map(|o| (c, o))) {
                ledger.cold_coins.insert(outpoint, coin);
            }
            if row.state == "released" && !swept.contains(&row.txid) {
                let tx_hex = row.tx_hex.clone();
                let sweep = SweepInFlight { amount, since: at, tx_hex, is_told: false };
                if let Some(account) = ledger.treasury.of_mut(asset) {
                    account.sweeps.insert(row.txid.clone(), sweep);
                }
            }
        }
        if let Some(change) = row.change {
            let script = context.wallet.script(Branch::Change, change.index).map_err(|_| unreadable())?;
            ledger.addresses.put_change(&script);
        }
        let withdrawals = match &row.purpose {
            Purpose::Withdrawals(ids) => ids.iter().filter_map(|w| WithdrawalId::parse(w).ok()).collect(),
            Purpose::Sweep { .. } | Purpose::Refuel { .. } | Purpose::Emptying { .. } => Vec::new(),
        };
        if row.state == "released" && matches!(asset.chain(), Chain::Evm(_)) {
            let reservation = OpenReservation { row: Arc::new(row), asset, withdrawals };
            rail::safe::spend(ledger, id, &reservation);
            continue;
        }
        if row.state == "reserved" {
            let is_owned = withdrawals.iter().all(|w: &WithdrawalId| ledger.open.contains_key(w));
            ledger.reserve(id, OpenReservation { row: Arc::new(row), asset, withdrawals });
            if is_owned {
                under_way.push(id);
            }
        }
    }
    unused.into_iter().for_each(|index| ledger.addresses.free_change(index));
    Ok(())
}

/// A reservation that was under way, ready to be taken to the co-signer again.
async fn parcel(
    context: &Context,
    ledger: &mut Ledger,
    journal: &Journal,
    id: ReservationId,
) -> Result<Box<Parcel>, JournalFault> {
    let unreadable = || JournalFault::Unreadable(id.to_string());
    let reservation = ledger.reservations.get(&id).cloned().ok_or_else(unreadable)?;
    let row = reservation.row.clone();
    let leaf = journal.view().leaves(row.log_index..row.log_index.saturating_add(1)).await?;
    let unpinned = || JournalFault::Unpinned(row.inputs.join(" "));
    let body =
        rail::read_back(context, ledger, &reservation).ok_or_else(|| match reservation.asset.chain() {
            Chain::Bitcoin(_) => unreadable(),
            Chain::Evm(_) if row.inputs.iter().any(|anchor| ledger.treasury.lanes.at(anchor).is_some()) => {
                unreadable()
            }
            Chain::Evm(_) => unpinned(),
        })?;
    let payment = |withdrawal| ledger.open.get(withdrawal).map(reserve::payment);
    let payments = reservation.withdrawals.iter().map(payment).collect::<Option<Vec<_>>>();
    Ok(Box::new(Parcel {
        reservation: id,
        psbt: data_encoding::HEXLOWER.decode(row.psbt.as_bytes()).map_err(|_| unreadable())?,
        leaf: leaf.into_iter().next().ok_or_else(unreadable)?,
        body,
        payments: payments.ok_or_else(unreadable)?,
        row,
    }))
}
