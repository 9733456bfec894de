//! Owns the answers that are no success: `{code, message}` with the network's codes where it has one, and ours for the rest.
//!
//! A message names the field and the cure, never a value.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::fields::{Flaw, Wrong};
use super::listener::BODY_LEN_MAX;
use crate::enclave::EnclaveFault;
use crate::withdrawal::{Code, Invalid};

/// A refusal with its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The token is missing or another.
    pub(super) fn unauthorized() -> Self {
        let message = "send `Authorization: Bearer` with the token of this listener";
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    }

    /// There is no such path.
    pub(super) fn no_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT-FOUND", "there is no such path; docs/travel-rule.md lists them")
    }

    /// The path is there, the method is not.
    pub(super) fn no_method() -> Self {
        let message = "this path does not take this method; docs/travel-rule.md lists them";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD-NOT-ALLOWED", message)
    }

    /// The body is longer than the bound.
    pub(super) fn too_large() -> Self {
        let message = format!("the body is longer than the limit of {BODY_LEN_MAX} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY-TOO-LARGE", message)
    }

    /// Too many requests are open.
    pub(super) fn busy() -> Self {
        let message = "too many requests are open; nothing was written, ask again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "BUSY", message)
    }

    /// Nobody answered in time.
    pub(super) fn late() -> Self {
        let message = "no answer came in time; what was asked may have happened, so look before asking again";
        Self::new(StatusCode::REQUEST_TIMEOUT, "REQUEST-TIMEOUT", message)
    }

    /// There is no such verification.
    pub(super) fn not_found() -> Self {
        let message = "there is no verification with this `verificationUuid`";
        Self::new(StatusCode::NOT_FOUND, "VERIFICATION-NOT-FOUND", message)
    }

    /// There is no such deposit.
    pub(super) fn no_deposit() -> Self {
        let message = "there is no deposit with this `depositId`";
        Self::new(StatusCode::NOT_FOUND, "DEPOSIT-NOT-FOUND", message)
    }

    /// The same output was handed in as something else.
    pub(super) fn other_deposit() -> Self {
        let message =
            "this output was handed in before with another address or amount; look at what stands there";
        Self::new(StatusCode::CONFLICT, "DEPOSIT-CONFLICT", message)
    }

    /// Something broke inside.
    pub(super) fn internal() -> Self {
        let message = "something broke; what was asked may have happened, so look before asking again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL-ERROR", message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(Body { code: self.code, message: &self.message })).into_response()
    }
}

const fn code_of(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Missing => "MISSING-PARAMETER",
        Flaw::Malformed => "INVALID-PARAMETER",
        Flaw::TooLong => "PARAMETER-TOO-LONG",
        Flaw::Unknown => "UNKNOWN-PARAMETER",
    }
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        let code = match (wrong.flaw, wrong.path.as_str()) {
            (Flaw::Missing, "verificationUuid") => "MISSING-VERIFICATION-UUID",
            (Flaw::Missing, "requiredBeneficiaryInfo") => "MISSING-REQUIRED-BENEFICIARY-INFO",
            (flaw, _) => code_of(flaw),
        };
        let message = format!("`{}` {}", wrong.path, wrong.problem);
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

impl From<Invalid> for Refused {
    fn from(no: Invalid) -> Self {
        let flaw = match no.code {
            Code::FieldMissing => Flaw::Missing,
            Code::FieldTooLong => Flaw::TooLong,
            Code::FieldUnknown => Flaw::Unknown,
            _ => Flaw::Malformed,
        };
        let message = format!("`{}` {}; {}", no.field, no.problem, no.cure);
        Self::new(StatusCode::BAD_REQUEST, code_of(flaw), message)
    }
}

impl From<EnclaveFault> for Refused {
    fn from(fault: EnclaveFault) -> Self {
        let message = format!("{fault}; {}", fault.code().cure());
        let (status, code) = match fault {
            EnclaveFault::Invalid(no) => return no.into(),
            EnclaveFault::Unknown => return Self::not_found(),
            EnclaveFault::NoAnswer => return Self::late(),
            EnclaveFault::VaspUnknown(_) => (StatusCode::BAD_REQUEST, "UNKNOWN-VASP"),
            EnclaveFault::Conflict => (StatusCode::CONFLICT, "VERIFICATION-CONFLICT"),
            EnclaveFault::State(_) => (StatusCode::CONFLICT, "VERIFICATION-STATE"),
            EnclaveFault::QueueFull(_) => (StatusCode::SERVICE_UNAVAILABLE, "BUSY"),
            EnclaveFault::Unscreened => (StatusCode::SERVICE_UNAVAILABLE, "SCREENING-UNAVAILABLE"),
            EnclaveFault::RelayAway => (StatusCode::SERVICE_UNAVAILABLE, "RELAY-UNAVAILABLE"),
            EnclaveFault::Database(ref broken) => {
                tracing::error!(%broken, "the enclave's database fails");
                (StatusCode::SERVICE_UNAVAILABLE, "DATABASE-UNAVAILABLE")
            }
            EnclaveFault::Config(_)
            | EnclaveFault::DirectoryOld(_)
            | EnclaveFault::Entropy
            | EnclaveFault::Unvalued
            | EnclaveFault::Told { .. } => {
                tracing::error!(%fault, "a request could not be served");
                return Self::internal();
            }
        };
        Self::new(status, code, message)
    }
}
