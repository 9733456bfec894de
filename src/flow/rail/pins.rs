//! The Safes of a chain as the trust file pins them, the accounts beside them, and what may be paid there.

use std::collections::{BTreeMap, BTreeSet};

use super::gas::Kept;
use super::{Place, Safes};
use crate::ethereum::{
    Address, Deposits, Destination, Executor, Make, Owners, Release, SafeWallet, Singleton, Units, address_of,
};
use crate::evidence::Trust;
use crate::evidence::trust_file::{
    EmptiedEntry, EmptyingEntry, ExecutorEntry, SafeEntry, TokenEntry, WalletEntry,
};
use crate::keys::{Seat, SeatKeys};
use crate::withdrawal::evm_address::read;
use crate::withdrawal::{Amount, Asset, Chain, ChainId, Code, EvmAsset, Invalid, KeyRole};

/// The Safes of one chain as the trust file pins them.
#[derive(Debug, Clone)]
pub struct SafePins {
    /// The first of the hot Safes, whose account for gas is stated with it.
    pub hot: SafeWallet,
    /// The other hot Safes.
    also_hot: Vec<SafeWallet>,
    /// The cold Safe.
    pub cold: Option<Address>,
    /// The treasury Safe.
    pub treasury: Option<SafeWallet>,
    /// The deposit addresses of the treasury Safe.
    pub deposits: Option<Deposits>,
    /// The gas that is kept for its transfers.
    pub gas: Kept,
    /// Pinned tokens and the Safe's own contracts: nobody takes out what is sent there.
    contracts: BTreeSet<Address>,
    /// Up to which height people have looked at what tokens paid otherwise than asked.
    pub reviewed: BTreeMap<EvmAsset, u64>,
    /// The account that pays gas, where a hot Safe refuels it.
    pub executor: Option<ExecutorPins>,
    /// When deposit addresses are emptied, where they are.
    pub emptying: Option<EmptyingPins>,
}

/// When what lies at deposit addresses is brought to a hot Safe, and what that may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyingPins {
    /// At how many addresses something is enough, whatever it comes to.
    pub addresses: usize,
    /// The most that it may cost within a day, in wei.
    pub day_fee_max: Amount,
    /// The assets that are brought in.
    pub assets: BTreeMap<EvmAsset, EmptiedPins>,
}

/// When one asset is brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptiedPins {
    /// How much of it at all addresses together is enough.
    pub level: Amount,
    /// What is less than this at one address stays there.
    pub least: Amount,
}

impl EmptyingPins {
    fn read(entry: &EmptyingEntry) -> Result<Self, Invalid> {
        let field = "wallets.emptying";
        let no = |problem: &str| pinned_badly(field, problem);
        let amount = |text: &str| Amount::parse(field, text).map_err(|bad| no(&bad.problem));
        let asset = |entry: &EmptiedEntry| match Asset::parse(&entry.asset) {
            Ok(Asset::Evm(asset)) => {
                let pins = EmptiedPins { level: amount(&entry.level)?, least: amount(&entry.least)? };
                Ok((asset, pins))
            }
            _ => Err(no("names an asset of no EVM chain")),
        };
        Ok(Self {
            addresses: usize::try_from(entry.addresses).unwrap_or(usize::MAX),
            day_fee_max: amount(&entry.day_fee_wei_max)?,
            assets: entry.assets.iter().map(asset).collect::<Result<_, Invalid>>()?,
        })
    }
}

/// The account that pays gas, and how much of a hot Safe's ether it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorPins {
    /// The account.
    pub address: Address,
    /// Below this balance it is refuelled.
    pub level: Amount,
    /// The most that it gets at once.
    pub refuel_max: Amount,
    /// The most that it gets within a day.
    pub day_max: Amount,
}

impl ExecutorPins {
    fn read(entry: &ExecutorEntry) -> Result<Self, Invalid> {
        let field = "wallets.executor";
        let wei = |text: &str| Amount::parse(field, text).map_err(|no| pinned_badly(field, &no.problem));
        Ok(Self {
            address: pinned_address("wallets.executor.address", &entry.address)?,
            level: wei(&entry.level_wei)?,
            refuel_max: wei(&entry.refuel_wei_max)?,
            day_max: wei(&entry.day_wei_max)?,
        })
    }

    /// What a check takes of it.
    fn expected(&self) -> Executor {
        Executor { address: self.address, amount_max: Units::from_amount(self.refuel_max) }
    }
}

fn pinned_badly(field: &'static str, problem: &str) -> Invalid {
    let cure = "correct the trust file and have its quorum sign it again";
    Invalid::new(Code::TrustFileInvalid, field, problem, cure)
}

fn pinned_address(field: &'static str, text: &str) -> Result<Address, Invalid> {
    read(text).map_err(|problem| pinned_badly(field, problem))
}

/// What the trust file says of some of its tokens.
fn of_tokens(
    chain: ChainId,
    entry: &WalletEntry,
    said: impl Fn(&TokenEntry) -> Option<u64>,
) -> Result<BTreeMap<EvmAsset, u64>, Invalid> {
    let said = entry.tokens.iter().filter_map(|token| Some((&token.contract, said(token)?)));
    let read = |(contract, number): (&String, u64)| {
        Ok((EvmAsset::Token(chain, pinned_address("wallets.tokens.contract", contract)?), number))
    };
    said.map(read).collect()
}

impl SafePins {
    /// Reads the pins of a chain.
    fn read(chain: ChainId, entry: &WalletEntry) -> Result<Self, Invalid> {
        let (no, address) = (pinned_badly, pinned_address);
        let safe = entry.safe.as_ref().ok_or_else(|| no("wallets.safe", "is missing"))?;
        let SafeEntry { release, singleton, signer, cosigner, vault, also_hot, treasury } = safe;
        let release =
            Release::of(release).ok_or_else(|| no("wallets.safe.release", "is no known release"))?;
        let singleton = if singleton == "l2" { Singleton::Telling } else { Singleton::Plain };
        let owners = Owners::new(
            address("wallets.safe.signer", signer)?,
            address("wallets.safe.cosigner", cosigner)?,
            address("wallets.safe.vault", vault)?,
        );
        let owners =
            owners.ok_or_else(|| no("wallets.safe", "its owners are not three payable addresses"))?;
        let make = Make { release, singleton };
        let adopt = |at| SafeWallet::adopt(chain, make, owners, at);
        let hot = adopt(address("wallets.hot", &entry.hot)?);
        let also_hot = also_hot.iter().map(|at| address("wallets.safe.also_hot", at).map(adopt));
        let also_hot = also_hot.collect::<Result<_, _>>()?;
        let cold = entry.cold.as_deref().map(|cold| address("wallets.cold", cold)).transpose()?;
        let treasury = treasury.as_deref().map(|at| address("wallets.safe.treasury", at)).transpose()?;
        let treasury = treasury.map(adopt);
        let deposits = treasury.as_ref().map(Deposits::of);
        let tokens = entry.tokens.iter().map(|token| address("wallets.tokens.contract", &token.contract));
        let mut contracts = tokens.collect::<Result<BTreeSet<_>, _>>()?;
        let gas = Kept::new(of_tokens(chain, entry, |token| token.gas)?);
        let Release { plain, telling, factory, multi_send, fallback_handler, .. } = release;
        let own = [plain.pin, telling.pin, *factory, *multi_send, *fallback_handler];
        contracts.extend(own.map(|pin| pin.address));
        let reviewed = of_tokens(chain, entry, |token| token.reviewed_to)?;
        let executor = entry.executor.as_ref().map(ExecutorPins::read).transpose()?;
        let emptying = entry.emptying.as_ref().map(EmptyingPins::read).transpose()?;
        Ok(Self { hot, also_hot, cold, treasury, deposits, gas, contracts, reviewed, executor, emptying })
    }

    /// The Safes of every EVM chain that a trust file names.
    pub fn of(trust: &Trust) -> Result<Safes, Invalid> {
        let entries = trust.chains().filter_map(|chain| match chain {
            Chain::Evm(id) => trust.wallet(chain).map(|entry| (id, entry)),
            Chain::Bitcoin(_) => None,
        });
        entries.map(|(chain, entry)| Ok((chain, Self::read(chain, entry)?))).collect()
    }

    /// The hot Safes.
    pub fn hot_safes(&self) -> impl Iterator<Item = &SafeWallet> {
        [&self.hot].into_iter().chain(&self.also_hot)
    }

    /// The Safes that both parties sign for: the hot ones, and the treasury where there is one.
    pub fn signed_for(&self) -> impl Iterator<Item = &SafeWallet> {
        self.hot_safes().chain(&self.treasury)
    }

    /// Whether an address is pinned as one of ours. Money goes to these by sweep and refuel alone.
    fn is_pinned(&self, address: Address) -> bool {
        let executor = self.executor.map(|executor| executor.address);
        self.signed_for().any(|safe| safe.address() == address)
            || [self.cold, executor].contains(&Some(address))
    }

    /// Where money may go that nobody asked for.
    pub(super) fn places(&self) -> Places {
        Places { cold: self.cold, executor: self.executor.map(|executor| executor.expected()) }
    }

    /// Whether a seat is this party's: its key is the owner's.
    pub fn is_seat_of(&self, role: KeyRole, seat: &SeatKeys) -> bool {
        let own = seat.public_key(Seat::Owner).ok().and_then(|key| address_of(&key));
        own == Some(self.hot.owners().of(role))
    }
}

/// Reads an address of a chain.
pub fn place(pins: Option<&SafePins>, text: &str) -> Result<Place, Invalid> {
    let read = Destination::parse(text)?;
    if pins.is_some_and(|pins| pins.contracts.contains(&read.address())) {
        let problem = "is the contract of a token or of the Safe; what is sent there is lost";
        let cure = "ask the customer for an address of their own";
        return Err(Invalid::new(Code::AddressNotPayable, "destination", problem, cure));
    }
    let pinned = pins.is_some_and(|pins| pins.is_pinned(read.address()));
    let account = Some(read.address());
    Ok(Place { text: read.as_str().to_owned(), dust: 1, script: None, account, pinned })
}

/// Where money may go that nobody asked for.
#[derive(Clone, Copy, Default)]
pub struct Places {
    /// The cold Safe.
    pub cold: Option<Address>,
    /// The account that pays gas.
    pub executor: Option<Executor>,
}
