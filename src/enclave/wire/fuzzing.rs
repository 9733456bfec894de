//! Owns the laws of what passes the relay: every message is read and written as one, and no envelope opens that was touched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::key::{KeyType, SignedKey};
use super::letter;
use super::seal::{self, Binding, Direction, Envelope, KeyPair, Suite};
use super::signed::{FROM, Gate, NONCE, SIGNATURE, TIMESTAMP};
use super::{Endpoint, Failure, Fate, KeyAsked, Parcel, UuidsAsked, UuidsGiven, Vasp};
use crate::enclave::AssetInfo;
use crate::withdrawal::{Seconds, VaspId};

const NOW: Seconds = Seconds(1_800_000_000);

/// Reads a body, writes it, and reads that as the same.
fn trip<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_string(&read).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    Some(read)
}

/// Bodies between relay and enclaves, and what stands inside the envelopes.
pub(crate) fn letters(data: &[u8]) {
    trip::<Endpoint>(data);
    trip::<Vasp>(data);
    trip::<UuidsAsked>(data);
    trip::<UuidsGiven>(data);
    trip::<KeyAsked>(data);
    trip::<Parcel>(data);
    trip::<Fate>(data);
    if let Some(failure) = trip::<Failure>(data) {
        let plain = super::plain_code(failure.error);
        assert!(plain.len() <= 256 && !plain.chars().any(char::is_control));
    }
    trip::<AssetInfo>(data);
    trip::<letter::Asked>(data);
    trip::<letter::SealedRequest>(data);
    trip::<letter::SealedReply>(data);
    trip::<letter::Told>(data);
    trip::<letter::Taken>(data);
    trip::<letter::Inquired>(data);
    trip::<letter::Status>(data);
    trip::<letter::SealedWord>(data);
    if let Some(key) = trip::<SignedKey>(data) {
        believe(key);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && letter::is_uuid(text)
    {
        assert_eq!(text.len(), 36);
    }
}

/// A key that its owner really signed as it stands: what is believed is the statement's only reading.
fn believe(mut key: SignedKey) {
    let identity = SigningKey::from_bytes(&[1; 32]);
    key.signature = BASE64.encode(&identity.sign(key.text().as_bytes()).to_bytes());
    let Some(kind) = KeyType::parse(&key.key_type) else { return };
    let Ok(vasp) = VaspId::parse(&key.vasp) else { return };
    let purpose = (kind, key.identifier.as_str());
    let Ok(public) = key.verify(&identity.verifying_key(), vasp, purpose, &Suite::ALL, NOW) else { return };
    assert_eq!(public.suite().as_str(), key.suite);
    let text = key.text();
    let offers = text.lines().find_map(|line| line.strip_prefix("offers: ")).unwrap_or_default();
    assert_eq!(offers.split(' ').collect::<Vec<_>>(), key.offers, "two lists of suites have one spelling");
}

pub(crate) fn letter_seeds() -> Vec<Vec<u8>> {
    let pair = KeyPair::derive(Suite::X25519, &Zeroizing::new([7; 32]));
    let identity = SigningKey::from_bytes(&[1; 32]);
    let key =
        SignedKey::sign(&identity, VaspId(7), (KeyType::PerVasp, "7"), (&pair.public, &[Suite::X25519]), NOW);
    let key = serde_json::to_string(&key).unwrap();
    let uuid = "5f0c2d4e-7c1b-4a8e-9d51-2b6a0d3a9f10";
    let envelope = r#"{"suite":"hpke-base-x25519-sha256-chacha20poly1305","key_id":"00","enc":"AA==","ciphertext":"AA=="}"#;
    [
        key.clone(),
        uuid.to_owned(),
        envelope.to_owned(),
        r#"{"endpoint":"https://a.example"}"#.to_owned(),
        r#"{"vasp":"7","health":"up"}"#.to_owned(),
        r#"{"count":3}"#.to_owned(),
        format!(r#"{{"uuids":["{uuid}"]}}"#),
        r#"{"from":"7","to":"8","key_type":"PerVasp","identifier":"7","suites":["a"]}"#.to_owned(),
        format!(r#"{{"from":"7","to":"8","uuid":"{uuid}","kind":"user","key_type":"PerVasp","envelope":{envelope}}}"#),
        r#"{"error":"busy"}"#.to_owned(),
        format!(r#"{{"uuid":"{uuid}","kind":"user","asset":"a","network":"n","destination":"d","amount":"1","request_digest":"00","ivms101":"","required":["ACCOUNT_NUMBER"]}}"#),
        format!(r#"{{"asked":"{{}}","reply_key":{key},"signature":"AA=="}}"#),
        r#"{"answer":"a","signature":"AA==","salt":"","ivms101":"","message":"m"}"#.to_owned(),
        format!(r#"{{"uuid":"{uuid}","number":1,"report":{{"tx":{{"tx_hash":"ab","vout":"0"}}}}}}"#),
        r#"{"number":1}"#.to_owned(),
        format!(r#"{{"uuid":"{uuid}","asked_at":1}}"#),
        r#"{"status":"CONFIRMED","tx_hash":"ab","vout":"0"}"#.to_owned(),
        r#"{"said":"a","signature":"AA=="}"#.to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn pair(suite: Suite) -> &'static KeyPair {
    static PAIRS: OnceLock<[KeyPair; 2]> = OnceLock::new();
    let pairs =
        PAIRS.get_or_init(|| Suite::ALL.map(|suite| KeyPair::derive(suite, &Zeroizing::new([9; 32]))));
    pairs.iter().find(|pair| pair.public.suite() == suite).unwrap()
}

const BINDING: Binding<'static> =
    Binding { direction: Direction::Request, uuid: "u", from: VaspId(7), to: VaspId(8), key_type: "PerVasp" };

/// Envelopes: foreign ones do not open; one's own opens to the same bytes, and not with one bit changed or for anything else.
///
/// The bytes: an envelope in JSON; or a suite, a place, a bit, and the plaintext.
pub(crate) fn envelope(data: &[u8]) {
    if let Some(foreign) = trip::<Envelope>(data) {
        for suite in Suite::ALL {
            assert!(
                seal::open(&pair(suite).private, BINDING, &foreign).is_err(),
                "an envelope that nobody sealed"
            );
        }
        return;
    }
    let Some((&[suite, place, bit], plain)) = data.split_first_chunk::<3>() else { return };
    let suite = Suite::ALL[usize::from(suite % 2)];
    let pair = pair(suite);
    let sealed = seal::seal(&pair.public, BINDING, plain, Zeroizing::new([place; 64])).unwrap();
    assert_eq!(*seal::open(&pair.private, BINDING, &sealed).expect("one's own opens"), plain);
    let other = Binding { to: VaspId(9), ..BINDING };
    assert!(seal::open(&pair.private, other, &sealed).is_err());
    let mut bytes = BASE64.decode(sealed.ciphertext.as_bytes()).unwrap();
    let at = usize::from(place) * bytes.len() / 256;
    bytes[at] ^= 1 << (bit % 8);
    let touched = Envelope { ciphertext: BASE64.encode(&bytes), ..sealed.clone() };
    assert!(seal::open(&pair.private, BINDING, &touched).is_err());
    let mut enc = BASE64.decode(sealed.enc.as_bytes()).unwrap();
    let at = usize::from(place) * enc.len() / 256;
    enc[at] ^= 1 << (bit % 8);
    let touched = Envelope { enc: BASE64.encode(&enc), ..sealed };
    assert!(
        seal::open(&pair.private, BINDING, &touched).is_err(),
        "byte {at} of the encapsulated key is not covered"
    );
    if let Ok(text) = std::str::from_utf8(plain) {
        let padded = seal::pad(Zeroizing::new(text.to_owned()));
        assert!(
            padded.len().is_multiple_of(512) && padded.trim_end_matches(' ') == text.trim_end_matches(' ')
        );
    }
}

pub(crate) fn envelope_seeds() -> Vec<Vec<u8>> {
    let sealed = |suite| {
        let sealed =
            seal::seal(&pair(suite).public, Binding { uuid: "v", ..BINDING }, b"{}", Zeroizing::new([3; 64]));
        serde_json::to_vec(&sealed.unwrap()).unwrap()
    };
    vec![
        sealed(Suite::XWing),
        sealed(Suite::X25519),
        b"\0\x80\x01{\"a\":1}".to_vec(),
        b"\x01\xff\x07plain".to_vec(),
    ]
}

/// Heads of requests: nothing gets in that was not signed as it stands, and nothing twice.
///
/// The bytes: four header lines, then the body. With a first `!` the signature is made here.
pub(crate) fn head(data: &[u8]) {
    let key = SigningKey::from_bytes(&[5; 32]);
    let callers =
        HashMap::from([("relay".to_owned(), key.verifying_key()), ("7".to_owned(), key.verifying_key())]);
    let gate = Gate::new("8".to_owned(), callers, Arc::new(|| NOW));
    let mut lines = data.splitn(5, |byte| *byte == b'\n');
    let (Some(from), Some(at), Some(nonce), Some(signature), Some(body)) =
        (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    let own = signature == b"!";
    let signature =
        match (own, std::str::from_utf8(from), std::str::from_utf8(at), std::str::from_utf8(nonce)) {
            (true, Ok(from), Ok(at), Ok(nonce)) => {
                let head = super::signed::Head { to: "8", method: "POST", path: "/v1/reports" };
                let text = super::signed::text(head, from, at, nonce, body);
                BASE64.encode(&key.sign(text.as_bytes()).to_bytes()).into_bytes()
            }
            _ => signature.to_vec(),
        };
    let mut headers = HeaderMap::new();
    for (name, value) in [(FROM, from), (TIMESTAMP, at), (NONCE, nonce), (SIGNATURE, &signature)] {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        headers.insert(HeaderName::from_static(name), value);
    }
    let admit = |path, body: &[u8]| gate.admit("POST", path, &headers, body);
    assert!(admit("/v1/keys", body).is_err() && admit("/v1/reports", &[body, b"x"].concat()).is_err());
    if let Ok(name) = admit("/v1/reports", body) {
        assert!(own && name.as_bytes() == from, "a request that nobody signed");
        assert!(admit("/v1/reports", body).is_err(), "the same request twice");
    }
}

pub(crate) fn head_seeds() -> Vec<Vec<u8>> {
    let nonce = "00".repeat(16);
    vec![
        format!("relay\n1800000000\n{nonce}\n!\n{{}}").into_bytes(),
        format!("7\n1799999901\n{}\n!\nbody", "aB".repeat(16)).into_bytes(),
        format!("7\n+1800000000\n{nonce}\n{}\nbody", BASE64.encode(&[7; 64])).into_bytes(),
    ]
}
