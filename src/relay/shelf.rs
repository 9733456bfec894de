//! Owns the parcels that the relay holds, with their weight in bytes: how many there are, and whether there is room for more.

use std::collections::HashMap;
use std::sync::Arc;

use super::Limits;
use super::state::Carried;
use crate::enclave::wire::seal::Envelope;
use crate::enclave::wire::{Fate, Parcel};

/// What keeping a parcel takes beside its texts, in bytes, counted generously.
const KEPT_LEN: usize = 1024;

/// Parcels by originating VASP and uuid: no member can reach another's.
pub(super) type Key = (String, String);

struct Held {
    carried: Arc<Carried>,
    /// The parcel, and its answer once there is one.
    bytes: usize,
}

/// The parcels, with their sums: the relay asks for them at each parcel and each answer, and everybody waits meanwhile.
#[derive(Default)]
pub(super) struct Shelf {
    parcels: HashMap<Key, Held>,
    /// How many parcels a member has here, and their bytes; who has none does not stand here.
    members: HashMap<String, (usize, usize)>,
    bytes: usize,
}

/// What a shelf holds, of one member and of all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    own: usize,
    own_bytes: usize,
    all: usize,
    all_bytes: usize,
}

impl Load {
    /// Whether a parcel of that weight may be taken in. Half of the bytes is left for answers: a shelf full of parcels could
    /// otherwise never be cleared by them.
    pub(super) fn takes_parcel(self, bytes: usize, limits: &Limits) -> bool {
        self.own < limits.parcels_per_member_max
            && self.all < limits.parcels_max
            && self.own_bytes.saturating_add(bytes) <= limits.bytes_per_member_max / 2
            && self.all_bytes.saturating_add(bytes) <= limits.bytes_max / 2
    }

    /// Whether an answer of that weight may be kept.
    pub(super) fn takes_answer(self, bytes: usize, limits: &Limits) -> bool {
        self.own_bytes.saturating_add(bytes) <= limits.bytes_per_member_max
            && self.all_bytes.saturating_add(bytes) <= limits.bytes_max
    }
}

impl Shelf {
    pub(super) fn load(&self, member: &str) -> Load {
        let (own, own_bytes) = self.members.get(member).copied().unwrap_or_default();
        Load { own, own_bytes, all: self.parcels.len(), all_bytes: self.bytes }
    }

    pub(super) fn find(&self, key: &Key) -> Option<&Arc<Carried>> {
        self.parcels.get(key).map(|held| &held.carried)
    }

    pub(super) fn put(&mut self, key: Key, carried: Arc<Carried>, bytes: usize) {
        self.take(&key);
        let (parcels, own) = self.members.entry(key.0.clone()).or_default();
        *parcels = parcels.saturating_add(1);
        *own = own.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        self.parcels.insert(key, Held { carried, bytes });
    }

    /// Adds the weight of an answer to a parcel's.
    pub(super) fn add(&mut self, key: &Key, bytes: usize) {
        if let Some(held) = self.parcels.get_mut(key) {
            held.bytes = held.bytes.saturating_add(bytes);
            self.bytes = self.bytes.saturating_add(bytes);
            if let Some((_, own)) = self.members.get_mut(&key.0) {
                *own = own.saturating_add(bytes);
            }
        }
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Arc<Carried>> {
        let held = self.parcels.remove(key)?;
        self.gone(&key.0, held.bytes);
        Some(held.carried)
    }

    pub(super) fn take_if(&mut self, gone: impl Fn(&Carried) -> bool) -> Vec<Arc<Carried>> {
        let taken: Vec<(Key, Held)> = self.parcels.extract_if(|_, held| gone(&held.carried)).collect();
        let out = |((from, _), held): (Key, Held)| {
            self.gone(&from, held.bytes);
            held.carried
        };
        taken.into_iter().map(out).collect()
    }

    /// Takes the weight of a parcel out of the sums.
    fn gone(&mut self, member: &str, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some((parcels, own)) = self.members.get_mut(member) {
            *parcels = parcels.saturating_sub(1);
            *own = own.saturating_sub(bytes);
            if *parcels == 0 {
                self.members.remove(member);
            }
        }
    }
}

/// What a parcel weighs, in bytes.
pub(super) fn weight_of_parcel(parcel: &Parcel) -> usize {
    let Parcel { from, to, uuid, kind, key_type, envelope } = parcel;
    let texts = [from, to, uuid, kind, key_type].map(String::len);
    texts.into_iter().fold(weight_of(envelope), usize::saturating_add).saturating_add(KEPT_LEN)
}

/// What the fate of a parcel weighs, in bytes.
pub(super) fn weight_of_fate(fate: &Fate) -> usize {
    match fate {
        Fate::Answered { envelope } => weight_of(envelope),
        Fate::Refused { error } => error.len(),
        Fate::Waiting => 0,
    }
}

fn weight_of(envelope: &Envelope) -> usize {
    let Envelope { suite, key_id, enc, ciphertext } = envelope;
    [suite, key_id, enc, ciphertext].map(String::len).into_iter().fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::mark::Marker;
    use super::super::state::State;
    use super::super::{Config, Member};
    use super::*;
    use crate::withdrawal::Seconds;

    const KIB: usize = 1024;

    /// A relay of the members 1 and 2 with bounds of that many KiB, for one and for all.
    fn state(own_kib: usize, all_kib: usize) -> State {
        let member = |vasp: &str| Member { vasp: vasp.into(), identity_key: String::new(), endpoint: None };
        let limits =
            Limits { bytes_per_member_max: own_kib * KIB, bytes_max: all_kib * KIB, ..Limits::default() };
        State::new(Config { members: vec![member("1"), member("2")], limits }, Marker::new(&[1; 32]))
    }

    fn envelope(kib: usize) -> Envelope {
        let text = |t: &str| t.to_owned();
        Envelope { suite: text("s"), key_id: text("k"), enc: text("e"), ciphertext: "c".repeat(kib * KIB) }
    }

    fn parcel(state: &State, from: &str, kib: usize) -> Parcel {
        let uuid = state.give_uuids(from, 1).remove(0);
        let (kind, key_type) = ("user".into(), "PerVasp".into());
        Parcel { from: from.into(), to: "2".into(), uuid, kind, key_type, envelope: envelope(kib) }
    }

    /// Takes in a parcel of a little more than `kib` + 1 KiB.
    fn posted(state: &State, from: &str, kib: usize) -> Result<Arc<Carried>, &'static str> {
        state.take_in(parcel(state, from, kib), Seconds(1)).map(|(carried, _)| carried)
    }

    /// What a walk over every parcel finds.
    fn walked(shelf: &Shelf, member: &str) -> Load {
        let bytes = |own: bool| {
            let found = shelf.parcels.iter().filter(|((from, _), _)| !own || from == member);
            found.map(|(_, held)| held.bytes).collect::<Vec<_>>()
        };
        let (own, all) = (bytes(true), bytes(false));
        Load { own: own.len(), own_bytes: own.iter().sum(), all: all.len(), all_bytes: all.iter().sum() }
    }

    #[test]
    fn the_sums_are_those_of_the_parcels_whatever_comes_and_goes() {
        let (state, mut shelf) = (state(4000, 4000), Shelf::default());
        let carried = |from: &str, expires_at| {
            let parcel = parcel(&state, from, 0);
            let (fate, dropped) = (tokio::sync::watch::Sender::new(Fate::Waiting), Default::default());
            Arc::new(Carried { parcel, fate, expires_at: Seconds(expires_at), dropped })
        };
        let key = |from: &str, n: usize| (from.to_owned(), n.to_string());
        for n in 0..200_usize {
            // Two members, fifteen keys each: some are put twice, taken twice, or weighed when they are gone.
            let from = if n % 3 == 0 { "1" } else { "2" };
            match n % 7 {
                0..=3 => shelf.put(key(from, n * 5 % 15), carried(from, n as u64 % 4), n),
                4 => shelf.add(&key(from, n * 11 % 15), 1_000 + n),
                5 => drop(shelf.take(&key(from, n * 13 % 15))),
                _ => drop(shelf.take_if(|carried| carried.expires_at == Seconds(n as u64 % 9))),
            }
            for member in ["1", "2", "3"] {
                assert_eq!(shelf.load(member), walked(&shelf, member), "{n}");
            }
        }
        assert!(!shelf.parcels.is_empty() && shelf.load("1").own > 0 && shelf.load("2").own > 0);
        shelf.take_if(|_| true);
        assert!(shelf.members.is_empty() && shelf.bytes == 0);
    }

    #[test]
    fn parcels_of_one_member_are_bounded_in_bytes_and_no_other_member_feels_it() {
        let state = state(400, 4000);
        let first = posted(&state, "1", 100).unwrap();
        assert_eq!(posted(&state, "1", 100).err(), Some("busy"));
        assert!(posted(&state, "1", 50).is_ok() && posted(&state, "2", 100).is_ok());
        assert!(state.drop_parcel("1", &first.parcel.uuid));
        assert!(posted(&state, "1", 100).is_ok(), "what is dropped weighs nothing");
    }

    #[test]
    fn parcels_of_all_members_are_bounded_in_bytes_together() {
        let state = state(4000, 400);
        posted(&state, "1", 100).unwrap();
        assert_eq!(posted(&state, "2", 100).err(), Some("busy"));
        state.expire(Seconds(u64::MAX));
        assert!(posted(&state, "2", 100).is_ok(), "what has expired weighs nothing");
    }

    #[test]
    fn an_answer_without_room_is_not_kept_and_its_parcel_waits_on() {
        for state in [state(400, 4000), state(4000, 400)] {
            let (one, two) = (posted(&state, "1", 50).unwrap(), posted(&state, "1", 50).unwrap());
            let answer = || Fate::Answered { envelope: envelope(200) };
            assert!(state.keep(&one, answer()));
            assert!(!state.keep(&two, answer()));
            assert!(matches!(*two.fate.borrow(), Fate::Waiting));
            assert_eq!(posted(&state, "1", 1).err(), Some("busy"), "an answer weighs like a parcel");
            assert!(state.drop_parcel("1", &one.parcel.uuid));
            assert!(state.keep(&two, answer()));
            assert!(matches!(*two.fate.borrow(), Fate::Answered { .. }));
        }
    }
}
