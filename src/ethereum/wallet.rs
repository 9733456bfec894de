//! A Safe as a party's own trust file pins it: owners, threshold, release; how it is set up and where it will stand.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall;

use super::abi::{createProxyWithNonceCall, setupCall};
use super::pins::{Release, Singleton};
use crate::withdrawal::ChainId;
use crate::withdrawal::KeyRole;
use crate::withdrawal::evm_address::is_payable;

/// How many owners must sign.
pub const THRESHOLD: usize = 2;

/// The sentinel that starts a Safe's list of owners.
pub const SENTINEL: Address = Address::with_last_byte(1);

/// The three owners of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    signer: Address,
    cosigner: Address,
    vault: Address,
}

impl Owners {
    /// Owners A, B and C; `None` unless they are three different addresses that somebody may hold.
    pub fn new(signer: Address, cosigner: Address, vault: Address) -> Option<Self> {
        let all = [signer, cosigner, vault];
        let different = signer != cosigner && cosigner != vault && signer != vault;
        (different && all.into_iter().all(is_payable)).then_some(Self { signer, cosigner, vault })
    }

    /// One of them.
    pub const fn of(&self, role: KeyRole) -> Address {
        match role {
            KeyRole::Signer => self.signer,
            KeyRole::Cosigner => self.cosigner,
            KeyRole::Vault => self.vault,
        }
    }

    /// Whose an address is, if it is an owner's.
    pub fn role_of(&self, address: Address) -> Option<KeyRole> {
        KeyRole::ALL.into_iter().find(|role| self.of(*role) == address)
    }

    /// All three, A first.
    pub const fn all(&self) -> [Address; 3] {
        [self.signer, self.cosigner, self.vault]
    }
}

/// Which contracts a Safe is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Make {
    /// The release.
    pub release: &'static Release,
    /// The singleton its proxy runs.
    pub singleton: Singleton,
}

/// A 2-of-3 Safe on one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeWallet {
    chain: ChainId,
    address: Address,
    make: Make,
    owners: Owners,
    domain: B256,
}

impl SafeWallet {
    /// The Safe that the canonical factory makes of these owners with this salt.
    pub fn predict(chain: ChainId, make: Make, owners: Owners, salt_nonce: U256) -> Self {
        let address = Blueprint::new(make, &owners.all(), THRESHOLD).address(salt_nonce);
        Self::adopt(chain, make, owners, address)
    }

    /// A Safe that stands already, wherever its address came from. Whether it is what it should be is read from the
    /// chain: [`super::reading::judge`].
    pub fn adopt(chain: ChainId, make: Make, owners: Owners, address: Address) -> Self {
        Self { chain, address, make, owners, domain: super::safe_tx::domain_separator(chain, address) }
    }

    /// The chain it is on.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// Where it stands, or will stand.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Its contracts.
    pub const fn make(&self) -> Make {
        self.make
    }

    /// Its owners.
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Its EIP-712 domain separator.
    pub const fn domain(&self) -> B256 {
        self.domain
    }
}

/// Everything about a Safe but its salt, computed once: an address then costs two hashes.
#[derive(Debug, Clone)]
pub struct Blueprint {
    make: Make,
    initializer: Bytes,
    initializer_hash: B256,
    init_code_hash: B256,
}

impl Blueprint {
    /// A Safe of these owners with the pinned fallback handler, no modules, no guard and no payment.
    pub fn new(make: Make, owners: &[Address], threshold: usize) -> Self {
        let call = setupCall {
            owners: owners.to_vec(),
            threshold: U256::from(threshold),
            to: Address::ZERO,
            data: Bytes::new(),
            fallbackHandler: make.release.fallback_handler.address,
            paymentToken: Address::ZERO,
            payment: U256::ZERO,
            paymentReceiver: Address::ZERO,
        };
        let initializer = call.abi_encode();
        Self {
            make,
            initializer_hash: keccak256(&initializer),
            initializer: initializer.into(),
            init_code_hash: make.release.singleton(make.singleton).init_code_hash,
        }
    }

    /// The call of `setup` that the new proxy runs.
    pub fn initializer(&self) -> &[u8] {
        &self.initializer
    }

    /// Where the canonical factory puts it with this salt (EIP-1014).
    pub fn address(&self, salt_nonce: U256) -> Address {
        let mut salt = [0u8; 64];
        let (left, right) = salt.split_at_mut(32);
        left.copy_from_slice(self.initializer_hash.as_slice());
        right.copy_from_slice(&salt_nonce.to_be_bytes::<32>());
        self.make.release.factory.address.create2(keccak256(salt), self.init_code_hash)
    }

    /// The call of the factory that puts it there. Anybody may make it; it decides nothing about whose the Safe is.
    pub fn deployment(&self, salt_nonce: U256) -> Vec<u8> {
        let singleton = self.make.release.singleton(self.make.singleton).pin.address;
        createProxyWithNonceCall { singleton, initializer: self.initializer.clone(), saltNonce: salt_nonce }
            .abi_encode()
    }
}
