//! Bitcoin in the story: coins are picked, PSBTs built and checked, and key A signs last.

use std::sync::Arc;

use ::bitcoin::OutPoint;

use super::{Built, PickedSweep, Place, SweepWith};
use crate::bitcoin::build::{Chance, OwnOutput, Payee, Unsigned, UnsignedPlan};
use crate::bitcoin::coin::OwnCoin;
use crate::bitcoin::fee::FeeCaps;
use crate::bitcoin::{Branch, Destination, FeeTerms, KeySlot, OutputNeed, OwnScript, Selection};
use crate::bitcoin::{CheckedTransaction, Expectations, Pinned, check_psbt};
use crate::bitcoin::{Coin as Candidate, SelectError};
use crate::flow::context::Context;
use crate::flow::courier::Parcel;
use crate::flow::facts::FeeSeen;
use crate::flow::ledger::coins::CoinState;
use crate::flow::ledger::rows::{ChangeRow, CosignedRow, PrevoutRow, Purpose, ReleasedRow};
use crate::flow::ledger::{Ledger, Open, OpenReservation};
use crate::flow::transactions::Finished;
use crate::flow::treasury::{leaving, parse_txid, put_change, spend_inputs};
use crate::flow::writer::Turn;
use crate::keys::{self, ChildIndex, HotKey, OrderItem, SigningOrder};
use crate::withdrawal::{Amount, Code, FeeRate, Finding, Invalid, Network, ReservationId};

/// How many coins a selection is made from.
pub const CANDIDATES: usize = 48;

/// How many orders and lock times are drawn before a transaction that was refused counts as the only one there is.
const DRAWS: usize = 32;

/// Reads an address of a network.
pub fn place(network: Network, text: &str) -> Result<Place, Invalid> {
    let read = Destination::parse(text, network)?;
    let dust = u128::from(read.dust_sat());
    Ok(Place {
        text: read.as_str().to_owned(),
        dust,
        script: Some(read.script_pubkey().to_owned()),
        account: None,
        pinned: false,
    })
}

/// Coins that would pay, and what it would cost.
pub struct Picked {
    selection: Selection,
    payee: Payee,
    rate: FeeRate,
    fee_max: Amount,
}

impl Picked {
    /// The fee as the policy sees it.
    pub fn fee(&self) -> FeeSeen {
        // The rate that counts is the one really paid, not the one intended.
        let fee = FeeSeen::of_bytes(self.selection.fee_sat, self.selection.vbytes);
        FeeSeen { rate: fee.rate.max(u128::from(self.rate.0)), ..fee }
    }
}

/// The caps on fees that the party's policy sets for its asset; without any, no fee is right.
pub fn caps(context: &Context, asked: Option<Amount>) -> FeeCaps {
    let limits = context.limits(context.asset);
    FeeCaps {
        rate_max: FeeRate(limits.map_or(0, |l| sat(l.fee_rate_max.0))),
        transaction_sat_max: limits.map_or(0, |l| sat(l.fee_tx_max.0)),
        asked_sat_max: asked.map(|a| a.sat().unwrap_or(u64::MAX)),
    }
}

fn sat(units: u128) -> u64 {
    u64::try_from(units).unwrap_or(u64::MAX)
}

/// Picks coins for a withdrawal; nothing, where no fee rate was ever stated.
pub fn pick(context: &Context, ledger: &Ledger, open: &Open) -> Result<Option<Picked>, Finding> {
    let Some(chain) = ledger.treasury.of(context.asset).facts.chain else { return Ok(None) };
    let request = open.request.request();
    let payee = payee(context, &request.destination, request.amount)?;
    let terms = FeeTerms {
        rate: chain.value.fee_rate,
        caps: caps(context, Some(request.fee_max)),
        replaced_fee_sat: None,
    };
    let fee_room = request.fee_max.sat().unwrap_or(0);
    let coins = ledger.treasury.coins.spendable().shortlist(
        payee.amount_sat.saturating_add(fee_room),
        chain.value.fee_rate,
        None,
        CANDIDATES,
    );
    let weight = crate::bitcoin::fee::output_weight(payee.script_pubkey.len());
    let need = OutputNeed { amount_sat: payee.amount_sat, weight };
    let selection = crate::bitcoin::select(&coins, None, &[need], &terms)
        .map_err(|e| Finding::new(e.code(), e.to_string()))?;
    Ok(Some(Picked { selection, payee, rate: chain.value.fee_rate, fee_max: request.fee_max }))
}

/// Who is paid how much.
pub fn payee(context: &Context, destination: &str, amount: Amount) -> Result<Payee, Finding> {
    let read = Destination::parse(destination, context.wallet.network())
        .map_err(|no| Finding::new(no.code, no.problem))?;
    let amount_sat = amount.sat().ok_or_else(|| Finding::new(Code::AmountAboveSupply, amount.to_string()))?;
    Ok(Payee { script_pubkey: read.script_pubkey().to_owned(), amount_sat })
}

/// What the answer about a PSBT is judged by.
#[derive(Clone)]
pub struct Body {
    /// What it spends.
    pub coins: Vec<OwnCoin>,
    /// Whom it pays.
    pub payees: Vec<Payee>,
    /// The index on the cold wallet's branch 0, for a sweep.
    pub cold_index: Option<u32>,
    /// The script of its change.
    pub change_script: Option<Arc<OwnScript>>,
    /// The sum of the requests' fee caps.
    pub fee_max: Option<Amount>,
}

/// Builds the transaction that pays a withdrawal from the coins picked.
pub fn build_payment(context: &Context, ledger: &mut Ledger, picked: &Picked) -> Result<Built, Finding> {
    let fee_max = Some(picked.fee_max);
    build(context, ledger, &picked.selection, (vec![picked.payee.clone()], None, fee_max))
}

/// How often a sweep is made smaller until its coins carry it and its fee.
const SHORTER_MAX: usize = 4;

/// The coins of a sweep, and the address of the pinned cold descriptor that they go to.
pub struct SweepCoins {
    selection: Selection,
    cold: OwnOutput,
    cold_index: u32,
}

/// Picks the coins of a sweep to the next address of the pinned cold descriptor.
pub fn pick_sweep(context: &Context, ledger: &Ledger, surplus: u128) -> Result<PickedSweep, Finding> {
    let stale = || Finding::new(Code::FeeRateStale, "no fee rate was ever stated");
    let rate = ledger.treasury.of(context.asset).facts.chain.ok_or_else(stale)?.value.fee_rate;
    let cold_index = ledger.next_cold;
    let broken = |e: Invalid| Finding::new(Code::Internal, e.to_string());
    let script = Arc::new(context.cold.script(Branch::Deposit, cold_index).map_err(broken)?);
    let terms = FeeTerms { rate, caps: caps(context, None), replaced_fee_sat: None };
    let surplus = sat(surplus);
    let coins = ledger.treasury.coins.spendable().shortlist(surplus, rate, None, CANDIDATES);
    let (amount_sat, selection) = select_part(&coins, surplus, &terms)?;
    Ok(PickedSweep {
        amount: u128::from(amount_sat),
        address: script.address(context.wallet.network()),
        fee: FeeSeen::of_bytes(selection.fee_sat, selection.vbytes),
        cold_index,
        with: SweepWith::Bitcoin(Box::new(SweepCoins {
            selection,
            cold: OwnOutput { script, amount_sat },
            cold_index,
        })),
    })
}

/// The whole surplus, or as much of it as these coins carry: the rest is swept by the next transaction.
fn select_part(coins: &[Candidate], surplus: u64, terms: &FeeTerms) -> Result<(u64, Selection), Finding> {
    let select = |amount_sat| {
        let need = OutputNeed { amount_sat, weight: crate::bitcoin::fee::OWN_OUTPUT_WEIGHT };
        crate::bitcoin::select_sweep(coins, need, terms)
            .map(|selection| (amount_sat.saturating_add(selection.extra_sat), selection))
    };
    let mut amount_sat = surplus;
    let mut chosen = select(amount_sat);
    for _ in 0..SHORTER_MAX {
        let Err(SelectError::NotEnough { missing_sat }) = &chosen else { break };
        amount_sat = amount_sat.saturating_sub((*missing_sat).max(1));
        chosen = select(amount_sat);
    }
    chosen.map_err(|e| Finding::new(e.code(), e.to_string()))
}

/// Builds a sweep.
pub fn build_sweep(context: &Context, ledger: &mut Ledger, coins: SweepCoins) -> Result<Built, Finding> {
    let SweepCoins { selection, cold, cold_index } = coins;
    let mut built = build(context, ledger, &selection, (Vec::new(), Some(cold), None))?;
    if let super::Body::Bitcoin(body) = &mut built.body {
        body.cold_index = Some(cold_index);
    }
    Ok(built)
}

fn build(
    context: &Context,
    ledger: &mut Ledger,
    selection: &Selection,
    (payees, cold, fee_max): (Vec<Payee>, Option<OwnOutput>, Option<Amount>),
) -> Result<Built, Finding> {
    let broken = |detail: String| Finding::new(Code::Internal, detail);
    let wallet = context.wallet.clone();
    let mut inputs = Vec::with_capacity(selection.coins.len());
    for coin in &selection.coins {
        let script =
            ledger.addresses.script(&wallet, coin.branch, coin.index).map_err(|e| broken(e.to_string()))?;
        inputs.push(OwnCoin { outpoint: coin.outpoint, amount_sat: coin.amount_sat, script });
    }
    let change_index = ledger.addresses.change_index();
    let change = match selection.change_sat {
        None => None,
        Some(amount_sat) => {
            let script = ledger
                .addresses
                .script(&wallet, Branch::Change, change_index)
                .map_err(|e| broken(e.to_string()))?;
            Some(OwnOutput { script, amount_sat })
        }
    };
    let tip_height = ledger.treasury.of(context.asset).facts.chain.map_or(0, |c| c.value.height);
    let change_script = change.as_ref().map(|c| c.script.clone());
    let change_sat = selection.change_sat;
    let plan = UnsignedPlan { inputs, payees: payees.clone(), cold, change, tip_height };
    let unsigned = draw(context, ledger, &plan)?;
    let proposal =
        unsigned.psbt(KeySlot::B, &wallet, Some(&context.cold)).map_err(|e| broken(e.to_string()))?;
    let change = change_script.as_ref().zip(change_sat).and_then(|(script, amount_sat)| {
        Some(ChangeRow { vout: unsigned.vout_of(script)?, amount_sat, index: change_index })
    });
    let spent: u64 = unsigned.inputs().iter().map(|c| c.amount_sat).sum();
    let txid = unsigned.txid();
    Ok(Built {
        proposal,
        txid: txid.to_string(),
        id: ReservationId::of_txid(&txid_bytes(&txid)),
        inputs: unsigned.inputs().iter().map(|coin| coin.outpoint.to_string()).collect(),
        fee: u128::from(unsigned.fee_sat()),
        fee_leaving: u128::from(unsigned.fee_sat()),
        outgoing: u128::from(spent.saturating_sub(change.map_or(0, |c| c.amount_sat))),
        change,
        tip_height,
        body: super::Body::Bitcoin(Body {
            coins: unsigned.inputs().to_vec(),
            payees,
            cold_index: None,
            change_script,
            fee_max,
        }),
    })
}

/// Builds the transaction of a plan, but none that the co-signer has refused: it is refused for ever (law L20).
fn draw(context: &Context, ledger: &Ledger, plan: &UnsignedPlan) -> Result<Unsigned, Finding> {
    for _ in 0..DRAWS {
        let chance = Chance { order: context.random_u64(), lock_time: context.random_u64() };
        let unsigned =
            Unsigned::build(plan.clone(), chance).map_err(|e| Finding::new(Code::Internal, e.to_string()))?;
        if !ledger.dead.contains(&ReservationId::of_txid(&txid_bytes(&unsigned.txid()))) {
            return Ok(unsigned);
        }
    }
    let detail = "the only transaction there is was refused; the next block allows another";
    Err(Finding::new(Code::CosignerHolds, detail))
}

/// A transaction id's bytes in internal order.
pub fn txid_bytes(txid: &::bitcoin::Txid) -> [u8; 32] {
    ::bitcoin::hashes::Hash::to_byte_array(*txid)
}

fn outpoints(reservation: &OpenReservation) -> impl Iterator<Item = OutPoint> {
    reservation.row.inputs.iter().filter_map(|input| input.parse().ok())
}

/// Claims the coins of a reservation, and remembers the script of its change.
pub fn claim(ledger: &mut Ledger, id: ReservationId, reservation: &OpenReservation) {
    for input in outpoints(reservation) {
        ledger.treasury.coins.set_state(&input, CoinState::Reserved(id));
    }
}

/// Frees the coins of a dead reservation, and gives the index of its change back.
pub fn free(ledger: &mut Ledger, reservation: &OpenReservation) {
    for input in outpoints(reservation) {
        ledger.treasury.coins.set_state(&input, CoinState::Free);
    }
    if let Some(change) = reservation.row.change {
        ledger.addresses.give_change_back(change.index);
    }
    if let Purpose::Sweep { cold_index, .. } = reservation.row.purpose {
        ledger.next_cold = ledger.next_cold.min(cold_index);
    }
}

/// Spends the coins of a reservation; its change is ours.
pub fn spend(ledger: &mut Ledger, turn: &mut Turn, id: ReservationId, reservation: &OpenReservation) {
    let (coins, draft) = (&mut ledger.treasury.coins, &mut turn.draft);
    let inputs: Vec<OutPoint> = outpoints(reservation).collect();
    let depth = spend_inputs(coins, draft, id, &inputs);
    if let Some(change) = reservation.row.change {
        put_change(coins, draft, parse_txid(&reservation.row.txid), change, depth);
    }
}

/// What the answer about a reservation that was read back is judged by.
pub fn read_back(context: &Context, ledger: &mut Ledger, reservation: &OpenReservation) -> Option<Body> {
    let mut coins = Vec::with_capacity(reservation.row.inputs.len());
    for input in outpoints(reservation) {
        let coin = *ledger.treasury.coins.coin(&input)?;
        let own = coin.own();
        let script = ledger.addresses.script(&context.wallet, own.branch, own.index).ok()?;
        coins.push(OwnCoin { outpoint: coin.outpoint, amount_sat: coin.amount_sat, script });
    }
    if coins.len() != reservation.row.inputs.len() {
        return None;
    }
    let (mut payees, mut fee_max) = (Vec::new(), Amount::ZERO);
    for withdrawal in &reservation.withdrawals {
        let request = ledger.open.get(withdrawal)?.request.request();
        payees.push(payee(context, &request.destination, request.amount).ok()?);
        fee_max = fee_max.plus(request.fee_max)?;
    }
    let change_script = match reservation.row.change {
        Some(change) => Some(ledger.addresses.script(&context.wallet, Branch::Change, change.index).ok()?),
        None => None,
    };
    let cold_index = match reservation.row.purpose {
        Purpose::Sweep { cold_index, .. } => Some(cold_index),
        Purpose::Withdrawals(_) | Purpose::Refuel { .. } | Purpose::Emptying { .. } => None,
    };
    let fee_max = (!payees.is_empty()).then_some(fee_max);
    Some(Body { coins, payees, cold_index, change_script, fee_max })
}

/// Verifies B, signs A last, places both, and has the consensus rules judge.
pub fn finish(
    context: &Context,
    key: &HotKey,
    (parcel, body): (&Parcel, &Body),
    signed: &[u8],
) -> Result<Finished, Finding> {
    let checked = check(context, (parcel, body), signed)?;
    let no = |detail: String| Finding::new(Code::TransactionMismatch, detail);
    let order = SigningOrder::danger_vouch_for(parcel.reservation, order_items(&checked, KeySlot::A)?);
    // Held while the signature is made and no longer: a freeze waits for it.
    let permit = context.brake.permit(leaving(&parcel.row))?;
    let own = key.sign(&order).map_err(|e| no(e.to_string()))?;
    drop(permit);
    let own = own.iter().map(|s| *s.signature()).collect();
    let own = checked.danger_vouch_own(KeySlot::A, own).map_err(|e| no(e.to_string()))?;
    let theirs =
        checked.signatures().ok_or_else(|| no("the co-signer's signature is not there".to_owned()))?;
    let finished = checked.finish(theirs, &own).map_err(|e| no(e.to_string()))?;
    let released = ReleasedRow {
        txid: finished.txid().to_string(),
        fee: u128::from(checked.fee_sat()),
        safe: None,
        prevouts: checked
            .inputs()
            .iter()
            .map(|input| PrevoutRow {
                outpoint: input.coin().outpoint.to_string(),
                value_sat: input.coin().amount_sat,
                script_pubkey: input.coin().script.script_pubkey().to_hex_string(),
            })
            .collect(),
        log_index: 0,
    };
    Ok(Finished { released, transaction: finished.bytes().into() })
}

fn check(
    context: &Context,
    (parcel, body): (&Parcel, &Body),
    signed: &[u8],
) -> Result<CheckedTransaction, Finding> {
    let txid =
        parcel.row.txid.parse().map_err(|_| Finding::new(Code::Internal, "the reservation has no txid"))?;
    let expect = Expectations {
        txid: Some(txid),
        receiver: KeySlot::B,
        signed_by: Some(KeySlot::B),
        payees: &body.payees,
        cold: body.cold_index.map(|index_max| Pinned { wallet: &context.cold, index_max }),
        change_index_max: parcel.row.change.map_or(0, |c| c.index),
        change_ready: body.change_script.clone(),
        caps: caps(context, body.fee_max),
        tip_height: parcel.row.tip_height,
    };
    let lookup = |outpoint: &OutPoint| body.coins.iter().find(|c| c.outpoint == *outpoint).cloned();
    check_psbt(signed, &context.wallet, &expect, &lookup).map_err(|e| Finding::new(e.code(), e.to_string()))
}

/// The signing order of a checked transaction: the digests were computed here, from the checked transaction itself.
pub fn order_items(checked: &CheckedTransaction, slot: KeySlot) -> Result<Vec<OrderItem>, Finding> {
    checked
        .inputs()
        .iter()
        .map(|input| {
            let script = &input.coin().script;
            let branch = match script.branch() {
                Branch::Deposit => keys::Branch::Deposit,
                Branch::Change => keys::Branch::Change,
            };
            let index = ChildIndex::new(script.index())
                .ok_or_else(|| Finding::new(Code::Internal, "an index is out of range"))?;
            Ok(OrderItem::new(branch, index, *input.digest()).expecting(script.pubkey(slot).serialize()))
        })
        .collect()
}

/// Reads a transaction again that was judged before, from its row alone: its coins are spent by now. What it pays was
/// judged then and is fixed by its id, so every output that is not our own is taken as a payee.
pub fn read_again(context: &Context, row: &CosignedRow, psbt: &[u8]) -> Option<CheckedTransaction> {
    let txid: ::bitcoin::Txid = row.txid.parse().ok()?;
    let unsigned = crate::bitcoin::psbt_reader::read(psbt).ok()?.unsigned_tx;
    let change = row.change.map(|c| c.vout);
    let others = unsigned.output.iter().enumerate().filter(|(at, _)| u32::try_from(*at).ok() != change);
    let payees: Vec<Payee> = match row.swept {
        Some(_) => Vec::new(),
        None => others
            .map(|(_, out)| Payee {
                script_pubkey: out.script_pubkey.clone(),
                amount_sat: out.value.to_sat(),
            })
            .collect(),
    };
    let coins: Vec<OwnCoin> = row.coins.iter().filter_map(|c| c.own_coin(&context.wallet)).collect();
    let expect = Expectations {
        txid: Some(txid),
        receiver: KeySlot::B,
        signed_by: None,
        payees: &payees,
        cold: row.swept.map(|(_, index_max)| Pinned { wallet: &context.cold, index_max }),
        change_index_max: row.change.map_or(0, |c| c.index),
        change_ready: None,
        caps: FeeCaps {
            rate_max: crate::bitcoin::fee::RATE_BELIEVED_MAX,
            transaction_sat_max: u64::try_from(row.fee).unwrap_or(u64::MAX),
            asked_sat_max: None,
        },
        tip_height: unsigned.lock_time.to_consensus_u32(),
    };
    let lookup = |outpoint: &::bitcoin::OutPoint| coins.iter().find(|c| c.outpoint == *outpoint).cloned();
    check_psbt(psbt, &context.wallet, &expect, &lookup).ok()
}
