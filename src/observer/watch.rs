//! What is looked at: the Safes and tokens of one chain as the trust file has them, and how old a block may be.

use crate::ethereum::{Address, Make, Owners, Release, SafeWallet, Singleton, U256};
use crate::evidence::Trust;
use crate::evidence::trust_file::{SafeEntry, WalletEntry};
use crate::node::Nodes;
use crate::withdrawal::{Asset, Chain, ChainId, Code, EvmAsset, Invalid, evm_address};

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
    pub(super) bounds: Bounds,
}

impl Watch {
    /// The Safes and tokens that the trust file has for the nodes' chain.
    pub fn new(nodes: Nodes, trust: &Trust, bounds: Bounds) -> Result<Self, Invalid> {
        let chain = nodes.chain();
        let safes = safes_of(trust, chain)?;
        let token = |asset: Asset| match asset {
            Asset::Evm(token @ EvmAsset::Token(of, _)) if of == chain => Some(token),
            _ => None,
        };
        Ok(Self { tokens: trust.assets().filter_map(token).collect(), nodes, safes, bounds })
    }

    /// The chain.
    pub const fn chain(&self) -> ChainId {
        self.nodes.chain()
    }

    /// The Safes: the hot one, then the cold one where there is one.
    pub fn safes(&self) -> impl Iterator<Item = Address> {
        self.safes.iter().map(SafeWallet::address)
    }

    /// The pinned tokens.
    pub fn tokens(&self) -> &[EvmAsset] {
        &self.tokens
    }
}

/// The Safes that the trust file has for a chain.
pub fn safes_of(trust: &Trust, chain: ChainId) -> Result<Vec<SafeWallet>, Invalid> {
    let entry = trust.wallet(Chain::Evm(chain));
    let entry = entry.ok_or_else(|| no("wallets.network", &format!("is nowhere `{chain}`")))?;
    let safe = entry.safe.as_ref().ok_or_else(|| no("wallets.safe", "is missing"))?;
    let (make, owners) = (make_of(safe)?, owners_of(safe)?);
    // Of the cold Safe nothing but its address is pinned; its owners are of no meaning where nothing is signed.
    let at = |(field, text): (&'static str, &String)| {
        Ok(SafeWallet::adopt(chain, make, owners, address(field, text)?))
    };
    addresses(entry).map(at).collect()
}

fn addresses(entry: &WalletEntry) -> impl Iterator<Item = (&'static str, &String)> {
    [("wallets.hot", Some(&entry.hot)), ("wallets.cold", entry.cold.as_ref())]
        .into_iter()
        .filter_map(|(field, address)| Some((field, address?)))
}

fn make_of(safe: &SafeEntry) -> Result<Make, Invalid> {
    let release = Release::of(&safe.release);
    let release = release.ok_or_else(|| no("wallets.safe.release", "is no release that is known"))?;
    let singleton = match safe.singleton.as_str() {
        "l1" => Singleton::Plain,
        "l2" => Singleton::Telling,
        _ => return Err(no("wallets.safe.singleton", "is neither `l1` nor `l2`")),
    };
    Ok(Make { release, singleton })
}

fn owners_of(safe: &SafeEntry) -> Result<Owners, Invalid> {
    let owners = Owners::new(
        address("wallets.safe.signer", &safe.signer)?,
        address("wallets.safe.cosigner", &safe.cosigner)?,
        address("wallets.safe.vault", &safe.vault)?,
    );
    owners.ok_or_else(|| no("wallets.safe", "names no three owners"))
}

fn address(field: &'static str, text: &str) -> Result<Address, Invalid> {
    evm_address::read(text).map_err(|problem| no(field, problem))
}

fn no(field: &'static str, problem: &str) -> Invalid {
    Invalid::new(Code::FieldMalformed, field, problem, CURE)
}

/// A Safe's nonce as it is counted here.
pub(super) fn counted(nonce: U256) -> Option<u64> {
    u64::try_from(nonce).ok()
}
