//! Refills: split by what signing devices take, no satoshi lost, and only a whole copy is finished.

use ::bitcoin::consensus::encode::{deserialize, serialize};
use ::bitcoin::hashes::Hash;
use ::bitcoin::secp256k1::{Message, Secp256k1};
use ::bitcoin::sighash::SighashCache;
use ::bitcoin::{Amount, EcdsaSighashType, OutPoint, Psbt, PublicKey, Transaction, TxIn, TxOut, ecdsa};
use proptest::prelude::*;

use super::world::{CAPS, World};
use crate::bitcoin::refill::{ColdCoin, Part, Places, RefillError, SignedCopyError, build, finish, plan};
use crate::bitcoin::{Branch, Chance, FeeCaps, KeySlot, OwnCoin};
use crate::withdrawal::{FeeRate, Network};

const RATE: FeeRate = FeeRate(2_000);
const WIDE: FeeCaps = FeeCaps { transaction_sat_max: u64::MAX, asked_sat_max: None, ..CAPS };

fn cold() -> World {
    World::new(Network::Regtest, 2)
}

fn paid(cold: &World, n: u32, amount_sat: u64) -> Vec<u8> {
    let script_pubkey = cold.own(Branch::Deposit, n).script_pubkey().to_owned();
    serialize(&Transaction {
        version: ::bitcoin::transaction::Version::TWO,
        lock_time: ::bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn { previous_output: OutPoint { vout: n, ..OutPoint::null() }, ..TxIn::default() }],
        output: vec![TxOut { value: Amount::from_sat(amount_sat), script_pubkey }],
    })
}

fn coins(cold: &World, amounts: &[u64]) -> Vec<ColdCoin> {
    let one = |(n, sat): (u32, &u64)| {
        ColdCoin::prove(&paid(cold, n, *sat), 0, (&cold.wallet, Branch::Deposit, n)).unwrap()
    };
    (0..).zip(amounts).map(one).collect()
}

fn in_sat(part: &Part) -> u64 {
    part.coins.iter().map(|c| c.coin().amount_sat).sum()
}

fn signed(cold: &World, psbt: &[u8], coins: &[OwnCoin], slots: &[KeySlot]) -> Vec<u8> {
    let mut psbt = Psbt::deserialize(psbt).unwrap();
    let transaction = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&transaction);
    for (at, map) in psbt.inputs.iter_mut().enumerate() {
        let outpoint = transaction.input[at].previous_output;
        let coin = coins.iter().find(|c| c.outpoint == outpoint).unwrap();
        let value = Amount::from_sat(coin.amount_sat);
        let script = coin.script.witness_script();
        let digest = cache.p2wsh_signature_hash(at, script, value, EcdsaSighashType::All).unwrap();
        for slot in slots {
            let secret = cold.secret(*slot, coin.script.branch(), coin.script.index());
            let message = Message::from_digest(digest.to_byte_array());
            let signature = Secp256k1::signing_only().sign_ecdsa(&message, &secret);
            let key = PublicKey::new(*coin.script.pubkey(*slot));
            map.partial_sigs.insert(key, ecdsa::Signature::sighash_all(signature));
        }
    }
    psbt.serialize()
}

#[test]
fn a_refill_is_split_by_what_the_devices_take_and_finished_from_whole_copies_only() {
    let (hot, cold) = (World::new(Network::Regtest, 1), cold());
    let parts = plan(coins(&cold, &[50_000; 5]), 170_000, 2, (RATE, &WIDE)).unwrap();
    let sizes: Vec<usize> = parts.iter().map(|part| part.coins.len()).collect();
    assert_eq!(sizes, [2, 2], "the second takes what the first could not, and the fees");
    assert!(parts[0].change_sat.is_none());
    let places =
        Places { hot: hot.own(Branch::Change, 4), change: cold.own(Branch::Change, 0), tip_height: 9 };
    for part in &parts {
        let chance = Chance { order: 3, lock_time: 1 };
        let built = build(part, &places, (&cold.wallet, &hot.wallet), chance).unwrap();
        let coins: Vec<OwnCoin> = part.coins.iter().map(|c| c.coin().clone()).collect();
        let copy = |slots: &[KeySlot]| signed(&cold, &built.psbt, &coins, slots);
        let raw = finish(&copy(&[KeySlot::A, KeySlot::C]), &built.psbt, &coins).unwrap();
        let transaction: Transaction = deserialize(&raw).unwrap();
        assert_eq!(transaction.compute_txid(), built.txid);
        let out = &transaction.output[usize::try_from(built.vout).unwrap()];
        assert_eq!(out.value.to_sat(), part.amount_sat);
        assert_eq!(*out.script_pubkey, *places.hot.script_pubkey());
        let count = |slots: &[KeySlot]| finish(&copy(slots), &built.psbt, &coins).unwrap_err();
        assert!(matches!(count(&[KeySlot::B]), SignedCopyError::Count { count: 1, .. }));
        assert!(matches!(count(&KeySlot::ALL), SignedCopyError::Count { count: 3, .. }));
        let strange = World::new(Network::Regtest, 7);
        let other = signed(&strange, &built.psbt, &coins, &[KeySlot::A, KeySlot::B]);
        assert!(matches!(finish(&other, &built.psbt, &coins), Err(SignedCopyError::Wrong { .. })));
    }
}

#[test]
fn a_cold_coin_is_one_only_with_a_transaction_that_pays_its_place() {
    let cold = cold();
    let raw = paid(&cold, 3, 10_000);
    let place = |index| (&cold.wallet, Branch::Deposit, index);
    assert!(ColdCoin::prove(&raw, 0, place(3)).is_ok());
    assert!(ColdCoin::prove(&raw, 0, place(4)).is_err(), "another index");
    assert!(ColdCoin::prove(&raw, 1, place(3)).is_err(), "no such output");
    assert!(ColdCoin::prove(&raw[1..], 0, place(3)).is_err(), "cut off");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_satoshi_appears_or_disappears_and_no_device_gets_too_much(
        amounts in proptest::collection::vec(20_000u64..500_000, 1..8),
        share in 1u64..120, inputs_max in 1usize..4,
    ) {
        let cold = cold();
        let all: u64 = amounts.iter().sum();
        let wanted = (all / 100 * share).max(1_000);
        match plan(coins(&cold, &amounts), wanted, inputs_max, (RATE, &WIDE)) {
            Ok(parts) => {
                let brought: u64 = parts.iter().map(|part| part.amount_sat).sum();
                prop_assert!(brought <= wanted && wanted - brought < 330);
                for (n, part) in parts.iter().enumerate() {
                    prop_assert!(part.coins.len() <= inputs_max);
                    prop_assert_eq!(in_sat(part), part.amount_sat + part.change_sat.unwrap_or(0) + part.fee_sat);
                    prop_assert!(part.change_sat.is_none_or(|sat| sat >= 330));
                    prop_assert!(part.change_sat.is_none() || n + 1 == parts.len());
                }
            }
            Err(error) => {
                prop_assert!(matches!(error, RefillError::ColdShort { .. }), "{}", error);
                prop_assert!(wanted + 300 * 2 * 8 > all, "{} of {}", wanted, all);
            }
        }
    }
}
