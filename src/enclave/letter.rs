//! Owns what stands inside the envelopes, and the texts that are signed there. `docs/relay.md` section 6 is its specification.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::ivms::Text;
use super::seal::{Binding, Direction, Suite};
use super::wire::key::{KeyType, SignedKey};
use crate::withdrawal::VaspId;

/// What is asked, inside the seal and under the originating VASP's signature.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) uuid: String,
    pub(super) kind: String,
    /// CAIP-19.
    pub(super) asset: String,
    pub(super) network: String,
    pub(super) destination: String,
    pub(super) amount: String,
    pub(super) request_digest: String,
    /// The canonical IVMS101 text, or empty.
    pub(super) ivms101: String,
}

/// The plaintext of a request envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedRequest {
    /// [`Asked`] as JSON.
    pub(super) asked: Text,
    pub(super) reply_key: SignedKey,
    /// Ed25519 of the originating VASP over [`request_text`], base64.
    pub(super) signature: String,
}

/// The plaintext of a reply envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedReply {
    pub(super) answer: String,
    /// Ed25519 of the beneficiary VASP over `answer`, base64.
    pub(super) signature: String,
    /// Opens the commitment; hex, or empty.
    pub(super) salt: String,
    /// The canonical beneficiary, or empty.
    pub(super) ivms101: Text,
}

/// What the originating VASP signs: everything the envelope is bound to, what is asked, and where the reply goes.
pub(super) fn request_text(
    binding: Binding<'_>,
    suite: Suite,
    asked: &str,
    reply_key: &SignedKey,
) -> Vec<u8> {
    let mut text = b"countersign verification-request v1\n".to_vec();
    text.extend(binding.bytes(suite));
    let asked = HEXLOWER.encode(&Sha256::digest(asked.as_bytes()));
    text.extend(format!("asked: {asked}\nreply_key: {}\n", reply_key.public_key).into_bytes());
    text
}

/// What a key is for, by its type.
pub(super) fn identifier(key_type: KeyType, vasp: VaspId, destination: &str, uuid: &str) -> String {
    match key_type {
        KeyType::PerVasp => vasp.to_string(),
        KeyType::PerAddress => HEXLOWER.encode(&Sha256::digest(destination.as_bytes())),
        KeyType::PerVerification => uuid.to_owned(),
    }
}

/// What both envelopes of a verification are bound to.
pub(super) fn binding(
    direction: Direction,
    uuid: &str,
    from: VaspId,
    to: VaspId,
    key_type: KeyType,
) -> Binding<'_> {
    Binding { direction, uuid, from, to, key_type: key_type.as_str() }
}

/// Verifies an Ed25519 signature in base64; gives its bytes.
pub(super) fn check_signature(key: &VerifyingKey, text: &[u8], signature: &str) -> Option<[u8; 64]> {
    let bytes: [u8; 64] = BASE64.decode(signature.as_bytes()).ok()?.try_into().ok()?;
    key.verify_strict(text, &Signature::from_bytes(&bytes)).ok()?;
    Some(bytes)
}

/// Whether that is a version 4 uuid in its one spelling.
pub(super) fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|u| u.get_version_num() == 4 && u.hyphenated().to_string() == text)
}
