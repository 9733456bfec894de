//! Owns in how many ways an address or a name may be written and still be the same.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::enclave::ivms::Name;

/// The most words of a name that are looked at.
const WORDS_MAX: usize = 12;
/// The most words of a name whose every order is looked at (24 orders); of a longer one, each word comes first once.
const EVERY_ORDER_MAX: usize = 4;

/// Without the scheme of a payment link and without a tag (`address:tag`), in lower case: bech32 has both cases, and of base58 too much is
/// found rather than too little.
pub(super) fn fold_address(text: &str) -> String {
    let text = text.trim();
    let bare = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).map_or(text, |(_, rest)| rest);
    bare.split_once(':').map_or(bare, |(account, _)| account).trim().to_lowercase()
}

/// Of a payment link; an address has digits.
pub(super) fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

pub(super) fn spellings(name: &Name) -> Vec<String> {
    let mut all = words(name.primary.as_str());
    all.extend(name.secondary.iter().flat_map(|given| words(given.as_str())));
    orders(&all)
}

/// The words of a name in lower case without accents and signs.
pub(super) fn words(text: &str) -> Vec<String> {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_uppercase).collect();
    let plain: String = plain.chars().flat_map(char::to_lowercase).nfkc().collect();
    let word = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    plain.split([' ', ',', '\t', '\u{3000}']).map(word).filter(|w| !w.is_empty()).collect()
}

/// The words written together in their orders: `Kim Jong Un`, `Un Jong Kim` and `JongUn, Kim` meet.
pub(super) fn orders(words: &[String]) -> Vec<String> {
    let words: Vec<&str> = words.iter().take(WORDS_MAX).map(String::as_str).collect();
    if words.len() <= EVERY_ORDER_MAX {
        return permutations(&words);
    }
    let mut sorted = words.clone();
    sorted.sort_unstable();
    let turned =
        (0..words.len()).map(|first| words.iter().cycle().skip(first).take(words.len()).copied().collect());
    turned.chain([sorted.concat()]).collect()
}

fn permutations(words: &[&str]) -> Vec<String> {
    if words.len() < 2 {
        return words.iter().map(|&word| word.to_owned()).collect();
    }
    let after = |first: usize, word: &str| {
        let rest: Vec<&str> =
            words.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, w)| *w).collect();
        permutations(&rest).into_iter().map(move |end| format!("{word}{end}")).collect::<Vec<_>>()
    };
    words.iter().enumerate().flat_map(|(at, word)| after(at, word)).collect()
}
