//! Owns the door of the enclave: everything `flow` may ask of it, in or out of its process. Knows no persons but those handed in.

use super::backend::Working;
use super::{Enclave, EnclaveFault, Health, VerifyAsk, VerifyReply};

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
    /// The answer kept for the request digest, whatever its age: its text and signature.
    pub answer: Option<(String, [u8; 64])>,
}

/// The travel rule, wherever it runs.
pub trait Door: Send + Sync + 'static {
    /// Reads a payload and looks for an answer that is there already; asks nobody. One question for each withdrawal.
    ///
    /// Errors: [`crate::withdrawal::Code::IvmsMalformed`] naming the element.
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>>;

    /// Asks the beneficiary VASP, or gives what it answered before: see [`Enclave::verify`]. Asking again is always safe.
    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>>;

    /// How it is.
    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>>;
}

impl Door for Enclave {
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
        Box::pin(async move {
            let fingerprint = ask.payload.map(|payload| self.payload_fingerprint(payload)).transpose()?;
            Ok(Looked { fingerprint, answer: self.known_answer(ask.request_digest).await })
        })
    }

    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
        Box::pin(self.verify(ask))
    }

    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
        Box::pin(async { Ok(self.health().await) })
    }
}
