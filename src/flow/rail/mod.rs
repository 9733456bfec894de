//! What differs from chain to chain in the story of a withdrawal: how a destination is read, what pays it, what is built, what is
//! signed. Each chain answers in its own file; the story asks here and knows none of them.

pub mod bitcoin;
pub mod checked;
pub mod deposit;
pub mod emptying;
pub mod gas;
pub mod hot;
pub mod pins;
pub mod safe;

pub use self::checked::{Checked, Kind};

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Context;
use super::courier::Parcel;
use super::facts::FeeSeen;
use super::ledger::rows::{ChangeRow, CosignedRow, Purpose};
use super::ledger::{Ledger, Open, OpenReservation, Treasury};
use super::transactions::Finished;
use super::writer::Turn;
use crate::ethereum::Address;
use crate::keys::{HotKey, SeatKeys};
use crate::withdrawal::{Amount, Asset, Chain, ChainId, Code, EvmAsset, Finding, Invalid, ReservationId};

/// The keys of one party: of its Bitcoin wallet, and of its seat among the owners of its Safes.
#[derive(Clone)]
pub struct Keys {
    /// The Bitcoin wallet's.
    pub hot: Arc<HotKey>,
    /// The owner's.
    pub seat: Arc<SeatKeys>,
}

/// The Safes of a party, by chain.
pub type Safes = BTreeMap<ChainId, pins::SafePins>;

/// A destination that can be paid, in its one spelling.
pub struct Place {
    /// The spelling.
    pub text: String,
    /// The least that can be paid there, in base units.
    pub dust: u128,
    /// Whether it is one of the party's own, as far as its pins say.
    script: Option<::bitcoin::ScriptBuf>,
    account: Option<Address>,
    pinned: bool,
}

impl Place {
    /// Whether it is an address of our own.
    pub fn is_own(&self, ledger: &Ledger) -> bool {
        self.is_among(&ledger.addresses, &ledger.treasury)
    }

    /// Whether it is one of these scripts, a deposit address of this treasury, or pinned as our own.
    pub fn is_among(&self, scripts: &dyn super::statement::OwnScripts, treasury: &Treasury) -> bool {
        self.pinned
            || self.script.as_ref().is_some_and(|script| scripts.find(script).is_some())
            || self.account.is_some_and(|account| treasury.deposits.is_own(account))
    }
}

/// Reads a destination of an asset.
pub fn place(context: &Context, asset: Asset, text: &str) -> Result<Place, Invalid> {
    match asset.chain() {
        Chain::Bitcoin(network) => bitcoin::place(network, text),
        Chain::Evm(chain) => pins::place(context.safes.get(&chain), text),
    }
}

/// What would pay, and what it would cost.
pub enum Picked {
    /// Coins.
    Bitcoin(bitcoin::Picked),
    /// A call of a Safe.
    Safe(safe::Picked),
}

impl Picked {
    /// The fee as the policy sees it.
    pub fn fee(&self) -> FeeSeen {
        match self {
            Self::Bitcoin(picked) => picked.fee(),
            Self::Safe(picked) => picked.fee(),
        }
    }
}

/// How many payments of an asset one transaction may carry.
pub fn payments_max(context: &Context, asset: Asset) -> usize {
    match asset {
        Asset::Bitcoin(_) => 1,
        Asset::Evm(asset) => gas::Kept::on(context, asset.chain()).payments_max(asset),
    }
}

/// Picks what pays a withdrawal; nothing, where no fee rate was ever stated (the policy then says what is missing). Payments of
/// the asset that are gathered come before it; where it `joins` them, what is picked pays them as well.
pub fn pick(
    context: &Context,
    ledger: &Ledger,
    open: &Open,
    (gathered, joins): (Option<&Picked>, bool),
) -> Result<Option<Picked>, Finding> {
    let asset = open.request.request().asset;
    match asset.chain() {
        Chain::Bitcoin(_) => Ok(bitcoin::pick(context, ledger, open)?.map(Picked::Bitcoin)),
        Chain::Evm(_) => {
            let gathered = gathered.and_then(|gathered| match gathered {
                Picked::Safe(gathered) => Some(gathered),
                Picked::Bitcoin(_) => None,
            });
            Ok(safe::pick(context, ledger, open, (gathered, joins))?.map(Picked::Safe))
        }
    }
}

/// The coin in which a chain's gas is paid.
pub const fn coin(chain: ChainId) -> Asset {
    Asset::Evm(EvmAsset::Ether(chain))
}

/// Picks what gives that much of a chain's coin to the account that pays gas.
pub fn pick_refuel(
    context: &Context,
    ledger: &Ledger,
    coin: Asset,
    to: (Address, Amount),
) -> Result<Picked, Finding> {
    match coin.chain() {
        Chain::Bitcoin(_) => Err(no_wallet(&coin)),
        Chain::Evm(chain) => safe::pick_refuel(context, ledger, chain, to).map(Picked::Safe),
    }
}

/// What a sweep would move, and what it would cost.
pub struct PickedSweep {
    /// How much goes to cold, in base units.
    pub amount: u128,
    /// Where to.
    pub address: String,
    /// The fee as the policy sees it.
    pub fee: FeeSeen,
    /// The index on the cold wallet's branch 0; nothing else than zero where cold is one place.
    pub cold_index: u32,
    with: SweepWith,
}

enum SweepWith {
    Bitcoin(Box<bitcoin::SweepCoins>),
    Safe(safe::Picked),
}

/// Picks what moves that much of an asset to cold, or as much of it as one transaction carries.
pub fn pick_sweep(
    context: &Context,
    ledger: &Ledger,
    asset: Asset,
    surplus: u128,
) -> Result<PickedSweep, Finding> {
    match asset {
        Asset::Bitcoin(_) => bitcoin::pick_sweep(context, ledger, surplus),
        Asset::Evm(asset) => safe::pick_sweep(context, ledger, asset, surplus),
    }
}

/// Builds the transaction of a sweep.
pub fn build_sweep(context: &Context, ledger: &mut Ledger, picked: PickedSweep) -> Result<Built, Finding> {
    match picked.with {
        SweepWith::Bitcoin(coins) => bitcoin::build_sweep(context, ledger, *coins),
        SweepWith::Safe(picked) => safe::build(context, ledger, &picked),
    }
}

/// Takes note that a sweep pays the cold wallet at an index.
pub fn put_cold(ledger: &mut Ledger, asset: Asset, cold_index: u32) {
    if matches!(asset, Asset::Bitcoin(_)) {
        ledger.next_cold = ledger.next_cold.max(cold_index.saturating_add(1));
    }
}

/// A whole unsigned transaction, fixed before a key is touched.
pub struct Built {
    /// The bytes for the other party: a PSBT, or a Safe's proposal.
    pub proposal: Vec<u8>,
    /// Its id, as its chain prints it.
    pub txid: String,
    /// The reservation's id.
    pub id: ReservationId,
    /// What it spends; the first is the anchor (law L17).
    pub inputs: Vec<String>,
    /// The fee, in base units of the asset in which it is taken.
    pub fee: u128,
    /// What of the fee the wallet pays.
    pub fee_leaving: u128,
    /// What leaves the wallet, in base units, with that fee.
    pub outgoing: u128,
    /// What comes back.
    pub change: Option<ChangeRow>,
    /// The height it was built on.
    pub tip_height: u32,
    /// What its chain needs to judge the answer by.
    pub body: Body,
}

/// What a chain needs to judge what the co-signer gives back.
#[derive(Clone)]
pub enum Body {
    /// Of a PSBT.
    Bitcoin(bitcoin::Body),
    /// Of a Safe transaction.
    Safe(safe::Body),
}

/// Builds the transaction that pays what was picked.
pub fn build(context: &Context, ledger: &mut Ledger, picked: &Picked) -> Result<Built, Finding> {
    match picked {
        Picked::Bitcoin(picked) => bitcoin::build_payment(context, ledger, picked),
        Picked::Safe(picked) => safe::build(context, ledger, picked),
    }
}

/// What a chain needs of a reservation that was read back.
pub fn read_back(context: &Context, ledger: &mut Ledger, reservation: &OpenReservation) -> Option<Body> {
    match reservation.asset.chain() {
        Chain::Bitcoin(_) => bitcoin::read_back(context, ledger, reservation).map(Body::Bitcoin),
        Chain::Evm(_) => match &reservation.row.purpose {
            Purpose::Emptying { deposits } => emptying::read_back(ledger, reservation, deposits),
            Purpose::Withdrawals(_) | Purpose::Sweep { .. } | Purpose::Refuel { .. } => {
                safe::read_back(context, ledger, reservation)
            }
        }
        .map(Body::Safe),
    }
}

/// Claims what a reservation spends.
pub fn claim(ledger: &mut Ledger, id: ReservationId, reservation: &OpenReservation) {
    match reservation.asset.chain() {
        Chain::Bitcoin(_) => bitcoin::claim(ledger, id, reservation),
        Chain::Evm(_) => safe::claim(ledger, reservation),
    }
}

/// Gives back what a dead reservation claimed.
pub fn free(ledger: &mut Ledger, reservation: &OpenReservation) {
    match reservation.asset.chain() {
        Chain::Bitcoin(_) => bitcoin::free(ledger, reservation),
        Chain::Evm(_) => safe::free(ledger, reservation),
    }
}

/// Both signatures are in: what it spends is spent.
pub fn spend(ledger: &mut Ledger, turn: &mut Turn, id: ReservationId, reservation: &OpenReservation) {
    match reservation.asset.chain() {
        Chain::Bitcoin(_) => bitcoin::spend(ledger, turn, id, reservation),
        Chain::Evm(_) => safe::spend(ledger, id, reservation),
    }
}

/// Checks what the co-signer gave back, adds the last signature, and gives the finished transaction.
///
/// Nothing that comes back is believed: it is read anew and must be exactly what was reserved.
pub fn finish(context: &Context, keys: &Keys, parcel: &Parcel, signed: &[u8]) -> Result<Finished, Finding> {
    match &parcel.body {
        Body::Bitcoin(body) => bitcoin::finish(context, &keys.hot, (parcel, body), signed),
        Body::Safe(body) => safe::finish(context, &keys.seat, (parcel, body), signed),
    }
}

/// Where a sweep of an asset goes: the address at an index of the cold descriptor, or the cold Safe.
pub fn cold_address(context: &Context, asset: Asset, index: u32) -> Result<String, Finding> {
    match asset.chain() {
        Chain::Bitcoin(_) => {
            let address = context.cold.address(crate::bitcoin::Branch::Deposit, index);
            address.map_err(|e| Finding::new(Code::Internal, e.to_string()))
        }
        Chain::Evm(chain) => {
            let cold = context.safes.get(&chain).and_then(|pins| pins.cold);
            cold.map(crate::withdrawal::evm_address::spell).ok_or_else(|| no_wallet(&asset))
        }
    }
}

/// Reads a transaction again that the co-signer judged before, from its row alone.
pub fn read_again(
    context: &Context,
    treasury: &Treasury,
    row: &CosignedRow,
    bytes: &[u8],
) -> Option<Checked> {
    match Asset::parse(&row.asset).ok()?.chain() {
        Chain::Bitcoin(_) => {
            let checked = bitcoin::read_again(context, row, bytes)?;
            Some(Checked::Bitcoin(context.asset, Box::new(checked)))
        }
        Chain::Evm(_) => safe::read_again(context, treasury, row, bytes),
    }
}

fn no_wallet(asset: &dyn std::fmt::Display) -> Finding {
    Finding::new(Code::AssetUnknown, format!("there is no wallet for {asset}"))
}
