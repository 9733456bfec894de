//! The closed list of what can be written down, and which fields each kind has. This table is the log's schema.

use std::fmt;

/// Optional in every kind: hex SHA-256 over the rows that changed together with the entry.
pub const ROWS: &str = "rows";

macro_rules! kinds {
    ($($name:ident $text:literal $doc:literal [$($required:literal)*] [$($optional:literal)*])*) => {
        /// What an entry reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntryKind {
            $(#[doc = $doc] $name,)*
        }

        impl EntryKind {
            /// Every kind, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable spelling in the leaf.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it reports, in one sentence.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// The fields that must be there.
            pub const fn required(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($required,)*],)* }
            }

            /// The fields that may be there, besides [`ROWS`].
            pub const fn optional(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($optional,)*],)* }
            }
        }
    };
}

impl EntryKind {
    /// Reads the stable spelling; a kind this version does not know is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// The table's own copy of a field name, or `None` where this kind has no such field.
    pub fn field_name(self, name: &str) -> Option<&'static str> {
        let all = self.required().iter().chain(self.optional()).chain(std::iter::once(&ROWS));
        all.copied().find(|known| *known == name)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// Words that recur. `purpose` is the kind of a transaction (withdrawal, sweep, refill, consolidation, refuel,
// rotation); `withdrawals`, `inputs`, `outputs`, `codes` are lists joined by single spaces; `customer` is the keyed
// hash of a customer reference; `policy`, `evidence`, `approval`, `attestation`, `signature`, `digest` and all that
// end in `_digest` are hex SHA-256; amounts are decimal base units; times are decimal seconds.
kinds! {
    // both parties
    LogStarted "log_started" "A log begins; the first entry of each log and of no other place. After a loss it names the old head."
        ["origin" "party" "version"] ["old_origin" "old_size" "old_root" "wallet" "quorum" "reason"]
    TrustFile "trust_file" "A trust file came into force."
        ["version" "digest"] ["previous" "signers" "detail"]
    Policy "policy" "A policy came into force."
        ["policy"] ["previous" "guard" "looser" "detail"]
    Frozen "frozen" "A freeze began: from then on nothing is signed. Noted once the store can be written."
        ["freeze" "operator" "since"] ["reason" "frozen_at" "key" "text_digest" "detail"]
    ResumeOrdered "resume_ordered" "A quorum ordered the end of a freeze; it takes effect later, unless somebody freezes again."
        ["freeze" "scope" "reviewed" "effective_at"] ["operators" "text_digest"]
    Resumed "resumed" "A freeze, or its part for sweeps, ended."
        ["freeze" "scope"] ["since" "until" "operators" "text_digest"]
    Statement "statement" "An observer's signed statement was taken."
        ["observer" "statement" "number" "digest"] ["stated_at" "key" "asset" "amount" "detail"]
    Coin "coin" "A coin was recorded, or changed its state."
        ["outpoint" "asset" "amount" "state"]
        ["script" "address" "branch" "index" "confirmations" "height" "txid" "reservation" "observer" "number"]
    WalletRegistered "wallet_registered" "A customer's own wallet was registered; `challenge` names the registration."
        ["challenge" "organisation" "asset" "address" "registration_digest" "effective_at"] ["customer" "proof_kind" "key"]
    WalletRemoved "wallet_removed" "A registration of a customer's own wallet was removed."
        ["challenge" "organisation" "removal_digest"] ["asset" "address" "key"]
    Alarm "alarm" "Something happened that people must look at."
        ["code"] ["subject" "withdrawal" "reservation" "txid" "origin" "size" "root" "detail"]
    Recovered "recovered" "After a start, an unfinished matter was brought to its end."
        ["subject" "outcome"] ["withdrawal" "reservation" "txid" "code" "detail"]

    // the signer
    Asked "asked" "A signed withdrawal request was taken."
        ["withdrawal" "organisation" "request_id" "request_digest" "asset" "amount" "destination"]
        ["fee_max" "beneficiary_vasp" "customer" "asked_at" "key"]
    Cleared "cleared" "The travel rule is satisfied for a withdrawal."
        ["withdrawal" "clearance" "evidence"] ["request_digest" "uuid" "vasp" "expires_at" "detail"]
    Held "held" "A withdrawal waits for something named."
        ["withdrawal" "code"] ["codes" "policy" "approval_digest" "groups" "reservation" "expires_at" "detail"]
    Refused "refused" "Something was refused for good; `subject` says what (a withdrawal, a statement, an approval, a coin)."
        ["subject" "code"]
        ["withdrawal" "organisation" "request_id" "request_digest" "asset" "amount" "destination" "codes" "policy" "detail"]
    Cancelled "cancelled" "The exchange took a request back and the co-signer never signs it; in both logs."
        ["withdrawal"] ["organisation" "request_id" "key" "receipt_digest" "detail"]
    Reserved "reserved" "A transaction was booked: inputs, outputs and fee are bound before a key is touched."
        ["reservation" "purpose" "asset" "amount" "fee" "txid"]
        ["withdrawal" "withdrawals" "destination" "inputs" "outputs" "change" "anchor" "replaces" "nonce" "fee_rate" "policy" "transaction_digest"]
    Executed "executed" "A Safe transaction of ours is in the chain for good: it paid, reverted, or did something else."
        ["reservation" "txid" "transaction" "ending"] ["asset" "withdrawals" "height" "observer" "number"]
    ReservationReleased "reservation_released" "A booking was given up; no signature for it exists anywhere."
        ["reservation" "code"] ["withdrawal" "withdrawals" "txid" "detail"]
    Signed "signed" "The co-signer's signature for a reservation arrived and was verified."
        ["reservation" "txid"] ["withdrawal" "withdrawals" "signature" "cosigner_size" "cosigner_root" "detail"]
    Released "released" "The finished transaction was handed out."
        ["reservation" "txid"] ["withdrawal" "withdrawals" "wtxid" "transaction_digest" "fee" "detail"]
    Approved "approved" "An operator approved."
        ["withdrawal" "operator" "approval"] ["group" "groups" "key" "expires_at" "text_digest"]
    Rejected "rejected" "An operator rejected and the co-signer never signs it; in both logs."
        ["withdrawal" "operator" "approval"] ["group" "groups" "key" "reason" "receipt_digest"]
    Address "address" "A deposit address was handed out."
        ["address" "asset" "branch" "index"] ["wallet" "organisation" "customer" "reference" "attestation"]
    Deposit "deposit" "Another amount lies at a deposit address of an EVM chain, by a final block; zero where it was emptied."
        ["address" "asset" "index" "amount" "height"] ["observer" "number"]
    SweepReserved "sweep_reserved" "A surplus was booked to go to cold."
        ["reservation" "asset" "amount" "fee" "txid" "destination"]
        ["hot" "cold" "surplus" "inputs" "change" "anchor" "replaces" "nonce" "fee_rate" "policy" "transaction_digest"]
    Refill "refill" "A refill from cold was booked, attested, or has come further; `state` says how far."
        ["refill" "state" "asset" "amount" "destination"]
        ["index" "fee" "txids" "withdrawals" "operator" "attestation" "policy" "code" "detail"]
    DailyPosition "daily_position" "A day was closed: where an asset rested at the entry's time, by the price that stood."
        ["date" "asset" "hot" "cold" "share_max"]
        ["in_transit" "reserved" "earmarked" "total_share_max" "position_at" "price_krw" "price_at" "hot_krw" "cold_krw" "reserve_krw" "policy"]

    // the co-signer
    Cosigned "cosigned" "The co-signer decided yes and signed; where a custodian has key B, `custodian_signed` follows."
        ["reservation" "purpose" "asset" "amount" "fee" "txid"]
        ["withdrawal" "withdrawals" "destination" "inputs" "anchor" "replaces" "nonce" "evidence" "policy" "value_krw" "signature" "log_size" "log_root" "log_index"]
    CustodianSigned "custodian_signed" "The custodian's signature for a decided transaction came and holds; from then on it is the one."
        ["reservation" "txid" "signature"] ["withdrawals" "detail"]
    CustodianRefused "custodian_refused" "The custodian signed that it never signs a decided transaction; its coins are free."
        ["reservation" "txid" "evidence"] ["withdrawals" "inputs" "code" "detail"]
    CosignRefused "cosign_refused" "The co-signer decided no, or not yet; with code RESERVATION_DEAD it never will."
        ["reservation" "code"] ["withdrawal" "withdrawals" "txid" "codes" "policy" "detail"]
    Witnessed "witnessed" "Another party's head was checked against the last one and taken."
        ["origin" "size" "root"] ["old_size" "old_root" "cosignature"]
    RequestSeen "request_seen" "The co-signer verified an exchange's request and used up its id."
        ["organisation" "request_id" "request_digest"]
        ["withdrawal" "reservation" "asset" "amount" "destination" "key" "evidence"]
    Attested "attested" "The co-signer derived a deposit address itself and vouched for it."
        ["address" "wallet" "branch" "index" "attestation"] ["asset" "organisation" "customer" "reference"]

    // the executor; `account` pays gas, `nonce` is the account's, `safe_nonce` the Safe's, `hash` is what the owners signed
    ExecutorStarted "executor_started" "The executor follows its account's nonces from this one on."
        ["account" "chain" "nonce"] ["previous" "detail"]
    ExecutionTaken "execution_taken" "A finished Safe transaction was taken to be carried to the chain."
        ["safe" "safe_nonce" "hash" "data_digest"] ["gas_limit" "since"]
    ExecutionBooked "execution_booked" "A transaction was bound to a nonce of the account before it was signed; `purpose` is run or cancel."
        ["nonce" "purpose" "gas_limit" "fee_per_gas_max" "tip_per_gas_max" "digest"] ["safe" "safe_nonce" "hash" "replaces" "block"]
    ExecutionHeld "execution_held" "A Safe transaction is not sent now."
        ["safe" "safe_nonce" "hash" "code"] ["detail"]
    ExecutionMined "execution_mined" "A transaction of the account's is in a block, which may be undone."
        ["nonce" "txid" "block" "block_hash" "gas_paid"] ["purpose" "safe" "safe_nonce" "hash" "effect"]
    ExecutionUnmined "execution_unmined" "The block of a transaction of the account's was undone; it is sent again."
        ["nonce" "txid" "block" "block_hash"] ["safe" "safe_nonce" "hash"]
    ExecutionSeen "execution_seen" "A Safe transaction was executed in a block, which may be undone; without `nonce` by somebody else."
        ["safe" "safe_nonce" "hash" "txid" "block" "block_hash" "effect"] ["nonce"]
    ExecutionUndone "execution_undone" "The block in which a Safe transaction was executed was undone."
        ["safe" "safe_nonce" "hash" "txid" "block" "block_hash"] []
    ExecutionSettled "execution_settled" "What became of a Safe transaction is final."
        ["safe" "safe_nonce" "hash" "outcome"] ["txid" "block" "code" "detail"]
    NonceSettled "nonce_settled" "A nonce of the account is used up for good; `end` is consumed, replaced, cancelled or foreign."
        ["nonce" "end"] ["txid" "block" "gas_paid" "safe" "safe_nonce" "hash"]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_reads_back_and_names_each_field_once() {
        for &kind in EntryKind::ALL {
            assert_eq!(EntryKind::parse(kind.as_str()), Some(kind));
            assert!(!kind.doc().is_empty());
            let all: Vec<_> = kind.required().iter().chain(kind.optional()).collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{kind}");
            assert!(all.iter().all(|name| !["kind", "at", ROWS].contains(*name)), "{kind}");
            assert!(
                all.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
                "{kind}"
            );
        }
        assert_eq!(EntryKind::parse("something_new"), None);
    }

    #[test]
    fn no_two_kinds_share_a_spelling() {
        let spellings: BTreeSet<_> = EntryKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(spellings.len(), EntryKind::ALL.len());
    }
}
