//! Owns what the relay holds in memory: endpoints, and parcels on their way. Everything is bounded and expires.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::mark::Marker;
use super::shelf::{Shelf, weight_of_fate, weight_of_parcel};
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

pub(super) struct State {
    config: Config,
    seats: HashMap<String, Seat>,
    marker: Marker,
    parcels: Mutex<Shelf>,
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
        if let Some(carried) = parcels.find(&key) {
            let same = carried.parcel.envelope == parcel.envelope && carried.parcel.to == parcel.to;
            return if same { Ok((carried.clone(), false)) } else { Err("uuid_reused") };
        }
        let bytes = weight_of_parcel(&parcel);
        if !parcels.load(&key.0).takes_parcel(bytes, self.limits()) {
            return Err("busy");
        }
        if !self.is_uuid_of(&key.0, &key.1) {
            return Err("uuid_unknown");
        }
        let expires_at = now.plus(self.config.limits.parcel_expiry_s);
        let (fate, dropped) = (watch::Sender::new(Fate::Waiting), CancellationToken::new());
        let carried = Arc::new(Carried { parcel, fate, expires_at, dropped });
        parcels.put(key, carried.clone(), bytes);
        Ok((carried, true))
    }

    /// Keeps what became of a parcel, while it is still carried. `false` if there is no room for it: it is to be brought again later.
    pub(super) fn keep(&self, carried: &Arc<Carried>, fate: Fate) -> bool {
        let key = (carried.parcel.from.clone(), carried.parcel.uuid.clone());
        let mut parcels = lock(&self.parcels);
        if !parcels.find(&key).is_some_and(|kept| Arc::ptr_eq(kept, carried)) {
            return true;
        }
        let bytes = weight_of_fate(&fate);
        let has_room = parcels.load(&key.0).takes_answer(bytes, self.limits());
        if has_room {
            parcels.add(&key, bytes);
            carried.fate.send_replace(fate);
        }
        has_room
    }

    /// Drops a parcel; whoever still carries it lets go of the last copy of its ciphertext.
    pub(super) fn drop_parcel(&self, from: &str, uuid: &str) -> bool {
        let carried = lock(&self.parcels).take(&(from.to_owned(), uuid.to_owned()));
        carried.is_some_and(|carried| {
            carried.dropped.cancel();
            true
        })
    }

    /// Drops what is too old.
    pub(super) fn expire(&self, now: Seconds) {
        let gone = lock(&self.parcels).take_if(|carried| carried.expires_at <= now);
        gone.iter().for_each(|carried| carried.dropped.cancel());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
