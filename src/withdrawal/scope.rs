//! How much of signing goes on when a freeze ends.

/// How much resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// Sweeps to cold, and nothing else.
    Sweeps,
}

impl Scope {
    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Sweeps => "sweeps",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::All, Self::Sweeps].into_iter().find(|scope| scope.as_str() == text)
    }
}
