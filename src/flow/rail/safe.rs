//! Safes in the story: a nonce is taken, a Safe transaction is built and checked, and the owner's seat signs last.

use std::sync::Arc;

use super::gas::{self, Kept, draw, fee_of};
use super::hot::Hot;
use super::pins::{Places, SafePins};
use super::{Built, Checked, PickedSweep, SweepWith, checked, emptying, no_wallet};
use crate::ethereum::action::read_actions;
use crate::ethereum::{
    Action, Address, B256, CheckedSafeTx, Destination, Expectations, Payee, Proposal, Task, TrustedSafe,
    Units, Unsigned, UnsignedPlan, check_proposal,
};
use crate::flow::context::Context;
use crate::flow::courier::Parcel;
use crate::flow::facts::FeeSeen;
use crate::flow::ledger::lane::{Claim, Lane};
use crate::flow::ledger::rows::{CosignedRow, EmptiedRow, Purpose, ReleasedRow};
use crate::flow::ledger::{Ledger, Open, OpenReservation, Treasury};
use crate::flow::transactions::Finished;
use crate::flow::treasury::leaving;
use crate::keys::{Seat, SeatKeys, SeatOrder};
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{
    Amount, Asset, ChainId, Code, EvmAsset, Finding, KeyRole, ReservationId, WithdrawalRequest,
};

/// Payments of one asset by a Safe, and what they would cost.
pub struct Picked {
    safe: Address,
    asset: EvmAsset,
    payees: Vec<Payee>,
    drawn: u64,
    gas: u64,
    fee: FeeSeen,
    /// Whether its place is pinned: then it is no payee that somebody asked for.
    is_pinned: bool,
}

impl Picked {
    /// The Safe that pays, and what the payments come to.
    pub(super) fn leaving(&self) -> (Address, u128) {
        (self.safe, sum(&self.payees))
    }

    /// The fee as the policy sees it: what the whole execution may cost at the stated rate, in wei.
    pub const fn fee(&self) -> FeeSeen {
        self.fee
    }
}

/// Who is paid what by a request.
pub fn payee(request: &WithdrawalRequest) -> Result<Payee, Finding> {
    let Asset::Evm(asset) = request.asset else { return Err(no_wallet(&request.asset)) };
    let read = Destination::parse(&request.destination).map_err(|no| Finding::new(no.code, no.problem))?;
    if asset.contract() == Some(read.address()) {
        return Err(Finding::new(Code::AddressNotPayable, "the destination is the token's own contract"));
    }
    Ok(Payee { to: read.address(), asset, amount: Units::from_amount(request.amount) })
}

/// Picks a payment, behind what is gathered and not booked; nothing, where no fee rate was ever stated. One that joins what is
/// gathered is paid by the same Safe.
pub fn pick(
    context: &Context,
    ledger: &Ledger,
    open: &Open,
    (gathered, joins): (Option<&Picked>, bool),
) -> Result<Option<Picked>, Finding> {
    let request = open.request.request();
    let account = ledger.treasury.of(request.asset);
    let Some(rate) = account.facts.chain.map(|chain| u128::from(chain.value.fee_rate.0)) else {
        return Ok(None);
    };
    let payee = payee(request)?;
    let hot = Hot::of(&ledger.treasury, payee.asset)?.behind(gathered);
    ledger.treasury.is_as_pinned(request.asset)?;
    let joins = gathered.filter(|_| joins);
    let amount = request.amount.units();
    let safe = match joins {
        Some(joins) => hot.only(joins.safe, amount)?,
        None => hot.least_busy(amount)?,
    };
    let payees: Vec<Payee> =
        joins.map_or(&[][..], |joins| &joins.payees).iter().copied().chain([payee]).collect();
    let drawn = joins.map_or_else(|| draw(context), |joins| joins.drawn);
    let gas = kept(context, payee.asset, payees.len()).saturating_add(drawn);
    let fee = fee_of(gas, payees.len(), rate);
    if Amount::from_units(fee.share) > request.fee_max {
        let detail =
            format!("executing it may cost {} wei, the request allows {}", fee.share, request.fee_max);
        return Err(Finding::new(Code::FeeAboveCap, detail));
    }
    Ok(Some(Picked { safe, asset: payee.asset, payees, drawn, gas, fee, is_pinned: false }))
}

/// Picks a payment to the pinned cold Safe.
pub fn pick_sweep(
    context: &Context,
    ledger: &Ledger,
    asset: EvmAsset,
    surplus: u128,
) -> Result<PickedSweep, Finding> {
    let rate = rate_of(&ledger.treasury, Asset::Evm(asset))?;
    let chain = asset.chain();
    let cold = context.safes.get(&chain).and_then(|pins| pins.cold).ok_or_else(|| no_wallet(&chain))?;
    let (safe, most) = Hot::of(&ledger.treasury, asset)?.fullest();
    ledger.treasury.is_as_pinned(Asset::Evm(asset))?;
    let amount = surplus.min(most);
    if amount == 0 {
        return Err(Finding::new(Code::HotFundsShort, "all of it is reserved"));
    }
    let drawn = draw(context);
    let gas = kept(context, asset, 1).saturating_add(drawn);
    let fee = fee_of(gas, 1, rate);
    let payees = vec![Payee { to: cold, asset, amount: Units::from_amount(Amount::from_units(amount)) }];
    Ok(PickedSweep {
        amount,
        address: spell(cold),
        fee,
        cold_index: 0,
        with: SweepWith::Safe(Picked { safe, asset, payees, drawn, gas, fee, is_pinned: true }),
    })
}

/// Picks a payment of that much to the pinned account that pays gas.
pub fn pick_refuel(
    context: &Context,
    ledger: &Ledger,
    chain: ChainId,
    (to, amount): (Address, Amount),
) -> Result<Picked, Finding> {
    let asset = EvmAsset::Ether(chain);
    let rate = rate_of(&ledger.treasury, Asset::Evm(asset))?;
    let safe = Hot::of(&ledger.treasury, asset)?.least_busy(amount.units())?;
    let drawn = draw(context);
    let gas = kept(context, asset, 1).saturating_add(drawn);
    let fee = fee_of(gas, 1, rate);
    let payees = vec![Payee { to, asset, amount: Units::from_amount(amount) }];
    Ok(Picked { safe, asset, payees, drawn, gas, fee, is_pinned: true })
}

/// The gas kept for so many payments of an asset.
fn kept(context: &Context, asset: EvmAsset, payments: usize) -> u64 {
    Kept::on(context, asset.chain()).each(asset).saturating_mul(gas::count(payments))
}

/// Wei for 1,000 units of gas, as stated last of the chain of an asset.
pub(super) fn rate_of(treasury: &Treasury, asset: Asset) -> Result<u128, Finding> {
    let stale =
        || Finding::new(Code::FeeRateStale, format!("no fee rate of {} was ever stated", asset.chain()));
    treasury.of(asset).facts.chain.map(|fact| u128::from(fact.value.fee_rate.0)).ok_or_else(stale)
}

/// What the answer about a Safe transaction is judged by.
#[derive(Clone)]
pub struct Body {
    /// The Safe as it was found when the body was made; without it nothing is signed.
    safe: Result<Arc<TrustedSafe>, Finding>,
    nonce: u64,
    payees: Vec<Payee>,
    places: Places,
    emptied: Vec<EmptiedRow>,
}

impl Body {
    /// Of a call of the treasury Safe that empties these.
    pub(super) fn emptying(
        safe: Result<Arc<TrustedSafe>, Finding>,
        nonce: u64,
        emptied: Vec<EmptiedRow>,
    ) -> Self {
        Self { safe, nonce, payees: Vec::new(), places: Places::default(), emptied }
    }
}

/// Builds the Safe transaction of what was picked, under the next nonce: a call, or a batch where it pays several.
pub fn build(context: &Context, ledger: &Ledger, picked: &Picked) -> Result<Built, Finding> {
    let chain = picked.asset.chain();
    let lane = ledger.treasury.lanes.hot_at(chain, picked.safe).ok_or_else(|| no_wallet(&chain))?;
    let safe = lane.trusted()?;
    let short = || Finding::new(Code::SafeNotAsPinned, "its nonce is not known");
    let nonce = lane.next_nonce().ok_or_else(short)?;
    let plan = UnsignedPlan { nonce, safe_tx_gas: picked.gas, task: Task::Pay(picked.payees.clone()) };
    let broken = |e: crate::ethereum::BuildError| Finding::new(Code::Internal, e.to_string());
    let unsigned = Unsigned::build(&safe, &plan).map_err(broken)?;
    let id = ReservationId::of_txid(&unsigned.hash().0);
    if ledger.dead.contains(&id) {
        return Err(Finding::new(
            Code::CosignerHolds,
            "this very transaction was refused; another is drawn next",
        ));
    }
    let height = ledger.treasury.of(Asset::Evm(picked.asset)).facts.chain.map_or(0, |c| c.value.height);
    Ok(Built {
        proposal: unsigned.proposal(),
        txid: unsigned.hash().to_string(),
        id,
        inputs: vec![lane.anchor(nonce)],
        fee: picked.fee.paid,
        fee_leaving: 0,
        outgoing: sum(&picked.payees),
        change: None,
        tip_height: height,
        body: super::Body::Safe(Body {
            safe: Ok(safe),
            nonce,
            payees: if picked.is_pinned { Vec::new() } else { picked.payees.clone() },
            places: places(context, chain),
            emptied: Vec::new(),
        }),
    })
}

/// What the answer about a reservation that was read back is judged by.
pub fn read_back(context: &Context, ledger: &Ledger, reservation: &OpenReservation) -> Option<Body> {
    let Asset::Evm(asset) = reservation.asset else { return None };
    let (lane, nonce) = ledger.treasury.lanes.at(reservation.row.inputs.first()?)?;
    let request = |id| ledger.open.get(id).map(|open: &Open| open.request.request());
    let payees = reservation.withdrawals.iter().map(|id| payee(request(id)?).ok());
    Some(Body {
        safe: ledger.treasury.lanes.trusted(asset.chain()).and_then(|()| lane.trusted()),
        nonce,
        payees: payees.collect::<Option<_>>()?,
        places: places(context, asset.chain()),
        emptied: Vec::new(),
    })
}

/// What payments come to.
fn sum(payees: &[Payee]) -> u128 {
    let amounts = payees.iter().map(|payee| payee.amount.amount().map_or(u128::MAX, Amount::units));
    amounts.fold(0, u128::saturating_add)
}

fn places(context: &Context, chain: ChainId) -> Places {
    context.safes.get(&chain).map(SafePins::places).unwrap_or_default()
}

/// Takes the nonce of a reservation.
pub fn claim(ledger: &mut Ledger, reservation: &OpenReservation) {
    if let Some((lane, nonce)) = nonce_of(ledger, reservation) {
        lane.reserve(nonce, (reservation.asset, reservation.row.outgoing));
    }
}

/// Gives the nonce of a dead reservation back.
pub fn free(ledger: &mut Ledger, reservation: &OpenReservation) {
    if let Some((lane, nonce)) = nonce_of(ledger, reservation) {
        lane.free(nonce);
    }
}

/// Both signatures are in: the nonce belongs to this transaction for good.
pub fn spend(ledger: &mut Ledger, id: ReservationId, reservation: &OpenReservation) {
    let claim = Claim {
        reservation: id,
        hash: reservation.row.txid.clone(),
        asset: reservation.asset,
        amount: reservation.row.outgoing,
        withdrawals: reservation.withdrawals.clone(),
        errand: reservation.row.purpose.errand(),
    };
    let Some((lane, nonce)) = nonce_of(ledger, reservation) else { return };
    lane.sign(nonce, claim);
    if let (Purpose::Emptying { deposits }, Some(anchor)) =
        (&reservation.row.purpose, reservation.row.inputs.first())
    {
        ledger.treasury.take_away(anchor, deposits);
    }
}

fn nonce_of<'a>(ledger: &'a mut Ledger, reservation: &OpenReservation) -> Option<(&'a mut Lane, u64)> {
    ledger.treasury.lanes.at_mut(reservation.row.inputs.first()?)
}

/// What a proposal must be, by a party's own records. Nobody's word says whether there is code at an address, so it counts as
/// there: ether is never batched.
pub fn check(
    context: &Context,
    bytes: &[u8],
    safe: &TrustedSafe,
    (hash, nonce): (Option<B256>, u64),
    signed_by: Option<KeyRole>,
    (payees, places): (&[Payee], Places),
) -> Result<CheckedSafeTx, Finding> {
    let own = context.safes.get(&safe.wallet().chain());
    let expect = Expectations {
        hash,
        signed_by,
        payees,
        cold: places.cold,
        executor: places.executor,
        is_own: &|address| own.is_some_and(|pins| pins.signed_for().any(|safe| safe.address() == address)),
        ..Expectations::nothing(nonce, u64::MAX)
    };
    check_proposal(bytes, safe, &expect).map_err(|e| Finding::new(e.code(), e.to_string()))
}

/// Whether what is kept is what this party's pins say: with less a transfer would revert, its nonce used up and nobody paid. What
/// was signed once is never asked this again. Parties whose trust files differ for a while hold, and refuse nobody.
fn gas_is_as_pinned(context: &Context, tx: &CheckedSafeTx) -> Result<(), Finding> {
    let each: Vec<u64> =
        checked::payees(tx).map(|payee| Kept::on(context, payee.asset.chain()).each(payee.asset)).collect();
    let needed = each.iter().copied().fold(0, u64::saturating_add);
    let (found, together) = (tx.call().safe_tx_gas, each.len() > 1);
    if (needed..=gas::bound(needed)).contains(&found) && !(together && needed > gas::KEPT_MAX) {
        return Ok(());
    }
    let detail = format!("{found} of gas is kept for its transfers, which keep {needed} by the pins here");
    Err(Finding::new(Code::SafeNotAsPinned, detail))
}

/// Checks a proposal as the co-signer does: by its own lane, decoded from the calldata. That its nonce is the next one is decided
/// with what was decided before it.
pub fn check_as_cosigner(
    context: &Context,
    treasury: &Treasury,
    chain: ChainId,
    bytes: &[u8],
    hash: B256,
    payees: &[Payee],
) -> Result<Checked, Finding> {
    if payees.len() > gas::PAYMENTS_MAX {
        let detail = format!("it pays {} at once, and {} is the most", payees.len(), gas::PAYMENTS_MAX);
        return Err(Finding::new(Code::TransactionMismatch, detail));
    }
    let proposal = Proposal::read(bytes).map_err(|e| Finding::new(e.code(), e.to_string()))?;
    if payees.is_empty() && is_treasury(context, chain, proposal.safe()) {
        return emptying::check_as_cosigner(context, treasury, chain, (bytes, hash));
    }
    treasury.lanes.trusted(chain)?;
    let judged = judged(context, treasury, (chain, hash), (&proposal, bytes), payees)?;
    match &judged {
        Checked::Safe { tx, .. } => gas_is_as_pinned(context, tx)?,
        Checked::Bitcoin(..) => {}
    }
    Ok(judged)
}

/// The same without what only a first look asks: the hash of what was signed once fixes its gas.
fn judged(
    context: &Context,
    treasury: &Treasury,
    (chain, hash): (ChainId, B256),
    (proposal, bytes): (&Proposal, &[u8]),
    payees: &[Payee],
) -> Result<Checked, Finding> {
    let not_hot = || {
        let detail =
            format!("{} is none of the hot Safes on {chain} by the trust file here", proposal.safe());
        Finding::new(Code::SafeNotAsPinned, detail)
    };
    let lane = treasury.lanes.hot_at(chain, proposal.safe()).ok_or_else(not_hot)?;
    let safe = lane.trusted()?;
    let nonce = proposal.call().nonce;
    let tx = check(context, bytes, &safe, (Some(hash), nonce), None, (payees, places(context, chain)))?;
    let moved: Vec<EvmAsset> = checked::payees(&tx).map(|payee| payee.asset).collect();
    let first = moved.first().filter(|first| moved.iter().all(|asset| asset == *first));
    let mixed = || Finding::new(Code::KindNotAllowed, "it moves nothing, or several assets at once");
    let asset = Asset::Evm(*first.ok_or_else(mixed)?);
    let rate = rate_of(treasury, asset)?;
    let (anchor, emptied) = (lane.anchor(nonce), Arc::default());
    Ok(Checked::Safe { tx: Box::new(tx), asset, anchor, rate, emptied })
}

fn is_treasury(context: &Context, chain: ChainId, safe: Address) -> bool {
    let treasury = context.safes.get(&chain).and_then(|pins| pins.treasury.as_ref());
    treasury.is_some_and(|treasury| treasury.address() == safe)
}

/// Reads a Safe transaction again that was judged before. What it pays was judged then and is fixed by its hash.
pub fn read_again(
    context: &Context,
    treasury: &Treasury,
    row: &CosignedRow,
    bytes: &[u8],
) -> Option<Checked> {
    let Asset::Evm(asset) = Asset::parse(&row.asset).ok()? else { return None };
    if row.kind == checked::Kind::Emptying.as_str() {
        return emptying::read_again(context, treasury, (row, asset.chain()), bytes);
    }
    let proposal = Proposal::read(bytes).ok()?;
    let lane = treasury.lanes.hot_at(asset.chain(), proposal.safe())?;
    let actions = read_actions(proposal.call(), lane.wallet()).ok()?;
    let paid = actions.iter().filter_map(|action| match action {
        Action::Pay(payee) => Some(*payee),
        Action::Deploy(_) | Action::Nested { .. } | Action::Swap(_) => None,
    });
    let is_asked = row.kind == checked::Kind::Withdrawal.as_str();
    let payees: Vec<Payee> = if is_asked { paid.collect() } else { Vec::new() };
    let of = (asset.chain(), row.txid.parse().ok()?);
    judged(context, treasury, of, (&proposal, bytes), &payees).ok()
}

/// Verifies B, signs A last, and packs both as the Safe takes them.
pub fn finish(
    context: &Context,
    seat: &SeatKeys,
    (parcel, body): (&Parcel, &Body),
    signed: &[u8],
) -> Result<Finished, Finding> {
    let no = |detail: String| Finding::new(Code::TransactionMismatch, detail);
    let hash = parcel.row.txid.parse().map_err(|_| no("the reservation has no hash".to_owned()))?;
    let places = (body.payees.as_slice(), body.places);
    let safe = body.safe.as_ref().map_err(Clone::clone)?;
    let by = Some(KeyRole::Cosigner);
    let checked = if body.emptied.is_empty() {
        check(context, signed, safe, (Some(hash), body.nonce), by, places)?
    } else {
        emptying::check(context, signed, safe, (hash, body.nonce, by), &body.emptied)?
    };
    let own = sign(context, seat, (parcel.reservation, KeyRole::Signer, leaving(&parcel.row)), &checked)?;
    let theirs =
        checked.signature().ok_or_else(|| no("the co-signer's signature is not there".to_owned()))?;
    let finished = checked.finish(theirs, &own).map_err(|e| no(e.to_string()))?;
    let released = ReleasedRow {
        txid: finished.hash().to_string(),
        fee: parcel.row.fee,
        safe: parcel.row.inputs.first().cloned(),
        prevouts: Vec::new(),
        log_index: 0,
    };
    Ok(Finished { released, transaction: finished.data().into() })
}

/// Signs a checked Safe transaction with the party's seat. The hash was computed here, from the checked transaction itself.
pub fn sign(
    context: &Context,
    seat: &SeatKeys,
    (reservation, role, leaving): (ReservationId, KeyRole, crate::freeze::Leaving),
    checked: &CheckedSafeTx,
) -> Result<crate::ethereum::VerifiedSignature, Finding> {
    let broken = |detail: String| Finding::new(Code::Internal, detail);
    let public_key = seat.public_key(Seat::Owner).map_err(|e| broken(e.to_string()))?;
    let order = SeatOrder::danger_vouch_for(reservation, Seat::Owner, checked.hash().0).expecting(public_key);
    // Held while the signature is made and no longer: a freeze waits for it.
    let permit = context.brake.permit(leaving)?;
    let made = seat.sign(&order).map_err(|e| broken(e.to_string()))?;
    drop(permit);
    checked.verify(role, made.compact(), made.recovery_id()).map_err(|e| broken(e.to_string()))
}
