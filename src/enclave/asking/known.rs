//! Owns the newest answers in memory, so that looking one up costs no disk. The database stays the truth.

use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};

use data_encoding::HEXLOWER;

use crate::enclave::database::Signed;

/// How many answers are held; about 70 MB when full.
pub(in crate::enclave) const KNOWN_MAX: usize = 100_000;

type Digest = [u8; 32];
/// An answer, its signature, and the number of the lists under which it was clear.
type Screened = (Box<str>, [u8; 64], Option<u64>);

/// What the memory says about a request digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::enclave) enum Known {
    /// The answer kept for it, and the number of the sanctions lists under which it was last found clear.
    Answer(String, [u8; 64], Option<u64>),
    /// There is none, in the database either.
    Nothing,
    /// Only the database knows.
    Unknown,
}

/// The newest answers by request digest.
pub(in crate::enclave) struct Answers {
    max: usize,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    answers: HashMap<Digest, Screened>,
    /// The oldest first.
    order: VecDeque<Digest>,
    /// Whether the database holds answers that are not here.
    lacks: bool,
}

impl Answers {
    /// Holds at most `max` of these answers, given newest first and all there are unless there are more than `max`.
    pub(in crate::enclave) fn of(max: usize, newest_first: Vec<(String, Signed)>) -> Self {
        let this = Self { max, held: RwLock::default() };
        newest_first.into_iter().rev().for_each(|(digest, signed)| this.keep(&digest, &signed));
        this
    }

    /// Holds an answer that the database holds already, in place of an older one to the same digest.
    pub(in crate::enclave) fn keep(&self, digest: &str, signed: &Signed) {
        let Some(digest) = digest_of(digest) else { return };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let answer = (signed.text.as_str().into(), signed.signature, None);
        if held.answers.insert(digest, answer).is_none() {
            held.order.push_back(digest);
        }
        while held.order.len() > self.max {
            let Some(oldest) = held.order.pop_front() else { break };
            held.answers.remove(&oldest);
            held.lacks = true;
        }
    }

    /// Notes that exactly this answer was found clear under the lists of that number.
    pub(in crate::enclave) fn cleared(&self, digest: &str, signature: &[u8; 64], version: Option<u64>) {
        let Some(digest) = digest_of(digest) else { return };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, cleared)) = held.answers.get_mut(&digest).filter(|(_, held, _)| held == signature)
        {
            *cleared = version;
        }
    }

    /// What is known without the database.
    pub(in crate::enclave) fn find(&self, digest: &str) -> Known {
        // No row is filed under anything but a digest.
        let Some(digest) = digest_of(digest) else { return Known::Nothing };
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match held.answers.get(&digest) {
            Some((text, signature, cleared)) => Known::Answer(text.to_string(), *signature, *cleared),
            None if held.lacks => Known::Unknown,
            None => Known::Nothing,
        }
    }
}

fn digest_of(text: &str) -> Option<Digest> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn digest(n: u8) -> String {
        HEXLOWER.encode(&[n; 32])
    }

    fn signed(text: &str) -> Signed {
        Signed { text: text.to_owned(), signature: [7; 64] }
    }

    fn answer(text: &str) -> Known {
        Known::Answer(text.to_owned(), [7; 64], None)
    }

    #[test]
    fn the_memory_says_no_for_sure_only_while_it_holds_everything() {
        let known = Answers::of(2, vec![(digest(2), signed("two")), (digest(1), signed("one"))]);
        assert_eq!(known.find(&digest(1)), answer("one"));
        assert_eq!(known.find(&digest(3)), Known::Nothing);
        known.keep(&digest(3), &signed("three"));
        assert_eq!(known.find(&digest(1)), Known::Unknown);
        assert_eq!(
            [2, 3].map(|n| known.find(&digest(n))),
            [answer("two"), answer("three")],
            "the oldest goes first"
        );
        assert_eq!(known.find("no digest"), Known::Nothing);
    }

    #[test]
    fn more_than_the_bound_at_the_start_keeps_the_newest() {
        let all = (1..=3).rev().map(|n| (digest(n), signed("x"))).collect();
        let known = Answers::of(2, all);
        assert_eq!([1, 2, 3].map(|n| known.find(&digest(n)) == answer("x")), [false, true, true]);
        assert_eq!(known.find(&digest(9)), Known::Unknown);
    }

    #[test]
    fn a_renewed_answer_stands_in_place_of_the_old_one() {
        let known = Answers::of(2, Vec::new());
        known.keep(&digest(1), &signed("old"));
        known.keep(&digest(1), &signed("new"));
        known.keep(&digest(2), &signed("other"));
        assert_eq!(known.find(&digest(1)), answer("new"));
        assert_eq!(known.find(&digest(9)), Known::Nothing);
    }

    #[test]
    fn an_answer_is_clear_under_the_lists_it_was_screened_with_until_another_takes_its_place() {
        let known = Answers::of(2, vec![(digest(1), signed("one"))]);
        known.cleared(&digest(1), &[7; 64], Some(3));
        assert_eq!(known.find(&digest(1)), Known::Answer("one".into(), [7; 64], Some(3)));
        known.cleared(&digest(1), &[8; 64], Some(4));
        assert_eq!(known.find(&digest(1)), Known::Answer("one".into(), [7; 64], Some(3)), "another answer");
        known.keep(&digest(1), &signed("new"));
        assert_eq!(known.find(&digest(1)), answer("new"));
    }

    #[test]
    #[ignore = "a figure, not a check: run with --nocapture"]
    fn how_long_a_look_takes() {
        let name = |n: u32| HEXLOWER.encode(&[&n.to_be_bytes()[..], &[0; 28]].concat());
        let known = Answers::of(KNOWN_MAX, Vec::new());
        (0..100_000).for_each(|n| known.keep(&name(n), &signed(&"x".repeat(600))));
        let names: Vec<_> = (0..100_000).map(name).collect();
        let start = std::time::Instant::now();
        let hits = names.iter().filter(|name| matches!(known.find(name), Known::Answer(..))).count();
        println!("{hits} hits, {:?} each", start.elapsed() / 100_000);
    }
}
