//! Proof of possession: a descriptor is accepted only with a signature of each of its account keys over a text.

use sha2::{Digest, Sha256};

use super::account::AccountXpub;
use super::verify::{verify_with_k256, verify_with_libsecp};

/// The first line of a text that an account key signs to prove that somebody holds it.
pub const POSSESSION_HEADING: &str = "countersign key-possession v1";

/// Whether `der` is a signature over `text` by the account key of `key`; both implementations must agree.
pub fn verify_possession(key: &AccountXpub, text: &str, der: &[u8]) -> bool {
    let digest = Sha256::digest(text.as_bytes()).into();
    is_possession_text(text)
        && verify_with_libsecp(key.public_key(), &digest, der)
        && verify_with_k256(key.public_key(), &digest, der)
}

pub(super) fn is_possession_text(text: &str) -> bool {
    text.strip_prefix(POSSESSION_HEADING).is_some_and(|rest| rest.starts_with('\n') && rest.ends_with('\n'))
}
