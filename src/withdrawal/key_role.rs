//! Whose a key of the 2-of-3 wallet is.

/// Which of the three keys of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRole {
    /// Key A.
    Signer,
    /// Key B.
    Cosigner,
    /// Key C, offline.
    Vault,
}

impl KeyRole {
    /// Every role, in the order of the keys.
    pub const ALL: [Self; 3] = [Self::Signer, Self::Cosigner, Self::Vault];

    /// The word in texts and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::Cosigner => "cosigner",
            Self::Vault => "vault",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
