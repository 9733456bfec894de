//! Seats: the derivation everybody knows, orders in, signatures out that lead back to the key.

use super::super::mnemonic::Phrase;
use super::super::order::ChildIndex;
use super::super::seat::{Seat, SeatKeys, SeatOrder};
use super::super::{POSSESSION_HEADING, SignError, verify_with_k256, verify_with_libsecp};
use super::*;
use crate::withdrawal::ReservationId;

fn keys(n: u32) -> SeatKeys {
    opened(&seed_of(n), Network::Regtest).seat_keys().ok().unwrap()
}

fn executor(n: u32) -> Seat {
    Seat::Executor(ChildIndex::new(n).unwrap())
}

fn order(seat: Seat, digest: u32) -> SeatOrder {
    SeatOrder::danger_vouch_for(ReservationId::of_txid(&[5; 32]), seat, bytes_of("digest", digest))
}

/// The phrase of every local chain, whose first accounts everybody knows (BIP-0044, coin type 60).
const JUNK: &str = "test test test test test test test test test test test junk";

#[test]
fn the_owners_key_is_the_first_account_that_every_wallet_derives() {
    let seed = Phrase::parse(&secret(JUNK)).ok().unwrap().to_seed(&secret("")).ok().unwrap();
    let keys = opened(&seed, Network::Mainnet).seat_keys().ok().unwrap();
    let public = keys.public_key(Seat::Owner).ok().unwrap();
    let account = crate::ethereum::address_of(&public).unwrap();
    assert_eq!(crate::withdrawal::evm_address::spell(account), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
}

/// A keystore's seats from a phrase, with the passphrase of BIP-0039.
fn seats_of(phrase: &str, words: &str, account: u32, network: Network) -> SeatKeys {
    let seed = Phrase::parse(&secret(phrase)).ok().unwrap().to_seed(&secret(words)).ok().unwrap();
    let sealed = sealed(&seed, KeystoreTerms { account, ..terms(network) });
    open(&sealed, &secret("correct horse")).ok().unwrap().seat_keys().ok().unwrap()
}

#[test]
fn seats_are_derived_by_bip_44_with_coin_type_60_as_other_wallets_derive_them_on_every_network() {
    let mut seen = 0;
    for row in rows(include_str!("../../../tests/vectors/keys/bip44_ether.tsv")) {
        let [phrase, words, account, path, key, address] = row[..] else { panic!() };
        let seat = match path.split_once('/').unwrap() {
            ("0", "0") => Seat::Owner,
            ("1", index) => executor(index.parse().unwrap()),
            _ => panic!("{path}"),
        };
        for network in [Network::Mainnet, Network::Regtest] {
            let public =
                seats_of(phrase, words, account.parse().unwrap(), network).public_key(seat).ok().unwrap();
            assert_eq!(public.as_slice(), unhex(key), "{path}");
            let found = crate::ethereum::address_of(&public).unwrap();
            assert_eq!(crate::withdrawal::evm_address::spell(found), address);
        }
        seen += 1;
    }
    assert_eq!(seen, 16);
}

#[test]
fn every_signature_leads_back_to_its_seat_and_is_of_rfc_6979() {
    let keys = keys(1);
    for n in 0..40 {
        let seat = if n % 2 == 0 { Seat::Owner } else { executor(n * 977) };
        let public = keys.public_key(seat).ok().unwrap();
        let signed = keys.sign(&order(seat, n)).ok().unwrap();
        let same = keys.sign(&order(seat, n).expecting(public)).ok().unwrap();
        assert_eq!((signed.compact(), signed.recovery_id()), (same.compact(), same.recovery_id()));
        assert_eq!(signed.public_key(), &public);
        let digest = bytes_of("digest", n);
        let der = secp256k1::ecdsa::Signature::from_compact(signed.compact()).unwrap().serialize_der();
        assert!(verify_with_k256(&public, &digest, &der) && verify_with_libsecp(&public, &digest, &der));
        let found = crate::ethereum::signature::recover_compact(
            &digest.into(),
            signed.compact(),
            signed.recovery_id(),
        );
        assert_eq!(found, crate::ethereum::address_of(&public));
    }
}

#[test]
fn the_same_order_gives_the_same_bytes_after_a_restart() {
    let bytes = || *keys(2).sign(&order(Seat::Owner, 0)).ok().unwrap().compact();
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_signature_that_leads_to_another_key_than_expected_never_leaves() {
    let keys = keys(3);
    let other = keys.public_key(executor(1)).ok().unwrap();
    let no = keys.sign(&order(Seat::Owner, 0).expecting(other)).err();
    assert_eq!(no, Some(SignError::NotVerified(0)));
    assert_eq!(
        keys.sign(&order(executor(1), 0).expecting([0xff; 33])).err(),
        Some(SignError::NotVerified(0))
    );
}

#[test]
fn seats_share_no_key_with_each_other_or_with_the_hot_key() {
    let seats = keys(4);
    let hot = opened(&seed_of(4), Network::Mainnet).hot_key().ok().unwrap();
    let mut all: Vec<[u8; 33]> = (0..50).map(|n| seats.public_key(executor(n)).ok().unwrap()).collect();
    all.push(seats.public_key(Seat::Owner).ok().unwrap());
    all.push(*hot.xpub().public_key());
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 52);
}

#[test]
fn an_owner_proves_to_hold_its_key_for_that_text_only() {
    let (keys, other) = (self::keys(6), self::keys(7));
    let account =
        |keys: &SeatKeys| crate::ethereum::address_of(&keys.public_key(Seat::Owner).ok().unwrap()).unwrap();
    let text = format!("{POSSESSION_HEADING}\nrole: signer\n");
    let proof = keys.prove_possession(&text).ok().unwrap();
    let holds = |owner, text: &str| {
        crate::ethereum::verify_possession(owner, text, proof.compact(), proof.recovery_id())
    };
    assert!(holds(account(&keys), &text));
    assert!(!holds(account(&other), &text) && !holds(account(&keys), &text.replace("signer", "vault")));
    for text in ["", "anything", "countersign withdrawal-request v1\n", POSSESSION_HEADING] {
        assert_eq!(keys.prove_possession(text).err(), Some(SignError::NotPossessionText), "{text}");
    }
}
