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

#[derive(Default)]
pub(super) struct Shelf(HashMap<Key, Held>);

/// What a shelf holds, of one member and of all.
#[derive(Debug, Default, Clone, Copy)]
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
        let mut load = Load { all: self.0.len(), ..Load::default() };
        for ((from, _), held) in &self.0 {
            load.all_bytes = load.all_bytes.saturating_add(held.bytes);
            if from == member {
                load.own = load.own.saturating_add(1);
                load.own_bytes = load.own_bytes.saturating_add(held.bytes);
            }
        }
        load
    }

    pub(super) fn find(&self, key: &Key) -> Option<&Arc<Carried>> {
        self.0.get(key).map(|held| &held.carried)
    }

    pub(super) fn put(&mut self, key: Key, carried: Arc<Carried>, bytes: usize) {
        self.0.insert(key, Held { carried, bytes });
    }

    /// Adds the weight of an answer to a parcel's.
    pub(super) fn add(&mut self, key: &Key, bytes: usize) {
        if let Some(held) = self.0.get_mut(key) {
            held.bytes = held.bytes.saturating_add(bytes);
        }
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Arc<Carried>> {
        self.0.remove(key).map(|held| held.carried)
    }

    pub(super) fn take_if(&mut self, gone: impl Fn(&Carried) -> bool) -> Vec<Arc<Carried>> {
        self.0.extract_if(|_, held| gone(&held.carried)).map(|(_, held)| held.carried).collect()
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
