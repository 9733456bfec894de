//! Why the sandbox did not come to its end. Every text says who or what it was about.

use std::fmt::Display;
use std::io::Write;

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
    /// Tells it: to people on the error output, to programs as a document.
    pub fn tell(&self, json: bool) {
        if json {
            println(&serde_json::json!({ "error": { "exit": 3, "problem": self.to_string() } }).to_string());
        } else {
            let _ = writeln!(std::io::stderr().lock(), "\nerror: {self}");
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

/// One line on the output. A reader that has gone away is no fault of ours.
pub fn println(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
