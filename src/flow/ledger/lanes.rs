//! The Safes that a party signs for, one lane each. The hot ones of a chain are one wallet to the policy: what lies in all of them
//! counts as hot, and one that nobody can vouch for stops them all, for their owners are the same.

use std::collections::BTreeMap;

use super::lane::{self, Lane};
use crate::ethereum::Address;
use crate::flow::rail::pins::SafePins;
use crate::withdrawal::{Amount, Asset, ChainId, Code, Finding, Seconds};

/// The Safes of every chain.
#[derive(Debug, Default)]
pub struct Lanes {
    by_place: BTreeMap<(ChainId, Address), Lane>,
    hot: BTreeMap<ChainId, Vec<Address>>,
}

impl Lanes {
    /// Adds the Safes of one chain, of which nothing is known yet.
    pub fn add(&mut self, pins: &SafePins) {
        let chain = pins.hot.chain();
        for safe in pins.signed_for() {
            self.by_place.insert((chain, safe.address()), Lane::new(safe.clone()));
        }
        self.hot.insert(chain, pins.hot_safes().map(crate::ethereum::SafeWallet::address).collect());
    }

    /// A Safe that both parties sign for.
    pub fn of(&self, chain: ChainId, safe: Address) -> Option<&Lane> {
        self.by_place.get(&(chain, safe))
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, chain: ChainId, safe: Address) -> Option<&mut Lane> {
        self.by_place.get_mut(&(chain, safe))
    }

    /// The Safe of an anchor, with the nonce it names.
    pub fn at(&self, anchor: &str) -> Option<(&Lane, u64)> {
        let lane = self.by_place.get(&lane::place_of(anchor)?)?;
        Some((lane, lane.nonce_of(anchor)?))
    }

    /// The same, to be changed.
    pub fn at_mut(&mut self, anchor: &str) -> Option<(&mut Lane, u64)> {
        let lane = self.by_place.get_mut(&lane::place_of(anchor)?)?;
        let nonce = lane.nonce_of(anchor)?;
        Some((lane, nonce))
    }

    /// The hot Safes of a chain, in the order of the trust file.
    pub fn hot(&self, chain: ChainId) -> impl Iterator<Item = &Lane> {
        let places = self.hot.get(&chain).into_iter().flatten();
        places.filter_map(move |safe| self.of(chain, *safe))
    }

    /// One of the hot Safes of a chain.
    pub fn hot_at(&self, chain: ChainId, safe: Address) -> Option<&Lane> {
        self.hot.get(&chain)?.contains(&safe).then(|| self.of(chain, safe))?
    }

    /// Whether every hot Safe of a chain is the one that is pinned. None of them signs otherwise: two owners changed what they
    /// were not to change, or observers say so who speak of the others too.
    pub fn trusted(&self, chain: ChainId) -> Result<(), Finding> {
        let mut hot = self.hot(chain).peekable();
        if hot.peek().is_none() {
            return Err(Finding::new(Code::AssetUnknown, format!("there is no wallet for {chain}")));
        }
        hot.try_for_each(|lane| lane.trusted().map(drop))
    }

    /// What of an asset is in all hot Safes of its chain and not signed away.
    pub fn credited(&self, chain: ChainId, asset: Asset) -> Amount {
        let sum = self.hot(chain).fold(0u128, |sum, lane| sum.saturating_add(lane.credited(asset).units()));
        Amount::from_units(sum)
    }

    /// When the one of the hot Safes was stated whose statement is the oldest; nothing, as long as one of them never was.
    pub fn stated_at(&self, chain: ChainId) -> Option<Seconds> {
        let stated = self.hot(chain).map(Lane::stated_at).collect::<Option<Vec<_>>>()?;
        stated.into_iter().min()
    }

    /// The height up to which every hot Safe of a chain was stated; zero, as long as one of them never was.
    pub fn height(&self, chain: ChainId) -> u64 {
        self.hot(chain).map(Lane::height).min().unwrap_or(0)
    }

    /// What an account that pays gas has, by the hot Safe it is stated with, and the height of that.
    pub fn has(&self, chain: ChainId, executor: Address) -> Option<(Amount, u64)> {
        self.hot(chain).find_map(|lane| Some((lane.has(executor)?, lane.height())))
    }

    /// The greatest height at which a hot Safe of a chain was stated.
    pub fn newest(&self, chain: ChainId) -> u64 {
        self.hot(chain).map(Lane::height).max().unwrap_or(0)
    }

    /// Whether a refuel is signed that is not in the chain for good.
    pub fn is_refuelling(&self, chain: ChainId) -> bool {
        self.hot(chain).any(Lane::is_refuelling)
    }

    /// Whether the contract of a token tells the decimals that are pinned, wherever it is stated.
    pub fn have_decimals(&self, chain: ChainId, asset: Asset, pinned: u32) -> Result<(), Finding> {
        self.hot(chain).try_for_each(|lane| lane.has_decimals(asset, pinned))
    }
}
