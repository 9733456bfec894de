//! Owns the codes the policy can answer with, in the spellings the whole service uses, and what each of them does.

use std::fmt;

/// What a no does: for good, or until something named arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// No, for good.
    Refuse,
    /// Not yet.
    Hold,
}

impl Effect {
    /// The spelling of the `@effect` annotation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Hold => "hold",
        }
    }

    /// Reads the `@effect` annotation; nothing else is an effect.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Refuse, Self::Hold].into_iter().find(|e| e.as_str() == text)
    }
}

macro_rules! codes {
    ($($effect:ident $name:ident $text:literal $cure:literal)*) => {
        /// A stable code of the policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PolicyCode {
            $(#[doc = $text] $name,)*
        }

        impl PolicyCode {
            /// Every code the policy knows.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it refuses or holds; a rule that says otherwise is not loaded.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect,)* }
            }

            /// What to do about it.
            pub const fn cure(self) -> &'static str {
                match self { $(Self::$name => $cure,)* }
            }
        }
    };
}

codes! {
    Refuse NoClearance "NO_CLEARANCE" "have the beneficiary VASP verify it under a new request id"
    Hold ClearancePending "CLEARANCE_PENDING" "wait; it resumes by itself"
    Hold ClearanceExpired "CLEARANCE_EXPIRED" "wait; the beneficiary VASP is asked again"
    Hold UnnamedTotalReached "UNNAMED_TOTAL_REACHED" "wait, or send the payload for a full verification"
    Refuse DestinationOwn "DESTINATION_OWN" "pay own addresses by sweep, refill or consolidation, never by withdrawal"
    Refuse DestinationDenied "DESTINATION_DENIED" "none; the list is kept by the risk staff"
    Refuse DestinationNotAllowed "DESTINATION_NOT_ALLOWED" "have the destination added to the allow list"
    Refuse KindNotAllowed "KIND_NOT_ALLOWED" "pay only pinned or self-derived destinations by sweep, refill and consolidation"
    Refuse LimitPerTransaction "LIMIT_PER_TRANSACTION" "split is not a cure; have the limit changed by the policy's owners"
    Refuse LimitUnsigned "LIMIT_UNSIGNED" "pay a VASP that signs its answers, or have the limit changed by the policy's owners"
    Hold UnsignedTotalReached "UNSIGNED_TOTAL_REACHED" "wait until the window has moved on"
    Hold LimitRolling "LIMIT_ROLLING" "wait until the window has moved on"
    Refuse FeeAboveCap "FEE_ABOVE_CAP" "wait for lower fees and ask again with a higher fee cap"
    Hold FeeBudgetSpent "FEE_BUDGET_SPENT" "wait until the window has moved on"
    Hold PositionStale "POSITION_STALE" "have the observer state the position"
    Hold PriceStale "PRICE_STALE" "have the observer state the price"
    Hold PriceMoved "PRICE_MOVED" "wait for a second statement that agrees"
    Hold FeeRateStale "FEE_RATE_STALE" "have the observer state the chain"
    Hold HotShareAboveLimit "HOT_SHARE_ABOVE_LIMIT" "wait; it resumes when the sweep is signed"
    Hold HotFundsShort "HOT_FUNDS_SHORT" "refill from cold, or wait for confirmations"
    Hold ApprovalRequired "APPROVAL_REQUIRED" "have the groups named in the detail approve with `countersign approve`"
    Refuse RequesterApproves "REQUESTER_APPROVES" "let another person approve"
    Hold Frozen "FROZEN" "have the quorum of operators end the freeze: `countersign resume`"
    Refuse PolicyRefused "POLICY_REFUSED" "read the rule named in the detail"
    Hold PolicyHeld "POLICY_HELD" "read the rule named in the detail"
    Refuse PolicyFault "POLICY_FAULT" "have the policy file repaired; `--check` shows the fault"
}

impl PolicyCode {
    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for PolicyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_is_there_once() {
        for &code in PolicyCode::ALL {
            assert_eq!(PolicyCode::parse(code.as_str()), Some(code));
            assert!(!code.cure().is_empty());
        }
        assert_eq!(PolicyCode::parse("no_clearance"), None);
    }

    #[test]
    fn no_spelling_of_an_effect_is_guessed() {
        assert_eq!(Effect::parse("hold"), Some(Effect::Hold));
        assert_eq!(Effect::parse("refuse"), Some(Effect::Refuse));
        for text in ["", "Hold", "warn", "allow", " hold"] {
            assert_eq!(Effect::parse(text), None, "{text}");
        }
    }
}
