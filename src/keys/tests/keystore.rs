//! The keystore: opens with its passphrase, unaltered, and in no other way.

use std::fs::Permissions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use proptest::prelude::*;

use super::super::keystore::KeystoreError;
use super::super::{PassphraseError, PassphraseSource, create_file, read_file, read_terms};
use super::*;
use crate::withdrawal::Code;

fn refusal(bytes: &[u8], passphrase: &str) -> KeystoreError {
    open(bytes, &secret(passphrase)).err().expect("it opened")
}

fn sample() -> Vec<u8> {
    sealed(&seed_of(1), terms(Network::Testnet4))
}

/// What an attacker does who edits the file: change a line and renew the digest.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let body = &text[..text.find("digest: ").unwrap()];
    format!("{body}digest: {}\n", data_encoding::HEXLOWER.encode(&Sha256::digest(body))).into_bytes()
}

#[test]
fn what_was_sealed_opens_with_the_same_keys() {
    for network in Network::ALL {
        let parties = KeyRole::ALL.map(crate::keys::KeystoreRole::Party);
        for role in parties.into_iter().chain([crate::keys::KeystoreRole::Executor]) {
            let terms = KeystoreTerms { role, network, account: 5, cost: SealCost::danger_cheap() };
            let bytes = sealed(&seed_of(1), terms);
            assert_eq!(read_terms(&bytes).ok(), Some(terms));
            let opened = open(&bytes, &secret("correct horse")).ok().unwrap();
            assert_eq!(opened.terms(), terms);
            let xpub = opened.account_xpub().ok().unwrap();
            assert_eq!(opened.hot_key().ok().unwrap().xpub(), &xpub);
            let key = super::super::hd::AccountKey::derive(&seed_of(1), network, 5).ok().unwrap();
            assert_eq!(xpub, super::super::AccountXpub::of(&key, network, 5));
            let clear = String::from_utf8(bytes).unwrap();
            assert!(clear.contains(&format!("fingerprint: {}\n", xpub.fingerprint())));
        }
    }
}

#[test]
fn the_file_holds_no_byte_run_of_the_seed() {
    let text = String::from_utf8(sample()).unwrap();
    let seed = data_encoding::HEXLOWER.encode(seed_of(1).expose());
    assert!((0..seed.len() - 8).all(|at| !text.contains(&seed[at..at + 8])));
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = sample();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(refusal(&bytes, "correct horse"), KeystoreError::Corrupted(_)), "bit {bit}");
    }
}

#[test]
fn a_file_cut_at_any_length_or_grown_is_refused() {
    let good = sample();
    for len in 0..good.len() {
        assert!(
            matches!(refusal(&good[..len], "correct horse"), KeystoreError::Corrupted(_)),
            "cut at {len}"
        );
    }
    for tail in ["\n", " ", "x: y\n", "\0"] {
        let grown = [&good[..], tail.as_bytes()].concat();
        assert!(matches!(refusal(&grown, "correct horse"), KeystoreError::Corrupted(_)));
    }
}

#[test]
fn a_header_edited_with_its_digest_renewed_does_not_open() {
    let good = sample();
    let fingerprint =
        open(&good, &secret("correct horse")).ok().unwrap().account_xpub().ok().unwrap().fingerprint();
    let edits = [
        ("role: signer", "role: vault"),
        ("network: testnet4", "network: mainnet"),
        ("account: 0", "account: 1"),
        (fingerprint.as_str(), "00000000"),
        ("passes: 1", "passes: 2"),
        ("memory_kib: 64", "memory_kib: 65"),
        ("salt: 01", "salt: 02"),
        ("nonce: 02", "nonce: 03"),
    ];
    for (from, to) in edits {
        let bytes = edited(&good, from, to);
        assert!(matches!(refusal(&bytes, "correct horse"), KeystoreError::PassphraseWrong), "{from} → {to}");
    }
    assert!(open(&edited(&good, "account: 0", "account: 0"), &secret("correct horse")).is_ok());
}

#[test]
fn a_sealed_byte_altered_with_the_digest_renewed_does_not_open() {
    let good = sample();
    let text = String::from_utf8(good.clone()).unwrap();
    let start = text.find("sealed: ").unwrap() + 8;
    for at in 0..80 {
        let mut bytes = good.clone();
        let digit = &mut bytes[start + at * 2];
        *digit = if *digit == b'0' { b'1' } else { b'0' };
        let bytes = edited(&bytes, "role", "role");
        assert!(matches!(refusal(&bytes, "correct horse"), KeystoreError::PassphraseWrong), "byte {at}");
    }
}

#[test]
fn another_spelling_of_the_same_values_is_refused() {
    let good = sample();
    for (from, to) in [
        ("account: 0", "account: 00"),
        ("account: 0", "account: +0"),
        ("passes: 1", "passes:  1"),
        ("\n", "\r\n"),
        ("kdf: argon2id", "kdf: scrypt"),
    ] {
        assert!(
            matches!(refusal(&edited(&good, from, to), "correct horse"), KeystoreError::Corrupted(_)),
            "{to}"
        );
    }
    let newer = edited(&good, "keystore v1", "keystore v2");
    assert!(refusal(&newer, "correct horse").to_string().contains("version"));
}

#[test]
fn absurd_costs_are_refused_before_any_memory_is_taken() {
    let good = sample();
    for (from, to) in [
        ("memory_kib: 64", "memory_kib: 4294967295"),
        ("memory_kib: 64", "memory_kib: 1048577"),
        ("memory_kib: 64", "memory_kib: 8"),
        ("passes: 1", "passes: 17"),
        ("passes: 1", "passes: 0"),
        ("lanes: 1", "lanes: 9"),
        ("lanes: 1", "lanes: 0"),
    ] {
        let refusal = refusal(&edited(&good, from, to), "correct horse");
        assert!(matches!(refusal, KeystoreError::CostOutOfBounds { .. }), "{to}: {refusal}");
        assert!(read_terms(&edited(&good, from, to)).is_err());
    }
    assert!(SealCost::danger_cheap().is_cheap() && !SealCost::STANDARD.is_cheap());
    assert!(SealCost::new(65_536, 3, 1).is_ok_and(|cost| cost == SealCost::STANDARD));
}

#[test]
fn the_standard_cost_seals_and_opens() {
    let terms = KeystoreTerms { cost: SealCost::STANDARD, ..terms(Network::Mainnet) };
    let bytes = sealed(&seed_of(2), terms);
    assert!(String::from_utf8(bytes.clone()).unwrap().contains("memory_kib: 65536\npasses: 3\nlanes: 1\n"));
    assert!(open(&bytes, &secret("correct horse")).is_ok());
}

#[test]
fn an_empty_passphrase_neither_seals_nor_opens() {
    let sealed = seal(&seed_of(1), terms(Network::Regtest), &secret(""), [0; 16], [0; 24]);
    assert!(matches!(sealed, Err(KeystoreError::PassphraseEmpty)));
    assert!(matches!(refusal(&sample(), ""), KeystoreError::PassphraseEmpty));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_the_right_passphrase_opens(right in ".{1,40}", wrong in ".{1,40}", n in 0u32..1000) {
        let bytes = seal(&seed_of(n), terms(Network::Signet), &secret(&right), [n as u8; 16], [7; 24]).ok().unwrap();
        let opened = open(&bytes, &secret(&right)).ok().unwrap();
        let same = |label| {
            let other = super::opened(&seed_of(n), Network::Signet).instance_secret(label).ok().unwrap();
            opened.instance_secret(label).ok().unwrap().expose() == other.expose()
        };
        prop_assert!(same("row tag"));
        if right != wrong {
            prop_assert!(matches!(open(&bytes, &secret(&wrong)).err(), Some(KeystoreError::PassphraseWrong)));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..900), cut in 0usize..700) {
        prop_assert!(open(&bytes, &secret("x")).is_err());
        let good = sample();
        let mixed = [&good[..cut.min(good.len() - 1)], &bytes[..]].concat();
        prop_assert!(mixed == good || open(&mixed, &secret("correct horse")).is_err());
    }
}

#[test]
fn instance_secrets_differ_by_label_and_from_the_identities() {
    let opened = opened(&seed_of(1), Network::Regtest);
    let secret = |label: &str| *opened.instance_secret(label).ok().unwrap().expose();
    assert_eq!(secret("row tag"), secret("row tag"));
    assert_ne!(secret("row tag"), secret("log"));
    assert_ne!(
        secret("row tag"),
        *super::opened(&seed_of(2), Network::Regtest).instance_secret("row tag").ok().unwrap().expose()
    );
    let seed = seed_of(1);
    assert!(!seed.expose().windows(32).any(|window| window == secret("row tag")));
}

#[test]
fn a_file_is_created_once_with_mode_0600_and_read_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("signer.keystore");
    assert!(matches!(read_file(&path), Err(KeystoreError::Missing(_))));
    create_file(&path, &sample()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(read_file(&path).unwrap(), sample());
    let again = create_file(&path, b"something else").unwrap_err();
    assert!(matches!(again, KeystoreError::Exists(_)));
    assert_eq!(again.code(), Code::KeystoreExists);
    assert_eq!(read_file(&path).unwrap(), sample());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "a draft was left behind");
}

#[test]
fn a_dangling_link_is_not_written_through() {
    let home = tempfile::tempdir().unwrap();
    let (link, target) = (home.path().join("link"), home.path().join("target"));
    symlink(&target, &link).unwrap();
    assert!(matches!(create_file(&link, &sample()), Err(KeystoreError::Exists(_))));
    assert!(!target.exists());
}

#[test]
fn a_file_others_can_reach_is_refused_with_its_cure() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("k");
    create_file(&path, &sample()).unwrap();
    for mode in [0o604, 0o640, 0o620, 0o601, 0o777] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refusal = read_file(&path).unwrap_err();
        assert!(refusal.to_string().contains("chmod 600"), "{refusal}");
        assert_eq!(refusal.code(), Code::KeystoreTooOpen);
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(read_file(&path).is_ok());
}

#[test]
fn a_directory_and_a_huge_file_are_no_keystore() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(read_file(home.path()), Err(KeystoreError::Corrupted(_))));
    let path = home.path().join("huge");
    create_file(&path, &vec![b'x'; 9000]).unwrap();
    assert!(matches!(read_file(&path), Err(KeystoreError::Corrupted(_))));
    let nowhere = create_file(&home.path().join("none/k"), b"x").unwrap_err();
    assert!(matches!(nowhere, KeystoreError::Io { .. }));
}

#[test]
fn a_passphrase_comes_from_a_file_or_an_inherited_descriptor() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("passphrase");
    let write = |bytes: &[u8], mode| {
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    };
    let source = PassphraseSource::File(path.clone());
    write("비밀 번호\n".as_bytes(), 0o600);
    assert_eq!(source.read().ok().unwrap().expose(), "비밀 번호".as_bytes());
    let file = std::fs::File::open(&path).unwrap();
    let descriptor = PassphraseSource::Descriptor(file.as_raw_fd().try_into().unwrap());
    assert_eq!(descriptor.read().ok().unwrap().expose(), "비밀 번호".as_bytes());
    write(b"\n", 0o600);
    assert!(matches!(source.read(), Err(PassphraseError::Empty { .. })));
    write(&[b'x'; 4097], 0o600);
    assert!(matches!(source.read(), Err(PassphraseError::TooLong { .. })));
    write(b"secret", 0o644);
    assert!(source.read().err().unwrap().to_string().contains("chmod 600"));
    write(b"secret", 0o440);
    assert!(source.read().is_ok());
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(source.read(), Err(PassphraseError::Unreadable { .. })));
    assert!(matches!(PassphraseSource::Descriptor(9_999).read(), Err(PassphraseError::Unreadable { .. })));
}

#[test]
fn a_passphrase_comes_through_a_pipe() {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"through the pipe\n").unwrap();
    let source = PassphraseSource::Descriptor(reader.as_raw_fd().try_into().unwrap());
    drop(writer);
    assert_eq!(source.read().ok().unwrap().expose(), b"through the pipe");
}

#[test]
fn a_passphrase_comes_through_standard_input_of_a_protected_process() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys::tests::keystore::child_reads_its_standard_input", "--ignored"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through standard input\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_reads_its_standard_input() {
    use std::io::Write;
    super::super::forbid_core_dumps().unwrap();
    let read = PassphraseSource::Descriptor(0).read().ok().unwrap();
    assert_eq!(read.expose(), b"through standard input");
    // PR_SET_DUMPABLE 0 hands /proc/self to root; a process may still open its own descriptors there.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"piped").unwrap();
    drop(writer);
    let piped = PassphraseSource::Descriptor(reader.as_raw_fd().try_into().unwrap());
    assert_eq!(piped.read().ok().unwrap().expose(), b"piped");
}
