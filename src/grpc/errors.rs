//! Errors that the library made before a handler was reached, in this service's own words.

use tonic::{Code as Grpc, Status};

use crate::withdrawal::{Code, Invalid};

const TOO_LARGE: &str = "Error, decoded message length too large: ";
const UNDECODABLE: &str = "failed to decode Protobuf message";

/// The same error with a stable code, where the library's error is one that a caller can cause.
pub fn ours(status: &Status, message_bytes_max: usize) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Grpc::OutOfRange if status.message().starts_with(TOO_LARGE) => {
            Some(too_large(status.message(), message_bytes_max))
        }
        Grpc::Internal if status.message().starts_with(UNDECODABLE) => Some(undecodable()),
        _ => None,
    }
}

/// The same error with a stable code where there is one, for errors met while reading a stream.
pub fn ours_or_same(status: Status, message_bytes_max: usize) -> Status {
    ours(&status, message_bytes_max).unwrap_or(status)
}

fn too_large(message: &str, limit: usize) -> Status {
    let found = message.trim_start_matches(TOO_LARGE).trim_start_matches("found ").split(' ').next();
    let found = found.and_then(|digits| digits.parse::<u64>().ok());
    let problem = match found {
        Some(found) => format!("is {found} bytes long, the limit is {limit} bytes"),
        None => format!("is longer than the limit of {limit} bytes"),
    };
    let cure = "split the call into smaller ones, or shorten the message to the limit";
    Invalid::new(Code::MessageTooLarge, "message", problem, cure).into()
}

fn undecodable() -> Status {
    let cure = "build the message from proto/countersign/v1";
    Invalid::new(Code::FieldMalformed, "message", "is not the protobuf message of this method", cure).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::DeskError;
    use crate::wire::status::stable_code;

    #[test]
    fn what_a_desk_said_is_left_as_it_is() {
        let said =
            Status::from(DeskError::nothing_happened(Code::Internal, "failed to decode Protobuf message"));
        assert!(ours(&said, 10).is_none());
        assert!(ours(&Status::unimplemented(""), 10).is_none());
    }

    #[test]
    fn a_message_that_is_no_protobuf_is_invalid_and_not_our_fault() {
        let status =
            ours(&Status::internal("failed to decode Protobuf message: buffer underflow"), 10).unwrap();
        assert_eq!(status.code(), Grpc::InvalidArgument);
        assert_eq!(stable_code(&status), Some(Code::FieldMalformed));
    }
}
