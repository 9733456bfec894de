//! The wall: the enclave in a process of its own, spoken to over a socket pair with the words of the [`Door`](super::Door).
//!
//! [`Outside`] is the signer's half: it starts the process ([`Launch`]), brings it back when it dies, and is a door. [`Inside`] is the
//! other half: it takes the socket it was given, shuts itself in (`confine`), and answers. Neither believes the other's lengths,
//! numbers or words: what cannot be read ends the line, and a new process begins.

mod confine;
mod filter;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inside;
mod keeper;
mod line;
mod outside;
mod pen;
mod words;

#[cfg(test)]
mod tests;

pub use self::confine::{ConfineFault, confine, drop_rights};
pub use self::inside::{Inside, NotStarted};
pub use self::keeper::{Launch, Owner};
pub use self::outside::Outside;
use crate::withdrawal::Code;

/// The enclave's process could not be had. No text of it holds personal data.
#[derive(Debug, thiserror::Error)]
pub enum WallFault {
    /// The system starts no process.
    #[error("the enclave's process cannot be started: {0}")]
    Spawn(#[source] std::io::Error),
    /// It was not started by a signer.
    #[error("{0}; only a signer starts this")]
    NotAChild(&'static str),
    /// It says why it cannot work.
    #[error("{text}")]
    NotStarted {
        /// The stable code.
        code: Option<Code>,
        /// The setting that is wrong.
        field: Option<String>,
        /// What is wrong.
        text: String,
        /// What to do.
        cure: String,
    },
    /// It ended before it said anything.
    #[error("the enclave's process ended with {0} before it was ready")]
    Ended(std::process::ExitStatus),
    /// It says nothing.
    #[error("the enclave's process was not ready in time")]
    Silent,
    /// It says what cannot be read.
    #[error("the enclave's process says what cannot be read")]
    Garbled,
}

impl WallFault {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotStarted { code: Some(code), .. } => *code,
            Self::NotAChild(_) => Code::ConfigInvalid,
            Self::NotStarted { .. } | Self::Spawn(_) | Self::Ended(_) | Self::Silent | Self::Garbled => {
                Code::EnclaveUnavailable
            }
        }
    }
}
