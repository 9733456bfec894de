//! Owns the door of the enclave: everything `flow` may ask of it, in or out of its process. Knows no persons but those handed in.

use super::backend::Working;
use super::ivms::Payload;
use super::screen::Screening;
use super::telling::reports;
use super::{Enclave, EnclaveFault, Health, Reason, VerifyAsk, VerifyReply, Word};

/// The most transactions one transaction is said to replace.
pub const REPLACES_MAX: usize = 64;
/// The most reports one [`Door::tell`] takes.
pub const TELL_MAX: usize = 64;
/// The reason of a transfer that the customer's exchange took back.
const USER_CANCELED: &str = "USER-CANCELED";

/// What is asked about a request as it comes in.
#[derive(Clone, Copy)]
pub struct LookAsk<'a> {
    /// The SHA-256 of the request's canonical text, in hex.
    pub request_digest: &'a str,
    /// The IVMS101 JSON the exchange gave with it, if it gave any.
    pub payload: Option<&'a [u8]>,
}

/// What the enclave knows of a request as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The keyed hash of the payload's canonical form (law L2): equal for equal content, and says nothing to others.
    pub fingerprint: Option<[u8; 32]>,
    /// The answer kept for the request digest, whatever its age.
    pub answer: Option<Word>,
}

/// What the counterparty that verified a transfer is to be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TellAsk {
    /// The SHA-256 of the request's canonical text, in hex.
    pub request_digest: String,
    /// What became of it.
    pub tell: Tell,
}

/// What became of a verified transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tell {
    /// It is this output of this transaction.
    Tx {
        /// The transaction id, as nodes print it.
        tx_hash: String,
        /// Which output.
        vout: u32,
        /// The transactions of before that it replaces, at most [`REPLACES_MAX`]: a fee bump. What others reported stays.
        replaces: Vec<String>,
    },
    /// It will never happen.
    Error(ErrorReason),
}

/// Why a verified transfer will never happen, in the network's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorReason {
    /// Who asked for it took it back.
    UserCanceled,
    /// The own policy, or an own operator, refused it.
    NotAllowed,
    /// Anything else.
    UndefinedError,
}

impl ErrorReason {
    /// Every reason.
    const ALL: [Self; 3] = [Self::UserCanceled, Self::NotAllowed, Self::UndefinedError];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserCanceled => USER_CANCELED,
            Self::NotAllowed => Reason::NotAllowed.as_str(),
            Self::UndefinedError => Reason::UndefinedError.as_str(),
        }
    }

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// How each report of a [`Door::tell`] went, in their order.
pub type Tellings = Vec<Result<(), EnclaveFault>>;

/// The travel rule, wherever it runs.
pub trait Door: Send + Sync + 'static {
    /// Reads a payload and looks for an answer that is there already; asks nobody. One question for each withdrawal. An answer that a
    /// sanctions list stops, as it stands now, is not given: [`Door::verify`] says so.
    ///
    /// Errors: [`crate::withdrawal::Code::IvmsMalformed`] naming the element.
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>>;

    /// Asks the beneficiary VASP, or gives what it answered before: see [`Enclave::verify`]. Asking again is always safe.
    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>>;

    /// Has the counterparties told what became of at most [`TELL_MAX`] transfers: it is written down, and told until they heard it.
    /// Saying it again changes nothing.
    ///
    /// Errors, for each: [`EnclaveFault::Unknown`] and [`EnclaveFault::State`] where there is nobody to tell, or another transaction
    /// was reported already.
    fn tell(&self, asks: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>>;

    /// How it is.
    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>>;
}

impl Door for Enclave {
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
        Box::pin(async move {
            let Some(payload) = ask.payload else {
                let answer = self.known_answer(ask.request_digest).await.map(signed);
                return Ok(Looked { fingerprint: None, answer });
            };
            let payload = Payload::parse(payload, (self.room.now)())?;
            let fingerprint = Some(self.room.db.vault().fingerprint(&payload.canonical()));
            let mut answer = self.known_answer(ask.request_digest).await.map(signed);
            let accounts = [payload.account(), payload.originator_account()];
            // Whom this payload names need not be whom the kept one named.
            if answer.is_some() && self.room.screened(&accounts, Some(&payload)).await != Screening::Clear {
                answer = None;
            }
            Ok(Looked { fingerprint, answer })
        })
    }

    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
        Box::pin(self.verify(ask))
    }

    fn tell(&self, asks: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>> {
        Box::pin(async move {
            if asks.len() > TELL_MAX {
                return Err(EnclaveFault::QueueFull(u64::try_from(asks.len()).unwrap_or(u64::MAX)));
            }
            // The backend may be asked about each: all at once, it is waited for once.
            let told = asks.iter().map(|ask| reports::tell_of(&self.room, ask));
            Ok(futures_util::future::join_all(told).await)
        })
    }

    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
        Box::pin(async { Ok(self.health().await) })
    }
}

fn signed((text, signature): (String, [u8; 64])) -> Word {
    Word::Signed { text, signature }
}
