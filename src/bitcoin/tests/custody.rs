//! What a custodian hands back: three forms of the same signatures are taken, and nothing that is more, less or other.

use ::bitcoin::hex::DisplayHex;
use ::bitcoin::secp256k1::ecdsa::Signature;
use ::bitcoin::{EcdsaSighashType, Psbt, PublicKey, Witness, ecdsa};
use proptest::prelude::*;

use super::scene::Scene;
use crate::bitcoin::custody::ANSWER_LEN_MAX;
use crate::bitcoin::{AnswerError, CheckedTransaction, KeySlot};
use crate::withdrawal::Code;

fn scene() -> (Scene, CheckedTransaction) {
    let scene = Scene::withdrawal();
    let checked = scene.check(&scene.bytes()).unwrap();
    (scene, checked)
}

/// The PSBT with key B's signature at every input.
fn signed(scene: &Scene, checked: &CheckedTransaction) -> Psbt {
    let signatures = scene.hot.sign(checked, KeySlot::B);
    Psbt::deserialize(&checked.psbt_with(&signatures).unwrap()).unwrap()
}

fn code(answer: Result<impl std::fmt::Debug, AnswerError>) -> Code {
    answer.unwrap_err().code()
}

#[test]
fn a_psbt_in_binary_or_base64_and_lines_of_hex_give_the_same_signatures() {
    let (scene, checked) = scene();
    let psbt = signed(&scene, &checked);
    let lines: Vec<String> = psbt
        .inputs
        .iter()
        .map(|input| input.partial_sigs.values().next().unwrap().to_vec().to_lower_hex_string())
        .collect();
    let own = scene.hot.sign(&checked, KeySlot::B);
    let forms =
        [psbt.serialize(), format!("{psbt}\n").into_bytes(), format!("{}\n", lines.join("\n")).into_bytes()];
    for form in forms {
        let taken = checked.answered(KeySlot::B, &form).unwrap();
        assert_eq!(taken.signatures(), own.signatures());
        assert_eq!(checked.psbt_with(&taken).unwrap(), checked.psbt_with(&own).unwrap());
    }
    // what stands beside the signatures is the custodian's own affair, and is not taken over
    let mut with_more = psbt;
    with_more.inputs[0].witness_script = None;
    with_more.inputs[1].bip32_derivation.clear();
    let taken = checked.answered(KeySlot::B, &with_more.serialize()).unwrap();
    assert_eq!(checked.psbt_with(&taken).unwrap(), checked.psbt_with(&own).unwrap());
}

#[test]
fn what_is_more_less_or_other_is_refused_with_its_code() {
    let (scene, checked) = scene();
    let psbt = signed(&scene, &checked);
    let answer = |change: &dyn Fn(&mut Psbt)| {
        let mut changed = psbt.clone();
        change(&mut changed);
        code(checked.answered(KeySlot::B, &changed.serialize()))
    };
    let a = PublicKey::new(*checked.inputs()[0].coin().script.pubkey(KeySlot::A));
    let of_a = ecdsa::Signature::sighash_all(scene.hot.signature(&checked.inputs()[0], KeySlot::A));
    let change_type = |kind| {
        move |psbt: &mut Psbt| psbt.inputs[0].partial_sigs.values_mut().for_each(|s| s.sighash_type = kind)
    };
    let bad: [(&str, Change<'_>); 9] = [
        ("another key's beside it", &|p| assert!(p.inputs[0].partial_sigs.insert(a, of_a).is_none())),
        ("another key's alone", &|p| p.inputs[0].partial_sigs = [(a, of_a)].into()),
        ("none at one input", &|p| p.inputs[1].partial_sigs.clear()),
        ("SIGHASH_NONE", &change_type(EcdsaSighashType::None)),
        ("SIGHASH_ALL|ANYONECANPAY", &change_type(EcdsaSighashType::AllPlusAnyoneCanPay)),
        ("a sighash type asked for", &|p| p.inputs[0].sighash_type = Some(EcdsaSighashType::Single.into())),
        ("finished", &|p| p.inputs[0].final_script_witness = Some(Witness::from_slice(&[[1]]))),
        ("another input's signature", &|p| {
            let other = *p.inputs[1].partial_sigs.values().next().unwrap();
            p.inputs[0].partial_sigs.values_mut().for_each(|s| *s = other);
        }),
        ("a high S", &|p| {
            p.inputs[0].partial_sigs.values_mut().for_each(|s| s.signature = high(&s.signature))
        }),
    ];
    for (what, change) in bad {
        assert_eq!(answer(change), Code::CustodianAnswerSignatures, "{what}");
    }
    let paid = |p: &mut Psbt| p.unsigned_tx.output[0].value += ::bitcoin::Amount::from_sat(1);
    assert_eq!(answer(&paid), Code::CustodianAnswerForeign);
    let bytes = psbt.serialize();
    let cut = &bytes[..bytes.len() - 1];
    for garbage in
        [cut, b"psbt\xff", b"psbtpsbt", b"cHNidP!", b"zz", b"\xff\xfe", &vec![b'a'; ANSWER_LEN_MAX + 1]]
    {
        let shown = garbage.escape_ascii().to_string();
        assert_eq!(
            code(checked.answered(KeySlot::B, garbage)),
            Code::CustodianAnswerMalformed,
            "{shown:.40}"
        );
    }
    for nothing in [&b""[..], b"\n \n"] {
        assert_eq!(code(checked.answered(KeySlot::B, nothing)), Code::CustodianAnswerMalformed);
    }
    let one = psbt.inputs[0].partial_sigs.values().next().unwrap().to_vec().to_lower_hex_string();
    assert_eq!(
        code(checked.answered(KeySlot::B, one.as_bytes())),
        Code::CustodianAnswerSignatures,
        "one of three"
    );
}

/// Makes something wrong of a good answer.
type Change<'a> = &'a dyn Fn(&mut Psbt);

/// The same signature with the other S: valid by the curve, and no network relays it (BIP-0146).
fn high(signature: &Signature) -> Signature {
    let compact = signature.serialize_compact();
    let order: [u8; 32] = ::bitcoin::secp256k1::constants::CURVE_ORDER;
    let mut high = [0u8; 32];
    let mut borrow = 0i16;
    for at in (0..32).rev() {
        let digit = i16::from(order[at]) - i16::from(compact[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        high[at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    Signature::from_compact(&[&compact[..32], &high[..]].concat()).unwrap()
}

proptest! {
    #[test]
    fn no_damage_makes_a_signature_pass_for_another(at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 1..6)) {
        let (scene, checked) = scene();
        let own = scene.hot.sign(&checked, KeySlot::B);
        let mut bytes = signed(&scene, &checked).serialize();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + with.len());
        bytes.splice(at..end, with);
        if let Ok(taken) = checked.answered(KeySlot::B, &bytes) {
            prop_assert_eq!(taken.signatures(), own.signatures());
        }
    }
}
