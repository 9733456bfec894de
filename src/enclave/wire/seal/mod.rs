//! Owns the end-to-end seal: HPKE (RFC 9180) base mode, and what the ciphertext is bound to. Knows no network and no database.
//!
//! The suites are X-Wing (ML-KEM-768 with X25519, draft-ietf-hpke-pq) and DHKEM(X25519, HKDF-SHA256), each with HKDF-SHA256 and
//! ChaCha20-Poly1305. Every envelope names its own. X-Wing stays secret as long as one of its halves does: what is recorded today must
//! stay secret for years.

mod raw;
mod suite;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::raw::seal_raw;
pub use self::raw::{Entropy, Opener};
pub use self::suite::{KeyPair, PublicKey, Suite, key_id};
use crate::withdrawal::VaspId;

const INFO: &[u8] = b"countersign travel rule v1";
const BLOCK: usize = 512;

/// An envelope cannot be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Entropy,
    /// The envelope names algorithms that this version does not have.
    #[error("the envelope's suite is not known")]
    Suite,
    /// A public key that cannot be one.
    #[error("a public key is malformed")]
    Key,
    /// Altered, sealed to another key, or bound to something else.
    #[error("the envelope does not open")]
    Unreadable,
}

/// Ciphertext on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The algorithms.
    pub suite: String,
    /// Which of the receiver's keys opens it, as [`key_id`] names it.
    pub key_id: String,
    /// The encapsulated key, base64.
    pub enc: String,
    /// The sealed bytes, base64.
    pub ciphertext: String,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the originating VASP.
    Request,
    /// Back to it.
    Reply,
    /// From the originating VASP, what followed.
    Report,
    /// Back to it.
    Receipt,
    /// From the beneficiary VASP, how far a transfer has come.
    Inquiry,
    /// Back to it.
    Status,
    /// From who brings a new data key to the process that runs; passes no relay.
    Handover,
}

/// What an envelope is bound to: it opens under nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Which way.
    pub direction: Direction,
    /// The verification.
    pub uuid: &'a str,
    /// Who sealed it.
    pub from: VaspId,
    /// Who opens it.
    pub to: VaspId,
    /// How the request's key was chosen.
    pub key_type: &'static str,
}

impl Binding<'_> {
    /// The associated data.
    pub fn bytes(&self, suite: Suite) -> Vec<u8> {
        let direction = match self.direction {
            Direction::Request => "request",
            Direction::Reply => "reply",
            Direction::Report => "report",
            Direction::Receipt => "receipt",
            Direction::Inquiry => "inquiry",
            Direction::Status => "status",
            Direction::Handover => "handover",
        };
        format!(
            "countersign envelope v1\nsuite: {}\ndirection: {direction}\nuuid: {}\nfrom: {}\nto: {}\nkey_type: {}\n",
            suite.as_str(), self.uuid, self.from, self.to, self.key_type
        )
        .into_bytes()
    }
}

/// Seals bytes to a public key. `entropy` is never used again.
pub fn seal(
    to: &PublicKey,
    binding: Binding<'_>,
    plain: &[u8],
    entropy: Entropy,
) -> Result<Envelope, SealFault> {
    let (enc, ciphertext) = seal_raw(to, INFO, &binding.bytes(to.suite()), plain, entropy)?;
    Ok(Envelope {
        suite: to.suite().as_str().to_owned(),
        key_id: key_id(to),
        enc: BASE64.encode(&enc),
        ciphertext: BASE64.encode(&ciphertext),
    })
}

/// Opens an envelope.
pub fn open(
    private: &[u8],
    binding: Binding<'_>,
    envelope: &Envelope,
) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    let suite = Suite::parse(&envelope.suite).ok_or(SealFault::Suite)?;
    Opener::new(suite, private)?.open(binding, envelope)
}

impl Opener {
    /// Opens an envelope; one of another suite is not for this key.
    pub fn open(&self, binding: Binding<'_>, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let suite = Suite::parse(&envelope.suite).ok_or(SealFault::Suite)?;
        if suite != self.suite() {
            return Err(SealFault::Unreadable);
        }
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| SealFault::Unreadable);
        let sealed = (&*decode(&envelope.enc)?, &*decode(&envelope.ciphertext)?);
        self.open_raw(INFO, &binding.bytes(suite), sealed)
    }
}

/// Pads JSON with blanks to whole blocks, so that the length of a name does not show.
///
/// The room is made beforehand: a text that grows would leave a copy behind. A width of `format!` ends at 65,535.
pub fn pad(json: Zeroizing<String>) -> Zeroizing<String> {
    let whole = json.len().div_ceil(BLOCK) * BLOCK;
    let mut padded = Zeroizing::new(String::with_capacity(whole));
    padded.push_str(&json);
    padded.extend(std::iter::repeat_n(' ', whole - json.len()));
    padded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BINDING: Binding<'static> = Binding {
        direction: Direction::Request,
        uuid: "u",
        from: VaspId(1),
        to: VaspId(2),
        key_type: "PerVasp",
    };

    #[test]
    fn an_envelope_opens_under_its_binding_alone() {
        for suite in Suite::ALL {
            let pair = KeyPair::derive(suite, &Zeroizing::new([7; 32]));
            let envelope = seal(&pair.public, BINDING, b"secret", Zeroizing::new([8; 64])).unwrap();
            assert_eq!(&**open(&pair.private, BINDING, &envelope).unwrap(), b"secret");
            for other in [
                Binding { direction: Direction::Reply, ..BINDING },
                Binding { uuid: "v", ..BINDING },
                Binding { from: VaspId(3), ..BINDING },
                Binding { to: VaspId(3), ..BINDING },
                Binding { key_type: "PerAddress", ..BINDING },
            ] {
                assert_eq!(open(&pair.private, other, &envelope), Err(SealFault::Unreadable));
            }
            let other = KeyPair::derive(suite, &Zeroizing::new([9; 32]));
            assert_eq!(open(&other.private, BINDING, &envelope), Err(SealFault::Unreadable));
            for other in Suite::ALL.into_iter().filter(|other| *other != suite) {
                let renamed = Envelope { suite: other.as_str().into(), ..envelope.clone() };
                assert_eq!(open(&pair.private, BINDING, &renamed), Err(SealFault::Unreadable));
            }
            let foreign = Envelope { suite: "rot13".into(), ..envelope };
            assert_eq!(open(&pair.private, BINDING, &foreign), Err(SealFault::Suite));
        }
    }

    #[test]
    fn a_key_that_gives_no_secret_is_refused() {
        let zero = PublicKey::new(Suite::X25519, vec![0; 32]).unwrap();
        assert_eq!(seal(&zero, BINDING, b"secret", Zeroizing::new([8; 64])), Err(SealFault::Key));
        // coefficients of an ML-KEM key lie below its modulus
        let high = PublicKey::new(Suite::XWing, vec![0xff; 1_216]).unwrap();
        assert_eq!(seal(&high, BINDING, b"secret", Zeroizing::new([8; 64])), Err(SealFault::Key));
        assert_eq!(PublicKey::new(Suite::XWing, vec![1; 32]), None);
    }

    #[test]
    fn padding_hides_the_length_and_stays_json() {
        let pad = |text: &str| pad(Zeroizing::new(text.to_owned()));
        assert_eq!(pad("\"Robbins\"").len(), pad("\"김민수\"").len());
        assert_eq!(serde_json::from_str::<String>(&pad("\"김민수\"")).unwrap(), "김민수");
        assert_eq!(pad(&format!("\"{}\"", "김".repeat(300))).len() % BLOCK, 0);
        assert_eq!(pad(&"1".repeat(BLOCK)).len(), BLOCK);
    }

    #[test]
    fn a_long_payload_is_padded_too() {
        for (text, blocks) in [("a".repeat(66_000), 129), ("김".repeat(27_500), 162)] {
            let padded = pad(Zeroizing::new(text.clone()));
            assert_eq!((padded.len(), padded.trim_end()), (blocks * BLOCK, &*text));
        }
    }
}
