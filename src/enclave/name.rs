//! Owns the comparison of names: exact after normalisation, in both orders, never fuzzy. Knows no customers.
//!
//! NFC, then NFKC, then case folding, then letters only. Where both sides have a name in Hangul only those are compared, otherwise the
//! others are. A company's digits count as letters.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use zeroize::Zeroizing;

use super::ivms::{Name, Person};

/// Which comparison found two names equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// In Hangul, family name first on both sides.
    Hangul,
    /// In Hangul, in opposite orders.
    HangulTurned,
    /// In other letters, family name first on both sides.
    Latin,
    /// In other letters, in opposite orders.
    LatinTurned,
}

/// Whether two persons bear the same name, and by which rule. A company is never a natural person.
pub fn same_name(a: &Person, b: &Person) -> Option<Rule> {
    if a.is_legal != b.is_legal {
        return None;
    }
    let digits = a.is_legal;
    let (a, b) = (folded(a, digits), folded(b, digits));
    let hangul = a.iter().any(|n| n.hangul) && b.iter().any(|n| n.hangul);
    let of_script = |n: &&Folded| n.hangul == hangul;
    let pairs = a.iter().filter(of_script).flat_map(|x| b.iter().filter(of_script).map(move |y| (x, y)));
    pairs.filter_map(|(x, y)| same_folded(x, y)).min()
}

struct Folded {
    straight: Zeroizing<String>,
    turned: Zeroizing<String>,
    hangul: bool,
}

fn folded(person: &Person, digits: bool) -> Vec<Folded> {
    person.names.iter().map(|name| fold_name(name, digits)).filter(|f| !f.straight.is_empty()).collect()
}

fn fold_name(name: &Name, digits: bool) -> Folded {
    let primary = fold(name.primary.as_str(), digits);
    let secondary = name.secondary.as_ref().map(|s| fold(s.as_str(), digits)).unwrap_or_default();
    let straight = Zeroizing::new([primary.as_str(), secondary.as_str()].concat());
    let turned = Zeroizing::new([secondary.as_str(), primary.as_str()].concat());
    let hangul = straight.chars().any(is_hangul);
    Folded { straight, turned, hangul }
}

fn same_folded(a: &Folded, b: &Folded) -> Option<Rule> {
    let straight = a.straight == b.straight;
    let turned = a.straight == b.turned || a.turned == b.straight || a.turned == b.turned;
    match (straight, turned, a.hangul) {
        (true, _, true) => Some(Rule::Hangul),
        (true, _, false) => Some(Rule::Latin),
        (false, true, true) => Some(Rule::HangulTurned),
        (false, true, false) => Some(Rule::LatinTurned),
        (false, false, _) => None,
    }
}

/// Upper case and back is the case folding of every script that has cases (`ß` and `SS` meet in `ss`).
fn fold(text: &str, digits: bool) -> Zeroizing<String> {
    let composed = text.nfc().nfkc();
    let cased = composed.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc();
    let kept = cased.filter(|c| c.is_alphabetic() || is_combining_mark(*c) || (digits && c.is_numeric()));
    Zeroizing::new(kept.collect())
}

fn is_hangul(c: char) -> bool {
    matches!(u32::from(c), 0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::super::ivms::Text;
    use super::*;

    fn natural(names: &[(&str, &str)]) -> Person {
        let text = |t: &str| Text::new(t.to_owned());
        let names = names
            .iter()
            .map(|(p, s)| Name { primary: text(p), secondary: (!s.is_empty()).then(|| text(s)) })
            .collect();
        Person { is_legal: false, names, phonetic: Vec::new() }
    }

    fn company(name: &str) -> Person {
        Person { is_legal: true, ..natural(&[(name, "")]) }
    }

    fn rule(a: &[(&str, &str)], b: &[(&str, &str)]) -> Option<Rule> {
        same_name(&natural(a), &natural(b))
    }

    #[test]
    fn case_blanks_width_and_order_do_not_part_a_name() {
        assert_eq!(rule(&[("Robbins", "Taylor")], &[("ROBBINS", "taylor")]), Some(Rule::Latin));
        assert_eq!(rule(&[("Robbins", "Taylor")], &[("Taylor", "Robbins")]), Some(Rule::LatinTurned));
        assert_eq!(rule(&[("KIM", "MIN-SU")], &[("KIM MINSU", "")]), Some(Rule::Latin));
        assert_eq!(rule(&[("KIM", "MINSU")], &[("MINSU KIM", "")]), Some(Rule::LatinTurned));
        assert_eq!(rule(&[("ＫＩＭ", "ＭＩＮＳＵ")], &[("Kim", "Minsu")]), Some(Rule::Latin));
        assert_eq!(rule(&[("Strauß", "")], &[("STRAUSS", "")]), Some(Rule::Latin));
        assert_eq!(rule(&[("e\u{301}", "")], &[("é", "")]), Some(Rule::Latin));
    }

    #[test]
    fn hangul_decides_where_both_sides_have_it() {
        let both = [("KIM", "MINSU"), ("김", "민수")];
        assert_eq!(rule(&both, &[("김민수", "")]), Some(Rule::Hangul));
        assert_eq!(rule(&both, &[("KIM", "MINSU")]), Some(Rule::Latin));
        assert_eq!(rule(&both, &[("KIM", "MINSU"), ("김", "민서")]), None);
        assert_eq!(rule(&[("\u{1100}\u{1175}\u{11b7}", "")], &[("김", "")]), Some(Rule::Hangul));
        assert_eq!(rule(&[("김", "민수")], &[("KIM", "MINSU")]), None);
    }

    #[test]
    fn nothing_is_fuzzy() {
        assert_eq!(rule(&[("Robbins", "Taylor")], &[("Robbins", "Tayler")]), None);
        assert_eq!(rule(&[("Robbins", "Taylor")], &[("Robbins", "T")]), None);
        assert_eq!(rule(&[("José", "")], &[("Jose", "")]), None);
        assert_eq!(rule(&[("123", "")], &[("456", "")]), None);
        assert_eq!(rule(&[], &[]), None);
        assert_eq!(same_name(&company("3M"), &company("M")), None);
        assert_eq!(same_name(&company("Garrit Studio"), &natural(&[("Garrit Studio", "")])), None);
        assert_eq!(same_name(&company("GARRIT  Studio"), &company("Garrit Studio")), Some(Rule::Latin));
    }

    /// The letters of a name in alphabetical order: what no normalisation may change.
    fn letters(name: &(String, String)) -> Vec<char> {
        let mut letters: Vec<char> =
            fold(&name.0, false).chars().chain(fold(&name.1, false).chars()).collect();
        letters.sort_unstable();
        letters
    }

    proptest! {
        #[test]
        fn matching_is_symmetric_and_ignores_order(a in "\\PC{0,8}", b in "\\PC{0,8}", c in "\\PC{0,8}", d in "\\PC{0,8}") {
            let (x, y) = ([(a.as_str(), b.as_str())], [(c.as_str(), d.as_str())]);
            prop_assert_eq!(rule(&x, &y), rule(&y, &x));
            let turned = [(b.as_str(), a.as_str())];
            prop_assert_eq!(rule(&x, &y).is_some(), rule(&turned, &y).is_some());
        }

        #[test]
        fn a_name_with_letters_matches_itself_turned(a in "[a-zA-Z가-힣]{1,8}", b in "[a-zA-Z가-힣]{1,8}") {
            prop_assert!(rule(&[(&a, &b)], &[(&b, &a)]).is_some());
        }

        #[test]
        fn different_letters_never_match(a in "[a-c]{1,4}", b in "[a-c]{0,4}", c in "[a-c]{1,4}", d in "[a-c]{0,4}") {
            let matched = rule(&[(&a, &b)], &[(&c, &d)]).is_some();
            if matched {
                prop_assert_eq!(letters(&(a, b)), letters(&(c, d)));
            }
        }
    }
}
