//! Owns what the relay holds in memory: endpoints, and parcels on their way. Everything is bounded and expires.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::mark::Marker;
use crate::enclave::wire::{Fate, Parcel};
use crate::withdrawal::Seconds;

/// How an enclave answered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Unknown,
    Up,
    Down,
}

impl Mood {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Up => "UP",
            Self::Down => "DOWN",
        }
    }
}

/// A parcel that the relay carries; the fate is watched by whoever waits for it.
pub(super) struct Carried {
    pub(super) parcel: Parcel,
    pub(super) fate: watch::Sender<Fate>,
    pub(super) expires_at: Seconds,
    /// Cancelled when the parcel is no longer wanted: whatever still waits with it lets it go.
    pub(super) dropped: CancellationToken,
}

/// Parcels by originating VASP and uuid: no member can reach another's.
type Key = (String, String);

pub(super) struct State {
    config: Config,
    seats: HashMap<String, Seat>,
    marker: Marker,
    parcels: Mutex<HashMap<Key, Arc<Carried>>>,
}

struct Seat {
    allowed: Option<String>,
    endpoint: Mutex<Option<String>>,
    mood: Mutex<Mood>,
    calls: Arc<Semaphore>,
}

/// Why a parcel or a uuid is not taken.
pub(super) type No = &'static str;

impl State {
    pub(super) fn new(config: Config, marker: Marker) -> Self {
        let seat = |allowed: &Option<String>| Seat {
            allowed: allowed.clone(),
            endpoint: Mutex::default(),
            mood: Mutex::new(Mood::Unknown),
            calls: Arc::new(Semaphore::new(config.limits.calls_per_member_max)),
        };
        let seats = config.members.iter().map(|m| (m.vasp.clone(), seat(&m.endpoint))).collect();
        Self { seats, config, marker, parcels: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &super::Limits {
        &self.config.limits
    }

    /// The members with their health, in the order of the configuration.
    pub(super) fn members(&self) -> Vec<(String, Mood)> {
        let mood = |name: &String| self.seats.get(name).map_or(Mood::Unknown, |seat| *lock(&seat.mood));
        self.config.members.iter().map(|m| (m.vasp.clone(), mood(&m.vasp))).collect()
    }

    pub(super) fn is_member(&self, vasp: &str) -> bool {
        self.seats.contains_key(vasp)
    }

    pub(super) fn endpoint(&self, vasp: &str) -> Option<String> {
        self.seats.get(vasp).and_then(|seat| lock(&seat.endpoint).clone())
    }

    pub(super) fn register(&self, vasp: &str, endpoint: &str) -> Result<(), No> {
        let seat = self.seats.get(vasp).ok_or("vasp_unknown")?;
        if seat.allowed.as_deref().is_some_and(|allowed| allowed != endpoint) {
            return Err("endpoint_not_allowed");
        }
        *lock(&seat.endpoint) = Some(endpoint.to_owned());
        Ok(())
    }

    pub(super) fn note_mood(&self, vasp: &str, mood: Mood) {
        if let Some(seat) = self.seats.get(vasp) {
            *lock(&seat.mood) = mood;
        }
    }

    /// The bound on calls to one enclave.
    pub(super) fn calls(&self, vasp: &str) -> Option<Arc<Semaphore>> {
        self.seats.get(vasp).map(|seat| seat.calls.clone())
    }

    /// Gives out uuids to a member.
    pub(super) fn give_uuids(&self, vasp: &str, count: usize) -> Vec<String> {
        (0..count).map(|_| self.marker.give(vasp)).collect()
    }

    /// Whether a uuid was given to that member.
    pub(super) fn is_uuid_of(&self, vasp: &str, uuid: &str) -> bool {
        self.marker.is_of(vasp, uuid)
    }

    /// Takes a parcel in, or finds the one taken in before. Says whether it is new.
    pub(super) fn take_in(&self, parcel: Parcel, now: Seconds) -> Result<(Arc<Carried>, bool), No> {
        let key = (parcel.from.clone(), parcel.uuid.clone());
        let mut parcels = lock(&self.parcels);
        if let Some(carried) = parcels.get(&key) {
            let same = carried.parcel.envelope == parcel.envelope && carried.parcel.to == parcel.to;
            return if same { Ok((carried.clone(), false)) } else { Err("uuid_reused") };
        }
        let own = parcels.keys().filter(|(from, _)| *from == key.0).count();
        if parcels.len() >= self.config.limits.parcels_max || own >= self.config.limits.parcels_per_member_max
        {
            return Err("busy");
        }
        if !self.is_uuid_of(&key.0, &key.1) {
            return Err("uuid_unknown");
        }
        let expires_at = now.plus(self.config.limits.parcel_expiry_s);
        let (fate, dropped) = (watch::Sender::new(Fate::Waiting), CancellationToken::new());
        let carried = Arc::new(Carried { parcel, fate, expires_at, dropped });
        parcels.insert(key, carried.clone());
        Ok((carried, true))
    }

    /// Drops a parcel; whoever still carries it lets go of the last copy of its ciphertext.
    pub(super) fn drop_parcel(&self, from: &str, uuid: &str) -> bool {
        let carried = lock(&self.parcels).remove(&(from.to_owned(), uuid.to_owned()));
        carried.is_some_and(|carried| {
            carried.dropped.cancel();
            true
        })
    }

    /// Drops what is too old.
    pub(super) fn expire(&self, now: Seconds) {
        let gone = lock(&self.parcels).extract_if(|_, carried| carried.expires_at <= now).collect::<Vec<_>>();
        gone.iter().for_each(|(_, carried)| carried.dropped.cancel());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
