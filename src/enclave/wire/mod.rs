//! Owns what travels between enclaves and relay: messages, signed HTTP, TLS. `docs/relay.md` is its specification.
//!
//! Everything here is ciphertext, public keys and routing; no message type can hold personal data in the clear.

pub mod client;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod key;
pub(super) mod letter;
pub mod seal;
pub mod signed;
pub mod tls;

use serde::{Deserialize, Serialize};

use crate::enclave::wire::seal::Envelope;

/// Largest body either side reads, in bytes.
pub const BODY_LEN_MAX: usize = 256 * 1024;
/// Most uuids given out in one call.
pub const UUIDS_MAX: usize = 64;
/// Longest a call may ask the relay to wait for an answer, in milliseconds.
pub const WAIT_MS_MAX: u64 = 20_000;

/// `PUT /v1/endpoint`: where the relay reaches the caller's enclave.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// An `https://` address without path.
    pub endpoint: String,
}

/// One line of `GET /v1/vasps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vasp {
    /// The VASP's id in decimal.
    pub vasp: String,
    /// `UP`, `DOWN`, or `UNKNOWN` before the first probe.
    pub health: String,
}

/// `POST /v1/uuids`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UuidsAsked {
    /// How many, at most [`UUIDS_MAX`].
    pub count: usize,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UuidsGiven {
    /// Fresh version 4 uuids, for this caller only.
    pub uuids: Vec<String>,
}

/// `POST /v1/keys`, and `POST /v1/inbound/keys` with `from` filled in by the relay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyAsked {
    /// The asking VASP.
    pub from: String,
    /// The VASP whose key is wanted.
    pub to: String,
    /// `PerVasp`, `PerAddress` or `PerVerification`.
    pub key_type: String,
    /// What the key is for: see `docs/relay.md`.
    pub identifier: String,
    /// The suites that the asking VASP has.
    pub suites: Vec<String>,
}

/// `POST /v1/verifications` and `POST /v1/reports`, and the same below `/v1/inbound`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// Who sealed it: the originating VASP, but for an inquiry.
    pub from: String,
    /// Who opens it.
    pub to: String,
    /// One of the uuids given to the originating VASP.
    pub uuid: String,
    /// `user` (queued and retried) or `account` (tried once, at once); of a report, `report` or `inquiry` (tried once, at once).
    pub kind: String,
    /// How the beneficiary's key was chosen.
    pub key_type: String,
    /// The sealed request.
    pub envelope: Envelope,
}

/// What has become of a parcel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", deny_unknown_fields)]
pub enum Fate {
    /// Answered; the sealed reply.
    Answered {
        /// For the originating VASP alone.
        envelope: Envelope,
    },
    /// The beneficiary's enclave will not take it, now or later.
    Refused {
        /// A code of `docs/relay.md`.
        error: String,
    },
    /// Under way.
    Waiting,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// A code of `docs/relay.md`.
    pub error: String,
}

/// A code as the other side gave it, or `unreadable`: what is repeated in logs is a code, never free text of the other side.
pub fn plain_code(error: String) -> String {
    let plain = error.len() <= 64 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { error } else { "unreadable".to_owned() }
}
