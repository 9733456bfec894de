//! BIP-0032 and BIP-0048: official vectors, and rust-bitcoin's own derivation as second implementation.

use std::str::FromStr;

use bip32::{DerivationPath, Prefix};
use bitcoin::base58;
use bitcoin::bip32 as other;

use super::super::account::{AccountXpub, XpubError};
use super::super::hd::{AccountKey, BranchParent, CURVE, HdError, HdPublic, Xprv};
use super::super::order::{Branch, ChildIndex};
use super::*;

const VECTORS: &str = include_str!("../../../tests/vectors/keys/bip32.tsv");
const INVALID: &str = include_str!("../../../tests/vectors/keys/bip32_invalid.tsv");

#[test]
fn bip_32_vectors_1_to_4_hold() {
    let mut seen = 0;
    for row in rows(VECTORS) {
        let [_, seed, path, xprv, xpub] = row[..] else { panic!("{row:?}") };
        let path = DerivationPath::from_str(path).unwrap();
        let key = Xprv::derive_from_path(&unhex(seed), &path).unwrap();
        assert_eq!(*key.to_string(Prefix::XPRV), xprv);
        assert_eq!(key.public_key().to_string(Prefix::XPUB), xpub);
        if let Some(last) = path.iter().last().filter(|step| !step.is_hardened()) {
            let parent = Xprv::derive_from_path(&unhex(seed), &path.parent().unwrap()).unwrap();
            let child = parent.public_key().derive_child(last).unwrap();
            assert_eq!(child.to_string(Prefix::XPUB), xpub, "public derivation");
        }
        seen += 1;
    }
    assert_eq!(seen, 17);
}

/// Vector 5 names keys of depth 0, which our door refuses for their depth alone. So each is refused as it stands, and
/// again after it was moved to the only place we accept; there, only what was wrong with its place becomes right.
#[test]
fn bip_32_vector_5_is_refused_as_it_stands_and_at_the_place_we_accept() {
    let mut seen = 0;
    for row in rows(INVALID) {
        let [text, why] = row[..] else { panic!("{row:?}") };
        let parse =
            |key: &str| AccountXpub::parse(&format!("[00000000/48'/0'/0'/2']{key}"), Network::Mainnet);
        assert!(parse(text).is_err(), "{why}");
        if let Ok(mut raw) = base58::decode_check(text) {
            raw[4..13].copy_from_slice(&[4, 1, 2, 3, 4, 0x80, 0, 0, 2]);
            let moved = parse(&base58::encode_check(&raw));
            let only_misplaced = text.starts_with("xpub") && why.starts_with("depth 0");
            assert_eq!(moved.is_ok(), only_misplaced, "{why}: {moved:?}");
        } else {
            assert_eq!(why, "wrong checksum");
        }
        seen += 1;
    }
    assert_eq!(seen, 16);
}

#[test]
fn private_keys_outside_the_group_are_refused() {
    use bip32::PrivateKey;
    let order = unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let order: [u8; 32] = order.try_into().unwrap();
    for bytes in [[0; 32], order, [0xff; 32]] {
        assert!(super::super::hd::HdKey::from_bytes(&bytes).is_err());
    }
    let mut below = order;
    below[31] -= 1;
    assert!(super::super::hd::HdKey::from_bytes(&below).is_ok());
}

/// The account keys of well-known phrases at m/48'/0'/n'/2', as published by several hardware wallets' test suites.
#[test]
fn bip_48_accounts_of_known_phrases_hold() {
    let legal = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let known = [
        (
            ABANDON,
            0,
            "[73c5da0a/48'/0'/0'/2']xpub6DkFAXWQ2dHxq2vatrt9qyA3bXYU4ToWQwCHbf5XB2mSTexcHZCeKS1VZYcPoBd5X8yVcbXFHJR9R8UCVpt82VX1VhR28mCyxUFL4r6KFrf",
        ),
        (
            ABANDON,
            1,
            "[73c5da0a/48'/0'/1'/2']xpub6DzhyrnFFYQ1HimDiM388xHnDiRPNdZJFBmmxge3Y1WWcHLtMJLfRuhRHqnQCPbTj3fGKTuKFLHzzwpJkp5Dtc3UtLKZKaVZe1yqMBXd6Vk",
        ),
        (
            legal,
            0,
            "[b8688df1/48'/0'/0'/2']xpub6FQya7zGhR92kacYsNnjreouvnHJMpXYsUXnW6NJJAJRCKsa26TzDy4LdnGhEurr3d6y1J8PJ7EEMKQp74XTqYvmGJNogYXSKDszYHtF8mX",
        ),
    ];
    for (words, account, expected) in known {
        let key = AccountKey::derive(&phrase_seed(words), Network::Mainnet, account).ok().unwrap();
        let xpub = AccountXpub::of(&key, Network::Mainnet, account);
        assert_eq!(xpub.to_string(), expected);
        assert_eq!(xpub.path(), format!("m/48'/0'/{account}'/2'"));
        assert_eq!(AccountXpub::parse(expected, Network::Mainnet).unwrap(), xpub);
    }
}

#[test]
fn derivation_agrees_with_rust_bitcoin_on_many_seeds_and_paths() {
    for n in 0..48 {
        let seed = seed_of(n);
        let network = Network::ALL[n as usize % 4];
        let kind =
            if network == Network::Mainnet { bitcoin::NetworkKind::Main } else { bitcoin::NetworkKind::Test };
        let master = other::Xpriv::new_master(kind, seed.expose()).unwrap();
        let account = u32::from_be_bytes(bytes_of("account", n)[..4].try_into().unwrap()) >> 1;
        let path = format!("m/48'/{}'/{account}'/2'", network.coin_type());
        let theirs = master.derive_priv(&*CURVE, &other::DerivationPath::from_str(&path).unwrap()).unwrap();
        let their_xpub = other::Xpub::from_priv(&CURVE, &theirs);

        let ours = AccountKey::derive(&seed, network, account).ok().unwrap();
        let xpub = AccountXpub::of(&ours, network, account);
        assert_eq!(xpub.xpub(), their_xpub.to_string());
        assert_eq!(xpub.fingerprint(), master.fingerprint(&CURVE).to_string());
        assert_eq!(AccountXpub::parse(&xpub.to_string(), network).unwrap(), xpub);

        for branch in [Branch::Deposit, Branch::Change] {
            let parent = BranchParent::derive(&ours, branch).ok().unwrap();
            let random = u32::from_be_bytes(bytes_of("index", n)[..4].try_into().unwrap()) >> 1;
            for index in [0, 1, random, (1 << 31) - 1] {
                let steps = [branch.number(), index].map(|i| other::ChildNumber::from_normal_idx(i).unwrap());
                let theirs = theirs.derive_priv(&*CURVE, &steps).unwrap();
                let ours = parent.child(ChildIndex::new(index).unwrap()).ok().unwrap();
                assert_eq!(ours.expose().secret_bytes(), theirs.private_key.secret_bytes());
                let public = their_xpub.derive_pub(&*CURVE, &steps).unwrap().public_key;
                assert_eq!(ours.expose().public_key(&CURVE), public);
            }
        }
    }
}

#[test]
fn arbitrary_paths_agree_with_rust_bitcoin_too() {
    for n in 0..48 {
        let (seed, random) = (seed_of(n), bytes_of("path", n));
        let steps: Vec<String> = random[..(n as usize % 7) * 4]
            .chunks(4)
            .map(|c| u32::from_be_bytes(c.try_into().unwrap()))
            .map(|step| format!("/{}{}", step >> 1, if step & 1 == 1 { "'" } else { "" }))
            .collect();
        let path = format!("m{}", steps.concat());
        let ours = Xprv::derive_from_path(seed.expose(), &path.parse().unwrap()).unwrap();
        let master = other::Xpriv::new_master(bitcoin::NetworkKind::Main, seed.expose()).unwrap();
        let theirs = master.derive_priv(&*CURVE, &other::DerivationPath::from_str(&path).unwrap()).unwrap();
        assert_eq!(*ours.to_string(Prefix::XPRV), theirs.to_string(), "{path}");
    }
}

#[test]
fn a_key_of_another_network_form_or_place_is_refused() {
    let key = AccountKey::derive(&seed_of(0), Network::Regtest, 7).ok().unwrap();
    let good = AccountXpub::of(&key, Network::Regtest, 7).to_string();
    assert!(good.contains("]tpub"));
    let parse = |text: &str| AccountXpub::parse(text, Network::Regtest);
    assert_eq!(parse(&good.replace('\'', "h")).unwrap().to_string(), good);
    assert!(matches!(AccountXpub::parse(&good, Network::Mainnet), Err(XpubError::Place(_))));
    let mainnet = AccountKey::derive(&seed_of(0), Network::Mainnet, 7).ok().unwrap();
    let xpub = AccountXpub::of(&mainnet, Network::Mainnet, 7);
    let mixed = format!("{}{}", good.split_inclusive(']').next().unwrap(), xpub.xpub());
    assert!(matches!(parse(&mixed), Err(XpubError::Place(_))), "version bytes of mainnet");
    let branch = key.xprv.public_key().derive_child(0.into()).unwrap().to_string(Prefix::TPUB);
    let deep = format!("{}{branch}", good.split_inclusive(']').next().unwrap());
    assert!(matches!(parse(&deep), Err(XpubError::Place(_))), "depth 5");
    for (from, to) in
        [("[", ""), ("/48'", "/49'"), ("/1'", "/01'"), ("/7'", "/7"), ("/2']", "/1']"), ("/2']", "/2'/0]")]
    {
        assert!(parse(&good.replacen(from, to, 1)).is_err(), "{from} → {to}");
    }
    for end in 0..good.len() {
        assert!(parse(&good[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn an_account_or_index_beyond_31_bits_does_not_exist() {
    let beyond = AccountKey::derive(&seed_of(0), Network::Mainnet, 1 << 31).err();
    assert_eq!(beyond, Some(HdError::AccountOutOfRange(1 << 31)));
    assert!(ChildIndex::new(1 << 31).is_none());
    assert!(Branch::from_number(2).is_none());
}

#[test]
fn public_derivation_refuses_a_hardened_step() {
    let key = AccountKey::derive(&seed_of(0), Network::Mainnet, 0).ok().unwrap();
    let public: bip32::ExtendedPublicKey<HdPublic> = key.xprv.public_key();
    assert!(public.derive_child(bip32::ChildNumber(1 << 31)).is_err());
}
