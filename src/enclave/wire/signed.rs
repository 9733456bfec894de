//! Owns signed HTTP requests: who calls is proved over method, path, time, nonce and body; nothing is taken twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::super::Clock;
use crate::withdrawal::Seconds;

/// How far a request's time may lie from the receiver's, in seconds.
pub const WINDOW_S: u64 = 100;
/// Most nonces remembered of one caller; beyond it its requests are refused rather than forgotten.
pub const NONCES_MAX: usize = 200_000;

const NONCE_LEN: usize = 16;

/// Header: the caller, a VASP id or `relay`.
pub const FROM: &str = "countersign-from";
/// Header: Unix seconds.
pub const TIMESTAMP: &str = "countersign-timestamp";
/// Header: 16 random bytes, hex.
pub const NONCE: &str = "countersign-nonce";
/// Header: Ed25519, base64.
pub const SIGNATURE: &str = "countersign-signature";

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A header is missing or unreadable.
    #[error("unsigned")]
    Unsigned,
    /// Nobody known by that name.
    #[error("unknown_caller")]
    UnknownCaller,
    /// The time lies outside the window.
    #[error("time_out_of_range")]
    Time,
    /// The signature does not hold.
    #[error("signature_invalid")]
    Signature,
    /// Seen before.
    #[error("replayed")]
    Replayed,
    /// Too many requests within the window.
    #[error("busy")]
    Busy,
}

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The receiver, a VASP id or `relay`.
    pub to: &'a str,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
}

pub(super) fn text(head: Head<'_>, from: &str, timestamp: &str, nonce: &str, body: &[u8]) -> String {
    format!(
        "countersign http-request v1\nfrom: {from}\nto: {}\nmethod: {}\npath: {}\ntimestamp: {timestamp}\nnonce: {nonce}\nbody: {}\n",
        head.to,
        head.method,
        head.path,
        HEXLOWER.encode(&Sha256::digest(body))
    )
}

/// Signs what one party sends.
pub struct Sender {
    name: String,
    key: SigningKey,
    now: Clock,
}

impl Sender {
    /// A sender of that name.
    pub fn new(name: String, key: SigningKey, now: Clock) -> Self {
        Self { name, key, now }
    }

    /// The four headers for a request.
    pub fn headers(
        &self,
        head: Head<'_>,
        body: &[u8],
    ) -> Result<[(&'static str, String); 4], getrandom::Error> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let (timestamp, nonce) = ((self.now)().0.to_string(), HEXLOWER.encode(&nonce));
        let signature = self.key.sign(text(head, &self.name, &timestamp, &nonce, body).as_bytes());
        let signature = BASE64.encode(&signature.to_bytes());
        Ok([(FROM, self.name.clone()), (TIMESTAMP, timestamp), (NONCE, nonce), (SIGNATURE, signature)])
    }
}

/// Lets signed requests in, each once.
pub struct Gate {
    name: String,
    callers: HashMap<String, Caller>,
    now: Clock,
}

/// A caller with a memory of its own: one that sends too much neither slows nor shuts out another.
struct Caller {
    key: VerifyingKey,
    seen: Mutex<Seen>,
}

/// The nonces of one caller, with the times they came at.
#[derive(Default)]
struct Seen {
    nonces: HashMap<[u8; NONCE_LEN], u64>,
    /// When old ones were last let go.
    cleared_at: u64,
}

impl Gate {
    /// A gate of the receiver `name` for these callers.
    pub fn new(name: String, callers: HashMap<String, VerifyingKey>, now: Clock) -> Self {
        let caller = |key| Caller { key, seen: Mutex::default() };
        let callers = callers.into_iter().map(|(name, key)| (name, caller(key))).collect();
        Self { name, callers, now }
    }

    /// Verifies a request and gives the caller's name.
    pub fn admit(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<String, Denied> {
        let header = |name| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(Denied::Unsigned);
        let (from, timestamp, nonce) = (header(FROM)?, header(TIMESTAMP)?, header(NONCE)?);
        let signature = BASE64.decode(header(SIGNATURE)?.as_bytes()).map_err(|_| Denied::Unsigned)?;
        let signature = Signature::from_slice(&signature).map_err(|_| Denied::Unsigned)?;
        let at: u64 = timestamp.parse().map_err(|_| Denied::Unsigned)?;
        let once = HEXLOWER_PERMISSIVE.decode(nonce.as_bytes()).map_err(|_| Denied::Unsigned)?;
        let once: [u8; NONCE_LEN] = once.try_into().map_err(|_| Denied::Unsigned)?;
        let caller = self.callers.get(from).ok_or(Denied::UnknownCaller)?;
        let now = (self.now)();
        if at.abs_diff(now.0) > WINDOW_S {
            return Err(Denied::Time);
        }
        let head = Head { to: &self.name, method, path };
        let text = text(head, from, timestamp, nonce, body);
        caller.key.verify_strict(text.as_bytes(), &signature).map_err(|_| Denied::Signature)?;
        caller.seen.lock().unwrap_or_else(PoisonError::into_inner).remember(once, now)?;
        Ok(from.to_owned())
    }
}

impl Seen {
    /// A nonce is kept until no request with its time could pass any more. Old ones are looked for once a second at most.
    fn remember(&mut self, nonce: [u8; NONCE_LEN], now: Seconds) -> Result<(), Denied> {
        if self.nonces.len() >= NONCES_MAX / 2 && self.cleared_at != now.0 {
            self.nonces.retain(|_, at| *at + 2 * WINDOW_S + 1 >= now.0);
            self.cleared_at = now.0;
        }
        if self.nonces.len() >= NONCES_MAX {
            return Err(Denied::Busy);
        }
        match self.nonces.insert(nonce, now.0) {
            None => Ok(()),
            Some(_) => Err(Denied::Replayed),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const HEAD: Head<'static> = Head { to: "relay", method: "POST", path: "/v1/keys" };

    fn pair() -> (Sender, Gate, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000_000));
        let of = time.clone();
        let now: Clock = Arc::new(move || Seconds(of.load(Ordering::SeqCst)));
        let key = SigningKey::from_bytes(&[1; 32]);
        let callers = HashMap::from([("7".to_owned(), key.verifying_key())]);
        (Sender::new("7".into(), key, now.clone()), Gate::new("relay".into(), callers, now), time)
    }

    fn headers(sender: &Sender, head: Head<'_>, body: &[u8]) -> HeaderMap {
        let all = sender.headers(head, body).unwrap();
        all.into_iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_str(&v).unwrap()))
            .collect()
    }

    #[test]
    fn a_request_is_let_in_once() {
        let (sender, gate, time) = pair();
        let headers = headers(&sender, HEAD, b"x");
        assert_eq!(gate.admit("POST", "/v1/keys", &headers, b"x"), Ok("7".to_owned()));
        assert_eq!(gate.admit("POST", "/v1/keys", &headers, b"x"), Err(Denied::Replayed));
        time.fetch_add(WINDOW_S, Ordering::SeqCst);
        assert_eq!(gate.admit("POST", "/v1/keys", &headers, b"x"), Err(Denied::Replayed));
        time.fetch_add(1, Ordering::SeqCst);
        assert_eq!(gate.admit("POST", "/v1/keys", &headers, b"x"), Err(Denied::Time));
    }

    #[test]
    fn method_path_body_receiver_and_caller_are_signed() {
        let (sender, gate, _) = pair();
        let good = || headers(&sender, HEAD, b"x");
        assert_eq!(gate.admit("PUT", "/v1/keys", &good(), b"x"), Err(Denied::Signature));
        assert_eq!(gate.admit("POST", "/v1/uuids", &good(), b"x"), Err(Denied::Signature));
        assert_eq!(gate.admit("POST", "/v1/keys", &good(), b"y"), Err(Denied::Signature));
        let elsewhere = headers(&sender, Head { to: "8", ..HEAD }, b"x");
        assert_eq!(gate.admit("POST", "/v1/keys", &elsewhere, b"x"), Err(Denied::Signature));
        let mut foreign = good();
        foreign.insert(FROM, HeaderValue::from_static("9"));
        assert_eq!(gate.admit("POST", "/v1/keys", &foreign, b"x"), Err(Denied::UnknownCaller));
        assert_eq!(gate.admit("POST", "/v1/keys", &HeaderMap::new(), b"x"), Err(Denied::Unsigned));
    }

    #[test]
    fn a_caller_that_sent_too_much_shuts_out_itself_alone_and_not_for_ever() {
        let (sender, mut gate, time) = pair();
        let other = SigningKey::from_bytes(&[2; 32]);
        let caller = Caller { key: other.verifying_key(), seen: Mutex::default() };
        gate.callers.insert("8".into(), caller);
        let other = Sender::new("8".into(), other, gate.now.clone());
        let many = (0..NONCES_MAX as u128).map(|n| (n.to_be_bytes(), 1_000_000));
        gate.callers["7"].seen.lock().unwrap().nonces.extend(many);
        let ask = |sender: &Sender| gate.admit("POST", "/v1/keys", &headers(sender, HEAD, b"x"), b"x");
        assert_eq!(ask(&sender), Err(Denied::Busy));
        assert_eq!(ask(&other), Ok("8".to_owned()));
        time.fetch_add(2 * WINDOW_S + 2, Ordering::SeqCst);
        assert_eq!(ask(&sender), Ok("7".to_owned()));
    }
}
