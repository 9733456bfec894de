//! Owns the places of what is tried at the same time: so many in all, at most a quarter of them for one counterparty.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::withdrawal::VaspId;

/// How many places one counterparty may have of so many; at least one.
pub(in crate::enclave) const fn share_of(places: usize) -> usize {
    if places < 8 { 1 } else { places / 4 }
}

pub(in crate::enclave) struct Places {
    all: Arc<Semaphore>,
    shares: HashMap<VaspId, Arc<Semaphore>>,
    /// One share for all that the directory does not know any more.
    strangers: Arc<Semaphore>,
}

/// A place, free again when this is dropped.
pub(in crate::enclave) struct Place {
    _share: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many places for these counterparties.
    pub(in crate::enclave) fn new(places: usize, peers: impl Iterator<Item = VaspId>) -> Self {
        let share = || Arc::new(Semaphore::new(share_of(places)));
        Self {
            all: Arc::new(Semaphore::new(places)),
            shares: peers.map(|vasp| (vasp, share())).collect(),
            strangers: share(),
        }
    }

    /// Waits for a place of that counterparty's share, and holds none of the others' while it waits.
    pub(in crate::enclave) async fn take(&self, vasp: VaspId) -> Place {
        let share = self.shares.get(&vasp).unwrap_or(&self.strangers).clone();
        // Neither is ever closed.
        let share = share.acquire_owned().await.ok();
        Place { _share: share, _all: self.all.clone().acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_counterparty_has_a_quarter_of_the_places_and_at_least_one() {
        let shares = [1, 3, 4, 7, 8, 12, 128].map(share_of);
        assert_eq!(shares, [1, 1, 1, 1, 2, 3, 32]);
        let places = Places::new(8, [VaspId(1), VaspId(2)].into_iter());
        let take = |vasp| places.take(VaspId(vasp)).now_or_never();
        let held = [take(1).unwrap(), take(1).unwrap()];
        assert!(take(1).is_none(), "its share is taken");
        assert!(take(2).is_some() && take(9).is_some(), "and nobody else's");
        drop(held);
        assert!(take(1).is_some());
    }

    #[test]
    fn all_counterparties_together_have_no_more_than_all_places() {
        let places = Places::new(2, (1..=3).map(VaspId));
        let take = |vasp| places.take(VaspId(vasp)).now_or_never();
        let _held = [take(1).unwrap(), take(2).unwrap()];
        assert!(take(3).is_none());
    }
}
