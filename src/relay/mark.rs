//! Owns uuids that the relay knows again without remembering them: the last six bytes are a keyed mark over the first ten and the owner.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;
use zeroize::Zeroizing;

const RANDOM_LEN: usize = 10;
const MARK_LEN: usize = 6;

/// Makes uuids and knows them again, over restarts.
pub(super) struct Marker {
    key: Zeroizing<[u8; 64]>,
}

impl Marker {
    /// With a key that follows from the relay's own.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let hash = Sha512::new().chain_update(b"countersign relay uuid mark v1\n").chain_update(secret);
        Self { key: Zeroizing::new(hash.finalize().into()) }
    }

    /// A fresh uuid for this member alone: version 4, with 74 random bits.
    pub(super) fn give(&self, vasp: &str) -> String {
        let mut bytes = *Uuid::new_v4().as_bytes();
        let (random, mark) = bytes.split_at_mut(RANDOM_LEN);
        mark.copy_from_slice(&self.mark(vasp, random));
        Uuid::from_bytes(bytes).hyphenated().to_string()
    }

    /// Whether that uuid was given to this member.
    pub(super) fn is_of(&self, vasp: &str, uuid: &str) -> bool {
        let Some(uuid) = Uuid::try_parse(uuid).ok().filter(|u| u.hyphenated().to_string() == uuid) else {
            return false;
        };
        let (random, mark) = uuid.as_bytes().split_at(RANDOM_LEN);
        uuid.get_version_num() == 4 && mark == self.mark(vasp, random)
    }

    fn mark(&self, vasp: &str, random: &[u8]) -> [u8; MARK_LEN] {
        let key = hmac::digest::Key::<Hmac<Sha256>>::from(*self.key);
        let mac = <Hmac<Sha256> as KeyInit>::new(&key).chain_update(random).chain_update(vasp.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let mut mark = [0; MARK_LEN];
        mark.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_known_again_by_its_relay_and_for_its_member_alone() {
        let (one, other) = (Marker::new(&[1; 32]), Marker::new(&[2; 32]));
        let uuid = one.give("7");
        assert!(one.is_of("7", &uuid) && Marker::new(&[1; 32]).is_of("7", &uuid));
        assert!(!one.is_of("8", &uuid) && !other.is_of("7", &uuid));
        assert!(!one.is_of("7", &uuid.to_uppercase()) || uuid == uuid.to_uppercase());
        assert!(!one.is_of("7", &Uuid::new_v4().to_string()) && !one.is_of("7", "none"));
        assert_ne!(one.give("7"), uuid);
    }
}
