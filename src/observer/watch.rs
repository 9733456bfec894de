//! What is looked at: the Safes, tokens and deposit addresses of one chain as the trust file has them, and how old a block may be.

use crate::ethereum::{Address, Deposits, SafeWallet, U256};
use crate::evidence::Trust;
use crate::evidence::statement_deposits::DEPOSIT_ASSETS_MAX;
use crate::flow::rail::pins::SafePins;
use crate::node::Nodes;
use crate::withdrawal::{Asset, ChainId, Code, EvmAsset, Invalid};

const CURE: &str = "correct the trust file and have its quorum sign it again";

/// How old blocks may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The newest block, in seconds.
    pub head_age_s_max: u64,
    /// The newest final block, in seconds.
    pub final_age_s_max: u64,
}

/// What is looked at on one chain.
pub struct Watch {
    pub(super) nodes: Nodes,
    pub(super) safes: Vec<SafeWallet>,
    pub(super) tokens: Vec<EvmAsset>,
    /// The first of the hot Safes, and the account that pays the gas of all.
    executor: Option<(Address, Address)>,
    pub(super) deposits: Option<Deposits>,
    pub(super) bounds: Bounds,
}

impl Watch {
    /// The Safes and tokens that the trust file has for the nodes' chain.
    pub fn new(nodes: Nodes, trust: &Trust, bounds: Bounds) -> Result<Self, Invalid> {
        let chain = nodes.chain();
        let safes = safes_of(trust, chain)?.into_iter().map(|(_, safe)| safe).collect();
        let token = |asset: Asset| match asset {
            Asset::Evm(token @ EvmAsset::Token(of, _)) if of == chain => Some(token),
            _ => None,
        };
        let executor = executor_of(trust, chain)?;
        let tokens: Vec<EvmAsset> = trust.assets().filter_map(token).collect();
        let deposits = SafePins::of(trust)?.remove(&chain).and_then(|pins| pins.deposits);
        if deposits.is_some() && tokens.len() >= DEPOSIT_ASSETS_MAX {
            let problem = format!("pins more tokens than {DEPOSIT_ASSETS_MAX}, less one for ether");
            return Err(Invalid::new(Code::FieldTooLong, "wallets.tokens", problem, CURE));
        }
        Ok(Self { nodes, safes, tokens, executor, deposits, bounds })
    }

    /// The account that pays the gas of a Safe, where one is pinned.
    pub fn executor(&self, safe: Address) -> Option<Address> {
        self.executor.and_then(|(hot, executor)| (hot == safe).then_some(executor))
    }

    /// The chain.
    pub const fn chain(&self) -> ChainId {
        self.nodes.chain()
    }

    /// The Safes: the hot ones, then the treasury and the cold one where there are any.
    pub fn safes(&self) -> impl Iterator<Item = Address> {
        self.safes.iter().map(SafeWallet::address)
    }

    /// The deposit addresses, where a treasury is pinned.
    pub const fn deposits(&self) -> Option<&Deposits> {
        self.deposits.as_ref()
    }

    /// The pinned tokens.
    pub fn tokens(&self) -> &[EvmAsset] {
        &self.tokens
    }
}

/// The Safes that the trust file has for a chain, each with what it is called. Of the cold one nothing but its address is pinned; make and owners are of no
/// meaning where nothing is signed.
pub fn safes_of(trust: &Trust, chain: ChainId) -> Result<Vec<(&'static str, SafeWallet)>, Invalid> {
    let pins = SafePins::of(trust)?.remove(&chain).ok_or_else(|| {
        let problem = format!("is nowhere `{chain}`");
        Invalid::new(Code::FieldMalformed, "wallets.network", problem, CURE)
    })?;
    let (make, owners) = (pins.hot.make(), *pins.hot.owners());
    let cold = pins.cold.map(|address| SafeWallet::adopt(chain, make, owners, address));
    let hot = pins.hot_safes().map(|safe| ("hot", safe.clone()));
    let others = [("treasury", pins.treasury.clone()), ("cold", cold)];
    let others = others.into_iter().filter_map(|(which, safe)| Some((which, safe?)));
    Ok(hot.chain(others).collect())
}

fn executor_of(trust: &Trust, chain: ChainId) -> Result<Option<(Address, Address)>, Invalid> {
    let pins = SafePins::of(trust)?.remove(&chain);
    Ok(pins.and_then(|pins| Some((pins.hot.address(), pins.executor?.address))))
}

/// A Safe's nonce as it is counted here.
pub(super) fn counted(nonce: U256) -> Option<u64> {
    u64::try_from(nonce).ok()
}
