//! Why the sandbox did not come to its end. Every text says who or what it was about.

use std::fmt::Display;

use crate::cli::problem::{Exit, Problem};

/// A fault of the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file, a folder or a port.
    #[error("{what}: {source}")]
    File {
        /// Which.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something that is made at the beginning.
    #[error("{what} cannot be made: {problem}")]
    Setup {
        /// What.
        what: &'static str,
        /// Why not.
        problem: String,
    },
    /// The file of withdrawals.
    #[error("the file of withdrawals: {0}")]
    Cases(String),
    /// A child process.
    #[error("{name} {problem}; its last lines:\n{lines}")]
    Child {
        /// Which.
        name: &'static str,
        /// What happened to it.
        problem: String,
        /// What it said last.
        lines: String,
    },
    /// A call over the wire.
    #[error("{call}: {problem}")]
    Call {
        /// Which.
        call: String,
        /// What was wrong.
        problem: String,
    },
    /// A case came otherwise than the file says.
    #[error("case `{case}` came otherwise: expected {expected}, found {found}")]
    Unexpected {
        /// Which.
        case: String,
        /// What the file says.
        expected: String,
        /// What came.
        found: String,
    },
    /// The log does not hold.
    #[error("the log does not hold: {0}")]
    Log(String),
    /// A fault, with what the children said last.
    #[error("{fault}\n\n{lines}")]
    Told {
        /// The fault.
        fault: Box<Fault>,
        /// What the children said.
        lines: String,
    },
    /// Somebody ended it.
    #[error("interrupted; every process was stopped")]
    Interrupted,
}

impl Fault {
    /// How the process ends: a case or a log that is not as it should be is a no, a file that cannot be read is the
    /// caller's to mend.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unexpected { .. } | Self::Log(_) => Exit::No,
            Self::Cases(_) => Exit::Usage,
            Self::Told { fault, .. } => match **fault {
                Self::Unexpected { .. } | Self::Log(_) => Exit::No,
                _ => Exit::Fault,
            },
            Self::File { .. }
            | Self::Setup { .. }
            | Self::Child { .. }
            | Self::Call { .. }
            | Self::Interrupted => Exit::Fault,
        }
    }

    /// The same in the terminal's words.
    pub fn problem(&self) -> Problem {
        let cure = match self {
            Self::Cases(_) => "write it as sandbox/withdrawals.json",
            _ => "",
        };
        Problem {
            exit: self.exit(),
            code: None,
            field: None,
            text: self.to_string(),
            cure: cure.to_owned(),
            may_have_happened: false,
        }
    }

    /// A file, a folder or a port.
    pub fn file(what: impl Display, source: std::io::Error) -> Self {
        Self::File { what: what.to_string(), source }
    }

    /// Something that cannot be made.
    pub fn setup(what: &'static str, problem: impl Display) -> Self {
        Self::Setup { what, problem: problem.to_string() }
    }

    /// A call that went wrong.
    pub fn call(call: &str, problem: &str) -> Self {
        Self::Call { call: call.to_owned(), problem: problem.to_owned() }
    }
}
