//! The hot key: orders in, verified signatures out, and nothing when anything is off.

use std::str::FromStr;

use bitcoin::bip32::{ChildNumber, Xpub};

use super::super::hd::CURVE;
use super::super::order::{Branch, ChildIndex, OrderItem, SigningOrder};
use super::super::verify::{verify_with_k256, verify_with_libsecp};
use super::super::{AccountXpub, HotKey, POSSESSION_HEADING, SignError, verify_possession};
use super::*;
use crate::withdrawal::ReservationId;

fn hot_key(n: u32) -> HotKey {
    opened(&seed_of(n), Network::Regtest).hot_key().ok().unwrap()
}

fn item(branch: Branch, index: u32, digest: u32) -> OrderItem {
    OrderItem::new(branch, ChildIndex::new(index).unwrap(), bytes_of("digest", digest))
}

fn order(items: Vec<OrderItem>) -> SigningOrder {
    SigningOrder::danger_vouch_for(ReservationId::of_txid(&[5; 32]), items)
}

/// What anybody with the extended public key derives: rust-bitcoin's public derivation.
fn public_key(xpub: &AccountXpub, branch: Branch, index: u32) -> [u8; 33] {
    let steps = [branch.number(), index].map(|i| ChildNumber::from_normal_idx(i).unwrap());
    Xpub::from_str(xpub.xpub()).unwrap().derive_pub(&*CURVE, &steps).unwrap().public_key.serialize()
}

#[test]
fn every_signature_holds_under_the_key_the_public_side_derives() {
    let key = hot_key(1);
    let wanted: Vec<_> =
        (0..40).map(|n| (if n % 2 == 0 { Branch::Deposit } else { Branch::Change }, n * 977, n)).collect();
    let plain = order(wanted.iter().map(|&(b, i, d)| item(b, i, d)).collect());
    let expecting = order(
        wanted.iter().map(|&(b, i, d)| item(b, i, d).expecting(public_key(key.xpub(), b, i))).collect(),
    );
    let (plain, expecting) = (key.sign(&plain).ok().unwrap(), key.sign(&expecting).ok().unwrap());
    for ((&(branch, index, digest), signature), same) in wanted.iter().zip(&plain).zip(&expecting) {
        let public_key = public_key(key.xpub(), branch, index);
        assert_eq!(signature.public_key(), &public_key);
        let digest = bytes_of("digest", digest);
        assert!(verify_with_k256(&public_key, &digest, &signature.der()));
        assert!(verify_with_libsecp(&public_key, &digest, &signature.der()));
        assert_eq!(signature.der(), same.der());
    }
    assert_eq!((plain.len(), expecting.len()), (40, 40));
}

#[test]
fn the_same_order_gives_the_same_bytes_after_a_restart() {
    let der = || {
        let signatures = hot_key(2).sign(&order(vec![item(Branch::Change, 3, 0)])).ok().unwrap();
        signatures[0].der()
    };
    assert_eq!(der(), der());
}

#[test]
fn a_signature_under_another_key_than_expected_never_leaves_and_takes_the_others_with_it() {
    let key = hot_key(3);
    let other = public_key(key.xpub(), Branch::Change, 4);
    let items = vec![item(Branch::Change, 3, 0), item(Branch::Change, 3, 1).expecting(other)];
    assert_eq!(key.sign(&order(items)).err(), Some(SignError::NotVerified(1)));
    let no_point = vec![item(Branch::Change, 3, 0).expecting([0xff; 33])];
    assert_eq!(key.sign(&order(no_point)).err(), Some(SignError::NotVerified(0)));
    assert_eq!(key.sign(&order(vec![])).err(), Some(SignError::OrderEmpty));
}

fn possession_text(role: KeyRole) -> String {
    format!("{POSSESSION_HEADING}\nrole: {}\n", role.as_str())
}

#[test]
fn possession_is_proved_by_the_holder_for_that_text_only() {
    let key = hot_key(4);
    let text = possession_text(KeyRole::Signer);
    let proof = key.prove_possession(&text).ok().unwrap().der();
    assert!(verify_possession(key.xpub(), &text, &proof));
    assert!(!verify_possession(hot_key(5).xpub(), &text, &proof));
    assert!(!verify_possession(key.xpub(), &possession_text(KeyRole::Cosigner), &proof));
    for bit in 0..proof.len() * 8 {
        let mut altered = proof.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify_possession(key.xpub(), &text, &altered), "bit {bit}");
    }
    assert!(!verify_possession(key.xpub(), &text, &[]));
}

#[test]
fn possession_signs_no_other_text() {
    let key = hot_key(4);
    for text in [
        "",
        "countersign key-possession v1",
        "countersign key-possession v10\n",
        "x\n",
        "countersign statement v1\n",
    ] {
        assert_eq!(key.prove_possession(text).err(), Some(SignError::NotPossessionText), "{text}");
    }
}

#[test]
fn one_hot_key_signs_on_many_threads() {
    let key = hot_key(6);
    let expected = key.sign(&order(vec![item(Branch::Deposit, 1, 1)])).ok().unwrap()[0].der();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let signatures = key.sign(&order(vec![item(Branch::Deposit, 1, 1)])).ok().unwrap();
                assert_eq!(signatures[0].der(), expected);
            });
        }
    });
}
