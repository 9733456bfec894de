//! The words of a seed (BIP-0039): 24 made from given entropy, 12 to 24 read, in English or Korean. Draws no randomness.
//!
//! No error repeats a word. What the crates below leave unwiped on the stack: the normaliser's reordering buffer (a few
//! characters), the word numbers and bits while a phrase is read or made, and the hash states of PBKDF2.

use bip39::{Language, Mnemonic};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroize;

use super::secret::{Secret, SecretBytes};

/// Longest phrase read, in bytes: 24 Korean words in their longest spelling stay below it.
pub const PHRASE_LEN_MAX: usize = 2048;

/// A word list of BIP-0039.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordList {
    /// The English list.
    English,
    /// The Korean list; composed and decomposed spellings are the same word.
    Korean,
}

impl WordList {
    const fn language(self) -> Language {
        match self {
            Self::English => Language::English,
            Self::Korean => Language::Korean,
        }
    }
}

/// A phrase cannot be used. No variant holds a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Too many bytes to be a phrase.
    #[error("the phrase is longer than {PHRASE_LEN_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the text is not UTF-8")]
    NotText,
    /// A count BIP-0039 does not have.
    #[error("the phrase has {0} words; it must have 12, 15, 18, 21 or 24")]
    WordCount(usize),
    /// A word that is not in the list; counted from 1.
    #[error("word {0} is not in the {list} list", list = match .1 { WordList::English => "English", WordList::Korean => "Korean" })]
    WordUnknown(usize, WordList),
    /// All words are known and their checksum does not hold.
    #[error("the checksum of the phrase does not hold; a word is wrong or two are swapped")]
    Checksum,
}

/// The 64 bytes of BIP-0039 from which every key comes.
pub struct Seed(Secret<64>);

impl Seed {
    pub(super) fn of(secret: Secret<64>) -> Self {
        Self(secret)
    }

    pub(super) fn expose(&self) -> &[u8; 64] {
        self.0.expose()
    }
}

/// The words themselves, shown once when a key is made. Wiped when dropped.
pub struct Phrase(Box<Mnemonic>);

impl Phrase {
    /// Makes the 24 words of 32 bytes of entropy.
    pub fn from_entropy(list: WordList, entropy: &Secret<32>) -> Result<Self, MnemonicError> {
        let mnemonic = Mnemonic::from_entropy_in(list.language(), entropy.expose());
        mnemonic.map(|m| Self(Box::new(m))).map_err(|error| refused(error, list))
    }

    /// Reads words separated by blanks, in either list and in any Unicode spelling, and checks their checksum.
    pub fn parse(text: &SecretBytes) -> Result<Self, MnemonicError> {
        if text.expose().len() > PHRASE_LEN_MAX {
            return Err(MnemonicError::TooLong);
        }
        let normal = nfkd(text.expose_text().ok_or(MnemonicError::NotText)?);
        let normal = normal.expose_text().ok_or(MnemonicError::NotText)?;
        let list = if normal.is_ascii() { WordList::English } else { WordList::Korean };
        let mnemonic = Mnemonic::parse_in_normalized(list.language(), normal);
        mnemonic.map(|m| Self(Box::new(m))).map_err(|error| refused(error, list))
    }

    /// The words, for showing them to the person who writes them down.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// The seed of these words and a passphrase, which may be empty (PBKDF2-HMAC-SHA512, 2048 rounds).
    pub fn to_seed(&self, passphrase: &SecretBytes) -> Result<Seed, MnemonicError> {
        let normal = nfkd(passphrase.expose_text().ok_or(MnemonicError::NotText)?);
        let normal = normal.expose_text().ok_or(MnemonicError::NotText)?;
        let mut seed = self.0.to_seed_normalized(normal);
        Ok(Seed(Secret::take_from(&mut seed)))
    }
}

fn refused(error: bip39::Error, list: WordList) -> MnemonicError {
    match error {
        bip39::Error::UnknownWord(at) => MnemonicError::WordUnknown(at.saturating_add(1), list),
        bip39::Error::BadWordCount(count) => MnemonicError::WordCount(count),
        bip39::Error::BadEntropyBitCount(bits) => MnemonicError::WordCount(bits.saturating_mul(3) / 32),
        bip39::Error::InvalidChecksum | bip39::Error::AmbiguousLanguages(_) => MnemonicError::Checksum,
    }
}

/// Normalises into a box of exactly the right size, so that nothing is left behind by growing.
fn nfkd(text: &str) -> SecretBytes {
    let len = text.nfkd().map(char::len_utf8).sum();
    SecretBytes::fill_with(len, |mut to| {
        for c in text.nfkd() {
            let mut utf8 = [0; 4];
            let from = c.encode_utf8(&mut utf8).as_bytes();
            if let Some((head, rest)) = std::mem::take(&mut to).split_at_mut_checked(from.len()) {
                head.copy_from_slice(from);
                to = rest;
            }
            utf8.zeroize();
        }
    })
}
