//! Owns the laws of the wall: a frame is read within its bounds, and what one side says is what the other hears.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{self, FRAME_LEN_MAX, Frame};
use super::words::{Asked, Told};
use crate::enclave::{EnclaveFault, Kind, VerifyAsk};
use crate::withdrawal::fuzzing::told;
use crate::withdrawal::{Amount, Seconds, VaspId};

/// Bytes as they come through the socket, and words without a frame around them.
pub(crate) fn frames(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(frame)) = frame::read(&mut rest).now_or_never().expect("bytes in memory never wait") {
        assert!(frame.body().len() < FRAME_LEN_MAX);
        hear(&frame);
    }
    // The same as a head, with a frame laid around it.
    let (all, head) = (u32::try_from(data.len() + 12), u32::try_from(data.len()));
    if let (Ok(all), Ok(head)) = (all, head) {
        let framed = [&all.to_be_bytes()[..], &7u64.to_be_bytes(), &head.to_be_bytes(), data].concat();
        let mut bytes = framed.as_slice();
        if let Ok(Some(frame)) = frame::read(&mut bytes).now_or_never().expect("bytes in memory never wait") {
            hear(&frame);
        }
    }
}

fn hear(frame: &Frame) {
    if let Some(asked) = again::<Asked>(frame) {
        if let Some(ask) = asked.to_verify(Some(frame.body().to_vec())) {
            assert_eq!(json(&Asked::verify(&ask)), json(&asked));
        }
        if let Some(asks) = asked.to_tell() {
            assert_eq!(json(&Asked::tell(&asks)), json(&asked));
        }
    }
    for reader in READERS {
        if let Ok(words) = frame.head::<Told>() {
            reader(words);
        }
    }
    again::<Told>(frame);
}

/// Every door takes every word, and says no to what is not its answer.
const READERS: &[fn(Told)] = &[
    |words| fault(words.into_looked().map(Result::err)),
    |words| fault(words.into_reply().map(Result::err)),
    |words| fault(words.into_reported(2).map(Result::err)),
    |words| fault(words.into_health().map(Result::err)),
    |words| drop(words.into_start()),
];

fn fault(fault: Option<Option<EnclaveFault>>) {
    match fault.flatten() {
        Some(EnclaveFault::Invalid(no)) => told(&no),
        Some(fault) => assert!(!fault.to_string().is_empty() && !fault.code().as_str().is_empty()),
        None => {}
    }
}

fn again<T: Serialize + DeserializeOwned>(frame: &Frame) -> Option<T> {
    let words: T = frame.head().ok()?;
    let laid = frame::lay_out(frame.id, &words, frame.body()).ok()?;
    let mut bytes = laid.as_slice();
    let read =
        frame::read(&mut bytes).now_or_never().unwrap().unwrap().expect("what was laid out is a frame");
    assert_eq!((read.id, read.body()), (frame.id, frame.body()));
    assert_eq!(json(&read.head::<T>().unwrap()), json(&words));
    Some(words)
}

fn json(words: &impl Serialize) -> String {
    serde_json::to_string(words).unwrap()
}

pub(crate) fn frame_seeds() -> Vec<Vec<u8>> {
    let ask = VerifyAsk {
        request_text: "x".into(),
        request_digest: "00".repeat(32),
        symbol: "BTC".into(),
        network: "mainnet".into(),
        destination: "bc1q".into(),
        amount: Amount::from_sat(1),
        value: None,
        beneficiary_vasp: VaspId(7),
        kind: Kind::User,
        payload: None,
        fresh_since: Some(Seconds(1)),
    };
    let told = [
        r#"{"ready":{"address":"127.0.0.1:8080"}}"#,
        r#"{"not_started":{"code":"CONFIG_INVALID","field":"a","text":"b","cure":"c"}}"#,
        r#"{"looked":{"fingerprint":null,"answer":{"text":"a","signature":"00"}}}"#,
        r#"{"reported":{"each":[{"done":{}},{"conflict":{}}]}}"#,
        r#"{"healthy":{"database":true,"relay":true,"registered":true,"waiting":1}}"#,
        r#"{"invalid":{"code":"FIELD_MALFORMED","field":"amount","problem":"p","cure":"c"}}"#,
        r#"{"fault":{"code":"INTERNAL","text":"t","may_have_happened":true}}"#,
        r#"{"vasp_unknown":{"vasp":"7"}}"#,
        r#"{"look":{"digest":"00"}}"#,
        r#"{"tell":{"asks":[{"tx":{"digest":"00","tx_hash":"ab","vout":0}},{"error":{"digest":"00","reason":"USER-CANCELED"}}]}}"#,
    ];
    let mut all: Vec<Vec<u8>> = told.map(|text| text.as_bytes().to_vec()).to_vec();
    all.push(json(&Asked::verify(&ask)).into_bytes());
    let framed = all.iter().map(|head| {
        let (all, head_len) = (u32::try_from(head.len() + 16).unwrap(), u32::try_from(head.len()).unwrap());
        [&all.to_be_bytes()[..], &7u64.to_be_bytes(), &head_len.to_be_bytes(), head, b"body"].concat()
    });
    framed.collect::<Vec<_>>().into_iter().chain(all).collect()
}
