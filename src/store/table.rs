//! The names of the tables. It does not know what their rows mean.

use std::fmt;

macro_rules! tables {
    ($($(#[$doc:meta])* $variant:ident, $name:literal;)+) => {
        /// A table of tagged rows. Every party has all of them; each uses its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[$doc])* $variant,)+
        }

        impl Table {
            /// All of them, in the order in which they are scanned.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that is bound into every row's tag.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The table's name in SQL. The prefix keeps clear of reserved words.
            pub(super) const fn sql_name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("row_", $name),)+
                }
            }
        }
    };
}

tables! {
    /// What was asked and how far it has come (signer).
    Withdrawal, "withdrawal";
    /// Unsigned transactions that were decided on (signer).
    Reservation, "reservation";
    /// Outputs of one's own wallet, seen, reserved, spent (both).
    Coin, "coin";
    /// Addresses that were handed out or derived (both).
    Address, "address";
    /// The newest statements of each observer (both).
    Statement, "statement";
    /// Approvals and rejections of operators (signer).
    Approval, "approval";
    /// Customers' own wallets, registered and removed (both).
    Registration, "registration";
    /// Refills from cold (both).
    Refill, "refill";
    /// Settings, markers and counters (both).
    Setting, "setting";
    /// Requests that were decided, by organisation and request id (co-signer).
    SeenRequest, "seen_request";
    /// Verifications that were used up (co-signer).
    UsedVerification, "used_verification";
    /// Transactions that were signed for (co-signer).
    SignedReservation, "signed_reservation";
    /// Heads of the other party's log (co-signer).
    WitnessedLog, "witnessed_log";
    /// Safe transactions on their way to the chain, and what became of them (executor).
    Execution, "execution";
    /// Their bytes (executor).
    ExecutionCall, "execution_call";
    /// The nonces of the account that pays gas, and what each was used for (executor).
    AccountNonce, "account_nonce";
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
