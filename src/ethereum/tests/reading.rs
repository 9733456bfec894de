//! A Safe on chain is the one pinned, or what differs is named; where a Safe will stand is known beforehand.

use super::super::pins::{Pin, V1_5_0};
use super::*;
use crate::withdrawal::Code;

type Change = Box<dyn Fn(&mut SafeFacts)>;

#[test]
fn a_safe_as_pinned_is_trusted_and_anything_else_is_named() {
    use SafeDifference as D;
    let wallet = wallet(0);
    assert_eq!(judge(&wallet, &facts(&wallet, 5)).unwrap().nonce(), 5);
    let differs = |change: &dyn Fn(&mut SafeFacts)| {
        let mut facts = facts(&wallet, 5);
        change(&mut facts);
        judge(&wallet, &facts).unwrap_err().differences().to_vec()
    };
    let hash = B256::repeat_byte(1);
    let cases: Vec<(Change, D)> = vec![
        (Box::new(|f| f.chain = ChainId::new(5).unwrap()), D::Chain),
        (Box::new(|f| f.address = stranger(1)), D::Address),
        (Box::new(move |f| f.proxy_code_hash = hash), D::ProxyCode),
        (Box::new(|f| f.singleton.address = stranger(1)), D::Singleton),
        (Box::new(move |f| f.singleton.code_hash = hash), D::SingletonCode),
        (Box::new(|f| f.version = "1.3.0".into()), D::Version),
        (Box::new(|f| f.owners.push(stranger(1))), D::Owners),
        (Box::new(|f| f.owners[1] = stranger(1)), D::Owners),
        (Box::new(|f| f.owners.truncate(2)), D::Owners),
        (Box::new(|f| f.threshold = U256::from(1)), D::Threshold),
        (Box::new(|f| f.threshold = U256::from(3)), D::Threshold),
        (Box::new(|f| f.modules.push(stranger(1))), D::Modules),
        (Box::new(|f| f.guard = stranger(1)), D::Guard),
        (Box::new(|f| f.module_guard = stranger(1)), D::ModuleGuard),
        (Box::new(|f| f.fallback_handler.address = Address::ZERO), D::FallbackHandler),
        (Box::new(move |f| f.fallback_handler.code_hash = hash), D::FallbackHandlerCode),
        (Box::new(move |f| f.multi_send = Pin { code_hash: hash, ..f.multi_send }), D::MultiSend),
        (Box::new(|f| f.nonce = U256::MAX), D::Nonce),
    ];
    for (change, what) in &cases {
        assert_eq!(differs(change), [*what], "{what}");
    }
    let both = differs(&|f| {
        f.modules.push(stranger(1));
        f.guard = stranger(2);
    });
    assert_eq!(both, [D::Modules, D::Guard]);
    let no = judge(&wallet, &SafeFacts { threshold: U256::from(1), ..facts(&wallet, 5) }).unwrap_err();
    assert_eq!((no.code(), no.to_string().as_str()), (Code::SafeNotAsPinned, "not as pinned: the threshold"));
}

#[test]
fn the_order_of_the_owners_on_chain_is_no_difference_but_decides_a_swap() {
    let wallet = wallet(0);
    let [a, b, c] = wallet.owners().all();
    let safe = judge(&wallet, &SafeFacts { owners: vec![c, a, b], ..facts(&wallet, 0) }).unwrap();
    let previous = |role| swap_of(&safe, role, stranger(1)).unwrap().previous;
    assert_eq!(KeyRole::ALL.map(previous), [c, a, wallet::SENTINEL]);
}

#[test]
fn three_owners_are_three_different_addresses() {
    let [a, b, c] = owners().all();
    assert!(Owners::new(a, b, c).is_some());
    assert!(
        Owners::new(a, b, a).is_none() && Owners::new(a, a, c).is_none() && Owners::new(a, b, b).is_none()
    );
    assert!(Owners::new(Address::ZERO, b, c).is_none() && Owners::new(a, wallet::SENTINEL, c).is_none());
    assert_eq!(owners().role_of(b), Some(KeyRole::Cosigner));
}

#[test]
fn the_same_reference_gives_the_same_address_and_no_two_indices_share_one() {
    let (deposits, again) = (Deposits::of(&wallet(0)), Deposits::of(&wallet(0)));
    let mut seen: Vec<Address> = deposits.addresses(0..2_000).map(|(_, address)| address).collect();
    assert!(again.addresses(0..2_000).zip(&seen).all(|((_, address), first)| address == *first));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 2_000);
    assert_ne!(Deposits::of(&wallet(1)).address(7), deposits.address(7), "another treasury");
    assert_eq!(deposits.address(u64::MAX), again.address(u64::MAX));
}

#[test]
fn a_safe_stands_elsewhere_for_each_release_singleton_owner_and_salt() {
    let make = |release, singleton| Make { release, singleton };
    let at = |make, owners, salt: u64| SafeWallet::predict(CHAIN, make, owners, U256::from(salt)).address();
    let [a, b, c] = owners().all();
    let other = Owners::new(a, b, stranger(1)).unwrap();
    let swapped = Owners::new(b, a, c).unwrap();
    let plain = make(&pins::V1_4_1, Singleton::Plain);
    let mut all = vec![
        at(plain, owners(), 0),
        at(plain, owners(), 1),
        at(plain, other, 0),
        at(plain, swapped, 0),
        at(make(&pins::V1_4_1, Singleton::Telling), owners(), 0),
        at(make(&V1_5_0, Singleton::Plain), owners(), 0),
        at(make(&V1_5_0, Singleton::Telling), owners(), 0),
    ];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 7);
    assert_eq!(Release::of("1.5.0"), Some(&V1_5_0));
    assert_eq!(Release::of("1.3.0"), None);
}
