//! Messages signed with an address: the vectors of BIP-0322, and everything that must not pass for one.

use ::bitcoin::key::TapTweak;
use ::bitcoin::secp256k1::{Keypair, Message, Secp256k1, SecretKey};
use ::bitcoin::sighash::{Prevouts, SighashCache};
use ::bitcoin::{
    Address, Amount, CompressedPublicKey, EcdsaSighashType, Network as Chain, PrivateKey, ScriptBuf,
    TapSighashType, TxOut, Witness, ecdsa, opcodes, script::Builder,
};
use data_encoding::BASE64;

use crate::bitcoin::message::{MessageError, unsigned_message, verify_message};
use crate::bitcoin::{AddressKind, Destination};
use crate::withdrawal::Network;

const P2WPKH: &str = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";
const P2TR: &str = "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3";
/// BIP-0322's test vectors: address, message, signature.
const VECTORS: [(&str, &str, &str); 5] = [
    (
        P2WPKH,
        "",
        "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        P2WPKH,
        "Hello World",
        "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        P2WPKH,
        "",
        "AkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVgzAEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        P2WPKH,
        "Hello World",
        "AkgwRQIhAOzyynlqt93lOKJr+wmmxIens//zPzl9tqIOua93wO6MAiBi5n5EyAcPScOjf1lAqIUIQtr3zKNeavYabHyR8eGhowEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        P2TR,
        "Hello World",
        "AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==",
    ),
];

fn address(text: &str) -> Destination {
    Destination::parse(text, Network::Mainnet).unwrap()
}

fn verify(at: &str, message: &str, proof: &str) -> Result<(), MessageError> {
    verify_message(&address(at), message, proof)
}

#[test]
fn the_vectors_of_the_standard_hold() {
    for (at, message, proof) in VECTORS {
        assert_eq!(verify(at, message, proof), Ok(()), "{at} {message:?} {proof}");
    }
}

#[test]
fn another_message_or_another_address_is_refused() {
    for (at, message, proof) in VECTORS {
        assert_eq!(verify(at, &format!("{message} "), proof), Err(MessageError::Refused), "{at}");
        assert_eq!(verify(at, &format!("{message}\n"), proof), Err(MessageError::Refused), "{at}");
    }
    let other = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    assert_eq!(verify(other, "Hello World", VECTORS[1].2), Err(MessageError::Refused));
    assert_eq!(verify(P2TR, "Hello World", VECTORS[1].2), Err(MessageError::Form));
    assert_eq!(verify(P2WPKH, "Hello World", VECTORS[4].2), Err(MessageError::Form));
}

#[test]
fn every_other_spelling_of_a_proof_is_refused() {
    let good = VECTORS[1].2;
    let bytes = BASE64.decode(good.as_bytes()).unwrap();
    let longer = BASE64.encode(&[&bytes[..], &[0]].concat());
    // the number of parts, spelled with three bytes
    let loose = BASE64.encode(&[&[0xfd, 2, 0], &bytes[1..]].concat());
    let cut = BASE64.encode(&bytes[..bytes.len() - 1]);
    let unpadded = good.trim_end_matches('=').to_owned();
    for bad in [
        longer,
        loose,
        cut,
        unpadded,
        format!("smp{good}"),
        format!("{good}\n"),
        "A".repeat(600),
        String::new(),
    ] {
        assert_eq!(verify(P2WPKH, "Hello World", &bad), Err(MessageError::Unreadable), "{bad}");
    }
}

#[test]
fn a_bit_changed_anywhere_in_a_proof_refuses() {
    for (at, message, proof) in VECTORS {
        let mut bytes = BASE64.decode(proof.as_bytes()).unwrap();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                bytes[place] ^= 1 << bit;
                assert!(verify(at, message, &BASE64.encode(&bytes)).is_err(), "bit {bit} of byte {place}");
                bytes[place] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn an_address_whose_form_proves_nothing_is_named_so() {
    for at in ["14vV3aCHBeStb5bkenkNHbe2YAFinYdXgc", "3HSVzEhCFuH9Z3wvoWTexy7BMVVp3PjS6f"] {
        assert!(matches!(address(at).kind(), AddressKind::P2pkh | AddressKind::P2sh));
        assert_eq!(verify(at, "Hello World", VECTORS[1].2), Err(MessageError::Kind));
    }
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_slice(&[seed; 32]).unwrap()
}

fn proof(parts: &[Vec<u8>]) -> String {
    BASE64.encode(&::bitcoin::consensus::encode::serialize(&Witness::from_slice(parts)))
}

/// The keys' signatures over a message for a 2-of-3 script, all of this type.
fn signatures(
    at: &Destination,
    script: &ScriptBuf,
    message: &str,
    seeds: &[u8],
    kind: EcdsaSighashType,
) -> Vec<Vec<u8>> {
    let unsigned = unsigned_message(at, message);
    let sign = |seed: &u8| {
        let hash = SighashCache::new(&unsigned).p2wsh_signature_hash(0, script, Amount::ZERO, kind).unwrap();
        let signature = Secp256k1::new().sign_ecdsa(&Message::from(hash), &secret(*seed));
        ecdsa::Signature { signature, sighash_type: kind }.to_vec()
    };
    seeds.iter().map(sign).collect()
}

fn multisig(required: i64, seeds: &[u8]) -> (Destination, ScriptBuf) {
    let secp = Secp256k1::new();
    let mut script = Builder::new().push_int(required);
    for seed in seeds {
        script = script.push_slice(secret(*seed).public_key(&secp).serialize());
    }
    let script =
        script.push_int(i64::try_from(seeds.len()).unwrap()).push_opcode(opcodes::all::OP_CHECKMULTISIG);
    let script = script.into_script();
    (address(&Address::p2wsh(&script, Chain::Bitcoin).to_string()), script)
}

#[test]
fn two_of_three_hold_in_the_order_of_the_script() {
    let (at, script) = multisig(2, &[1, 2, 3]);
    let all = EcdsaSighashType::All;
    let prove = |seeds: &[u8], message: &str| {
        let signed = signatures(&at, &script, message, seeds, all);
        let parts = [vec![vec![]], signed, vec![script.to_bytes()]].concat();
        verify_message(&at, "ours", &proof(&parts))
    };
    for seeds in [[1, 2], [1, 3], [2, 3]] {
        assert_eq!(prove(&seeds, "ours"), Ok(()), "{seeds:?}");
        assert_eq!(prove(&seeds, "theirs"), Err(MessageError::Refused));
    }
    for seeds in [[2, 1], [1, 1], [1, 4]] {
        assert_eq!(prove(&seeds, "ours"), Err(MessageError::Refused), "{seeds:?}");
    }
    assert_eq!(prove(&[1], "ours"), Err(MessageError::Form));
    assert_eq!(prove(&[1, 2, 3], "ours"), Err(MessageError::Form));
}

#[test]
fn another_script_than_two_of_three_is_refused() {
    for (required, seeds) in [(1, vec![1, 2, 3]), (2, vec![1, 2]), (3, vec![1, 2, 3]), (2, vec![1, 2, 3, 4])]
    {
        let (at, script) = multisig(required, &seeds);
        let signed = signatures(&at, &script, "ours", &seeds[..2], EcdsaSighashType::All);
        let parts = [vec![vec![]], signed, vec![script.to_bytes()]].concat();
        assert_eq!(
            verify_message(&at, "ours", &proof(&parts)),
            Err(MessageError::Form),
            "{required} of {seeds:?}"
        );
    }
    // anybody can spend from it
    let script = Builder::new().push_int(1).into_script();
    let at = address(&Address::p2wsh(&script, Chain::Bitcoin).to_string());
    assert_eq!(verify_message(&at, "ours", &proof(&[script.to_bytes()])), Err(MessageError::Form));
}

#[test]
fn a_signature_over_less_than_everything_is_refused() {
    use EcdsaSighashType::*;
    let (at, script) = multisig(2, &[1, 2, 3]);
    for kind in [None, Single, AllPlusAnyoneCanPay, NonePlusAnyoneCanPay, SinglePlusAnyoneCanPay] {
        let signed = signatures(&at, &script, "ours", &[1, 2], kind);
        let parts = [vec![vec![]], signed, vec![script.to_bytes()]].concat();
        assert_eq!(verify_message(&at, "ours", &proof(&parts)), Err(MessageError::Sighash), "{kind}");
    }
}

#[test]
fn a_taproot_key_signs_with_the_default_type_or_with_all_and_nothing_else() {
    let secp = Secp256k1::new();
    let pair = Keypair::from_secret_key(&secp, &secret(7)).tap_tweak(&secp, Option::None);
    let at = address(&Address::p2tr_tweaked(pair.public_parts().0, Chain::Bitcoin).to_string());
    let unsigned = unsigned_message(&at, "ours");
    let spent = [TxOut { value: Amount::ZERO, script_pubkey: at.script_pubkey().to_owned() }];
    for kind in [
        TapSighashType::Default,
        TapSighashType::All,
        TapSighashType::None,
        TapSighashType::AllPlusAnyoneCanPay,
    ] {
        let hash = SighashCache::new(&unsigned)
            .taproot_key_spend_signature_hash(0, &Prevouts::All(&spent), kind)
            .unwrap();
        let signature = secp.sign_schnorr_no_aux_rand(&Message::from(hash), &pair.to_keypair());
        let bytes = ::bitcoin::taproot::Signature { signature, sighash_type: kind }.to_vec();
        let whole = matches!(kind, TapSighashType::Default | TapSighashType::All);
        let wanted = if whole { Ok(()) } else { Err(MessageError::Sighash) };
        assert_eq!(verify_message(&at, "ours", &proof(std::slice::from_ref(&bytes))), wanted, "{kind}");
        // an annex is no part of the plain form
        let annexed = proof(&[bytes, vec![0x50, 1]]);
        assert_eq!(verify_message(&at, "ours", &annexed), Err(MessageError::Form));
    }
}

#[test]
fn a_key_of_the_standard_makes_its_own_signature() {
    let key = PrivateKey::from_wif("L3VFeEujGtevx9w18HD1fhRbCH67Az2dpCymeRE1SoPK6XQtaN2k").unwrap();
    let secp = Secp256k1::new();
    let public = CompressedPublicKey::from_private_key(&secp, &key).unwrap();
    let at = address(P2WPKH);
    assert_eq!(Address::p2wpkh(&public, Chain::Bitcoin).to_string(), P2WPKH);
    let unsigned = unsigned_message(&at, "Hello World");
    let hash = SighashCache::new(&unsigned)
        .p2wpkh_signature_hash(0, at.script_pubkey(), Amount::ZERO, EcdsaSighashType::All)
        .unwrap();
    let signature = secp.sign_ecdsa(&Message::from(hash), &key.inner);
    let low = ecdsa::Signature::sighash_all(signature).to_vec();
    let public = public.to_bytes().to_vec();
    assert_eq!(proof(&[low.clone(), public.clone()]), VECTORS[3].2, "RFC 6979 gives the vector's own bytes");
    // the same signature with its other half is the same to the consensus rules, and no second spelling here
    let mut order = ::bitcoin::secp256k1::constants::CURVE_ORDER;
    let compact = signature.serialize_compact();
    let mut borrow = 0i16;
    for at in (0..32).rev() {
        let digit = i16::from(order[at]) - i16::from(compact[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        order[at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    let high =
        ::bitcoin::secp256k1::ecdsa::Signature::from_compact(&[&compact[..32], &order].concat()).unwrap();
    let high = ecdsa::Signature::sighash_all(high).to_vec();
    assert_eq!(verify(P2WPKH, "Hello World", &proof(&[high, public])), Err(MessageError::Form));
}
