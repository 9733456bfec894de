//! What a party knows of one of its Safes: the facts as judged, its balances, and the nonces that are taken. A nonce is to a
//! Safe what a coin is to Bitcoin: the anchor that only one transaction can spend (law L17).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claims::Claims;
use super::rows::{Errand, ReservationRow};
use crate::ethereum::pins::Pin;
use crate::ethereum::{Address, NotAsPinned, SafeFacts, SafeWallet, TrustedSafe, judge};
use crate::evidence::{Contract, ExecutedFact, SafeFact};
use crate::withdrawal::{
    Amount, Asset, ChainId, Code, Finding, ReservationId, Seconds, WithdrawalId, evm_address,
};

/// A Safe transaction with both parties' word, as far as is known not executed for good.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its reservation.
    pub reservation: ReservationId,
    /// Its hash, as the Safe's events name it.
    pub hash: String,
    /// What leaves with it.
    pub asset: Asset,
    /// How much of it, in base units.
    pub amount: u128,
    /// The withdrawals it pays, where this party keeps them.
    pub withdrawals: Vec<WithdrawalId>,
    /// Which errand of the house it is.
    pub errand: Option<Errand>,
}

/// A claim that is over: its transaction is in the chain for good.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The claim.
    pub claim: Claim,
    /// What became of it.
    pub fact: ExecutedFact,
}

/// What was stated last of the Safe.
#[derive(Debug)]
struct Stated {
    at: Seconds,
    height: u64,
    judged: Result<Arc<TrustedSafe>, NotAsPinned>,
    balances: BTreeMap<Asset, Amount>,
    decimals: BTreeMap<Asset, u8>,
    executor: Option<(Address, Amount)>,
}

/// The highest nonce that was stated, and the height of the block where it was stated first.
#[derive(Debug, Clone, Copy)]
struct Grown {
    nonce: u64,
    height: u64,
}

/// What a statement changed.
#[derive(Debug, Default)]
pub struct Told {
    /// The claims that are over by it.
    pub ended: Vec<Ended>,
    /// Whether the nonce is higher than ever before.
    pub grew: bool,
    /// Why it is not believed, where that is news.
    pub doubt: Option<Finding>,
}

/// The chain and the address of the Safe whose nonce an anchor names; nothing for one that is a coin.
pub fn place_of(anchor: &str) -> Option<(ChainId, Address)> {
    let (chain, address) = anchor.rsplit_once('/')?.0.rsplit_once(':')?;
    Some((ChainId::parse(chain).ok()?, evm_address::read(address).ok()?))
}

/// Which Safe a reservation takes a nonce of, as its anchor names it; nothing for one that spends coins.
pub fn safe_of(row: &ReservationRow) -> Option<&str> {
    Some(row.inputs.first()?.rsplit_once('/')?.0)
}

/// One Safe.
#[derive(Debug)]
pub struct Lane {
    wallet: SafeWallet,
    /// `eip155:1:0x…`, as its anchors begin.
    name: String,
    stated: Option<Stated>,
    grown: Option<Grown>,
    /// The nonce of a statement that is not believed; nothing is signed while it stands.
    doubted: Option<u64>,
    signed: Claims,
    reserved: BTreeMap<u64, (Asset, u128)>,
}

impl Lane {
    /// The Safe that is pinned; nothing is known of it yet.
    pub fn new(wallet: SafeWallet) -> Self {
        Self {
            name: format!("{}:{}", wallet.chain(), wallet.address()),
            wallet,
            stated: None,
            grown: None,
            doubted: None,
            signed: Claims::default(),
            reserved: BTreeMap::new(),
        }
    }

    /// The anchor at a nonce: `eip155:1:0x…/5`.
    pub fn anchor(&self, nonce: u64) -> String {
        format!("{}/{nonce}", self.name)
    }

    /// The Safe.
    pub const fn wallet(&self) -> &SafeWallet {
        &self.wallet
    }

    /// The nonce of an anchor of this Safe.
    pub fn nonce_of(&self, anchor: &str) -> Option<u64> {
        let nonce = anchor.rsplit_once('/')?.1.parse().ok()?;
        (self.anchor(nonce) == anchor).then_some(nonce)
    }

    /// Whether what is stated of this Safe is of an older block than what was stated before.
    pub fn is_older(&self, fact: &SafeFact) -> bool {
        let is_this = fact.safe == self.wallet.address();
        is_this && self.stated.as_ref().is_some_and(|known| fact.height < known.height)
    }

    /// Takes what is stated of the Safe at one final block. An older block than the last is no news. What was executed for good is
    /// claimed no more: it is gone from the stated balance. At final blocks a nonce only grows: a statement in which it went back
    /// is not believed, and nothing is signed until one goes on from the higher nonce.
    pub fn take(&mut self, fact: &SafeFact, at: Seconds) -> Told {
        if self.is_older(fact) || fact.chain != self.wallet.chain() || fact.safe != self.wallet.address() {
            return Told::default();
        }
        let nonce = u64::try_from(fact.nonce).ok();
        if let (Some(nonce), Some(grown)) = (nonce, self.grown)
            && nonce < grown.nonce
        {
            return self.doubt(nonce, fact.height, grown);
        }
        self.doubted = None;
        let grew = self.grow(nonce, fact.height);
        let ended = self.ended(fact);
        let judged = judged(&self.wallet, fact).map(Arc::new);
        if let Ok(safe) = &judged {
            self.signed.end_below(safe.nonce());
        }
        let balances = fact.balances.iter().copied().collect();
        let decimals = fact.decimals.iter().map(|(token, count)| (Asset::Evm(*token), *count)).collect();
        self.stated =
            Some(Stated { at, height: fact.height, judged, balances, decimals, executor: fact.executor });
        Told { ended, grew, doubt: None }
    }

    fn grow(&mut self, nonce: Option<u64>, height: u64) -> bool {
        let Some(nonce) = nonce.filter(|nonce| self.grown.is_none_or(|grown| *nonce > grown.nonce)) else {
            return false;
        };
        self.grown = Some(Grown { nonce, height });
        true
    }

    /// A lower nonce of an earlier block is no news.
    fn doubt(&mut self, nonce: u64, height: u64, grown: Grown) -> Told {
        if height < grown.height {
            return Told::default();
        }
        let is_news = self.doubted.replace(nonce).is_none();
        Told { doubt: self.is_believed().err().filter(|_| is_news), ..Told::default() }
    }

    fn is_believed(&self) -> Result<(), Finding> {
        let (Some(nonce), Some(grown)) = (self.doubted, self.grown) else { return Ok(()) };
        let detail = format!(
            "nonce {nonce} is stated of {}, and it was {} at height {} already",
            self.wallet.address(),
            grown.nonce,
            grown.height
        );
        Err(Finding::new(Code::SafeNonceWentBack, detail))
    }

    /// Whether the contract of a token tells the decimals that are pinned. Nothing of it moves otherwise: every amount of it
    /// would be another one than people meant.
    pub fn has_decimals(&self, asset: Asset, pinned: u32) -> Result<(), Finding> {
        let told = self.stated.as_ref().and_then(|stated| stated.decimals.get(&asset));
        let detail = match told {
            Some(told) if u32::from(*told) == pinned => return Ok(()),
            Some(told) => format!("the contract of {asset} tells {told} decimals, and {pinned} are pinned"),
            None => format!("no decimals are stated of {asset}, and {pinned} are pinned"),
        };
        Err(Finding::new(Code::TokenNotAsPinned, detail))
    }

    /// What a statement says the end of, among what is claimed. A nonce may be told twice: it counts once.
    pub fn ended(&self, fact: &SafeFact) -> Vec<Ended> {
        let ours = fact.executed.iter().filter_map(|done| {
            let claim =
                self.signed.get(done.nonce).filter(|claim| claim.hash == done.safe_tx_hash.to_string())?;
            Some(Ended { claim: claim.clone(), fact: *done })
        });
        ours.collect()
    }

    /// The Safe, found to be the one pinned; otherwise what to wait for. Nothing is signed without it.
    pub fn trusted(&self) -> Result<Arc<TrustedSafe>, Finding> {
        self.is_believed()?;
        let no = |detail: String| Finding::new(Code::SafeNotAsPinned, detail);
        match &self.stated {
            None => Err(no(format!("nothing was ever stated of {}", self.wallet.address()))),
            Some(Stated { judged: Err(differs), .. }) => Err(no(differs.to_string())),
            Some(Stated { judged: Ok(safe), .. }) => Ok(safe.clone()),
        }
    }

    /// What an account that pays gas has, if it is the one that is stated.
    pub fn has(&self, executor: Address) -> Option<Amount> {
        let (stated, amount) = self.stated.as_ref()?.executor?;
        (stated == executor).then_some(amount)
    }

    /// Whether a refuel is signed that is not in the chain for good.
    pub fn is_refuelling(&self) -> bool {
        self.signed.all().any(|claim| claim.errand == Some(Errand::Refuel))
    }

    /// The height of the block at which the Safe was stated last; zero, where it never was.
    pub fn height(&self) -> u64 {
        self.stated.as_ref().map_or(0, |stated| stated.height)
    }

    /// The height by which a nonce was used up for good, as far as was stated.
    pub fn used_up_at(&self, nonce: u64) -> Option<u64> {
        self.grown.filter(|grown| grown.nonce > nonce).map(|grown| grown.height)
    }

    /// When the Safe was stated last.
    pub fn stated_at(&self) -> Option<Seconds> {
        self.stated.as_ref().map(|stated| stated.at)
    }

    /// What is there and not signed away. What is stated of no balance is none.
    pub fn credited(&self, asset: Asset) -> Amount {
        let there = self.stated.as_ref().and_then(|stated| stated.balances.get(&asset));
        let there = there.map_or(0, |amount| amount.units());
        Amount::from_units(there.saturating_sub(self.signed.leaving(asset)))
    }

    /// What of it nothing is reserved for either.
    pub fn spendable(&self, asset: Asset) -> u128 {
        let of_asset = self.reserved.values().filter(|(of, _)| *of == asset);
        of_asset.fold(self.credited(asset).units(), |left, (_, amount)| left.saturating_sub(*amount))
    }

    /// How many of its nonces are taken and not used up for good, as far as is known.
    pub fn in_flight(&self) -> usize {
        self.signed.count().saturating_add(self.reserved.len())
    }

    /// The nonce that comes next: the lowest that nothing takes. One that a dead reservation had is taken again, so that no
    /// nonce behind it waits for ever.
    pub fn next_nonce(&self) -> Option<u64> {
        let safe = self.trusted().ok()?;
        (safe.nonce()..u64::MAX).find(|nonce| !self.signed.has(*nonce) && !self.reserved.contains_key(nonce))
    }

    /// A reservation takes the nonce, and that much of an asset with it.
    pub fn reserve(&mut self, nonce: u64, leaving: (Asset, u128)) {
        self.reserved.insert(nonce, leaving);
    }

    /// A reservation that no signature exists for gives its nonce back.
    pub fn free(&mut self, nonce: u64) {
        self.reserved.remove(&nonce);
    }

    /// A transaction under the nonce carries a signature that is out in the world. One that was executed for good before is
    /// none that anybody waits for.
    pub fn sign(&mut self, nonce: u64, claim: Claim) {
        self.reserved.remove(&nonce);
        let executed = match &self.stated {
            Some(Stated { judged: Ok(safe), .. }) => nonce < safe.nonce(),
            _ => false,
        };
        if !executed {
            self.signed.put(nonce, claim);
        }
    }
}

/// What the facts of a statement come to.
pub fn judged(wallet: &SafeWallet, fact: &SafeFact) -> Result<TrustedSafe, NotAsPinned> {
    let pin = |contract: &Contract| Pin { address: contract.address, code_hash: contract.code_hash };
    let facts = SafeFacts {
        chain: fact.chain,
        address: fact.safe,
        proxy_code_hash: fact.proxy_code_hash,
        singleton: pin(&fact.singleton),
        version: fact.version.clone(),
        owners: fact.owners.clone(),
        threshold: fact.threshold,
        modules: fact.modules.clone(),
        guard: fact.guard,
        module_guard: fact.module_guard,
        fallback_handler: pin(&fact.fallback_handler),
        multi_send: pin(&fact.multi_send),
        nonce: fact.nonce,
    };
    judge(wallet, &facts)
}
