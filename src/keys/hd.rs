//! Key derivation (BIP-0032, BIP-0048): from the seed to the account, and the two branch parents that stay in memory.
//!
//! The crate `bip32` derives, over a key type of ours on libsecp256k1; the same bytes as its own backends.
//!
//! What is not wiped, by the crates' nature, and lies in locked memory until overwritten:
//! - the states of HMAC-SHA512 and SHA-512 while a child is derived (they hold the tweak and, on hardened steps, the key);
//! - chain codes: those of the levels above the account, and the two kept here. A chain code is no key, but with an
//!   extended public key and one child's private key it gives the parent's private key;
//! - `[u8; 32]` temporaries of `bip32` on the stack during the four hardened steps, which run once per start;
//! - what the compiler copies when a `SecretKey` (which is `Copy`) passes through the stack on its way into its box.
//!
//! The branch parents cache their public key and the keyed HMAC state: a child's private key then costs one
//! HMAC-SHA512 and one scalar addition, and is never derived from the master per request.

use std::sync::LazyLock;

use bip32::{ChildNumber, ExtendedPrivateKey, PrivateKeyBytes, PublicKeyBytes};
use hmac::{Hmac, KeyInit, Mac};
use secp256k1::{All, PublicKey, Scalar, Secp256k1, SecretKey};
use sha2::Sha512;
use zeroize::Zeroize;

use super::mnemonic::Seed;
use super::order::{Branch, ChildIndex};
use crate::withdrawal::Network;

/// For derivation and verification; signing uses a blinded context of its own.
pub(super) static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A key could not be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HdError {
    /// An account beyond 2^31 - 1.
    #[error("account {0} does not exist; accounts end at 2147483647")]
    AccountOutOfRange(u32),
    /// This path has no key (BIP-0032: probability below 2^-127).
    #[error("there is no key at this path; take the next account")]
    NoKeyHere,
}

/// A secret scalar on the heap, wiped when dropped.
pub(super) struct Scalar32(Box<SecretKey>);

impl Scalar32 {
    pub(super) fn expose(&self) -> &SecretKey {
        &self.0
    }
}

impl Drop for Scalar32 {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// The public half, as `bip32` wants it.
#[derive(Clone)]
pub(super) struct HdPublic(pub(super) PublicKey);

impl bip32::PublicKey for HdPublic {
    fn from_bytes(bytes: PublicKeyBytes) -> bip32::Result<Self> {
        PublicKey::from_slice(&bytes).map(Self).map_err(|_| bip32::Error::Crypto)
    }

    fn to_bytes(&self) -> PublicKeyBytes {
        self.0.serialize()
    }

    fn derive_child(&self, other: PrivateKeyBytes) -> bip32::Result<Self> {
        let tweak = Scalar::from_be_bytes(other).map_err(|_| bip32::Error::Crypto)?;
        self.0.add_exp_tweak(&*CURVE, &tweak).map(Self).map_err(|_| bip32::Error::Crypto)
    }
}

/// A private key with its public key, which `bip32` asks for three times a step.
pub(super) struct HdKey {
    secret: Scalar32,
    public: PublicKey,
}

impl HdKey {
    fn of(secret: SecretKey) -> Self {
        let secret = Scalar32(Box::new(secret));
        let public = secret.expose().public_key(&CURVE);
        Self { secret, public }
    }
}

impl bip32::PrivateKey for HdKey {
    type PublicKey = HdPublic;

    fn from_bytes(bytes: &PrivateKeyBytes) -> bip32::Result<Self> {
        SecretKey::from_slice(bytes).map(Self::of).map_err(|_| bip32::Error::Crypto)
    }

    fn to_bytes(&self) -> PrivateKeyBytes {
        self.secret.expose().secret_bytes()
    }

    fn derive_child(&self, mut other: PrivateKeyBytes) -> bip32::Result<Self> {
        let tweak = Scalar::from_be_bytes(other).map_err(|_| bip32::Error::Crypto);
        other.zeroize();
        let mut tweak = tweak?;
        let child = self.secret.expose().add_tweak(&tweak);
        tweak.non_secure_erase();
        child.map(Self::of).map_err(|_| bip32::Error::Crypto)
    }

    fn public_key(&self) -> HdPublic {
        HdPublic(self.public)
    }
}

/// An extended private key of ours.
pub(super) type Xprv = ExtendedPrivateKey<HdKey>;

/// The account's key with the fingerprint of the master it came from.
pub(super) struct AccountKey {
    pub(super) master_fingerprint: [u8; 4],
    pub(super) xprv: Xprv,
}

impl AccountKey {
    /// Derives `m/48'/coin'/account'/2'` (BIP-0048, script type 2: P2WSH).
    pub(super) fn derive(seed: &Seed, network: Network, account: u32) -> Result<Self, HdError> {
        Self::along(seed, &[48, network.coin_type(), account, 2])
    }

    /// Derives `m/44'/60'/account'` (BIP-0044, SLIP-0044: ether on every chain).
    pub(super) fn derive_ether(seed: &Seed, account: u32) -> Result<Self, HdError> {
        Self::along(seed, &[44, 60, account])
    }

    fn along(seed: &Seed, steps: &[u32]) -> Result<Self, HdError> {
        let hardened = |n: &u32| ChildNumber::new(*n, true).map_err(|_| HdError::AccountOutOfRange(*n));
        let path = steps.iter().map(hardened).collect::<Result<Vec<_>, _>>()?;
        let master = Xprv::new(seed.expose()).map_err(|_| HdError::NoKeyHere)?;
        let master_fingerprint = master.public_key().fingerprint();
        let xprv = path.into_iter().try_fold(master, |key, step| key.derive_child(step));
        Ok(Self { master_fingerprint, xprv: xprv.map_err(|_| HdError::NoKeyHere)? })
    }

    /// A copy of the account's own secret scalar, in a box of its own.
    pub(super) fn scalar(&self) -> Scalar32 {
        Scalar32(Box::new(*self.xprv.private_key().secret.expose()))
    }

    pub(super) fn public_key(&self) -> [u8; 33] {
        self.xprv.private_key().public.serialize()
    }
}

/// The parent of one branch's keys, with everything a child needs computed beforehand.
pub(super) struct BranchParent {
    secret: Scalar32,
    public: [u8; 33],
    // INVARIANT: keyed with the chain code and fed nothing; each child works on a clone.
    keyed: Box<Hmac<Sha512>>,
}

impl BranchParent {
    /// Derives the parent of `account/branch`.
    pub(super) fn derive(account: &AccountKey, branch: Branch) -> Result<Self, HdError> {
        Self::of_number(account, branch.number())
    }

    /// Derives the parent of `account/number`, for keys that have other names for their branches.
    pub(super) fn of_number(account: &AccountKey, number: u32) -> Result<Self, HdError> {
        let xprv = account.xprv.derive_child(ChildNumber(number)).map_err(|_| HdError::NoKeyHere)?;
        let keyed = Hmac::new_from_slice(&xprv.attrs().chain_code).map_err(|_| HdError::NoKeyHere)?;
        let secret = Scalar32(Box::new(*xprv.private_key().secret.expose()));
        Ok(Self { secret, public: xprv.private_key().public.serialize(), keyed: Box::new(keyed) })
    }

    /// The private key of one child (CKDpriv, not hardened).
    pub(super) fn child(&self, index: ChildIndex) -> Result<Scalar32, HdError> {
        let mut mac = (*self.keyed).clone();
        mac.update(&self.public);
        mac.update(&index.number().to_be_bytes());
        let mut output = mac.finalize().into_bytes();
        let mut left = [0u8; 32];
        left.iter_mut().zip(&output).for_each(|(to, from)| *to = *from);
        let tweak = Scalar::from_be_bytes(left);
        left.zeroize();
        output.as_mut_slice().zeroize();
        let mut tweak = tweak.map_err(|_| HdError::NoKeyHere)?;
        let child = self.secret.expose().add_tweak(&tweak).map(|key| Scalar32(Box::new(key)));
        tweak.non_secure_erase();
        child.map_err(|_| HdError::NoKeyHere)
    }
}
