//! How faults and refusals travel: a gRPC status with `google.rpc` details, and back into the desk's words.

use std::collections::HashMap;
use std::error::Error;

use tonic::{ConnectError, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, StatusExt};

use crate::desk::DeskError;
use crate::withdrawal::{Code, Finding, Invalid, Kind};

/// The domain of every `ErrorInfo` of this service.
pub const DOMAIN: &str = "countersign";
/// The metadata key that says what to do.
pub const CURE: &str = "cure";
/// The metadata key of a fault: `true` where the effect may have happened.
pub const MAY_HAVE_HAPPENED: &str = "may_have_happened";

/// The gRPC code that a stable code travels under.
pub fn grpc_code(code: Code) -> tonic::Code {
    use tonic::Code as Grpc;
    match code {
        Code::RequestIdReused => Grpc::AlreadyExists,
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::RoleNotAllowed => Grpc::PermissionDenied,
        Code::NotFound => Grpc::NotFound,
        Code::QueueFull => Grpc::ResourceExhausted,
        Code::DeadlineExceeded => Grpc::DeadlineExceeded,
        Code::StoreUnavailable
        | Code::StoreFull
        | Code::EnclaveUnavailable
        | Code::CosignerUnreachable
        | Code::ShuttingDown => Grpc::Unavailable,
        Code::StoreTampered | Code::StoreMissing | Code::LogForked | Code::LogBehindWitness => Grpc::DataLoss,
        other => match other.kind() {
            Kind::Invalid => Grpc::InvalidArgument,
            Kind::Refuse | Kind::Hold => Grpc::FailedPrecondition,
            Kind::Fault => Grpc::Internal,
        },
    }
}

fn details(code: Code, cure: &str, may_have_happened: Option<bool>) -> ErrorDetails {
    let mut metadata = HashMap::from([(CURE.to_owned(), cure.to_owned())]);
    if let Some(may) = may_have_happened {
        metadata.insert(MAY_HAVE_HAPPENED.to_owned(), may.to_string());
    }
    ErrorDetails::with_error_info(code.as_str(), DOMAIN, metadata)
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        let mut details = details(invalid.code, invalid.cure, None);
        details.add_bad_request_violation(invalid.field, format!("{}; {}", invalid.problem, invalid.cure));
        Self::with_error_details(grpc_code(invalid.code), invalid.to_string(), details)
    }
}

impl From<DeskError> for Status {
    fn from(error: DeskError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        match error {
            DeskError::Invalid(invalid) => invalid.into(),
            DeskError::Refused(_) => {
                Self::with_error_details(grpc_code(code), message, details(code, code.cure(), None))
            }
            DeskError::Fault { may_have_happened, .. } => {
                let details = details(code, code.cure(), Some(may_have_happened));
                Self::with_error_details(grpc_code(code), message, details)
            }
        }
    }
}

/// The stable code of a status, if this service gave it one.
pub fn stable_code(status: &Status) -> Option<Code> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then(|| Code::parse(&info.reason)).flatten()
}

/// Whether the status comes of a connection that was never made, so that nothing can have happened.
pub fn never_connected(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<ConnectError>())
}

/// Every cause below a status, nearest first.
pub fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn deeper<'a>(cause: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        (*cause).source()
    }
    std::iter::successors(status.source(), deeper)
}

/// Reads a status as the desk's word for it. `unreachable` is the code for a line that does not hold.
///
/// Where a status does not say that nothing happened, something may have.
pub fn desk_error(status: &Status, unreachable: Code) -> DeskError {
    match status.get_details_error_info().filter(|info| info.domain == DOMAIN) {
        Some(info) => told(status, &info.reason, info.metadata.get(MAY_HAVE_HAPPENED).map(String::as_str)),
        None => untold(status, unreachable),
    }
}

fn told(status: &Status, reason: &str, may_have_happened: Option<&str>) -> DeskError {
    let Some(code) = Code::parse(reason) else {
        return DeskError::may_have_happened(Code::Internal, status.message());
    };
    let message = status.message();
    let detail = message.strip_prefix(reason).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message);
    match (may_have_happened, code.kind()) {
        (Some("false"), _) | (None, Kind::Invalid) => DeskError::nothing_happened(code, detail),
        (Some(_), _) | (None, Kind::Fault) => DeskError::may_have_happened(code, detail),
        (None, Kind::Refuse | Kind::Hold) => DeskError::Refused(Finding::new(code, detail)),
    }
}

fn untold(status: &Status, unreachable: Code) -> DeskError {
    let timed_out = status.code() == tonic::Code::DeadlineExceeded
        || causes(status).any(|cause| cause.is::<TimeoutExpired>())
        || (status.code() == tonic::Code::Cancelled && status.message().contains("Timeout expired"));
    if timed_out {
        DeskError::may_have_happened(Code::DeadlineExceeded, "no answer within the deadline")
    } else if never_connected(status) {
        DeskError::nothing_happened(unreachable, last_cause(status))
    } else if status.code() == tonic::Code::Unimplemented {
        DeskError::nothing_happened(unreachable, "the other side does not know this call")
    } else {
        DeskError::may_have_happened(unreachable, last_cause(status))
    }
}

fn last_cause(status: &Status) -> String {
    causes(status).last().map_or_else(|| status.message().to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_invalid_field_travels_with_its_name_and_its_cure() {
        let invalid = Invalid::new(Code::AmountZero, "amount", "is zero", "send more");
        let status = Status::from(invalid);
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(stable_code(&status), Some(Code::AmountZero));
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations.first().unwrap().field, "amount");
        assert_eq!(violations.first().unwrap().description, "is zero; send more");
        assert_eq!(status.get_details_error_info().unwrap().metadata.get(CURE).unwrap(), "send more");
    }

    #[test]
    fn a_fault_says_over_the_wire_whether_it_may_have_happened() {
        for error in [
            DeskError::nothing_happened(Code::QueueFull, "512 are waiting"),
            DeskError::may_have_happened(Code::StoreUnavailable, "commit"),
            DeskError::may_have_happened(Code::CosignerUnreachable, "x"),
            DeskError::Refused(Finding::new(Code::RequestIdReused, "it asked for another amount")),
            DeskError::Refused(Finding::new(Code::PriceStale, "")),
        ] {
            let status = Status::from(error.clone());
            assert_eq!(desk_error(&status, Code::CosignerUnreachable), error);
        }
    }

    #[test]
    fn a_status_that_says_nothing_leaves_the_effect_open() {
        let read = |status: Status| desk_error(&status, Code::CosignerUnreachable);
        for status in [Status::unavailable("gone"), Status::unknown("?"), Status::internal("h2")] {
            assert!(matches!(
                read(status),
                DeskError::Fault { code: Code::CosignerUnreachable, may_have_happened: true, .. }
            ));
        }
        assert_eq!(read(Status::deadline_exceeded("")).code(), Code::DeadlineExceeded);
    }

    #[test]
    fn details_of_another_domain_are_not_ours() {
        let details = ErrorDetails::with_error_info("QUEUE_FULL", "example.com", HashMap::new());
        let status = Status::with_error_details(tonic::Code::Unknown, "", details);
        assert_eq!(stable_code(&status), None);
    }

    #[test]
    fn every_stable_code_travels_as_an_error() {
        for &code in Code::ALL {
            assert_ne!(grpc_code(code), tonic::Code::Ok, "{code}");
            assert_ne!(grpc_code(code), tonic::Code::Unknown, "{code}");
        }
    }
}
