//! Both halves of the wall in one process over a pair of sockets, and processes that are killed, shut in, and told nonsense.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod lines;
mod prison;
mod processes;

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use super::{Inside, Outside};
use crate::enclave::backend::Working;
use crate::enclave::{
    Door, EnclaveFault, ErrorReason, Health, Kind, LookAsk, Looked, TELL_MAX, Tell, TellAsk, Tellings,
    VerifyAsk, VerifyReply, Word,
};
use crate::withdrawal::{Amount, Code, Invalid, Krw, Seconds, VaspId};

const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 7);

/// Lets a slow question go on.
static GO: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);

/// An enclave that answers by what it is asked.
struct Parrot;

impl Door for Parrot {
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
        Box::pin(async move {
            match ask.request_digest {
                "slow" => GO.acquire().await.unwrap().forget(),
                "go" => GO.add_permits(1),
                "never" => std::future::pending().await,
                "die" => std::process::abort(),
                "malformed" => {
                    let no = Invalid::new(
                        Code::IvmsMalformed,
                        "payload",
                        "`a.b` is wrong",
                        crate::enclave::ivms::CURE,
                    );
                    return Err(no.into());
                }
                _ => {}
            }
            let fingerprint = ask.payload.map(|payload| [u8::try_from(payload.len() % 251).unwrap(); 32]);
            let signed = ask.request_digest.strip_prefix("known ");
            let signed = signed.map(|text| Word::Signed { text: text.to_owned(), signature: [9; 64] });
            let reported = ask.request_digest.strip_prefix("reported ");
            let answer = signed.or(reported.map(|text| Word::Reported(text.to_owned())));
            Ok(Looked { fingerprint, answer })
        })
    }

    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
        Box::pin(async move {
            match ask.request_digest.as_str() {
                "pending" => Ok(VerifyReply::Pending),
                "expired" => Ok(VerifyReply::Expired),
                "listed" => Ok(VerifyReply::Listed),
                "conflict" => Err(EnclaveFault::Conflict),
                "unvalued" => Err(EnclaveFault::Unvalued),
                "reported" => Ok(VerifyReply::Reported { report_text: format!("{:?}", ask.value) }),
                "unknown" => Err(EnclaveFault::VaspUnknown(ask.beneficiary_vasp)),
                "full" => Err(EnclaveFault::QueueFull(7)),
                "broken" => Err(EnclaveFault::Entropy),
                _ => Ok(VerifyReply::Answered { answer_text: format!("{ask:?}"), signature: [8; 64] }),
            }
        })
    }

    fn tell(&self, asks: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>> {
        Box::pin(async move {
            let one = |ask: &TellAsk| match (ask.request_digest.as_str(), &ask.tell) {
                ("unknown", _) => Err(EnclaveFault::Unknown),
                ("state", _) => Err(EnclaveFault::State("it is not verified")),
                ("paid", Tell::Tx { tx_hash, vout: 7, replaces })
                    if tx_hash == "ab" && replaces[..] == ["cd"] =>
                {
                    Ok(())
                }
                ("cancelled", Tell::Error(ErrorReason::UserCanceled)) => Ok(()),
                ("forbidden", Tell::Error(ErrorReason::NotAllowed)) => Ok(()),
                ("failed", Tell::Error(ErrorReason::UndefinedError)) => Ok(()),
                _ => Err(EnclaveFault::Conflict),
            };
            match asks.first().map(|ask| ask.request_digest.as_str()) {
                Some("broken") => Err(EnclaveFault::Entropy),
                Some("short") => Ok(Vec::new()),
                _ => Ok(asks.iter().map(one).collect()),
            }
        })
    }

    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
        Box::pin(async { Ok(Health { database: true, relay: false, registered: true, waiting: 5 }) })
    }
}

fn ask(digest: &str) -> VerifyAsk {
    VerifyAsk {
        request_text: "text\nof two lines\n".into(),
        request_digest: digest.into(),
        symbol: "BTC".into(),
        network: "regtest".into(),
        destination: "bcrt1q".into(),
        amount: Amount::from_sat(5_000),
        value: Some(Krw(u128::MAX)),
        beneficiary_vasp: VaspId(7),
        kind: Kind::User,
        payload: Some(b"{}".to_vec()),
        fresh_since: Some(Seconds(9)),
    }
}

fn error(digest: &str, reason: ErrorReason) -> TellAsk {
    TellAsk { request_digest: digest.into(), tell: Tell::Error(reason) }
}

fn look<'a>(request_digest: &'a str, payload: Option<&'a [u8]>) -> LookAsk<'a> {
    LookAsk { request_digest, payload }
}

/// The signer's half in front of a parrot.
fn parrot() -> Outside {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    tokio::spawn(Inside::over(theirs).serve(Arc::new(Parrot), SocketAddr::from(ADDRESS)));
    Outside::over(Line::open(ours).unwrap().0)
}

fn code<T>(told: Result<T, EnclaveFault>) -> Code {
    told.err().expect("a fault").code()
}
