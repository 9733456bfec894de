//! Who is calling: a role and a name, as the caller's certificate says. Reading certificates is not done here.

use std::fmt;

use crate::withdrawal::Seconds;

/// The roles a certificate can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The exchange's withdrawal service.
    Exchange,
    /// States coins, positions, prices and the chain.
    Observer,
    /// A treasury operator.
    Operator,
    /// Reads everything, changes nothing.
    Auditor,
    /// Carries finished Safe transactions to their chain, and reads nothing else.
    Executor,
    /// The party with key A.
    Signer,
    /// The party with key B.
    Cosigner,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Exchange,
        Self::Observer,
        Self::Operator,
        Self::Auditor,
        Self::Executor,
        Self::Signer,
        Self::Cosigner,
    ];

    /// The spelling in certificates and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Executor => "executor",
            Self::Signer => "signer",
            Self::Cosigner => "cosigner",
        }
    }

    /// Reads the spelling; what is not one of ours is no role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A caller whose certificate was verified and whose role may make the call.
///
/// It says who is on the line, not that what they hand over is true: requests, statements and approvals are believed
/// for their own signatures only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What it may do.
    pub role: Role,
    /// The name after the role in the certificate; for an exchange, its organisation.
    pub name: String,
    /// When the certificate ends.
    pub not_after: Seconds,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role, self.name)
    }
}
