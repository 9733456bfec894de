//! Every code this service can answer with: what it means, and what to do.
//!
//! `docs/refusals.md` is this table as a page; a test keeps the two equal. Codes are stable: none is renamed or reused.

use std::fmt;

/// What kind of answer a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It could not be read; nothing was written.
    Invalid,
    /// No, for good.
    Refuse,
    /// Not yet; resumes by itself when what is missing arrives.
    Hold,
    /// Something broke; the text says whether the effect may have happened.
    Fault,
}

macro_rules! codes {
    ($($kind:ident $name:ident $text:literal $why:literal $cure:literal)*) => {
        /// A stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $why] $name,)*
        }

        impl Code {
            /// Every code, in the order of the page.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What kind of answer it is.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// Why it is said.
            pub const fn why(self) -> &'static str {
                match self { $(Self::$name => $why,)* }
            }

            /// What to do about it.
            pub const fn cure(self) -> &'static str {
                match self { $(Self::$name => $cure,)* }
            }
        }
    };
}

impl Code {
    /// Reads the stable spelling; a code this version does not know is `None`, and unknown is a no.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

codes! {
    Invalid FieldMissing "FIELD_MISSING"
        "a field that must be there is absent or empty"
        "send the field named in the answer"
    Invalid FieldMalformed "FIELD_MALFORMED"
        "a field cannot be read as what it should be"
        "correct the field named in the answer"
    Invalid FieldTooLong "FIELD_TOO_LONG"
        "a field is longer than its limit"
        "shorten the field named in the answer to the limit it states"
    Invalid FieldDuplicate "FIELD_DUPLICATE"
        "a field is given twice"
        "send each field once"
    Invalid FieldUnknown "FIELD_UNKNOWN"
        "a field is given that does not exist"
        "remove the field named in the answer, or correct its spelling"
    Invalid AmountZero "AMOUNT_ZERO"
        "the amount is zero"
        "send an amount of at least one base unit"
    Invalid AmountNegative "AMOUNT_NEGATIVE"
        "the amount is negative"
        "send a positive amount"
    Invalid AmountAboveSupply "AMOUNT_ABOVE_SUPPLY"
        "the amount is larger than the asset's supply"
        "check the unit: amounts are in base units (satoshi)"
    Invalid AssetUnknown "ASSET_UNKNOWN"
        "the asset is not one this service knows or has enabled"
        "send the CAIP-19 id of an enabled asset"
    Invalid AddressMalformed "ADDRESS_MALFORMED"
        "the destination is no address"
        "check the address for a typing error; its checksum does not hold"
    Invalid AddressWrongNetwork "ADDRESS_WRONG_NETWORK"
        "the destination belongs to another network"
        "send an address of the network of the asset; testnet3, testnet4 and signet share their address forms"
    Invalid AddressNotPayable "ADDRESS_NOT_PAYABLE"
        "the destination is of a kind that is not standard to pay"
        "send an address of type P2PKH, P2SH, P2WPKH, P2WSH or P2TR"
    Invalid IvmsMalformed "IVMS_MALFORMED"
        "the IVMS101 payload cannot be read or breaks a rule of the standard"
        "correct the element named in the answer (IVMS101.2023, constraints C1 to C12)"
    Invalid MessageTooLarge "MESSAGE_TOO_LARGE"
        "the message is larger than the limit"
        "split the call, or shorten it to the limit in the answer"
    Invalid SignatureMalformed "SIGNATURE_MALFORMED"
        "a signature cannot be read"
        "send the 64 bytes of the Ed25519 signature, the armored SSHSIG, or the base64 of the BIP-322 witness, as docs/requests.md shows"
    Invalid StatementMalformed "STATEMENT_MALFORMED"
        "a statement cannot be read"
        "build the statement as docs/requests.md shows"
    Invalid PsbtMalformed "PSBT_MALFORMED"
        "a PSBT cannot be read or is not in the form this protocol uses"
        "send a BIP-174 PSBT with witness_utxo for every input"
    Invalid DescriptorMalformed "DESCRIPTOR_MALFORMED"
        "a descriptor cannot be read, or its checksum does not hold"
        "copy the whole descriptor again, with the eight characters after `#`"
    Refuse RequestSignatureInvalid "REQUEST_SIGNATURE_INVALID"
        "the request's signature does not hold over its canonical bytes"
        "sign the bytes of docs/requests.md with the request key named in the request"
    Refuse RequestKeyUnknown "REQUEST_KEY_UNKNOWN"
        "the request key is not in the trust file, or not for this organisation"
        "use a key the trust file lists for the organisation, or have the trust file renewed by its quorum"
    Refuse RequestIdReused "REQUEST_ID_REUSED"
        "this request id was used before for something else"
        "use a new request id; an id belongs to its first request for ever"
    Refuse RequestTimeOutOfRange "REQUEST_TIME_OUT_OF_RANGE"
        "the request was signed too long ago, or lies in the future"
        "check the clock of the requesting side and sign again under a new request id"
    Refuse AmountDust "AMOUNT_DUST"
        "the amount is below what the network relays to such an address"
        "ask for at least the dust limit of the destination's type"
    Refuse DestinationOwn "DESTINATION_OWN"
        "the destination is an address of this wallet"
        "pay own addresses by sweep, refill or consolidation, never by withdrawal"
    Refuse DestinationDenied "DESTINATION_DENIED"
        "the destination is on the deny list"
        "none; the list is kept by the risk staff"
    Refuse DestinationNotAllowed "DESTINATION_NOT_ALLOWED"
        "an allow list is in force and the destination is not on it"
        "have the destination added to the allow list"
    Refuse NoClearance "NO_CLEARANCE"
        "there is no clearance of the travel rule for this withdrawal"
        "have the beneficiary VASP verify it under a new request id"
    Refuse TravelRuleDenied "TRAVEL_RULE_DENIED"
        "the beneficiary VASP said no"
        "read the reason in the detail, correct the beneficiary's data, ask again under a new request id"
    Refuse TravelRuleTimeout "TRAVEL_RULE_TIMEOUT"
        "the beneficiary VASP did not answer in time"
        "ask again under a new request id when the VASP is reachable"
    Refuse SanctionsListed "SANCTIONS_LISTED"
        "an address or a name stands on a sanctions list"
        "have compliance look at it; nobody else was asked, and nothing was sent to the beneficiary VASP"
    Refuse TravelRuleVaspUnknown "TRAVEL_RULE_VASP_UNKNOWN"
        "the beneficiary VASP is not in the trust file or not active"
        "choose a VASP of the directory that the trust file lists"
    Refuse VerificationState "VERIFICATION_STATE"
        "what is reported does not go with how far the verification has come"
        "report only what follows a verified transfer: its transaction until it is final, or that it will not happen"
    Refuse EvidenceInvalid "EVIDENCE_INVALID"
        "evidence does not hold: signature, binding, age, or it was used before"
        "obtain fresh evidence for exactly this withdrawal"
    Refuse EvidenceUsed "EVIDENCE_USED"
        "this verification was already used up by another withdrawal"
        "verify each withdrawal by itself"
    Refuse OwnershipNotProven "OWNERSHIP_NOT_PROVEN"
        "the proof does not show that the customer holds the wallet"
        "have the customer sign the challenge's message, as it is, with that address (BIP-322, simple)"
    Refuse ChallengeExpired "CHALLENGE_EXPIRED"
        "the challenge of a registration was not used in time"
        "create a new challenge and have the customer sign its message"
    Refuse WalletRegistered "WALLET_REGISTERED"
        "the wallet has another registration in force"
        "use that one, or remove it first"
    Refuse WalletNotRegistered "WALLET_NOT_REGISTERED"
        "no registration in force makes the destination this customer's own wallet"
        "register the wallet, or name the VASP that holds the destination, under a new request id"
    Refuse LimitPerTransaction "LIMIT_PER_TRANSACTION"
        "the amount is above the limit for one transaction"
        "split is not a cure; have the limit changed by the policy's owners"
    Refuse FeeAboveCap "FEE_ABOVE_CAP"
        "the network fee would exceed a cap (per vbyte, per transaction, per lineage, or the request's own)"
        "wait for lower fees and ask again with a higher fee cap"
    Refuse PolicyRefused "POLICY_REFUSED"
        "a rule of the policy file says no"
        "read the rule named in the detail"
    Refuse PolicyFault "POLICY_FAULT"
        "a rule could not be evaluated, so nothing may leave"
        "have the policy file repaired; `--check` shows the fault"
    Refuse RejectedByOperator "REJECTED_BY_OPERATOR"
        "an operator rejected it"
        "ask the operator for the reason given"
    Refuse Cancelled "CANCELLED"
        "the exchange cancelled it before anything was reserved"
        "none"
    Refuse HoldExpired "HOLD_EXPIRED"
        "what was missing did not arrive in time"
        "ask again under a new request id"
    Refuse CosignerRefused "COSIGNER_REFUSED"
        "the co-signer decided no"
        "read the co-signer's own code in the detail"
    Refuse TransactionMismatch "TRANSACTION_MISMATCH"
        "the transaction does not do exactly what was reserved or asked"
        "none; this is an alarm, keep the log and look at both sides"
    Refuse AnchorMismatch "ANCHOR_MISMATCH"
        "a later transaction for this withdrawal does not spend its anchor or pays otherwise"
        "none; this is an alarm, keep the log and look at both sides"
    Refuse ReservationDead "RESERVATION_DEAD"
        "the co-signer has recorded this reservation as never to be signed"
        "decide again; the next reservation gets its own transaction"
    Refuse CoinProofInvalid "COIN_PROOF_INVALID"
        "a coin's raw transaction does not prove what is stated"
        "state the coin again with the raw transaction that created it"
    Refuse ChangeNotOwn "CHANGE_NOT_OWN"
        "a change output is not derived from the wallet's own branch 1, or too far ahead"
        "none; this is an alarm"
    Refuse KindNotAllowed "KIND_NOT_ALLOWED"
        "a transaction of this kind may not pay this destination"
        "pay only pinned or self-derived destinations by sweep, refill and consolidation"
    Refuse NotInLog "NOT_IN_LOG"
        "what is to be signed is not proved to be in the log"
        "send the reservation's inclusion proof under the witnessed checkpoint"
    Refuse ApprovalInvalid "APPROVAL_INVALID"
        "an approval does not hold: signature, namespace, operator, group, age or text"
        "sign the text shown by `countersign approvals` with a listed operator key, namespace countersign-approval-v1"
    Refuse OperatorUnknown "OPERATOR_UNKNOWN"
        "the operator's key is not in the trust file"
        "use a key the trust file lists"
    Refuse RequesterApproves "REQUESTER_APPROVES"
        "who asked may not approve"
        "let another person approve"
    Refuse StatementSignatureInvalid "STATEMENT_SIGNATURE_INVALID"
        "a statement's signature does not hold"
        "sign the statement with the key the trust file lists for this observer"
    Refuse StatementOutOfOrder "STATEMENT_OUT_OF_ORDER"
        "a statement's number is not above the last one"
        "number statements upwards without reuse"
    Refuse StatementGap "STATEMENT_GAP"
        "a statement follows one that was never heard here"
        "state everything since the last one heard again, in a statement whose `after` is its number"
    Refuse StatementTimeOutOfRange "STATEMENT_TIME_OUT_OF_RANGE"
        "a statement is too old or lies in the future"
        "check the observer's clock and state again"
    Refuse RefillsOpen "REFILLS_OPEN"
        "as many refills are open as the policy allows"
        "finish one, or cancel one that carries no signature yet"
    Refuse RefillNotNeeded "REFILL_NOT_NEEDED"
        "nothing waits for coins from cold, or the share leaves no room for more"
        "name an amount if more is to come; the share is judged all the same"
    Refuse RefillState "REFILL_STATE"
        "the refill has come too far, or not far enough, for this"
        "look at its state with `countersign refill list`"
    Refuse RefillForeign "REFILL_FOREIGN"
        "what was handed back is another transaction than the one exported"
        "sign the PSBT that `countersign refill export` wrote, unchanged; look at who changed it"
    Refuse RefillSignatures "REFILL_SIGNATURES"
        "the signed copy does not carry exactly two good signatures of the cold wallet at every input"
        "have two keys of the cold wallet sign every input (SIGHASH_ALL), and hand back the PSBT before it is finalised"
    Refuse ColdFundsShort "COLD_FUNDS_SHORT"
        "the cold coins known here do not reach"
        "give the raw transactions of more cold coins with `--coin`, or ask for less"
    Refuse TrustFileInvalid "TRUST_FILE_INVALID"
        "the trust file's quorum of signatures does not hold, or its version went back"
        "install the newest trust file with its signatures"
    Hold ClearancePending "CLEARANCE_PENDING"
        "the beneficiary VASP has not answered yet"
        "wait; it resumes by itself"
    Hold ClearanceExpired "CLEARANCE_EXPIRED"
        "the travel-rule answer grew too old while something else was missing"
        "wait; the beneficiary VASP is asked again"
    Hold WalletNotEffective "WALLET_NOT_EFFECTIVE"
        "the wallet was registered too short a time ago"
        "wait until the time in the detail; it resumes by itself"
    Hold ApprovalRequired "APPROVAL_REQUIRED"
        "the value needs operators' approval"
        "have the groups named in the detail approve with `countersign approve`"
    Hold HotShareAboveLimit "HOT_SHARE_ABOVE_LIMIT"
        "too much rests hot; a sweep to cold goes first"
        "wait; it resumes when the sweep is signed"
    Hold CoinUnknown "COIN_UNKNOWN"
        "an input is not a coin the party has recorded with its proof"
        "have the observer state the coin with its raw transaction to both parties"
    Hold HotFundsShort "HOT_FUNDS_SHORT"
        "the hot wallet has too few spendable coins"
        "refill from cold, or wait for confirmations"
    Hold PositionStale "POSITION_STALE"
        "no recent statement of the cold balance, or an observer is silent about coins"
        "have each observer state coins (none, if nothing changed) and the position"
    Hold PriceStale "PRICE_STALE"
        "no recent statement of the price"
        "have the observer state the price"
    Hold PriceMoved "PRICE_MOVED"
        "the price moved further than configured"
        "wait for a second statement that agrees"
    Hold FeeRateStale "FEE_RATE_STALE"
        "no recent statement of fee rate and chain tip"
        "have the observer state the chain"
    Hold LimitRolling "LIMIT_ROLLING"
        "a rolling limit is used up"
        "wait until the window has moved on"
    Hold FeeBudgetSpent "FEE_BUDGET_SPENT"
        "the rolling fee budget is used up"
        "wait until the window has moved on"
    Hold UnnamedTotalReached "UNNAMED_TOTAL_REACHED"
        "the rolling total of payments cleared without a name match is used up"
        "wait, or send the payload for a full verification"
    Hold CosignerUnreachable "COSIGNER_UNREACHABLE"
        "the co-signer does not answer"
        "restore the connection; it resumes by itself"
    Hold CosignerHolds "COSIGNER_HOLDS"
        "the co-signer lacks something it needs to decide"
        "read the co-signer's own code in the detail and supply what it names"
    Hold ClockWentBack "CLOCK_WENT_BACK"
        "the party's clock went backwards; nothing is decided until it has caught up"
        "repair the clock"
    Hold PolicyHeld "POLICY_HELD"
        "a rule of the policy file holds"
        "read the rule named in the detail"
    Fault Unauthenticated "UNAUTHENTICATED"
        "the caller's certificate is missing, expired or of no role"
        "connect with a valid client certificate issued by this deployment's CA"
    Fault RoleNotAllowed "ROLE_NOT_ALLOWED"
        "the caller's role may not make this call"
        "use the certificate of a role that may"
    Fault NotFound "NOT_FOUND"
        "there is no such thing"
        "check the name; list what there is"
    Fault QueueFull "QUEUE_FULL"
        "more is waiting than the bound allows"
        "back off and try again; nothing was written"
    Fault DeadlineExceeded "DEADLINE_EXCEEDED"
        "the call's deadline passed; the effect may have happened"
        "ask again with the same request id"
    Fault StoreUnavailable "STORE_UNAVAILABLE"
        "the database does not answer or refuses; the effect may have happened"
        "repair the database; ask again with the same request id"
    Fault StoreTampered "STORE_TAMPERED"
        "a row's tag does not hold, or rows are missing"
        "stop; find out who changed it, and restore the last good backup: SECURITY.md says what a restored one can do"
    Fault StoreFull "STORE_FULL"
        "the disk of the database is full; the effect may have happened"
        "make room for the database; ask again with the same request id"
    Fault StoreOtherKey "STORE_OTHER_KEY"
        "the database was made with another keystore or data key"
        "use the database and the key that belong together"
    Fault StoreOtherVersion "STORE_OTHER_VERSION"
        "the database was written by another version of this program"
        "use the version that wrote it"
    Fault StoreMissing "STORE_MISSING"
        "there is no database at the configured place"
        "create it with `countersign init`; the service never does"
    Fault LogForked "LOG_FORKED"
        "two heads of one log contradict each other"
        "stop; keep both and find out which party was attacked"
    Fault LogBehindWitness "LOG_BEHIND_WITNESS"
        "the database is older than what the co-signer has witnessed"
        "restore the newest database; nothing is signed until it has caught up"
    Fault EnclaveUnavailable "ENCLAVE_UNAVAILABLE"
        "the travel-rule module does not answer"
        "restore the relay or the module; nothing is cleared meanwhile"
    Fault KeystoreMissing "KEYSTORE_MISSING"
        "there is no keystore at the configured place"
        "create it with `countersign init`"
    Fault KeystoreExists "KEYSTORE_EXISTS"
        "there is a keystore at the place where one would be created"
        "choose another place; a keystore is never overwritten"
    Fault KeystoreTooOpen "KEYSTORE_TOO_OPEN"
        "others than its owner can read the keystore"
        "take the rights of group and others away, and ask who could have read it"
    Fault KeystoreCorrupted "KEYSTORE_CORRUPTED"
        "the keystore cannot be read"
        "restore the keystore file from its backup"
    Fault PassphraseWrong "PASSPHRASE_WRONG"
        "the passphrase does not open the keystore, or the file was altered"
        "check the passphrase; if it is right, restore the keystore file"
    Fault ConfigInvalid "CONFIG_INVALID"
        "the configuration cannot be used"
        "correct the setting named in the answer"
    Fault ShuttingDown "SHUTTING_DOWN"
        "the service is draining"
        "ask again in a moment; nothing was written"
    Fault Internal "INTERNAL"
        "something broke inside; the effect may have happened"
        "ask again with the same request id; keep the log"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_has_a_reason_and_a_cure() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert!(!code.why().is_empty() && !code.cure().is_empty());
        }
        assert_eq!(Code::parse("SOMETHING_NEW"), None);
    }
}
