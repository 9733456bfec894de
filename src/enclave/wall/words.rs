//! Owns the messages that pass the wall, and their translation to the words of the door. What comes back holds no persons.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::WallFault;
use crate::enclave::answer::kind_of;
use crate::enclave::door::{ErrorReason, Looked, REPLACES_MAX, TELL_MAX, Tell, TellAsk, Tellings};
use crate::enclave::{EnclaveFault, Health, VerifyAsk, VerifyReply, Word};
use crate::withdrawal::{Amount, Code, Invalid, Krw, Seconds, VaspId};

/// How much of a text of the enclave's process is believed to be a text.
const TEXT_LEN_MAX: usize = 500;
/// The fields a fault may name; another one is called `payload`.
const FIELDS: &[&str] =
    &["request_digest", "symbol", "network", "destination", "amount", "asset", "beneficiary_vasp", "fee_max"];

/// What the signer asks. The payload is the frame's body, and the only personal data that passes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Asked {
    Look {
        digest: String,
    },
    Verify {
        request_text: String,
        request_digest: String,
        symbol: String,
        network: String,
        destination: String,
        amount: String,
        value: Option<Box<str>>,
        beneficiary_vasp: String,
        kind: Box<str>,
        fresh_since: Option<u64>,
    },
    Tell {
        asks: Vec<TellWord>,
    },
    Health {},
}

impl Asked {
    /// A question of the door. The payload is not in it.
    pub(super) fn verify(ask: &VerifyAsk) -> Self {
        Self::Verify {
            request_text: ask.request_text.clone(),
            request_digest: ask.request_digest.clone(),
            symbol: ask.symbol.clone(),
            network: ask.network.clone(),
            destination: ask.destination.clone(),
            amount: ask.amount.to_string(),
            value: ask.value.map(|value| value.0.to_string().into()),
            beneficiary_vasp: ask.beneficiary_vasp.to_string(),
            kind: ask.kind.as_str().into(),
            fresh_since: ask.fresh_since.map(|since| since.0),
        }
    }

    /// What counterparties are to be told.
    pub(super) fn tell(asks: &[TellAsk]) -> Self {
        Self::Tell { asks: asks.iter().map(TellWord::of).collect() }
    }

    /// The reports again, if it holds some and not too many; nothing if a field of one cannot be.
    pub(super) fn to_tell(&self) -> Option<Vec<TellAsk>> {
        match self {
            Self::Tell { asks } if asks.len() <= TELL_MAX => asks.iter().map(TellWord::ask).collect(),
            _ => None,
        }
    }

    /// The question again, if it is one about a verification; nothing if a field of it cannot be.
    pub(super) fn to_verify(&self, payload: Option<Vec<u8>>) -> Option<VerifyAsk> {
        let Self::Verify {
            request_text,
            request_digest,
            symbol,
            network,
            destination,
            amount,
            value,
            beneficiary_vasp,
            kind,
            fresh_since,
        } = self
        else {
            return None;
        };
        let value = match value {
            Some(digits) => Some(Krw(digits.parse().ok()?)),
            None => None,
        };
        Some(VerifyAsk {
            request_text: request_text.clone(),
            request_digest: request_digest.clone(),
            symbol: symbol.clone(),
            network: network.clone(),
            destination: destination.clone(),
            amount: Amount::parse("amount", amount).ok()?,
            value,
            beneficiary_vasp: VaspId::parse(beneficiary_vasp).ok()?,
            kind: kind_of(kind)?,
            payload,
            fresh_since: fresh_since.map(Seconds),
        })
    }
}

/// What a counterparty is to be told.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum TellWord {
    Tx { digest: String, tx_hash: String, vout: u32, replaces: Vec<String> },
    Error { digest: String, reason: String },
}

impl TellWord {
    fn of(ask: &TellAsk) -> Self {
        let digest = ask.request_digest.clone();
        match &ask.tell {
            Tell::Tx { tx_hash, vout, replaces } => {
                Self::Tx { digest, tx_hash: tx_hash.clone(), vout: *vout, replaces: replaces.clone() }
            }
            Tell::Error(reason) => Self::Error { digest, reason: reason.as_str().to_owned() },
        }
    }

    fn ask(&self) -> Option<TellAsk> {
        let (request_digest, tell) = match self {
            Self::Tx { digest, tx_hash, vout, replaces } if replaces.len() <= REPLACES_MAX => {
                let (tx_hash, replaces) = (tx_hash.clone(), replaces.clone());
                (digest, Tell::Tx { tx_hash, vout: *vout, replaces })
            }
            Self::Tx { .. } => return None,
            Self::Error { digest, reason } => (digest, Tell::Error(ErrorReason::parse(reason)?)),
        };
        Some(TellAsk { request_digest: request_digest.clone(), tell })
    }
}

/// A VASP's signed answer, or the report of an enclave server, which has no signature.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerWord {
    text: String,
    /// Hex.
    signature: Option<String>,
}

/// What the enclave's process says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Told {
    /// It takes questions; its listener is there.
    Ready {
        address: SocketAddr,
    },
    /// It cannot work with what it was started with.
    NotStarted {
        code: Option<String>,
        field: Option<String>,
        text: String,
        cure: String,
    },
    Looked {
        fingerprint: Option<String>,
        answer: Option<AnswerWord>,
    },
    Answered {
        answer: AnswerWord,
    },
    Pending {},
    Expired {},
    Listed {},
    /// How each report went, in their order: done, or a fault.
    Reported {
        each: Vec<Told>,
    },
    Done {},
    Healthy {
        database: bool,
        relay: bool,
        registered: bool,
        waiting: u64,
    },
    Invalid {
        code: String,
        field: String,
        problem: String,
        cure: String,
    },
    VaspUnknown {
        vasp: String,
    },
    Conflict {},
    Unvalued {},
    QueueFull {
        waiting: u64,
    },
    Fault {
        code: String,
        text: String,
        may_have_happened: bool,
    },
}

impl AnswerWord {
    fn signed(text: &str, signature: &[u8; 64]) -> Self {
        Self { text: text.to_owned(), signature: Some(HEXLOWER.encode(signature)) }
    }

    fn reported(text: &str) -> Self {
        Self { text: text.to_owned(), signature: None }
    }

    fn of(word: &Word) -> Self {
        match word {
            Word::Signed { text, signature } => Self::signed(text, signature),
            Word::Reported(text) => Self::reported(text),
        }
    }

    fn read(self) -> Option<Word> {
        let Some(hex) = self.signature else { return Some(Word::Reported(self.text)) };
        let signature = HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()?;
        Some(Word::Signed { text: self.text, signature })
    }
}

impl Told {
    pub(super) fn looked(looked: &Result<Looked, EnclaveFault>) -> Self {
        match looked {
            Ok(Looked { fingerprint, answer }) => Self::Looked {
                fingerprint: fingerprint.map(|print| HEXLOWER.encode(&print)),
                answer: answer.as_ref().map(AnswerWord::of),
            },
            Err(fault) => Self::fault(fault),
        }
    }

    pub(super) fn verified(reply: &Result<VerifyReply, EnclaveFault>) -> Self {
        match reply {
            Ok(VerifyReply::Answered { answer_text, signature }) => {
                Self::Answered { answer: AnswerWord::signed(answer_text, signature) }
            }
            Ok(VerifyReply::Reported { report_text }) => {
                Self::Answered { answer: AnswerWord::reported(report_text) }
            }
            Ok(VerifyReply::Pending) => Self::Pending {},
            Ok(VerifyReply::Expired) => Self::Expired {},
            Ok(VerifyReply::Listed) => Self::Listed {},
            Err(fault) => Self::fault(fault),
        }
    }

    pub(super) fn reported(told: &Result<Tellings, EnclaveFault>) -> Self {
        let one = |told: &Result<(), EnclaveFault>| match told {
            Ok(()) => Self::Done {},
            Err(fault) => Self::fault(fault),
        };
        match told {
            Ok(each) => Self::Reported { each: each.iter().map(one).collect() },
            Err(fault) => Self::fault(fault),
        }
    }

    pub(super) fn healthy(health: &Result<Health, EnclaveFault>) -> Self {
        match health {
            Ok(Health { database, relay, registered, waiting }) => Self::Healthy {
                database: *database,
                relay: *relay,
                registered: *registered,
                waiting: *waiting,
            },
            Err(fault) => Self::fault(fault),
        }
    }

    fn fault(fault: &EnclaveFault) -> Self {
        let code = fault.code().as_str().to_owned();
        match fault {
            EnclaveFault::Invalid(no) => Self::Invalid {
                code,
                field: no.field.to_owned(),
                problem: no.problem.clone(),
                cure: no.cure.to_owned(),
            },
            EnclaveFault::VaspUnknown(vasp) => Self::VaspUnknown { vasp: vasp.to_string() },
            EnclaveFault::Conflict => Self::Conflict {},
            EnclaveFault::Unvalued => Self::Unvalued {},
            EnclaveFault::QueueFull(waiting) => Self::QueueFull { waiting: *waiting },
            EnclaveFault::Database(_)
            | EnclaveFault::Unknown
            | EnclaveFault::State(_)
            | EnclaveFault::NoAnswer
            | EnclaveFault::RelayAway
            | EnclaveFault::Unscreened
            | EnclaveFault::Config(_)
            | EnclaveFault::DirectoryOld(_)
            | EnclaveFault::Entropy
            | EnclaveFault::Told { .. } => {
                Self::Fault { code, text: fault.to_string(), may_have_happened: fault.may_have_happened() }
            }
        }
    }

    /// Nothing, if this is no answer to a look.
    pub(super) fn into_looked(self) -> Option<Result<Looked, EnclaveFault>> {
        let Self::Looked { fingerprint, answer } = self else { return self.into_fault().map(Err) };
        let fingerprint = match fingerprint {
            Some(hex) => Some(HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()?),
            None => None,
        };
        let answer = match answer {
            Some(answer) => Some(answer.read()?),
            None => None,
        };
        Some(Ok(Looked { fingerprint, answer }))
    }

    /// Nothing, if this is no answer about a verification.
    pub(super) fn into_reply(self) -> Option<Result<VerifyReply, EnclaveFault>> {
        match self {
            Self::Answered { answer } => Some(Ok(match answer.read()? {
                Word::Signed { text, signature } => VerifyReply::Answered { answer_text: text, signature },
                Word::Reported(report_text) => VerifyReply::Reported { report_text },
            })),
            Self::Pending {} => Some(Ok(VerifyReply::Pending)),
            Self::Expired {} => Some(Ok(VerifyReply::Expired)),
            Self::Listed {} => Some(Ok(VerifyReply::Listed)),
            other => other.into_fault().map(Err),
        }
    }

    /// Nothing, if this is no answer to exactly that many reports.
    pub(super) fn into_reported(self, count: usize) -> Option<Result<Tellings, EnclaveFault>> {
        let one = |told: Self| match told {
            Self::Done {} => Some(Ok(())),
            other => other.into_fault().map(Err),
        };
        match self {
            Self::Reported { each } if each.len() == count => {
                each.into_iter().map(one).collect::<Option<_>>().map(Ok)
            }
            other => other.into_fault().map(Err),
        }
    }

    /// Nothing, if this is no answer about its health.
    pub(super) fn into_health(self) -> Option<Result<Health, EnclaveFault>> {
        match self {
            Self::Healthy { database, relay, registered, waiting } => {
                Some(Ok(Health { database, relay, registered, waiting }))
            }
            other => other.into_fault().map(Err),
        }
    }

    /// The first words of a process: where it listens, or why it does not.
    pub(super) fn into_start(self) -> Result<SocketAddr, WallFault> {
        match self {
            Self::Ready { address } => Ok(address),
            Self::NotStarted { code, field, text, cure } => Err(WallFault::NotStarted {
                code: code.as_deref().and_then(Code::parse),
                field: field.map(plain),
                text: plain(text),
                cure: plain(cure),
            }),
            _ => Err(WallFault::Garbled),
        }
    }

    fn into_fault(self) -> Option<EnclaveFault> {
        Some(match self {
            Self::Invalid { code, field, problem, cure } => {
                let code = Code::parse(&code)?;
                let field = FIELDS.iter().find(|known| **known == field).copied().unwrap_or("payload");
                let cures = crate::enclave::cures();
                let cure = cures.into_iter().find(|known| **known == cure).unwrap_or(code.cure());
                EnclaveFault::Invalid(Invalid::new(code, field, plain(problem), cure))
            }
            Self::VaspUnknown { vasp } => EnclaveFault::VaspUnknown(VaspId::parse(&vasp).ok()?),
            Self::Conflict {} => EnclaveFault::Conflict,
            Self::Unvalued {} => EnclaveFault::Unvalued,
            Self::QueueFull { waiting } => EnclaveFault::QueueFull(waiting),
            Self::Fault { code, text, may_have_happened } => {
                EnclaveFault::Told { code: Code::parse(&code)?, text: plain(text), may_have_happened }
            }
            _ => return None,
        })
    }
}

/// One bounded line: what another process says ends in our log.
fn plain(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_LEN_MAX).collect()
}
