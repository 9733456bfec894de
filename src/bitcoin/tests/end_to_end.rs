//! From a plan to a transaction the consensus rules accept, and everything that must stop on the way.

use ::bitcoin::consensus::encode;
use ::bitcoin::secp256k1::ecdsa::Signature;
use ::bitcoin::{OutPoint, Transaction};
use proptest::prelude::*;

use super::scene::{Scene, TIP};
use super::world::{World, stranger};
use crate::bitcoin::fee::{self, INPUT_WEIGHT_MAX};
use crate::bitcoin::{
    Branch, BuildError, Chance, Coin, ConsensusError, Expectations, FeeCaps, FeeTerms, KeySlot, OutputNeed,
    OwnCoin, OwnOutput, Payee, SignatureError, Unsigned, UnsignedPlan, check_psbt, placing, select,
    verify_consensus,
};
use crate::withdrawal::{FeeRate, Network};

const PAIRS: [(KeySlot, KeySlot); 6] = [
    (KeySlot::A, KeySlot::B),
    (KeySlot::B, KeySlot::A),
    (KeySlot::A, KeySlot::C),
    (KeySlot::C, KeySlot::A),
    (KeySlot::B, KeySlot::C),
    (KeySlot::C, KeySlot::B),
];

#[test]
fn any_two_of_three_keys_make_a_transaction_the_rules_accept() {
    for scene in [Scene::withdrawal(), Scene::sweep(), Scene::consolidation()] {
        let checked = scene.check(&scene.bytes()).unwrap();
        for (one, other) in PAIRS {
            let (one, other) = (scene.hot.sign(&checked, one), scene.hot.sign(&checked, other));
            let finished = checked.finish(&one, &other).unwrap();
            assert_eq!(finished.txid(), scene.unsigned.txid());
            assert_eq!(finished.bytes(), checked.finish(&other, &one).unwrap().bytes());
            let transaction: Transaction = encode::deserialize(finished.bytes()).unwrap();
            assert_eq!(transaction.compute_txid(), finished.txid());
            let vsize = transaction.vsize() as u64;
            assert!(
                vsize <= checked.vbytes() && vsize + 3 > checked.vbytes(),
                "{vsize} of {}",
                checked.vbytes()
            );
        }
    }
}

#[test]
fn the_cosigner_signs_first_and_the_signer_finds_its_signatures() {
    let scene = Scene::withdrawal();
    let at_b = scene.check(&scene.bytes()).unwrap();
    let signed = at_b.psbt_with(&scene.hot.sign(&at_b, KeySlot::B)).unwrap();
    assert_eq!(
        signed,
        at_b.psbt_with(&scene.hot.sign(&at_b, KeySlot::B)).unwrap(),
        "asked twice, same bytes"
    );

    let expect = Expectations { signed_by: Some(KeySlot::B), ..scene.expectations() };
    let at_a = scene.check_as(&signed, &expect).unwrap();
    let own = scene.hot.sign(&at_a, KeySlot::A);
    let finished = at_a.finish(at_a.signatures().unwrap(), &own).unwrap();
    assert_eq!(finished.txid(), scene.unsigned.txid());

    assert!(scene.check(&signed).is_err(), "signatures where none are expected");
    let by_c = Expectations { signed_by: Some(KeySlot::C), ..scene.expectations() };
    assert!(scene.check_as(&signed, &by_c).is_err(), "signatures of another key than expected");
    let mut psbt = ::bitcoin::Psbt::deserialize(&signed).unwrap();
    psbt.inputs[1].partial_sigs.clear();
    assert!(scene.check_as(&psbt.serialize(), &expect).is_err(), "a signature missing");
    let mut psbt = ::bitcoin::Psbt::deserialize(&signed).unwrap();
    let swapped = psbt.inputs[0].partial_sigs.values().next().copied().unwrap();
    psbt.inputs[1].partial_sigs.values_mut().for_each(|sig| *sig = swapped);
    assert!(scene.check_as(&psbt.serialize(), &expect).is_err(), "a signature of another input");
    let mut psbt = ::bitcoin::Psbt::deserialize(&signed).unwrap();
    psbt.inputs[0]
        .partial_sigs
        .values_mut()
        .for_each(|sig| sig.sighash_type = ::bitcoin::EcdsaSighashType::None);
    assert!(scene.check_as(&psbt.serialize(), &expect).is_err(), "a signature of another type");
}

#[test]
fn one_key_twice_is_refused_here_and_by_the_rules() {
    let scene = Scene::withdrawal();
    let checked = scene.check(&scene.bytes()).unwrap();
    let (one, again) = (scene.hot.sign(&checked, KeySlot::A), scene.hot.sign(&checked, KeySlot::A));
    assert_eq!(checked.finish(&one, &again).unwrap_err(), SignatureError::NotTwoKeys);

    let mut transaction = checked.transaction().clone();
    for (at, input) in checked.inputs().iter().enumerate() {
        let signature = &one.signatures()[at];
        transaction.input[at].witness =
            placing::witness(input, [(KeySlot::A, signature), (KeySlot::A, signature)]);
    }
    let judged = verify_consensus(&transaction, &checked.prevouts());
    assert_eq!(judged, Err(ConsensusError::Refused { at: 0 }));
    let judged = verify_consensus(checked.transaction(), &checked.prevouts());
    assert_eq!(judged, Err(ConsensusError::Refused { at: 0 }), "no signatures at all");
    assert!(matches!(verify_consensus(&transaction, &[]), Err(ConsensusError::Count { .. })));
}

#[test]
fn a_signature_of_another_key_another_input_or_another_transaction_is_refused() {
    let scene = Scene::withdrawal();
    let checked = scene.check(&scene.bytes()).unwrap();
    let sigs = |world: &World, slot| -> Vec<Signature> {
        checked.inputs().iter().map(|input| world.signature(input, slot)).collect()
    };
    let wrong = SignatureError::Wrong { at: 0, slot: KeySlot::A };
    assert_eq!(checked.verify(KeySlot::A, sigs(&scene.hot, KeySlot::B)).unwrap_err(), wrong);
    assert_eq!(checked.verify(KeySlot::A, sigs(&scene.cold, KeySlot::A)).unwrap_err(), wrong);
    let mut turned = sigs(&scene.hot, KeySlot::A);
    turned.rotate_left(1);
    assert_eq!(checked.verify(KeySlot::A, turned).unwrap_err(), wrong);
    let short = checked.verify(KeySlot::A, sigs(&scene.hot, KeySlot::A)[1..].to_vec());
    assert_eq!(short.unwrap_err(), SignatureError::Count { given: 2, inputs: 3 });

    let other = Scene::sweep();
    let other = other.check(&other.bytes()).unwrap();
    let (a, b) = (scene.hot.sign(&other, KeySlot::A), scene.hot.sign(&checked, KeySlot::B));
    assert_eq!(checked.finish(&a, &b).unwrap_err(), SignatureError::NotTwoKeys);
    assert!(checked.psbt_with(&a).is_err());
}

#[test]
fn a_high_s_is_refused() {
    let scene = Scene::withdrawal();
    let checked = scene.check(&scene.bytes()).unwrap();
    let mut sigs: Vec<Signature> =
        checked.inputs().iter().map(|input| scene.hot.signature(input, KeySlot::A)).collect();
    let mut compact = sigs[0].serialize_compact();
    let low = ::bitcoin::secp256k1::SecretKey::from_slice(&compact[32..]).unwrap();
    compact[32..].copy_from_slice(&low.negate().secret_bytes());
    sigs[0] = Signature::from_compact(&compact).unwrap();
    let refused = checked.verify(KeySlot::A, sigs).unwrap_err();
    assert_eq!(refused, SignatureError::Wrong { at: 0, slot: KeySlot::A });
}

#[test]
fn a_large_transaction_of_mixed_indexes_finishes_and_its_weight_bound_holds() {
    let world = World::new(Network::Mainnet, 9);
    let inputs: Vec<_> = (0..60).map(|n| world.coin(n * 1_000_003, 10_000 + u64::from(n))).collect();
    let total: u64 = inputs.iter().map(|coin| coin.amount_sat).sum();
    let payees: Vec<Payee> =
        (0..30).map(|n| Payee { script_pubkey: stranger(n), amount_sat: (total - 18_000) / 30 }).collect();
    let plan = UnsignedPlan { inputs, payees: payees.clone(), cold: None, change: None, tip_height: TIP };
    let unsigned = Unsigned::build(plan, Chance { order: 3, lock_time: 20 }).unwrap();
    let scene = Scene::withdrawal();
    let expect = Expectations { payees: &payees, receiver: KeySlot::A, ..scene.expectations() };
    let bytes = unsigned.psbt(KeySlot::A, &world.wallet, None).unwrap();
    let checked = check_psbt(&bytes, &world.wallet, &expect, &|outpoint| {
        unsigned.inputs().iter().find(|coin| coin.outpoint == *outpoint).cloned()
    })
    .unwrap();
    let finished =
        checked.finish(&world.sign(&checked, KeySlot::A), &world.sign(&checked, KeySlot::C)).unwrap();
    let transaction: Transaction = encode::deserialize(finished.bytes()).unwrap();
    assert!(transaction.vsize() as u64 <= checked.vbytes());
    assert!(transaction.weight().to_wu() + 60 * 3 >= checked.vbytes() * 4);
    assert_eq!(finished.prevouts().len(), 60);
}

#[test]
fn the_weight_of_an_input_is_that_of_two_longest_signatures() {
    // 36 + 1 + 4 bytes outside the witness; 1 + 1 + 73 + 73 + 106 inside
    assert_eq!(INPUT_WEIGHT_MAX, 418);
    assert_eq!(fee::weight_max(1, [fee::OWN_OUTPUT_WEIGHT]), 42 + 418 + 172);
    assert_eq!(fee::vbytes(633), 159);
}

#[test]
fn lock_times_sit_at_the_tip_and_one_in_ten_a_little_below() {
    let scene = Scene::consolidation();
    let built = |tip_height, lock_time| {
        let inputs = scene.unsigned.inputs().to_vec();
        let payees = vec![Payee { script_pubkey: stranger(1), amount_sat: 1_000 }];
        let plan = UnsignedPlan { inputs, payees, cold: None, change: None, tip_height };
        Unsigned::build(plan, Chance { order: 0, lock_time })
            .map(|u| u.transaction().lock_time.to_consensus_u32())
    };
    for draw in 0..2_000 {
        let height = built(TIP, draw).unwrap();
        assert_eq!(height == TIP, draw % 10 != 0 || draw / 10 % 100 == 0, "{draw}");
        assert!((TIP - 99..=TIP).contains(&height));
    }
    assert_eq!(built(5, 990), Ok(0), "never below zero");
    assert_eq!((built(21, 1), built(30, 90)), (Ok(20), Ok(20)), "21 is not relayed everywhere");
    assert!(built(500_000_000, 1).is_err());
}

#[test]
fn a_plan_that_cannot_be_meant_is_not_built() {
    let scene = Scene::sweep();
    let build = |inputs: Vec<OwnCoin>, amount_sat: u64, count: usize| {
        let payees = vec![Payee { script_pubkey: stranger(1), amount_sat }; count];
        let plan = UnsignedPlan { inputs, payees, cold: None, change: None, tip_height: TIP };
        Unsigned::build(plan, Chance { order: 0, lock_time: 1 }).map(|_| ())
    };
    let coins = || scene.unsigned.inputs().to_vec();
    assert_eq!(build(coins(), 1_000, 1), Ok(()));
    assert_eq!(build(coins(), 1_200_001, 1), Err(BuildError::Overspent));
    assert_eq!(build(coins(), u64::MAX, 2), Err(BuildError::Overspent));
    assert_eq!(build(vec![], 1_000, 1), Err(BuildError::Count));
    assert_eq!(build(coins(), 1_000, 0), Err(BuildError::Count));
    assert_eq!(build(coins(), 1_000, 251), Err(BuildError::Count));
    let psbt = |hot: &World, cold| scene.unsigned.psbt(KeySlot::B, &hot.wallet, cold).map(|_| ());
    assert_eq!(psbt(&scene.hot, Some(&scene.cold.wallet)), Ok(()));
    assert_eq!(psbt(&scene.hot, None), Err(BuildError::OtherWallet));
    assert_eq!(psbt(&scene.cold, Some(&scene.hot.wallet)), Err(BuildError::OtherWallet));
}

#[test]
fn the_changes_place_is_decided_by_the_seed_and_reaches_every_place() {
    let scene = Scene::withdrawal();
    let script = scene.hot.own(Branch::Change, 5);
    let place = |order| {
        let change = OwnOutput { script: script.clone(), amount_sat: 700_000 };
        let inputs = scene.unsigned.inputs().to_vec();
        let plan = UnsignedPlan {
            inputs,
            payees: scene.payees.clone(),
            cold: None,
            change: Some(change),
            tip_height: TIP,
        };
        let unsigned = Unsigned::build(plan, Chance { order, lock_time: 1 }).unwrap();
        (unsigned.vout_of(&script).unwrap(), unsigned.txid())
    };
    assert_eq!(place(42), place(42));
    let mut seen = [0u32; 3];
    (0..300).for_each(|seed| seen[place(seed).0 as usize] += 1);
    assert!(seen.iter().all(|n| (60..140).contains(n)), "{seen:?}");
}

/// BIP-0143, "P2SH-P2WSH", signature hash for SIGHASH_ALL: the digest code path the checker uses.
#[test]
fn the_digest_is_that_of_bip_143() {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let transaction: Transaction = encode::deserialize(&hex(
        "010000000136641869ca081e70f394c6948e8af409e18b619df2ed74aa106c1ca29787b96e0100000000\
         ffffffff0200e9a435000000001976a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688acc0832f\
         05000000001976a9147480a33f950689af511e6e84c138dbbd3c3ee41588ac00000000",
    ))
    .unwrap();
    let script = ::bitcoin::ScriptBuf::from_bytes(hex(
        "56210307b8ae49ac90a048e9b53357a2354b3334e9c8bee813ecb98e99a7e07e8c3ba32103b28f0c28\
         bfab54554ae8c658ac5c3e0ce6e79ad336331f78c428dd43eea8449b21034b8113d703413d57761b8b\
         9781957b8c0ac1dfe69f492580ca4195f50376ba4a21033400f6afecb833092a9a21cfdf1ed1376e58\
         c5d1f47de74683123987e967a8f42103a6d48b1131e94ba04d9737d61acdaa1322008af9602b3b1486\
         2c07a1789aac162102d8b661b0b3302ee2f162b09e07a55ad5dfbe673a9f01d9f0c19617681024306b\
         56ae",
    ));
    let digest = crate::bitcoin::check::digest_of(
        &mut ::bitcoin::sighash::SighashCache::new(&transaction),
        0,
        &script,
        987_654_321,
    );
    let expected = hex("185c0be5263dce5b4bb50a047973c1b6272bfbd0103a89444597dc40b248ee7c");
    assert_eq!(digest.unwrap().to_vec(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_chosen_is_built_checked_and_finished_at_the_same_fee(
        amounts in prop::collection::vec(20_000u64..400_000, 1..9),
        asked in prop::collection::vec(1_000u64..200_000, 1..4),
        rate in 1_000u64..20_000,
        order: u64,
        lock_time: u64,
    ) {
        let hot = World::new(Network::Signet, 5);
        let coins: Vec<OwnCoin> = amounts.iter().zip(0..).map(|(sat, n)| hot.coin(n, *sat)).collect();
        let payees: Vec<Payee> =
            asked.iter().zip(0..).map(|(sat, n)| Payee { script_pubkey: stranger(n), amount_sat: *sat }).collect();
        let caps = FeeCaps { rate_max: FeeRate(100_000), transaction_sat_max: 1_000_000, asked_sat_max: None };
        let terms = FeeTerms { rate: FeeRate(rate), caps, replaced_fee_sat: None };
        let needs: Vec<OutputNeed> = payees.iter().map(Payee::need).collect();
        let ledger: Vec<Coin> = coins.iter().map(OwnCoin::coin).collect();
        let Ok(chosen) = select(&ledger, Some(ledger[0].outpoint), &needs, &terms) else { return Ok(()) };
        let known = |o: &OutPoint| coins.iter().find(|coin| coin.outpoint == *o).cloned();
        let change = chosen.change_sat.map(|amount_sat| OwnOutput { script: hot.own(Branch::Change, 9), amount_sat });
        let inputs = chosen.coins.iter().map(|coin| known(&coin.outpoint).unwrap()).collect();
        let plan = UnsignedPlan { inputs, payees: payees.clone(), cold: None, change, tip_height: TIP };
        let unsigned = Unsigned::build(plan, Chance { order, lock_time }).unwrap();
        let expect = Expectations {
            txid: Some(unsigned.txid()), receiver: KeySlot::B, signed_by: None, payees: &payees, cold: None,
            change_index_max: 9, change_ready: None, caps, tip_height: TIP,
        };
        let bytes = unsigned.psbt(KeySlot::B, &hot.wallet, None).unwrap();
        let checked = check_psbt(&bytes, &hot.wallet, &expect, &known).unwrap();
        prop_assert_eq!((checked.fee_sat(), checked.vbytes()), (chosen.fee_sat, chosen.vbytes));
        prop_assert_eq!(checked.change().map(|own| own.amount_sat()), chosen.change_sat);
        let finished = checked.finish(&hot.sign(&checked, KeySlot::B), &hot.sign(&checked, KeySlot::A)).unwrap();
        prop_assert_eq!(finished.txid(), unsigned.txid());
    }
}
