//! Owns how a command ends: the four exit codes, and a problem in the words of code, field and cure.

use std::fmt;
use std::process::ExitCode;

use serde_json::{Value, json};
use tonic::Status;
use tonic_types::StatusExt;

use crate::audit::{CheckpointInvalid, CosignatureInvalid, KeyInvalid, LogFault};
use crate::enclave::EnclaveFault;
use crate::evidence::NotProven;
use crate::grpc::{ClientFault, explain};
use crate::keys::{
    HdError, IdentityError, KeystoreError, MnemonicError, PassphraseError, SignError, XpubError,
};
use crate::pki::PkiFault;
use crate::store::OpenFault;
use crate::wire::status::{MAY_HAVE_HAPPENED, stable_code};
use crate::withdrawal::{Code, Invalid, Kind};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was done, or the answer is yes.
    Ok,
    /// It was refused or held, or the answer is no.
    No,
    /// The command, a file or the configuration cannot be used; nothing was done.
    Usage,
    /// Something broke; the text says whether it may have happened.
    Fault,
}

impl Exit {
    /// The number the process ends with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Fault => 3,
        }
    }

    const fn of(code: Code) -> Self {
        match (code, code.kind()) {
            (Code::NotFound, _) | (_, Kind::Refuse | Kind::Hold) => Self::No,
            (Code::ConfigInvalid | Code::KeystoreMissing | Code::KeystoreCorrupted, _)
            | (Code::PassphraseWrong | Code::StoreMissing, _)
            | (_, Kind::Invalid) => Self::Usage,
            (_, Kind::Fault) => Self::Fault,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Why a command did not do what it was asked. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How the process ends.
    pub exit: Exit,
    /// The stable code, where there is one.
    pub code: Option<Code>,
    /// The field, flag or file that is wrong.
    pub field: Option<String>,
    /// What is wrong, in one clause.
    pub text: String,
    /// What to do.
    pub cure: String,
    /// Whether the effect may have happened all the same.
    pub may_have_happened: bool,
}

impl Problem {
    /// A setting, flag or file that cannot be used.
    pub fn config(field: impl Into<String>, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            code: Some(Code::ConfigInvalid),
            field: Some(field.into()),
            text: text.into(),
            cure: cure.into(),
            may_have_happened: false,
        }
    }

    /// An answer with a stable code.
    pub fn of(code: Code, text: impl Into<String>) -> Self {
        Self {
            exit: Exit::of(code),
            code: Some(code),
            field: None,
            text: text.into(),
            cure: code.cure().to_owned(),
            may_have_happened: false,
        }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let cure = match error.kind() {
            ErrorKind::NotFound => {
                "check the path; one that does not begin with `/` counts from the folder it is written in"
            }
            ErrorKind::PermissionDenied => "run as the user whom the file belongs to",
            ErrorKind::AlreadyExists => {
                "nothing is ever overwritten: choose another place, or move the file away first"
            }
            _ => "make the file readable, or name another one",
        };
        Self::config(path.display().to_string(), error.to_string(), cure)
    }

    /// The same, about this field.
    pub fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same, with this cure.
    pub fn cure(self, cure: impl Into<String>) -> Self {
        Self { cure: cure.into(), ..self }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "error": {
            "exit": self.exit.number(),
            "code": self.code.map(Code::as_str),
            "field": self.field,
            "problem": self.text,
            "cure": self.cure,
            "may_have_happened": self.may_have_happened,
        }})
    }
}

/// For people.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error")?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        if let Some(field) = &self.field {
            write!(f, " `{field}`")?;
        }
        write!(f, ": {}", self.text)?;
        if !self.cure.is_empty() {
            write!(f, "\n  what to do: {}", self.cure)?;
        }
        if self.may_have_happened {
            f.write_str("\n  it may have happened all the same: ask before doing it another way")?;
        }
        Ok(())
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self {
            field: Some(invalid.field.to_owned()),
            cure: invalid.cure.to_owned(),
            ..Self::of(invalid.code, invalid.problem)
        }
    }
}

impl From<NotProven> for Problem {
    fn from(not: NotProven) -> Self {
        match not {
            NotProven::Unreadable(invalid) => invalid.into(),
            NotProven::Refused(finding) => Self::of(finding.code, finding.detail),
        }
    }
}

/// Splits what the client's side says of a status into text and cure.
impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let code = stable_code(&status);
        let said = explain(&status);
        let (text, rest) = said.split_once("\nWhat to do: ").unwrap_or((&said, ""));
        let cure = rest.split('\n').next().unwrap_or_default();
        let text = code
            .and_then(|code| text.strip_prefix(code.as_str()))
            .map_or(text, |t| t.trim_start_matches(": "));
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        let field = violations.into_iter().next().map(|violation| violation.field);
        let text = &once(text);
        let own = field.as_ref().and_then(|name| text.strip_prefix(&format!("field `{name}`: ")));
        let text = own.map_or(text.as_str(), |own| own.strip_suffix(&format!("; {cure}")).unwrap_or(own));
        let may =
            status.get_details_error_info().and_then(|info| info.metadata.get(MAY_HAVE_HAPPENED).cloned());
        Self {
            exit: code.map_or(Exit::Fault, Exit::of),
            code,
            field,
            text: text.to_owned(),
            cure: cure.to_owned(),
            may_have_happened: may.as_deref() == Some("true"),
        }
    }
}

/// A chain of causes in which none repeats the one before.
fn once(chain: &str) -> String {
    let mut parts: Vec<&str> = chain.split(": ").collect();
    parts.dedup();
    parts.join(": ")
}

impl From<KeystoreError> for Problem {
    fn from(error: KeystoreError) -> Self {
        Self::of(error.code(), error.to_string())
    }
}

impl From<EnclaveFault> for Problem {
    fn from(fault: EnclaveFault) -> Self {
        match fault {
            EnclaveFault::DirectoryOld(_) => {
                Self::config("trust.file", fault.to_string(), "bring the newest directory back")
            }
            _ => Self::of(fault.code(), fault.to_string()),
        }
    }
}

impl From<OpenFault> for Problem {
    fn from(fault: OpenFault) -> Self {
        let text = fault.to_string();
        let cure = match fault {
            OpenFault::Url(_) => "write sqlite:/absolute/path or mysql://user@host/database",
            OpenFault::AlreadyExists(_) => "nothing is ever overwritten: choose another place",
            OpenFault::NotDurable(_) => "set innodb_flush_log_at_trx_commit = 1 on the server",
            _ => return Self::of(fault.code(), text).at("store.url"),
        };
        Self::config("store.url", text, cure)
    }
}

/// Problems whose text names the cure already, all of them found before anything was done.
macro_rules! usage {
    ($($error:ty, $field:literal, $cure:literal;)*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::config($field, error.to_string(), $cure)
            }
        }
    )*};
}

usage! {
    PassphraseError, "passphrase", "put the passphrase, and nothing else, into a file of mode 0400 or 0600";
    PkiFault, "certificate", "check the certificate files; `countersign pki issue` makes them for tests and small deployments";
    ClientFault, "connection", "check --connect, --ca, --cert and --key, or the profile";
    XpubError, "key", "copy the key expression again, as `countersign descriptor export` prints it";
    MnemonicError, "words", "check the words against the paper; a blank between two, 12 to 24 of them";
    KeyInvalid, "log key", "copy the verifier key again, as `countersign init` printed it";
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        Self::of(Code::Internal, error.to_string())
    }
}

impl From<HdError> for Problem {
    fn from(error: HdError) -> Self {
        Self::of(Code::Internal, error.to_string())
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        Self::of(Code::Internal, error.to_string())
    }
}

/// A log that does not hold is an answer: no.
fn log_is_wrong(text: String) -> Problem {
    Problem {
        exit: Exit::No,
        code: None,
        field: None,
        text,
        cure: "keep what you have; find out who changed it, and compare with an earlier export".into(),
        may_have_happened: false,
    }
}

impl From<LogFault> for Problem {
    fn from(fault: LogFault) -> Self {
        log_is_wrong(fault.to_string())
    }
}

impl From<CheckpointInvalid> for Problem {
    fn from(error: CheckpointInvalid) -> Self {
        log_is_wrong(error.to_string())
    }
}

impl From<CosignatureInvalid> for Problem {
    fn from(error: CosignatureInvalid) -> Self {
        match error {
            CosignatureInvalid::Unsigned => log_is_wrong("the head bears no cosignature of this co-signer".into()).cure(
                "a new or restarted signer has its next head cosigned with its next transaction: try again then; until \
                 then the log alone is verified without --cosigner-key. If it lasts, find out why the co-signer does not sign",
            ),
            error => log_is_wrong(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::DeskError;
    use crate::withdrawal::Finding;

    #[test]
    fn what_a_service_says_comes_back_as_code_field_and_cure() {
        let status = Status::from(Invalid::new(Code::AmountZero, "amount", "is zero", "send more"));
        let problem = Problem::from(status);
        assert_eq!(problem.exit, Exit::Usage);
        assert_eq!(problem.code, Some(Code::AmountZero));
        assert_eq!(problem.field.as_deref(), Some("amount"));
        assert_eq!((problem.text.as_str(), problem.cure.as_str()), ("is zero", "send more"));
    }

    #[test]
    fn a_refusal_is_a_no_and_a_fault_says_that_it_may_have_happened() {
        let refused = DeskError::Refused(Finding::new(Code::RequestIdReused, "another amount"));
        let refused = Problem::from(Status::from(refused));
        assert_eq!((refused.exit, refused.text.as_str()), (Exit::No, "another amount"));
        let fault =
            Problem::from(Status::from(DeskError::may_have_happened(Code::StoreUnavailable, "commit")));
        assert_eq!((fault.exit, fault.may_have_happened), (Exit::Fault, true));
        assert!(fault.to_string().contains("may have happened"));
    }

    #[test]
    fn a_line_that_closes_without_a_reason_is_explained() {
        let problem = Problem::from(Status::unavailable("connection closed"));
        assert_eq!(problem.exit, Exit::Fault);
        assert!(problem.cure.contains("certificate"), "{problem}");
    }
}
