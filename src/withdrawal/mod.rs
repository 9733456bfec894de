//! The words: what was asked, how far it has come, and why not. No I/O, no clock, no keys.

pub mod amount;
pub mod asset;
pub mod chain;
pub mod code;
pub mod evm_address;
mod evm_asset;
mod evm_chain;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod id;
pub mod key_role;
pub mod request;
mod safe_place;
pub mod scope;
pub mod stage;
pub mod time;

pub use amount::{Amount, FeeRate, Krw};
pub use asset::{Asset, Denomination};
pub use chain::{Chain, Network};
pub use code::{Code, Kind};
pub use evm_asset::EvmAsset;
pub use evm_chain::ChainId;
pub use id::{CustomerRef, FreezeId, Organisation, RequestId, ReservationId, VaspId, WithdrawalId};
pub use key_role::KeyRole;
pub use request::WithdrawalRequest;
pub use safe_place::SafePlace;
pub use scope::Scope;
pub use stage::{Finding, Outcome, Stage};
pub use time::Seconds;

/// Something given from outside that cannot be read: names the field, what is wrong, and the cure.
///
/// An `Invalid` never reaches a decision; the face answers it as INVALID_ARGUMENT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: field `{field}`: {problem}; {cure}")]
pub struct Invalid {
    /// The stable code.
    pub code: Code,
    /// The field as the caller spelled it.
    pub field: &'static str,
    /// What is wrong with it, in one clause.
    pub problem: String,
    /// What to send instead.
    pub cure: &'static str,
}

impl Invalid {
    /// Says no to one field. The clause may quote what came: it is kept on one line, of a bounded length, without marks that nobody sees.
    pub fn new(code: Code, field: &'static str, problem: impl Into<String>, cure: &'static str) -> Self {
        Self { code, field, problem: one_line(problem.into()), cure }
    }
}

/// The longest clause of a refusal, in characters.
const PROBLEM_LEN_MAX: usize = 500;

fn one_line(text: String) -> String {
    if text.len() <= PROBLEM_LEN_MAX && !text.chars().any(is_unseen) {
        return text;
    }
    let seen: String =
        text.chars().map(|c| if is_unseen(c) { '�' } else { c }).take(PROBLEM_LEN_MAX).collect();
    if text.chars().nth(PROBLEM_LEN_MAX).is_some() { seen + "…" } else { seen }
}

/// Whether a character moves others, ends the line or cannot be seen.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_bounded_line_whatever_it_quotes() {
        let told = |quoted: &str| {
            Invalid::new(Code::AssetUnknown, "asset", format!("`{quoted}` is no asset"), "send one").problem
        };
        assert_eq!(told("bitcoin"), "`bitcoin` is no asset");
        assert_eq!(told("a\nlevel=info forged\u{1b}[2J\u{202e}"), "`a�level=info forged�[2J�` is no asset");
        let long = told(&"가".repeat(1_000_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (PROBLEM_LEN_MAX + 1, true));
        assert_eq!(told(&"가".repeat(300)).chars().count(), 300 + 14);
    }
}
