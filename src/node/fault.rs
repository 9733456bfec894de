//! Why there is no fact: what one endpoint did, and that the quorum did not agree. No text holds an address or a token.

use std::fmt;

use super::settings::Name;
use crate::withdrawal::Code;

/// Why one endpoint gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// Nobody answered, or the connection broke.
    #[error("it cannot be reached")]
    Unreachable,
    /// Its time is over.
    #[error("it does not answer in time")]
    Late,
    /// Anything but 200; a redirect too.
    #[error("it answers with HTTP status {0}")]
    Status(u16),
    /// The answer is longer than what is read.
    #[error("its answer is too long")]
    TooLong,
    /// The answer cannot be read, or is none to what was asked.
    #[error("its answer cannot be used: {0}")]
    Malformed(&'static str),
    /// The node's own no.
    #[error("it refuses: {code} `{message}`")]
    Refused {
        /// The JSON-RPC error's number.
        code: i64,
        /// Its text, on one line and shortened.
        message: String,
    },
    /// It serves another chain, and is never used.
    #[error("it serves another chain")]
    WrongChain,
    /// It failed a moment ago and is left alone for a while.
    #[error("it failed and is left alone for a while")]
    Resting,
    /// So many calls to it were under way that this one found no place in time. It was not sent.
    #[error("too many calls to it are under way")]
    Busy,
    /// It does not have the block: it lags, or follows another fork.
    #[error("it does not have the block")]
    Elsewhere,
}

impl EndpointFault {
    /// Whether the endpoint itself is broken, and not just of another mind.
    pub(super) const fn is_broken(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Late | Self::Status(_) | Self::Malformed(_))
    }

    /// Whether it is a refusal that says: I do not know the tag, or nothing is final yet by it. Any other refusal says nothing of it.
    pub(super) fn is_no_such_tag(&self) -> bool {
        let Self::Refused { code, message } = self else { return false };
        // "unknown block" of the execution APIs (Besu, Nethermind, Erigon, reth), parameters that are none (before the merge)
        let by_code = matches!(code, -39_001 | -32_602);
        let text = message.to_ascii_lowercase();
        // geth and those that write as it does
        by_code
            || ["finalized block not found", "safe block not found", "unknown block"]
                .iter()
                .any(|part| text.contains(part))
    }
}

/// What became of one endpoint's vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
    /// It answered; not enough others said the same.
    Answered,
    /// It gave no answer.
    Silent(EndpointFault),
}

/// Fewer endpoints than the quorum said the same. Nothing is known; asking again is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAgreed {
    /// What was asked.
    pub what: &'static str,
    /// How many had to say the same.
    pub wanted: usize,
    /// What each did that was heard.
    pub voices: Vec<(Name, Voice)>,
}

impl NotAgreed {
    /// The stable code.
    pub const fn code(&self) -> Code {
        Code::NodesNotAgreed
    }
}

impl fmt::Display for NotAgreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes do not agree on {}", self.wanted, self.what)?;
        for (name, voice) in &self.voices {
            match voice {
                Voice::Answered => write!(f, "; `{name}` said something of its own")?,
                Voice::Silent(fault) => write!(f, "; `{name}`: {fault}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotAgreed {}
