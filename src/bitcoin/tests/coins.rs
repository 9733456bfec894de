//! Coins are proved by the bytes of the transaction that made them, and kept in order.

use ::bitcoin::consensus::encode;
use ::bitcoin::{Amount, OutPoint, Psbt, Transaction, TxOut, Witness};
use proptest::prelude::*;

use super::scene::Scene;
use super::world::{outpoint, stranger};
use crate::bitcoin::{Branch, Coin, CoinIndex, ProofError, RawTransaction, prove};
use crate::withdrawal::{Code, FeeRate};

fn transaction() -> Transaction {
    Scene::withdrawal().unsigned.transaction().clone()
}

#[test]
fn an_output_is_proved_with_and_without_witnesses() {
    let mut transaction = transaction();
    let stated = OutPoint { txid: transaction.compute_txid(), vout: 1 };
    let out = transaction.output[1].clone();
    let stripped = encode::serialize(&transaction);
    transaction.input[0].witness = Witness::from_slice(&[b"whatever"]);
    for raw in [stripped, encode::serialize(&transaction)] {
        let proven = prove(&raw, stated, &out.script_pubkey).unwrap();
        assert_eq!((proven.outpoint(), proven.amount_sat()), (stated, out.value.to_sat()));
        assert_eq!(*proven.script_pubkey(), *out.script_pubkey);
        assert!(!proven.coinbase());
    }
}

#[test]
fn what_is_not_proved_is_refused() {
    let transaction = transaction();
    let raw = encode::serialize(&transaction);
    let stated = OutPoint { txid: transaction.compute_txid(), vout: 1 };
    let script = &transaction.output[1].script_pubkey;
    let other = OutPoint { txid: outpoint(1).txid, vout: 1 };
    assert!(matches!(prove(&raw, other, script), Err(ProofError::OtherTransaction { .. })));
    assert_eq!(
        prove(&raw, OutPoint { vout: 3, ..stated }, script),
        Err(ProofError::NoSuchOutput { vout: 3 })
    );
    assert_eq!(prove(&raw, stated, &stranger(77)), Err(ProofError::OtherScript { vout: 1 }));
    assert!(matches!(prove(&[&raw[..], &[0]].concat(), stated, script), Err(ProofError::Unreadable(_))));
    assert!(matches!(prove(&raw[..raw.len() - 1], stated, script), Err(ProofError::Unreadable(_))));
    assert!(matches!(prove(&vec![0; 400_001], stated, script), Err(ProofError::TooLong { .. })));
    assert_eq!(ProofError::Impossible.code(), Code::CoinProofInvalid);
    // another amount is another transaction
    let mut richer = transaction.clone();
    richer.output[1].value += Amount::from_sat(1);
    let lied = prove(&encode::serialize(&richer), stated, script);
    assert!(matches!(lied, Err(ProofError::OtherTransaction { .. })));
    // more than there is
    let mut absurd = transaction.clone();
    absurd.output.push(TxOut { value: Amount::from_sat(u64::MAX), script_pubkey: stranger(1) });
    assert!(matches!(RawTransaction::read(&encode::serialize(&absurd)), Err(ProofError::Impossible)));
    // a witness flag without witnesses (a second spelling of the same transaction)
    let mut flagged = raw[..4].to_vec();
    flagged.extend([0, 1]);
    flagged.extend(&raw[4..raw.len() - 4]);
    flagged.extend(vec![0; transaction.input.len()]);
    flagged.extend(&raw[raw.len() - 4..]);
    assert!(matches!(prove(&flagged, stated, script), Err(ProofError::Unreadable(_))));
}

fn coin(n: u32, amount_sat: u64) -> Coin {
    Coin { outpoint: outpoint(n), amount_sat, branch: Branch::Deposit, index: n }
}

#[test]
fn a_coin_takes_its_script_from_the_wallet_and_gives_it_back() {
    let wallet = Scene::withdrawal().hot.wallet;
    let loaded = coin(3, 500).with_script(&wallet).unwrap();
    assert_eq!(loaded.coin(), coin(3, 500));
    assert_eq!(*loaded.script, wallet.script(Branch::Deposit, 3).unwrap());
}

#[test]
fn the_index_counts_each_coin_once() {
    let mut index = CoinIndex::new();
    assert!(index.insert(coin(1, 500)) && index.insert(coin(2, 500)) && !index.insert(coin(1, 500)));
    assert_eq!((index.len(), index.total_sat()), (2, 1_000));
    assert!(index.remove(&coin(1, 500)) && !index.remove(&coin(1, 500)) && !index.remove(&coin(2, 501)));
    assert_eq!((index.len(), index.total_sat(), index.is_empty()), (1, 500, false));
}

#[test]
fn an_only_coin_is_on_every_short_list() {
    for amount in 50_000..52_000 {
        let mut index = CoinIndex::new();
        index.insert(coin(1, amount));
        assert_eq!(index.shortlist(50_000, FeeRate(2_000), None, 10).len(), 1, "{amount}");
    }
}

proptest! {
    #[test]
    fn no_target_and_no_rate_make_the_short_list_panic(target: u64, rate: u64, amount: u64, limit in 0usize..3) {
        let mut index = CoinIndex::new();
        index.insert(coin(1, amount));
        prop_assert_eq!(index.shortlist(target, FeeRate(rate), None, limit).len(), limit.min(1));
    }

    #[test]
    fn a_short_list_covers_the_target_whenever_that_many_coins_can(
        amounts in prop::collection::vec(1u64..1_000_000, 1..80), target in 1u64..3_000_000, limit in 1usize..40, with_anchor: bool,
    ) {
        let mut index = CoinIndex::new();
        for (n, amount) in amounts.iter().enumerate() {
            index.insert(coin(n as u32, *amount));
        }
        let anchor = coin(1_000, 1);
        let list = index.shortlist(target, FeeRate(1_000), with_anchor.then_some(&anchor), limit);
        prop_assert!(list.len() <= limit);
        prop_assert!(!with_anchor || list[0] == anchor);
        let own = limit - usize::from(with_anchor);
        let mut largest = amounts.clone();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let reachable: u64 = largest.iter().take(own).sum();
        let listed: u64 = list.iter().filter(|c| c.outpoint != anchor.outpoint).map(|c| c.amount_sat).sum();
        prop_assert!(reachable < target || listed >= target);
        let mut seen: Vec<_> = list.iter().map(|c| c.outpoint).collect();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), list.len());
    }

    #[test]
    fn no_bytes_make_the_raw_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = RawTransaction::read(&bytes);
        let _ = Psbt::deserialize(&bytes);
    }
}
