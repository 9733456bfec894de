//! Owns what stands inside the envelopes, and the texts that are signed there. `docs/relay.md` section 6 is its specification.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::enclave::asset_info::AssetInfo;
use crate::enclave::ivms::Text;
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::seal::{Binding, Direction, Suite};
use crate::withdrawal::VaspId;

/// What is asked, inside the seal and under the originating VASP's signature.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct Asked {
    pub(in crate::enclave) uuid: String,
    pub(in crate::enclave) kind: String,
    /// CAIP-19.
    pub(in crate::enclave) asset: String,
    pub(in crate::enclave) network: String,
    pub(in crate::enclave) destination: String,
    pub(in crate::enclave) amount: String,
    pub(in crate::enclave) request_digest: String,
    /// The canonical IVMS101 text, or empty.
    pub(in crate::enclave) ivms101: String,
    /// Asset and worth as they were ordered.
    #[zeroize(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::enclave) asset_info: Option<AssetInfo>,
    /// Which parts of the beneficiary are needed; all that there are, if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::enclave) required: Vec<String>,
}

/// The plaintext of a request envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct SealedRequest {
    /// [`Asked`] as JSON.
    pub(in crate::enclave) asked: Text,
    pub(in crate::enclave) reply_key: SignedKey,
    /// Ed25519 of the originating VASP over [`request_text`], base64.
    pub(in crate::enclave) signature: String,
}

/// The plaintext of a reply envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct SealedReply {
    pub(in crate::enclave) answer: String,
    /// Ed25519 of the beneficiary VASP over `answer`, base64.
    pub(in crate::enclave) signature: String,
    /// Opens the commitment; hex, or empty.
    pub(in crate::enclave) salt: String,
    /// The canonical beneficiary, or empty.
    pub(in crate::enclave) ivms101: Text,
    /// The reason's parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::enclave) message: Option<String>,
}

/// What follows a verification, inside the seal and under the originating VASP's signature.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct Told {
    pub(in crate::enclave) uuid: String,
    /// Grows from report to report of one verification.
    pub(in crate::enclave) number: u64,
    pub(in crate::enclave) report: Report,
}

/// What is reported.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(in crate::enclave) enum Report {
    /// The transaction.
    Tx {
        tx_hash: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vout: Option<String>,
    },
    /// That the transfer will finally not happen.
    Error {
        result: String,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

/// The receipt for a report.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct Taken {
    /// The number of the last report taken.
    pub(in crate::enclave) number: u64,
}

/// What an inquiry asks.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct Inquired {
    pub(in crate::enclave) uuid: String,
    pub(in crate::enclave) asked_at: u64,
}

/// What is said to an inquiry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct Status {
    pub(in crate::enclave) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::enclave) tx_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::enclave) vout: Option<String>,
}

/// The plaintext of the reply to a report or an inquiry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::enclave) struct SealedWord {
    /// [`Taken`] or [`Status`] as JSON.
    pub(in crate::enclave) said: String,
    /// Ed25519 of the answering VASP over [`word_text`], base64.
    pub(in crate::enclave) signature: String,
}

/// What who answers a report or an inquiry signs: what the envelope is bound to, what it was told, and what it says.
pub(in crate::enclave) fn word_text(binding: Binding<'_>, suite: Suite, asked: &str, said: &str) -> Vec<u8> {
    let digest = |text: &str| HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    let mut text = b"countersign report-reply v1\n".to_vec();
    text.extend(binding.bytes(suite));
    text.extend(format!("asked: {}\nsaid: {}\n", digest(asked), digest(said)).into_bytes());
    text
}

/// The digest that stands in the place of a withdrawal's where the exchange's backend ordered the verification. No withdrawal request
/// has it: none begins with this heading.
pub(in crate::enclave) fn order_digest(uuid: &str, from: VaspId, to: VaspId) -> String {
    let text = format!(
        "countersign verification-order v1\nuuid: {uuid}\noriginating_vasp: {from}\nbeneficiary_vasp: {to}\n"
    );
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

/// What the originating VASP signs: everything the envelope is bound to, what is asked, and where the reply goes.
pub(in crate::enclave) fn request_text(
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
pub(in crate::enclave) fn identifier(
    key_type: KeyType,
    vasp: VaspId,
    destination: &str,
    uuid: &str,
) -> String {
    match key_type {
        KeyType::PerVasp => vasp.to_string(),
        KeyType::PerAddress => HEXLOWER.encode(&Sha256::digest(destination.as_bytes())),
        KeyType::PerVerification => uuid.to_owned(),
    }
}

/// What both envelopes of a verification are bound to.
pub(in crate::enclave) fn binding(
    direction: Direction,
    uuid: &str,
    from: VaspId,
    to: VaspId,
    key_type: KeyType,
) -> Binding<'_> {
    Binding { direction, uuid, from, to, key_type: key_type.as_str() }
}

/// Verifies an Ed25519 signature in base64; gives its bytes.
pub(in crate::enclave) fn check_signature(
    key: &VerifyingKey,
    text: &[u8],
    signature: &str,
) -> Option<[u8; 64]> {
    let bytes: [u8; 64] = BASE64.decode(signature.as_bytes()).ok()?.try_into().ok()?;
    key.verify_strict(text, &Signature::from_bytes(&bytes)).ok()?;
    Some(bytes)
}

/// Whether that is a version 4 uuid in its one spelling.
pub(in crate::enclave) fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|u| u.get_version_num() == 4 && u.hyphenated().to_string() == text)
}
