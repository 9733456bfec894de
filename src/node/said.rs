//! What one node said, what the quorum agreed on, and the one way from the first to the second: counting.

use super::fault::{EndpointFault, NotAgreed, Voice};
use super::settings::Name;

/// The word of one node. It is worth nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    word: T,
    by: Name,
}

impl<T> Said<T> {
    pub(super) const fn new(by: Name, word: T) -> Self {
        Self { word, by }
    }

    /// What was said.
    pub const fn word(&self) -> &T {
        &self.word
    }

    /// Who said it.
    pub const fn by(&self) -> &Name {
        &self.by
    }
}

/// What at least the quorum said in the same words. Only counting makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Agreed<T> {
    value: T,
    by: Vec<Name>,
    against: Vec<Name>,
}

impl<T> Agreed<T> {
    /// The value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Who said so.
    pub fn by(&self) -> &[Name] {
        &self.by
    }

    /// Who had said something else by then: a reason for an alarm.
    pub fn against(&self) -> &[Name] {
        &self.against
    }

    /// What follows from it by computation.
    pub(super) fn map<U>(self, follows: impl FnOnce(T) -> U) -> Agreed<U> {
        Agreed { value: follows(self.value), by: self.by, against: self.against }
    }

    /// What follows from it by computation, beside it.
    pub(super) fn implies<U>(&self, follows: impl FnOnce(&T) -> U) -> Agreed<U> {
        Agreed { value: follows(&self.value), by: self.by.clone(), against: self.against.clone() }
    }
}

/// The count of one question.
pub(super) struct Tally<T> {
    what: &'static str,
    quorum: usize,
    said: Vec<Said<T>>,
    silent: Vec<(Name, EndpointFault)>,
}

impl<T: PartialEq> Tally<T> {
    pub(super) const fn new(what: &'static str, quorum: usize) -> Self {
        Self { what, quorum, said: Vec::new(), silent: Vec::new() }
    }

    /// Counts one endpoint's answer. Says whether the quorum is reached.
    pub(super) fn hear(&mut self, by: Name, answer: Result<T, EndpointFault>) -> bool {
        match answer {
            Ok(word) => {
                self.said.push(Said::new(by, word));
                self.winner().is_some()
            }
            Err(fault) => {
                self.silent.push((by, fault));
                false
            }
        }
    }

    fn winner(&self) -> Option<usize> {
        let votes = |word: &T| self.said.iter().filter(|other| other.word == *word).count();
        self.said.iter().position(|said| votes(&said.word) >= self.quorum)
    }

    /// What was agreed on, or who said what.
    pub(super) fn close(mut self) -> Result<Agreed<T>, NotAgreed> {
        let Some(at) = self.winner() else {
            let answered = self.said.into_iter().map(|said| (said.by, Voice::Answered));
            let silent = self.silent.into_iter().map(|(name, fault)| (name, Voice::Silent(fault)));
            let voices = answered.chain(silent).collect();
            return Err(NotAgreed { what: self.what, wanted: self.quorum, voices });
        };
        let winner = self.said.swap_remove(at);
        let (same, other): (Vec<_>, Vec<_>) =
            self.said.into_iter().partition(|said| said.word == winner.word);
        let by = std::iter::once(winner.by).chain(same.into_iter().map(|said| said.by)).collect();
        Ok(Agreed { value: winner.word, by, against: other.into_iter().map(|said| said.by).collect() })
    }
}
