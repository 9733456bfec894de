//! Owns the sanctions door: whether an address or a name stands on a list. Lists come from files; an outside screener stands
//! behind the same trait. What cannot be screened is not clear.
//!
//! A file has one address, or one name, on each line; blank lines and what follows `#` count as nothing. Looking is wide on
//! purpose: letter case, accents, blanks and the order of a name's words part nobody from the list. A hit stops; people look.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod lists;
mod spelling;

use std::sync::Arc;
use std::time::Duration;

pub use self::lists::{ListFault, Lists, check_folder};
use super::backend::Working;
use super::ivms::Person;

/// Who and what is to be screened.
pub struct Subject<'a> {
    /// Addresses of either side.
    pub addresses: &'a [&'a str],
    /// Persons of either side.
    pub persons: &'a [Person],
}

/// What the screen says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screening {
    /// Nothing was found.
    Clear,
    /// An address stands on a list.
    AddressListed,
    /// A name stands on a list.
    NameListed,
    /// It could not be found out: not clear.
    Unknown,
}

/// Whoever screens.
pub trait Screener: Send + Sync + 'static {
    /// Looks for all of it.
    fn screen<'a>(&'a self, subject: &'a Subject<'a>) -> Working<'a, Screening>;

    /// Under which number its lists stand now: what was clear under one is clear until there is another. None: nothing stays clear.
    fn version(&self) -> Option<u64> {
        None
    }

    /// Takes up what has changed; called now and then, where it may block.
    fn refresh(&self) {}
}

/// Has everybody looked for, if anybody screens. A screener that does not answer in time has found out nothing.
pub(super) async fn screened(
    screener: Option<&Arc<dyn Screener>>,
    subject: Subject<'_>,
    time: Duration,
) -> Screening {
    let Some(screener) = screener else { return Screening::Clear };
    tokio::time::timeout(time, screener.screen(&subject)).await.unwrap_or(Screening::Unknown)
}
