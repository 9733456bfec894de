//! A witness's dated word that it saw a head and that it follows from all it saw before (C2SP tlog-cosignature, v1).

use super::checkpoint::{Checkpoint, CheckpointInvalid, Sign, VerifiedCheckpoint, read_note, text_of};
use super::hash::Head;
use super::key::{Only, Placed, WitnessKey};
use super::witness::Accepted;
use crate::withdrawal::Seconds;

/// Bytes of a `timestamped_signature`: eight of time, big-endian, and the signature.
const TIMESTAMPED_LEN: usize = 72;

/// Why a text is no cosignature of the witness asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureInvalid {
    /// The time is zero or above 2^63 - 1.
    #[error("a cosignature's time lies between 1 and 2^63 - 1")]
    Time,
    /// The text is not exactly one signature line.
    #[error("the text is not one signature line with its newline")]
    NotALine,
    /// The witness's key did not sign this head.
    #[error("the witness's key did not cosign this checkpoint")]
    Unsigned,
    /// It was made for another head.
    #[error("the cosignature is for another checkpoint")]
    OtherCheckpoint,
    /// What was cosigned is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointInvalid),
}

/// A verified cosignature. Made only by [`Cosignature::sign`], [`Cosignature::open`] and [`Cosignature::open_line`].
#[derive(Debug)]
pub struct Cosignature {
    key: WitnessKey,
    at: Seconds,
    checkpoint: Checkpoint,
    signature: Vec<u8>,
}

impl Cosignature {
    /// Cosigns a head that was accepted, and checks the signature with the public key.
    ///
    /// The caller makes the accepted head durable first (C2SP tlog-witness).
    pub fn sign(
        accepted: &Accepted,
        key: &WitnessKey,
        at: Seconds,
        sign: Sign<'_>,
    ) -> Result<Self, CosignatureInvalid> {
        check_time(at.0)?;
        let body = accepted.checkpoint().body();
        let mut signature = at.0.to_be_bytes().to_vec();
        signature.extend_from_slice(&sign(&message(at.0, body.as_bytes())));
        if !signed_note::Verifier::verify(key, body.as_bytes(), &signature) {
            return Err(CosignatureInvalid::Unsigned);
        }
        Ok(Self { key: key.clone(), at, checkpoint: accepted.checkpoint().clone(), signature })
    }

    /// Finds this witness's cosignature in a note, whoever else signed it, and verifies it.
    pub fn open(note: &str, key: &WitnessKey) -> Result<Self, CosignatureInvalid> {
        let note = read_note(note)?;
        let (verified, _) = note.verify(&Only(key)).map_err(|_| CosignatureInvalid::Unsigned)?;
        let signature = verified.first().ok_or(CosignatureInvalid::Unsigned)?.signature().to_vec();
        let (time, _) = split(&signature).ok_or(CosignatureInvalid::Unsigned)?;
        let checkpoint = Checkpoint::parse_body(note.text())?;
        Ok(Self { key: key.clone(), at: Seconds(time), checkpoint, signature })
    }

    /// Verifies a signature line that a witness answered for this checkpoint.
    pub fn open_line(
        checkpoint: &VerifiedCheckpoint,
        line: &str,
        key: &WitnessKey,
    ) -> Result<Self, CosignatureInvalid> {
        if !line.ends_with('\n') || line.matches('\n').count() != 1 {
            return Err(CosignatureInvalid::NotALine);
        }
        Self::open(&format!("{}\n{line}", checkpoint.body()), key)
    }

    /// The witness's name.
    pub fn witness(&self) -> &str {
        self.key.name()
    }

    /// When the witness signed, by its own clock.
    pub const fn at(&self) -> Seconds {
        self.at
    }

    /// The origin of the log it is about.
    pub fn origin(&self) -> &str {
        self.checkpoint.origin()
    }

    /// The head it is about.
    pub const fn head(&self) -> &Head {
        self.checkpoint.head()
    }

    /// The signature line with its newline: what a witness answers.
    pub fn line(&self) -> Result<String, CosignatureInvalid> {
        let line =
            signed_note::Signature::new(self.key.name().to_owned(), self.key.id(), self.signature.clone());
        let bytes = line.map_err(|_| CosignatureInvalid::NotALine)?.to_bytes();
        String::from_utf8(bytes).map_err(|_| CosignatureInvalid::NotALine)
    }

    /// Puts the cosignature into the note it is about, in place of an older one by the same key.
    pub fn merge_into(&self, checkpoint: &VerifiedCheckpoint) -> Result<String, CosignatureInvalid> {
        if checkpoint.body() != self.checkpoint.body() {
            return Err(CosignatureInvalid::OtherCheckpoint);
        }
        let mut note = read_note(checkpoint.note())?;
        note.add_sigs(&[&Placed { key: &self.key, signature: self.signature.clone() }])
            .map_err(|_| CosignatureInvalid::NotALine)?;
        Ok(text_of(&note)?)
    }
}

fn check_time(time: u64) -> Result<(), CosignatureInvalid> {
    if time == 0 || i64::try_from(time).is_err() { Err(CosignatureInvalid::Time) } else { Ok(()) }
}

/// The signed message: header line, time line, then the whole note body.
fn message(time: u64, body: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), body].concat()
}

fn split(signature: &[u8]) -> Option<(u64, &[u8])> {
    if signature.len() != TIMESTAMPED_LEN {
        return None;
    }
    let (time, signature) = signature.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*time), signature))
}

impl signed_note::Verifier for WitnessKey {
    fn name(&self) -> &str {
        self.name()
    }

    fn key_id(&self) -> u32 {
        self.id()
    }

    fn verify(&self, body: &[u8], signature: &[u8]) -> bool {
        split(signature).is_some_and(|(time, signature)| {
            check_time(time).is_ok() && self.holds(&message(time, body), signature)
        })
    }
}
