//! Keys that are good for a whole VASP, held in memory: they are few, and every verification needs them. The database stays the truth.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::keys::OwnKey;
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::seal::Suite;
use crate::withdrawal::{Seconds, VaspId};

/// What is held. A key of one's own never changes, and goes when its life is over; one of a counterparty goes when it is forgotten.
#[derive(Default)]
pub(super) struct Held {
    /// One for each suite and life at most, as long as the VASP keeps its id.
    own: RwLock<Vec<Own>>,
    peers: RwLock<HashMap<VaspId, (SignedKey, Seconds)>>,
}

struct Own {
    name: String,
    identifier: String,
    generation: i64,
    key: Arc<OwnKey>,
}

impl Own {
    fn is_for(&self, suite: Suite, identifier: &str, generation: i64) -> bool {
        self.key.public.suite() == suite && self.identifier == identifier && self.generation == generation
    }
}

impl Held {
    /// The own key of that suite that is given out for a purpose in that life.
    pub(super) fn own(&self, suite: Suite, purpose: (KeyType, &str), life: i64) -> Option<Arc<OwnKey>> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let held = own.iter().find(|own| own.is_for(suite, purpose.1, life));
        held.filter(|_| purpose.0 == KeyType::PerVasp).map(|own| own.key.clone())
    }

    /// The own key of that name.
    pub(super) fn own_named(&self, name: &str) -> Option<Arc<OwnKey>> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.iter().find(|own| own.name == name).map(|own| own.key.clone())
    }

    /// Holds an own key that the database holds and that is good for a whole VASP.
    pub(super) fn keep_own(&self, name: String, purpose: (String, i64), key: &Arc<OwnKey>) {
        let (identifier, generation) = purpose;
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if !own.iter().any(|own| own.is_for(key.public.suite(), &identifier, generation)) {
            own.push(Own { name, identifier, generation, key: key.clone() });
        }
    }

    /// Lets go of the own keys of all lives before that one.
    pub(super) fn forget_own(&self, life: i64) {
        self.own.write().unwrap_or_else(PoisonError::into_inner).retain(|own| own.generation >= life);
    }

    /// The key of a counterparty as it was fetched since the start, and when.
    pub(super) fn peer(&self, vasp: VaspId, key_type: KeyType) -> Option<(SignedKey, Seconds)> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(&vasp).filter(|_| key_type == KeyType::PerVasp).cloned()
    }

    /// Holds a counterparty's key that the database holds, if it is good for everything.
    pub(super) fn keep_peer(&self, vasp: VaspId, key_type: KeyType, key: (SignedKey, Seconds)) {
        if key_type == KeyType::PerVasp {
            self.peers.write().unwrap_or_else(PoisonError::into_inner).insert(vasp, key);
        }
    }

    /// Forgets a counterparty's key.
    pub(super) fn forget_peer(&self, vasp: VaspId) {
        self.peers.write().unwrap_or_else(PoisonError::into_inner).remove(&vasp);
    }
}
