//! The checker against a table of attacks: each changes one thing of an honest PSBT and must be refused, by its code.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::bitcoin::absolute::LockTime;
use ::bitcoin::bip32::{ChildNumber, DerivationPath};
use ::bitcoin::psbt::raw;
use ::bitcoin::transaction::Version;
use ::bitcoin::{
    Amount, EcdsaSighashType, Psbt, PublicKey, ScriptBuf, Sequence, TxOut, Witness, ecdsa, psbt,
};

use super::scene::{CHANGE_INDEX, FEE_SAT, Scene, TIP};
use super::world::{World, outpoint, stranger};
use crate::bitcoin::{Branch, Expectations, FeeCaps, KeySlot, Payee, Pinned, TransactionKind, check_psbt};
use crate::withdrawal::{Code, FeeRate, Network};

type Attack = (&'static str, Code, fn(&Scene, &mut Psbt));

fn change<'a>(scene: &Scene, psbt: &'a mut Psbt) -> &'a mut TxOut {
    &mut psbt.unsigned_tx.output[scene.change_at()]
}

fn payee<'a>(scene: &Scene, psbt: &'a mut Psbt) -> &'a mut TxOut {
    &mut psbt.unsigned_tx.output[scene.payee_at()]
}

fn add(out: &mut TxOut, sat: i64) {
    out.value = Amount::from_sat(out.value.to_sat().checked_add_signed(sat).unwrap());
}

fn add_output(psbt: &mut Psbt, script_pubkey: ScriptBuf, sat: u64) {
    psbt.unsigned_tx.output.push(TxOut { value: Amount::from_sat(sat), script_pubkey });
    psbt.outputs.push(psbt::Output::default());
}

/// Moves the change to another place of the hot wallet, with a matching derivation.
fn move_change(scene: &Scene, psbt: &mut Psbt, branch: Branch, index: u32) {
    let own = scene.hot.own(branch, index);
    change(scene, psbt).script_pubkey = own.script_pubkey().to_owned();
    let map = &mut psbt.outputs[scene.change_at()].bip32_derivation;
    let (fingerprint, path) = map.first_key_value().unwrap().1.clone();
    let steps = path.as_ref()[..4].iter().copied();
    let path: DerivationPath = steps.chain([branch.number(), index].map(ChildNumber::from)).collect();
    *map = BTreeMap::from([(*own.pubkey(KeySlot::B), (fingerprint, path))]);
}

fn unknown() -> BTreeMap<raw::Key, Vec<u8>> {
    BTreeMap::from([(raw::Key { type_value: 0x77, key: vec![1] }, vec![2])])
}

fn proprietary() -> BTreeMap<raw::ProprietaryKey, Vec<u8>> {
    BTreeMap::from([(raw::ProprietaryKey { prefix: b"x".to_vec(), subtype: 1, key: vec![] }, vec![2])])
}

const ATTACKS: &[Attack] = &[
    ("another payee", Code::TransactionMismatch, |s, p| payee(s, p).script_pubkey = stranger(9)),
    ("more for the payee out of the change", Code::TransactionMismatch, |s, p| {
        add(payee(s, p), 1);
        add(change(s, p), -1);
    }),
    ("less for the payee into the change", Code::TransactionMismatch, |s, p| {
        add(payee(s, p), -1);
        add(change(s, p), 1);
    }),
    ("an extra output", Code::TransactionMismatch, |s, p| {
        add(change(s, p), -1_000);
        add_output(p, stranger(9), 1_000);
    }),
    ("an output of nothing with data", Code::TransactionMismatch, |_, p| {
        add_output(p, ScriptBuf::from_bytes(vec![0x6a, 0x01, 0x01]), 0);
    }),
    ("a payee left out", Code::TransactionMismatch, |s, p| {
        let at = s.payee_at();
        let out = p.unsigned_tx.output.remove(at);
        p.outputs.remove(at);
        let change = s.change_at() - usize::from(s.change_at() > at);
        add(&mut p.unsigned_tx.output[change], out.value.to_sat() as i64);
    }),
    ("a payee paid twice", Code::TransactionMismatch, |s, p| {
        let out = payee(s, p).clone();
        add(change(s, p), -(out.value.to_sat() as i64));
        add_output(p, out.script_pubkey, out.value.to_sat());
    }),
    ("change to a stranger, still called own", Code::ChangeNotOwn, |s, p| {
        change(s, p).script_pubkey = stranger(9)
    }),
    ("change to a stranger, not called own", Code::TransactionMismatch, |s, p| {
        change(s, p).script_pubkey = stranger(9);
        p.outputs[s.change_at()].bip32_derivation.clear();
    }),
    ("own change, not called own", Code::TransactionMismatch, |s, p| {
        p.outputs[s.change_at()].bip32_derivation.clear();
    }),
    ("change too far ahead", Code::ChangeNotOwn, |s, p| move_change(s, p, Branch::Change, 1_001)),
    ("change at an absurd index", Code::ChangeNotOwn, |s, p| {
        move_change(s, p, Branch::Change, (1 << 31) - 1)
    }),
    ("change on the deposit branch", Code::ChangeNotOwn, |s, p| move_change(s, p, Branch::Deposit, 5)),
    ("change of another wallet under our fingerprint", Code::ChangeNotOwn, |s, p| {
        let other = World::new(Network::Regtest, 8).own(Branch::Change, CHANGE_INDEX);
        change(s, p).script_pubkey = other.script_pubkey().to_owned();
        let map = &mut p.outputs[s.change_at()].bip32_derivation;
        let source = map.first_key_value().unwrap().1.clone();
        *map = BTreeMap::from([(*other.pubkey(KeySlot::B), source)]);
    }),
    ("change with a hardened last step", Code::ChangeNotOwn, |s, p| {
        let map = &mut p.outputs[s.change_at()].bip32_derivation;
        let (key, (fingerprint, path)) = map.first_key_value().map(|(k, v)| (*k, v.clone())).unwrap();
        let steps = path.as_ref()[..5].iter().copied().chain([ChildNumber::Hardened { index: CHANGE_INDEX }]);
        *map = BTreeMap::from([(key, (fingerprint, steps.collect()))]);
    }),
    ("change with a derivation of two steps", Code::ChangeNotOwn, |s, p| {
        let map = &mut p.outputs[s.change_at()].bip32_derivation;
        let (key, (fingerprint, path)) = map.first_key_value().map(|(k, v)| (*k, v.clone())).unwrap();
        *map = BTreeMap::from([(key, (fingerprint, path.as_ref()[4..].to_vec().into()))]);
    }),
    ("change with two derivations", Code::ChangeNotOwn, |s, p| {
        let own = s.hot.own(Branch::Change, CHANGE_INDEX);
        let map = &mut p.outputs[s.change_at()].bip32_derivation;
        let source = map.first_key_value().unwrap().1.clone();
        map.insert(*own.pubkey(KeySlot::C), source);
    }),
    ("a payee called own", Code::ChangeNotOwn, |s, p| {
        p.outputs[s.payee_at()].bip32_derivation = p.outputs[s.change_at()].bip32_derivation.clone();
    }),
    ("change in two pieces", Code::TransactionMismatch, |s, p| {
        let half = change(s, p).value.to_sat() / 2;
        add(change(s, p), -(half as i64));
        let out = change(s, p).clone();
        let map = p.outputs[s.change_at()].clone();
        add_output(p, out.script_pubkey, half);
        *p.outputs.last_mut().unwrap() = map;
    }),
    ("dust change", Code::TransactionMismatch, |s, p| change(s, p).value = Amount::from_sat(329)),
    ("no input's signature type may be NONE", Code::TransactionMismatch, |_, p| {
        p.inputs[1].sighash_type = Some(EcdsaSighashType::None.into());
    }),
    ("nor SINGLE", Code::TransactionMismatch, |_, p| {
        p.inputs[1].sighash_type = Some(EcdsaSighashType::Single.into())
    }),
    ("nor ALL with ANYONECANPAY", Code::TransactionMismatch, |_, p| {
        p.inputs[0].sighash_type = Some(EcdsaSighashType::AllPlusAnyoneCanPay.into());
    }),
    ("nor a number that is no type", Code::TransactionMismatch, |_, p| {
        p.inputs[0].sighash_type = Some(psbt::PsbtSighashType::from_u32(0x101));
    }),
    ("an input's amount lied about", Code::TransactionMismatch, |_, p| {
        add(p.inputs[0].witness_utxo.as_mut().unwrap(), 1);
    }),
    ("an input's script lied about", Code::TransactionMismatch, |_, p| {
        p.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = stranger(1);
    }),
    ("an input without amount", Code::TransactionMismatch, |_, p| p.inputs[0].witness_utxo = None),
    ("an input without witness script", Code::TransactionMismatch, |_, p| p.inputs[0].witness_script = None),
    ("an input with another's witness script", Code::TransactionMismatch, |_, p| {
        p.inputs[0].witness_script = p.inputs[1].witness_script.clone();
    }),
    ("a coin spent twice", Code::TransactionMismatch, |_, p| {
        p.unsigned_tx.input[2] = p.unsigned_tx.input[0].clone();
        p.inputs[2] = p.inputs[0].clone();
    }),
    ("a coin nobody recorded", Code::CoinUnknown, |_, p| {
        p.unsigned_tx.input[0].previous_output = outpoint(99)
    }),
    ("the outpoint's other output", Code::CoinUnknown, |_, p| {
        p.unsigned_tx.input[0].previous_output.vout += 1
    }),
    ("two inputs' maps swapped", Code::TransactionMismatch, |_, p| p.inputs.swap(0, 1)),
    ("no input", Code::TransactionMismatch, |_, p| {
        p.unsigned_tx.input.clear();
        p.inputs.clear();
    }),
    ("no output", Code::TransactionMismatch, |_, p| {
        p.unsigned_tx.output.clear();
        p.outputs.clear();
    }),
    ("the fee drained from the change", Code::FeeAboveCap, |s, p| add(change(s, p), -20_000)),
    ("the change left out", Code::FeeAboveCap, |s, p| {
        p.unsigned_tx.output.remove(s.change_at());
        p.outputs.remove(s.change_at());
    }),
    ("a fee below the floor", Code::TransactionMismatch, |s, p| add(change(s, p), FEE_SAT as i64 - 400)),
    ("more out than in", Code::TransactionMismatch, |s, p| add(change(s, p), FEE_SAT as i64 + 1)),
    ("amounts that overflow", Code::TransactionMismatch, |s, p| {
        change(s, p).value = Amount::from_sat(u64::MAX)
    }),
    ("a lock far in the future", Code::FeeRateStale, |_, p| {
        p.unsigned_tx.lock_time = LockTime::from_consensus(TIP + 7);
    }),
    ("a lock by time", Code::TransactionMismatch, |_, p| {
        p.unsigned_tx.lock_time = LockTime::from_consensus(500_000_000);
    }),
    ("version 1", Code::TransactionMismatch, |_, p| p.unsigned_tx.version = Version::ONE),
    ("version 3", Code::TransactionMismatch, |_, p| p.unsigned_tx.version = Version(3)),
    ("a final sequence", Code::TransactionMismatch, |_, p| p.unsigned_tx.input[1].sequence = Sequence::MAX),
    ("a sequence that does not signal", Code::TransactionMismatch, |_, p| {
        p.unsigned_tx.input[1].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    }),
    ("a relative lock", Code::TransactionMismatch, |_, p| p.unsigned_tx.input[1].sequence = Sequence(10)),
    ("an unknown global field", Code::TransactionMismatch, |_, p| p.unknown = unknown()),
    ("an unknown input field", Code::TransactionMismatch, |_, p| p.inputs[0].unknown = unknown()),
    ("an unknown output field", Code::TransactionMismatch, |_, p| p.outputs[0].unknown = unknown()),
    ("a proprietary global field", Code::TransactionMismatch, |_, p| p.proprietary = proprietary()),
    ("a proprietary input field", Code::TransactionMismatch, |_, p| p.inputs[0].proprietary = proprietary()),
    ("a proprietary output field", Code::TransactionMismatch, |_, p| {
        p.outputs[0].proprietary = proprietary()
    }),
    ("a global extended key", Code::TransactionMismatch, |s, p| {
        let key = &s.hot.wallet.keys()[0];
        p.xpub.insert(*key.xpub(), (key.fingerprint().into(), DerivationPath::master()));
    }),
    ("a redeem script", Code::TransactionMismatch, |_, p| p.inputs[0].redeem_script = Some(ScriptBuf::new())),
    ("a witness script at an output", Code::TransactionMismatch, |_, p| {
        p.outputs[0].witness_script = Some(ScriptBuf::new());
    }),
    ("a previous transaction", Code::TransactionMismatch, |_, p| {
        p.inputs[0].non_witness_utxo = Some(p.unsigned_tx.clone());
    }),
    ("a final witness", Code::TransactionMismatch, |_, p| {
        p.inputs[0].final_script_witness = Some(Witness::from_slice(&[b"x"]));
    }),
    ("a final script", Code::TransactionMismatch, |_, p| {
        p.inputs[0].final_script_sig = Some(ScriptBuf::new())
    }),
    ("a taproot key", Code::TransactionMismatch, |s, p| {
        p.inputs[0].tap_internal_key = Some(s.unsigned.inputs()[0].script.pubkeys()[0].x_only_public_key().0);
    }),
    ("a signature already there", Code::TransactionMismatch, |s, p| {
        let input = &s.check(&s.bytes()).unwrap().inputs()[0].coin().clone();
        let signature = s.hot.signature(&s.check(&s.bytes()).unwrap().inputs()[0], KeySlot::A);
        let key = PublicKey::new(*input.script.pubkey(KeySlot::A));
        p.inputs[0].partial_sigs.insert(key, ecdsa::Signature::sighash_all(signature));
    }),
    ("no derivation", Code::TransactionMismatch, |_, p| p.inputs[0].bip32_derivation.clear()),
    ("the derivation of another party", Code::TransactionMismatch, |s, p| {
        let other = s.unsigned.psbt(KeySlot::A, &s.hot.wallet, None).unwrap();
        p.inputs[0].bip32_derivation = Psbt::deserialize(&other).unwrap().inputs[0].bip32_derivation.clone();
    }),
    ("derivations of two parties", Code::TransactionMismatch, |s, p| {
        let other = s.unsigned.psbt(KeySlot::A, &s.hot.wallet, None).unwrap();
        p.inputs[0]
            .bip32_derivation
            .extend(Psbt::deserialize(&other).unwrap().inputs[0].bip32_derivation.clone());
    }),
    ("a derivation that names another index", Code::TransactionMismatch, |_, p| {
        let path = &mut p.inputs[0].bip32_derivation.values_mut().next().unwrap().1;
        *path = path.as_ref()[..5].iter().copied().chain([ChildNumber::from(77)]).collect();
    }),
];

#[test]
fn an_honest_withdrawal_is_accepted_and_every_attack_on_it_is_refused_by_its_code() {
    let scene = Scene::withdrawal();
    let honest = scene.check(&scene.bytes()).unwrap();
    assert_eq!((honest.kind(), honest.fee_sat()), (TransactionKind::Withdrawal, FEE_SAT));
    assert_eq!(honest.change().unwrap().script().index(), CHANGE_INDEX);
    assert_eq!(honest.change().unwrap().vout() as usize, scene.change_at());
    assert_eq!(honest.txid(), scene.unsigned.txid());
    assert!(honest.cold().is_none() && honest.signatures().is_none());
    for (name, code, attack) in ATTACKS {
        let mut psbt = scene.psbt();
        attack(&scene, &mut psbt);
        let bytes = psbt.serialize();
        assert_ne!(bytes, scene.bytes(), "{name} changes nothing");
        match scene.check(&bytes) {
            Ok(_) => panic!("accepted: {name}"),
            Err(error) => assert_eq!(error.code(), *code, "{name}: {error}"),
        }
    }
}

#[test]
fn signature_type_all_may_be_spelled_out() {
    let scene = Scene::withdrawal();
    let mut psbt = scene.psbt();
    psbt.inputs.iter_mut().for_each(|map| map.sighash_type = Some(EcdsaSighashType::All.into()));
    assert!(scene.check(&psbt.serialize()).is_ok());
}

#[test]
fn bytes_that_are_cut_or_followed_by_others_are_refused() {
    let scene = Scene::withdrawal();
    let bytes = scene.bytes();
    for len in 0..bytes.len() {
        assert!(scene.check(&bytes[..len]).is_err(), "{len}");
    }
    let error = scene.check(&[&bytes[..], &[0]].concat()).unwrap_err();
    assert_eq!(error.code(), Code::PsbtMalformed);
    assert_eq!(scene.check(&vec![0; 256 * 1024 + 1]).unwrap_err().code(), Code::FieldTooLong);
}

#[test]
fn no_single_bit_of_a_reserved_transaction_may_change() {
    let scene = Scene::withdrawal();
    let (bytes, txid) = (scene.bytes(), Some(scene.unsigned.txid()));
    let honest = scene.unsigned.transaction();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let reserved = Expectations { txid, ..scene.expectations() };
        assert!(scene.check_as(&changed, &reserved).is_err(), "byte {at}");
        // without a reservation the fee (by the change's amount) and the lock time are free within their bounds
        if let Ok(checked) = scene.check(&changed) {
            let mut same = checked.transaction().clone();
            same.lock_time = honest.lock_time;
            same.output[scene.change_at()].value = honest.output[scene.change_at()].value;
            assert_eq!(same, *honest, "byte {at}");
        }
    }
}

#[test]
fn expectations_that_differ_refuse_an_honest_withdrawal() {
    let scene = Scene::withdrawal();
    let check = |expect: Expectations<'_>| {
        scene.check_as(&scene.bytes(), &expect).map(|c| c.kind()).map_err(|e| e.code())
    };
    let honest = || scene.expectations();
    assert_eq!(check(honest()), Ok(TransactionKind::Withdrawal));
    let caps = |caps: FeeCaps| check(Expectations { caps, ..honest() });
    let full = honest().caps;
    assert_eq!(caps(FeeCaps { rate_max: FeeRate(1_000), ..full }), Err(Code::FeeAboveCap));
    assert_eq!(caps(FeeCaps { transaction_sat_max: FEE_SAT - 1, ..full }), Err(Code::FeeAboveCap));
    assert_eq!(caps(FeeCaps { asked_sat_max: Some(FEE_SAT - 1), ..full }), Err(Code::FeeAboveCap));
    assert_eq!(caps(FeeCaps { asked_sat_max: Some(FEE_SAT), ..full }), Ok(TransactionKind::Withdrawal));
    assert_eq!(
        check(Expectations { payees: &scene.payees[..1], ..honest() }),
        Err(Code::TransactionMismatch)
    );
    assert_eq!(check(Expectations { payees: &[], ..honest() }), Err(Code::TransactionMismatch));
    assert_eq!(
        check(Expectations { change_index_max: CHANGE_INDEX - 1, ..honest() }),
        Err(Code::ChangeNotOwn)
    );
    assert_eq!(check(Expectations { receiver: KeySlot::A, ..honest() }), Err(Code::TransactionMismatch));
    assert_eq!(
        check(Expectations { signed_by: Some(KeySlot::B), ..honest() }),
        Err(Code::TransactionMismatch)
    );
    assert_eq!(check(Expectations { tip_height: TIP - 7, ..honest() }), Err(Code::FeeRateStale));
    for ready in [
        scene.hot.own(Branch::Change, CHANGE_INDEX),
        scene.hot.own(Branch::Change, 6),
        scene.cold.own(Branch::Change, CHANGE_INDEX),
    ] {
        assert_eq!(
            check(Expectations { change_ready: Some(ready), ..honest() }),
            Ok(TransactionKind::Withdrawal)
        );
    }
}

#[test]
fn another_wallets_coins_and_records_of_another_outpoint_are_refused() {
    let scene = Scene::withdrawal();
    let known = |o: &::bitcoin::OutPoint| scene.unsigned.inputs().iter().find(|c| c.outpoint == *o).cloned();
    let by_cold = check_psbt(&scene.bytes(), &scene.cold.wallet, &scene.expectations(), &known);
    assert_eq!(by_cold.unwrap_err().code(), Code::CoinUnknown);
    let mixed_up = |_: &::bitcoin::OutPoint| Some(scene.unsigned.inputs()[0].clone());
    let confused = check_psbt(&scene.bytes(), &scene.hot.wallet, &scene.expectations(), &mixed_up);
    assert_eq!(confused.unwrap_err().code(), Code::CoinUnknown);
}

#[test]
fn the_kind_is_decided_from_the_outputs() {
    let sweep = Scene::sweep();
    let checked = sweep.check(&sweep.bytes()).unwrap();
    assert_eq!((checked.kind(), checked.cold().unwrap().amount_sat()), (TransactionKind::Sweep, 700_000));
    let gather = Scene::consolidation();
    assert_eq!(gather.check(&gather.bytes()).unwrap().kind(), TransactionKind::Consolidation);
    // a sweep is none without a pinned cold wallet, to another one, or beyond its index
    let check = |cold| {
        sweep.check_as(&sweep.bytes(), &Expectations { cold, ..sweep.expectations() }).map_err(|e| e.code())
    };
    assert_eq!(check(None).unwrap_err(), Code::ChangeNotOwn);
    let other = World::new(Network::Regtest, 3);
    assert_eq!(check(Some(Pinned { wallet: &other.wallet, index_max: 10 })).unwrap_err(), Code::ChangeNotOwn);
    assert_eq!(
        check(Some(Pinned { wallet: &sweep.cold.wallet, index_max: 2 })).unwrap_err(),
        Code::ChangeNotOwn
    );
    // nor may a withdrawal be labelled one
    let mut psbt = sweep.psbt();
    let change = sweep.change_at();
    psbt.unsigned_tx.output[1 - change].script_pubkey = stranger(3);
    assert_eq!(sweep.check(&psbt.serialize()).unwrap_err().code(), Code::ChangeNotOwn);
}

#[test]
fn a_withdrawal_that_sweeps_and_a_payee_that_is_own_are_refused() {
    let scene = Scene::sweep();
    let payees = vec![Payee { script_pubkey: stranger(1), amount_sat: 1_000 }];
    let mut psbt = scene.psbt();
    let change = scene.change_at();
    add(&mut psbt.unsigned_tx.output[change], -1_000);
    add_output(&mut psbt, stranger(1), 1_000);
    let expect = Expectations { payees: &payees, ..scene.expectations() };
    assert_eq!(scene.check_as(&psbt.serialize(), &expect).unwrap_err().code(), Code::KindNotAllowed);

    for own in [Arc::clone(&scene.unsigned.inputs()[0].script), scene.hot.own(Branch::Change, CHANGE_INDEX)] {
        let payees = vec![Payee { script_pubkey: own.script_pubkey().to_owned(), amount_sat: 1_000 }];
        let mut psbt = scene.psbt();
        add(&mut psbt.unsigned_tx.output[change], -1_000);
        add_output(&mut psbt, own.script_pubkey().to_owned(), 1_000);
        let expect = Expectations { payees: &payees, ..scene.expectations() };
        assert_eq!(scene.check_as(&psbt.serialize(), &expect).unwrap_err().code(), Code::DestinationOwn);
    }
}
