//! BIP-0039 in English and Korean, against Trezor's vectors and Trezor's reference program.

use super::super::mnemonic::{MnemonicError, Phrase, WordList};
use super::*;

const ENGLISH: &str = include_str!("../../../tests/vectors/keys/bip39_english.tsv");
const KOREAN: &str = include_str!("../../../tests/vectors/keys/bip39_korean.tsv");

fn seed(words: &str, passphrase: &str) -> Vec<u8> {
    let phrase = Phrase::parse(&secret(words)).ok().unwrap();
    phrase.to_seed(&secret(passphrase)).ok().unwrap().expose().to_vec()
}

fn made(list: WordList, entropy: &[u8]) -> String {
    let entropy = Secret::fill_with(|to: &mut [u8; 32]| to.copy_from_slice(entropy));
    Phrase::from_entropy(list, &entropy).ok().unwrap().words().collect::<Vec<_>>().join(" ")
}

fn refusal(words: &str) -> MnemonicError {
    Phrase::parse(&secret(words)).err().unwrap()
}

#[test]
fn english_vectors_hold() {
    let mut seen = 0;
    for row in rows(ENGLISH) {
        let [entropy, words, expected] = row[..] else { panic!("{row:?}") };
        assert_eq!(seed(words, "TREZOR"), unhex(expected), "{words}");
        let entropy = unhex(entropy);
        if entropy.len() == 32 {
            assert_eq!(made(WordList::English, &entropy), words);
        }
        seen += 1;
    }
    assert_eq!(seen, 24);
}

#[test]
fn korean_vectors_hold_in_composed_and_decomposed_spelling() {
    let mut seen = 0;
    for row in rows(KOREAN) {
        let [entropy, passphrase, expected, nfkd, nfc] = row[..] else { panic!("{row:?}") };
        assert_ne!(nfkd, nfc);
        assert_eq!(seed(nfkd, passphrase), unhex(expected), "{nfkd}");
        assert_eq!(seed(nfc, passphrase), unhex(expected), "{nfc}");
        let entropy = unhex(entropy);
        if entropy.len() == 32 {
            assert_eq!(made(WordList::Korean, &entropy), nfkd);
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn a_passphrase_is_the_same_in_every_unicode_spelling_and_changes_the_seed() {
    assert_eq!(seed(ABANDON, "비밀"), seed(ABANDON, "\u{1107}\u{1175}\u{1106}\u{1175}\u{11af}"));
    assert_ne!(seed(ABANDON, "비밀"), seed(ABANDON, ""));
}

#[test]
fn blanks_between_words_do_not_matter() {
    assert_eq!(seed(&format!("  {}\n", ABANDON.replace(' ', "  \t")), ""), seed(ABANDON, ""));
}

#[test]
fn a_wrong_word_a_swap_and_a_wrong_count_are_refused() {
    let zoo = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo";
    assert_eq!(refusal(&format!("{zoo} zoo")), MnemonicError::Checksum);
    assert_eq!(refusal(&format!("{zoo} zork")), MnemonicError::WordUnknown(12, WordList::English));
    assert_eq!(refusal(&format!("{zoo} Wrong")), MnemonicError::WordUnknown(12, WordList::English));
    assert_eq!(refusal(&format!("{zoo} 불고기")), MnemonicError::WordUnknown(1, WordList::Korean));
    assert_eq!(refusal(zoo), MnemonicError::WordCount(11));
    assert_eq!(refusal(""), MnemonicError::WordCount(0));
    assert_eq!(refusal(&"zoo ".repeat(600)), MnemonicError::TooLong);
    let swapped = "legal winner thank year wave sausage worth useful winner legal thank yellow";
    assert_eq!(refusal(swapped), MnemonicError::Checksum);
    let not_text = SecretBytes::take_from(&mut [0xff, 0xfe]);
    assert_eq!(Phrase::parse(&not_text).err(), Some(MnemonicError::NotText));
}

#[test]
fn almost_every_single_word_change_breaks_the_checksum() {
    let words: Vec<&str> = ABANDON.split(' ').collect();
    let accepted = (0..12)
        .flat_map(|at| ["zoo", "able", "legal", "winner", "yellow"].map(|other| (at, other)))
        .filter(|&(at, other)| {
            let mut changed = words.clone();
            changed[at] = other;
            Phrase::parse(&secret(&changed.join(" "))).is_ok()
        })
        .count();
    // Four bits of checksum let one in sixteen pass.
    assert!(accepted <= 10, "{accepted} of 60");
}
