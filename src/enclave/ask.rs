//! Owns the messages of the door: what may be asked, what comes back, and what can break.

use std::fmt;

use sha2::{Digest, Sha256};

use super::answer::Kind;
use super::database::DatabaseFault;
use crate::enclave::database::vault::VaultFault;
use crate::evidence::request::parse_request;
use crate::withdrawal::{Amount, Asset, Code, Invalid, Krw, Seconds, VaspId};

pub(super) const CURE: &str = "send the canonical request text with the fields it holds";

/// One verification to be asked for.
#[derive(Clone)]
pub struct VerifyAsk {
    /// The canonical text of the withdrawal request the exchange signed.
    pub request_text: String,
    /// Its SHA-256, in hex: the idempotency key.
    pub request_digest: String,
    /// The asset's ticker.
    pub symbol: String,
    /// The network's name.
    pub network: String,
    /// The address to be paid.
    pub destination: String,
    /// How much, in base units.
    pub amount: Amount,
    /// Its worth at our price, where there is one.
    pub value: Option<Krw>,
    /// Who is asked.
    pub beneficiary_vasp: VaspId,
    /// The person behind the address, or the address alone.
    pub kind: Kind,
    /// IVMS101 JSON as the exchange gave it; needed for a user verification, the first time it is asked for.
    pub payload: Option<Vec<u8>>,
    /// An answer given before this time is too old: the counterparty is asked again.
    pub fresh_since: Option<Seconds>,
}

/// Shows what is asked, never about whom.
impl fmt::Debug for VerifyAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyAsk")
            .field("request_digest", &self.request_digest)
            .field("beneficiary_vasp", &self.beneficiary_vasp)
            .field("kind", &self.kind)
            .field("payload", &self.payload.as_ref().map(|_| "…"))
            .field("fresh_since", &self.fresh_since)
            .finish_non_exhaustive()
    }
}

/// What is kept of a counterparty's yes or no; it proves nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The VASP signed it.
    Signed {
        /// The canonical text `countersign verification-answer v1`.
        text: String,
        /// Its Ed25519 signature.
        signature: [u8; 64],
    },
    /// An enclave server says so: the canonical text `countersign verification-report v1`.
    Reported(String),
}

/// What is known of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyReply {
    /// The beneficiary VASP has answered, yes or no; its signature was checked against the directory.
    Answered {
        /// The canonical text `countersign verification-answer v1`.
        answer_text: String,
        /// Its Ed25519 signature.
        signature: [u8; 64],
    },
    /// The enclave server of a network where nobody signs says yes or no.
    Reported {
        /// The canonical text `countersign verification-report v1`.
        report_text: String,
    },
    /// Not yet; it goes on in the background.
    Pending,
    /// Nobody answered before the verification's end; it is never asked again.
    Expired,
    /// An address or a name stands on a sanctions list: nobody was asked.
    Listed,
}

/// How the enclave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Its database answers.
    pub database: bool,
    /// The relay, or the enclave server, answered the last call.
    pub relay: bool,
    /// Its endpoint is registered at the relay, or the enclave server knows us and lists who can be asked.
    pub registered: bool,
    /// How many verifications wait for an answer.
    pub waiting: u64,
}

/// The enclave cannot do its work. No text of it holds personal data.
#[derive(Debug, thiserror::Error)]
pub enum EnclaveFault {
    /// What was asked cannot be read.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The VASP is not in the directory.
    #[error("VASP {0} is not in the directory")]
    VaspUnknown(VaspId),
    /// The same request digest was asked about something else before.
    #[error("this request digest was asked about something else before")]
    Conflict,
    /// More verifications wait than the bound allows.
    #[error("{0} verifications are waiting, which is the bound")]
    QueueFull(u64),
    /// The database fails; what was asked may have been written.
    #[error(transparent)]
    Database(#[from] DatabaseFault),
    /// There is no such verification.
    #[error("there is no such verification")]
    Unknown,
    /// What is reported does not go with how far the verification has come.
    #[error("the verification does not allow this: {0}")]
    State(&'static str),
    /// Nobody answered in time; the question may have arrived.
    #[error("the other VASP did not answer in time")]
    NoAnswer,
    /// Whoever screens cannot say whether an address or a name is listed; nothing was written.
    #[error("it cannot be found out whether an address or a name stands on a sanctions list")]
    Unscreened,
    /// The network wants to know the worth of a transfer, and there is no price; nothing was written.
    #[error("no price says what the transfer is worth, and the network asks for it")]
    Unvalued,
    /// The relay cannot be had, or gives no uuid; nothing was written.
    #[error("the relay cannot be had")]
    RelayAway,
    /// The database has seen a newer directory than the one it is started with.
    #[error("is version {0}, and a newer one was seen before")]
    DirectoryOld(u64),
    /// The settings cannot be used.
    #[error("the enclave cannot start: {0}")]
    Config(String),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Entropy,
    /// The enclave's own process told of it, or is away.
    #[error("{text}")]
    Told {
        /// The stable code.
        code: Code,
        /// What is wrong.
        text: String,
        /// Whether the effect may have happened.
        may_have_happened: bool,
    },
}

impl EnclaveFault {
    /// Its process is not there, or does not answer; what was asked may have been written.
    pub(super) fn away(text: &str) -> Self {
        Self::Told { code: Code::EnclaveUnavailable, text: text.to_owned(), may_have_happened: true }
    }

    /// Whether what was asked may have been written all the same.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Database(_) | Self::NoAnswer | Self::Told { may_have_happened: true, .. })
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(invalid) => invalid.code,
            Self::VaspUnknown(_) => Code::TravelRuleVaspUnknown,
            Self::Conflict => Code::RequestIdReused,
            Self::QueueFull(_) => Code::QueueFull,
            Self::Database(DatabaseFault::Missing(_)) => Code::StoreMissing,
            Self::Database(DatabaseFault::Vault(VaultFault::Unreadable(_))) => Code::StoreTampered,
            Self::Database(DatabaseFault::OtherKey(_)) => Code::StoreOtherKey,
            Self::Database(DatabaseFault::Version(_)) => Code::StoreOtherVersion,
            Self::Database(_) => Code::StoreUnavailable,
            Self::Unknown => Code::NotFound,
            Self::State(_) => Code::VerificationState,
            Self::NoAnswer => Code::DeadlineExceeded,
            Self::Config(_) | Self::DirectoryOld(_) => Code::ConfigInvalid,
            Self::Unvalued => Code::PriceStale,
            Self::RelayAway | Self::Unscreened | Self::Entropy => Code::EnclaveUnavailable,
            Self::Told { code, .. } => *code,
        }
    }
}

impl VerifyAsk {
    /// Checks that the ask says what the signed request says, and gives its asset; the counterparty's answer will be bound to its digest.
    pub(super) fn check(&self) -> Result<Asset, Invalid> {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(self.request_text.as_bytes()));
        if digest != self.request_digest {
            return Err(malformed("request_digest", "is not the SHA-256 of the request text"));
        }
        let request = parse_request(&self.request_text)?;
        let same = [
            ("symbol", request.asset.denomination().is_none_or(|own| own.symbol() == self.symbol)),
            ("network", request.asset.chain().to_string() == self.network),
            ("destination", request.destination == self.destination),
            ("amount", request.amount == self.amount),
            ("beneficiary_vasp", request.beneficiary_vasp == self.beneficiary_vasp),
        ];
        match same.into_iter().find(|(_, same)| !same) {
            Some((field, _)) => Err(malformed(field, "differs from the signed request")),
            None => Ok(request.asset),
        }
    }
}

fn malformed(field: &'static str, problem: &str) -> Invalid {
    Invalid::new(Code::FieldMalformed, field, problem, CURE)
}
