//! Owns the laws of keystore files, account keys and phrases: one spelling each, and terms within bounds before anything is worked out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::account::AccountXpub;
use super::keystore::read_terms;
use super::mnemonic::Phrase;
use super::sealed::Sealed;
use super::secret::SecretBytes;
use crate::withdrawal::Network;

/// Keystore files, with the digest they came with and with the one they should have.
pub(crate) fn keystore(data: &[u8]) {
    read_keystore(data);
    let digest = HEXLOWER.encode(&Sha256::digest(data));
    read_keystore(&[data, b"digest: ", digest.as_bytes(), b"\n"].concat());
}

fn read_keystore(bytes: &[u8]) {
    match Sealed::parse(bytes) {
        Ok(sealed) => {
            assert_eq!(sealed.render().as_bytes(), bytes);
            let terms = read_terms(bytes).unwrap();
            assert!(terms.cost.params().is_some(), "a cost that cannot be paid");
        }
        Err(no) => {
            assert!(!no.to_string().is_empty());
            assert!(read_terms(bytes).is_err());
        }
    }
}

pub(crate) fn keystore_seeds() -> Vec<Vec<u8>> {
    let text = format!(
        "countersign keystore v1\nrole: signer\nnetwork: regtest\naccount: 0\nfingerprint: 00112233\nkdf: argon2id\n\
         memory_kib: 65536\npasses: 3\nlanes: 1\nsalt: {}\ncipher: xchacha20poly1305\nnonce: {}\nsealed: {}\n",
        "00".repeat(16),
        "11".repeat(24),
        "22".repeat(80)
    );
    vec![text.into_bytes()]
}

/// Account keys in text form, on every network.
pub(crate) fn account(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read: Vec<_> =
        Network::ALL.into_iter().filter_map(|network| AccountXpub::parse(text, network).ok()).collect();
    for xpub in &read {
        assert_eq!(xpub.to_string(), text);
        assert_eq!(
            AccountXpub::parse(&xpub.to_string(), xpub.network()).unwrap().public_key(),
            xpub.public_key()
        );
    }
    assert!(
        read.is_empty()
            || read
                .iter()
                .all(|x| (x.network() == Network::Mainnet) == (read[0].network() == Network::Mainnet))
    );
}

/// Phrases of words: what is read is made of the words it gives, and those are read as the same.
pub(crate) fn phrase(data: &[u8]) {
    let mut copy = data.to_vec();
    if let Ok(phrase) = Phrase::parse(&SecretBytes::take_from(&mut copy)) {
        let words: Vec<_> = phrase.words().collect();
        assert!(matches!(words.len(), 12 | 15 | 18 | 21 | 24));
        let mut text = words.join(" ").into_bytes();
        let again = Phrase::parse(&SecretBytes::take_from(&mut text)).unwrap();
        assert_eq!(again.words().collect::<Vec<_>>(), words);
    }
}

pub(crate) fn phrase_seeds() -> Vec<Vec<u8>> {
    let column = |text: &'static str| {
        text.lines().take(12).flat_map(|line| line.split('\t')).filter(|c| c.contains(' '))
    };
    column(include_str!("../../tests/vectors/keys/bip39_english.tsv"))
        .chain(column(include_str!("../../tests/vectors/keys/bip39_korean.tsv")))
        .map(|text| text.as_bytes().to_vec())
        .collect()
}
