//! Wallets, owners and payments that everybody knows: for the room's tests and for fuzzing, never in the product.

#![allow(clippy::unwrap_used)]

use alloy_primitives::keccak256;
use secp256k1::{Message, Secp256k1, SecretKey};

use super::pins::V1_4_1;
use super::*;
use crate::withdrawal::KeyRole;

pub(crate) const CHAIN: ChainId = ChainId::MAINNET;

/// A key that everybody knows.
pub(crate) fn secret(role: KeyRole) -> SecretKey {
    SecretKey::from_slice(&[role as u8 + 1; 32]).unwrap()
}

pub(crate) fn owner(role: KeyRole) -> Address {
    address_of(&secret(role).public_key(&Secp256k1::new()).serialize()).unwrap()
}

pub(crate) fn owners() -> Owners {
    let [a, b, c] = KeyRole::ALL.map(owner);
    Owners::new(a, b, c).unwrap()
}

pub(crate) fn make() -> Make {
    Make { release: &V1_4_1, singleton: Singleton::Plain }
}

/// A signature by a role's key: r, s, and the recovery id.
pub(crate) fn sign(role: KeyRole, hash: B256) -> ([u8; 64], u8) {
    let signature = Secp256k1::new().sign_ecdsa_recoverable(&Message::from_digest(hash.0), &secret(role));
    let (id, compact) = signature.serialize_compact();
    (compact, u8::try_from(id.to_i32()).unwrap())
}

pub(crate) fn wallet(salt: u64) -> SafeWallet {
    SafeWallet::predict(CHAIN, make(), owners(), U256::from(salt))
}

/// Facts exactly as the wallet's pins want them.
pub(crate) fn facts(wallet: &SafeWallet, nonce: u64) -> SafeFacts {
    SafeFacts::supposed(wallet, wallet.owners().all().to_vec(), nonce)
}

pub(crate) fn trusted(wallet: &SafeWallet, nonce: u64) -> TrustedSafe {
    judge(wallet, &facts(wallet, nonce)).unwrap()
}

/// The data of `execTransaction` that pays these at a nonce of the wallet, with two owners' signatures.
pub(crate) fn finished(wallet: &SafeWallet, nonce: u64, payees: &[Payee]) -> Vec<u8> {
    let plan = UnsignedPlan { nonce, safe_tx_gas: 60_000, task: Task::Pay(payees.to_vec()) };
    let unsigned = Unsigned::build(&trusted(wallet, nonce), &plan).unwrap();
    let mut signed = [KeyRole::Signer, KeyRole::Cosigner].map(|role| {
        let (compact, id) = sign(role, unsigned.hash());
        VerifiedSignature::verify(wallet.owners(), role, unsigned.hash(), &compact, id).unwrap()
    });
    signed.sort_by_key(|one| owner(one.role()));
    let packed = signed.iter().flat_map(|one| *one.bytes()).collect();
    super::build::execution(unsigned.call(), packed)
}

pub(crate) fn stranger(n: u8) -> Address {
    Address::from_word(keccak256([n]))
}

pub(crate) fn token() -> EvmAsset {
    EvmAsset::Token(CHAIN, stranger(200))
}

pub(crate) fn ether_to(n: u8, wei: u64) -> Payee {
    Payee { to: stranger(n), asset: EvmAsset::Ether(CHAIN), amount: Units::new(U256::from(wei)) }
}

pub(crate) fn token_to(n: u8, units: u64) -> Payee {
    Payee { asset: token(), ..ether_to(n, units) }
}

/// Expectations that nothing meets but what pays these at nonce 7.
pub(crate) fn expecting(payees: &[Payee]) -> Expectations<'_> {
    Expectations {
        hash: None,
        nonce: 7,
        signed_by: None,
        safe_tx_gas_max: 1_000_000,
        payees,
        cold: Some(stranger(250)),
        executor: Some(Executor { address: stranger(251), amount_max: Units::new(U256::from(1_000)) }),
        emptying: None,
        rotation: None,
        is_own: &|address| address == stranger(252),
        has_code: &|address| address == stranger(253),
    }
}

pub(crate) fn plan(payees: &[Payee]) -> UnsignedPlan<'static> {
    UnsignedPlan { nonce: 7, safe_tx_gas: 60_000, task: Task::Pay(payees.to_vec()) }
}
