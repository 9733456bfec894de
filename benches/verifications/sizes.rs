//! How long everything is in the complete way, so that the floor carries as much: laid out as `docs/relay.md` says, with the bench's persons.

use countersign::enclave::ivms::Payload;
use countersign::enclave::wire::key::{KeyType, SignedKey};
use countersign::enclave::wire::seal::{self, Binding, Direction, KeyPair, Suite, pad};
use countersign::enclave::wire::{Fate, Parcel, UuidsAsked, UuidsGiven};
use countersign::withdrawal::Seconds;
use serde_json::json;
use zeroize::Zeroizing;

use crate::parties::*;
use crate::world::payload;

/// How many uuids are fetched at once.
pub const UUIDS_AHEAD: u64 = 64;

const UUID: &str = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
/// A 64-byte signature in base64.
const SIGNATURE_LEN: usize = 88;
/// What a row has beside envelope, persons and answer: ids, times, asset, addresses, digests.
const COLUMNS_LEN: usize = 600;

/// Lengths in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub request_plain: usize,
    pub reply_plain: usize,
    pub parcel: usize,
    pub fate: usize,
    pub uuids_asked: usize,
    pub uuids_given: usize,
    pub key_text: usize,
    pub request_text: usize,
    pub answer_text: usize,
    /// What the originator writes before it asks, and when it has the answer; what the beneficiary writes.
    pub asked_row: usize,
    pub answered_row: usize,
    pub judged_row: usize,
}

impl Sizes {
    pub fn of(suite: Suite) -> Self {
        let payload = Payload::parse(&payload(), Seconds(1_700_000_000)).unwrap();
        let (persons, beneficiary) = (payload.canonical(), payload.beneficiary_canonical());
        let answer = answer_text();
        let pair = KeyPair::derive(suite, &Zeroizing::new([1; 32]));
        let offers: Vec<Suite> = Suite::ALL.into_iter().filter(|other| *other >= suite).collect();
        let purpose = (KeyType::PerVasp, &*OWN_VASP.to_string());
        let reply_key =
            SignedKey::sign(&key(OWN), OWN_VASP, purpose, (&pair.public, &offers), Seconds(1_700_000_000));
        let request = json!({
            "asked": asked(&persons), "reply_key": reply_key, "signature": "x".repeat(SIGNATURE_LEN),
        });
        let reply = json!({
            "answer": answer, "signature": "x".repeat(SIGNATURE_LEN), "salt": "0".repeat(64), "ivms101": &**beneficiary,
        });
        let sealed = |plain: &str| {
            let binding = Binding {
                direction: Direction::Request,
                uuid: UUID,
                from: OWN_VASP,
                to: ROBOT_VASP,
                key_type: "PerVasp",
            };
            seal::seal(&pair.public, binding, plain.as_bytes(), Zeroizing::new([1; 64])).unwrap()
        };
        let padded = |json: serde_json::Value| pad(Zeroizing::new(json.to_string()));
        let (request, reply) = (padded(request), padded(reply));
        let parcel = Parcel {
            from: OWN_VASP.to_string(),
            to: ROBOT_VASP.to_string(),
            uuid: UUID.into(),
            kind: "user".into(),
            key_type: "PerVasp".into(),
            envelope: sealed(&request),
        };
        let given = UuidsGiven { uuids: vec![UUID.to_owned(); UUIDS_AHEAD as usize] };
        let len = |bytes: Result<Vec<u8>, _>| bytes.unwrap().len();
        let parcel = len(serde_json::to_vec(&parcel));
        Self {
            request_plain: request.len(),
            reply_plain: reply.len(),
            parcel,
            fate: len(serde_json::to_vec(&Fate::Answered { envelope: sealed(&reply) })),
            uuids_asked: len(serde_json::to_vec(&UuidsAsked { count: UUIDS_AHEAD as usize })),
            uuids_given: len(serde_json::to_vec(&given)),
            key_text: 250 + reply_key.public_key.len(),
            request_text: 350 + reply_key.public_key.len(),
            answer_text: answer.len(),
            asked_row: parcel + persons.len() + COLUMNS_LEN,
            answered_row: answer.len() + 64 + reply.len(),
            judged_row: answer.len() + 64 + persons.len() + beneficiary.len() + COLUMNS_LEN,
        }
    }
}

/// What is asked, as it stands inside the seal.
fn asked(persons: &str) -> String {
    json!({
        "uuid": UUID, "kind": "user", "asset": ASSET.to_string(), "network": "regtest", "destination": TAYLOR,
        "amount": "100000", "request_digest": "0".repeat(64), "ivms101": persons,
    })
    .to_string()
}

fn answer_text() -> String {
    let digest = "0".repeat(64);
    format!(
        "countersign verification-answer v1\nuuid: {UUID}\nkind: user\noriginating_vasp: {OWN_VASP}\nbeneficiary_vasp: {ROBOT_VASP}\n\
         asset: {ASSET}\nnetwork: regtest\ndestination: {TAYLOR}\namount: 100000\ncommitment: {digest}\nresult: VERIFIED\nreason: OK\n\
         answered_at: 1700000000\nrequest_digest: {digest}\n"
    )
}
