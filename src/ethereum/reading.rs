//! Reading a Safe: facts from the chain in, a trusted wallet out, or what differs from the pins. Asks no node.

use std::fmt;

use alloy_primitives::{Address, B256, U256, b256};

use super::pins::Pin;
use super::wallet::{SafeWallet, THRESHOLD};
use crate::withdrawal::ChainId;
use crate::withdrawal::Code;

/// The slot of the singleton's address, in a proxy.
pub const SINGLETON_SLOT: B256 = B256::ZERO;

/// The slot of the guard: `keccak256("guard_manager.guard.address")`.
pub const GUARD_SLOT: B256 = b256!("0x4a204f620c8c5ccdca3fd54d003badd85ba500436a431f0cbda4f558c93c34c8");

/// The slot of the guard of modules: `keccak256("module_manager.module_guard.address")`.
pub const MODULE_GUARD_SLOT: B256 =
    b256!("0xb104e0b93118902c651344349b610029d694cfdec91c589c91ebafbcd0289947");

/// The slot of the fallback handler: `keccak256("fallback_manager.handler.address")`.
pub const FALLBACK_HANDLER_SLOT: B256 =
    b256!("0x6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5");

/// What a node says of a Safe and of the contracts it leans on, all at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeFacts {
    /// The node's chain.
    pub chain: ChainId,
    /// Where the facts were read.
    pub address: Address,
    /// The hash of the code there.
    pub proxy_code_hash: B256,
    /// The singleton in slot 0, and the hash of its code.
    pub singleton: Pin,
    /// What `VERSION()` answers.
    pub version: String,
    /// What `getOwners()` answers.
    pub owners: Vec<Address>,
    /// What `getThreshold()` answers.
    pub threshold: U256,
    /// Every enabled module, over all pages.
    pub modules: Vec<Address>,
    /// The address in the guard's slot.
    pub guard: Address,
    /// The address in the slot of the modules' guard.
    pub module_guard: Address,
    /// The fallback handler, and the hash of its code.
    pub fallback_handler: Pin,
    /// `MultiSendCallOnly` of the release: its address as it was asked for, and the hash of the code there.
    pub multi_send: Pin,
    /// What `nonce()` answers.
    pub nonce: U256,
}

impl SafeFacts {
    /// What a node would say of a Safe that is as pinned, with this list of owners and this nonce: for an owner's machine that can ask
    /// none. Where it is not so, the Safe itself refuses what was signed (GS205, GS026).
    pub fn supposed(wallet: &SafeWallet, owners: Vec<Address>, nonce: u64) -> Self {
        let (release, which) = (wallet.make().release, wallet.make().singleton);
        Self {
            chain: wallet.chain(),
            address: wallet.address(),
            proxy_code_hash: release.proxy_code_hash,
            singleton: release.singleton(which).pin,
            version: release.version.to_owned(),
            owners,
            threshold: U256::from(THRESHOLD),
            modules: Vec::new(),
            guard: Address::ZERO,
            module_guard: Address::ZERO,
            fallback_handler: release.fallback_handler,
            multi_send: release.multi_send,
            nonce: U256::from(nonce),
        }
    }
}

/// One thing that is not as pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SafeDifference {
    /// The node serves another chain.
    #[error("the chain")]
    Chain,
    /// The facts are another Safe's.
    #[error("the address")]
    Address,
    /// The proxy's code.
    #[error("the proxy's code")]
    ProxyCode,
    /// The singleton's address.
    #[error("the singleton")]
    Singleton,
    /// The singleton's code.
    #[error("the singleton's code")]
    SingletonCode,
    /// The version.
    #[error("the version")]
    Version,
    /// The owners.
    #[error("the owners")]
    Owners,
    /// The threshold.
    #[error("the threshold")]
    Threshold,
    /// A module is enabled; it could pay with no signature at all.
    #[error("the modules")]
    Modules,
    /// A guard is set.
    #[error("the guard")]
    Guard,
    /// A guard of modules is set.
    #[error("the guard of modules")]
    ModuleGuard,
    /// The fallback handler.
    #[error("the fallback handler")]
    FallbackHandler,
    /// The fallback handler's code.
    #[error("the fallback handler's code")]
    FallbackHandlerCode,
    /// The code of MultiSendCallOnly, which runs as the Safe itself.
    #[error("MultiSendCallOnly")]
    MultiSend,
    /// A nonce beyond what is counted here.
    #[error("the nonce")]
    Nonce,
}

/// The Safe on chain is not the one pinned. Nothing is signed for it until it is again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAsPinned(Vec<SafeDifference>);

impl NotAsPinned {
    /// Everything that differs.
    pub fn differences(&self) -> &[SafeDifference] {
        &self.0
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        Code::SafeNotAsPinned
    }
}

impl fmt::Display for NotAsPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not as pinned: ")?;
        for (at, difference) in self.0.iter().enumerate() {
            write!(f, "{}{difference}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for NotAsPinned {}

/// A Safe found to be exactly the one pinned. Only [`judge`] makes it.
#[derive(Debug)]
pub struct TrustedSafe {
    wallet: SafeWallet,
    owners: Vec<Address>,
    nonce: u64,
}

impl TrustedSafe {
    /// The wallet as pinned.
    pub const fn wallet(&self) -> &SafeWallet {
        &self.wallet
    }

    /// Its owners in the order of the contract's own list.
    pub fn owners_in_order(&self) -> &[Address] {
        &self.owners
    }

    /// Its nonce when it was read: nothing below it can be executed any more.
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }
}

/// Compares what a node says with the pins, and names everything that differs.
pub fn judge(wallet: &SafeWallet, facts: &SafeFacts) -> Result<TrustedSafe, NotAsPinned> {
    use SafeDifference as D;
    let make = wallet.make();
    let (release, singleton) = (make.release, make.release.singleton(make.singleton).pin);
    // the order of the list is of no meaning to the contract
    let mut owners = (facts.owners.clone(), wallet.owners().all().to_vec());
    owners.0.sort_unstable();
    owners.1.sort_unstable();
    let nonce = u64::try_from(facts.nonce).ok();
    let held = [
        (facts.chain == wallet.chain(), D::Chain),
        (facts.address == wallet.address(), D::Address),
        (facts.proxy_code_hash == release.proxy_code_hash, D::ProxyCode),
        (facts.singleton.address == singleton.address, D::Singleton),
        (facts.singleton.code_hash == singleton.code_hash, D::SingletonCode),
        (facts.version == release.version, D::Version),
        (owners.0 == owners.1, D::Owners),
        (facts.threshold == U256::from(THRESHOLD), D::Threshold),
        (facts.modules.is_empty(), D::Modules),
        (facts.guard.is_zero(), D::Guard),
        (facts.module_guard.is_zero(), D::ModuleGuard),
        (facts.fallback_handler.address == release.fallback_handler.address, D::FallbackHandler),
        (facts.fallback_handler.code_hash == release.fallback_handler.code_hash, D::FallbackHandlerCode),
        (facts.multi_send == release.multi_send, D::MultiSend),
        (nonce.is_some(), D::Nonce),
    ];
    let differences: Vec<D> = held.into_iter().filter(|(held, _)| !held).map(|(_, what)| what).collect();
    match nonce {
        Some(nonce) if differences.is_empty() => {
            Ok(TrustedSafe { wallet: wallet.clone(), owners: facts.owners.clone(), nonce })
        }
        _ => Err(NotAsPinned(differences)),
    }
}
