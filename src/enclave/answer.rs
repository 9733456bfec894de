//! Owns the text that the beneficiary VASP signs (law L3), `countersign verification-answer v1`, and the commitment inside it.
//!
//! It holds no personal data: the beneficiary is in it only as a salted commitment.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::withdrawal::{Seconds, VaspId};

const HEADING: &str = "countersign verification-answer v1";
const KEYS: [&str; 13] = [
    "uuid",
    "kind",
    "originating_vasp",
    "beneficiary_vasp",
    "asset",
    "network",
    "destination",
    "amount",
    "commitment",
    "result",
    "reason",
    "answered_at",
    "request_digest",
];

/// What a verification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The person behind the address.
    User,
    /// The address alone.
    Account,
}

impl Kind {
    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
        }
    }

    /// Reads the stable spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Account].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What the beneficiary VASP decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Verified,
    /// No.
    Denied,
    /// It could not find out.
    Error,
}

impl Decision {
    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Denied => "DENIED",
            Self::Error => "ERROR",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Verified, Self::Denied, Self::Error].into_iter().find(|result| result.as_str() == text)
    }
}

/// Why, in the network's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Verified.
    Ok,
    /// The asset is not supported.
    UnknownSymbol,
    /// The network is not supported.
    UnknownNetwork,
    /// The address is not one of this VASP's.
    UnknownAddress,
    /// The originator sent too little.
    LackOfInformation,
    /// The beneficiary cannot supply what was asked for.
    UnavailableInformation,
    /// On a sanctions or deny list.
    Blacklisted,
    /// The beneficiary's identity was never checked.
    UnverifiedKyc,
    /// The name is another's.
    MismatchedName,
    /// The VASP's own policy.
    NotAllowed,
    /// Anything else.
    UndefinedError,
}

impl Reason {
    const ALL: [Self; 11] = [
        Self::Ok,
        Self::UnknownSymbol,
        Self::UnknownNetwork,
        Self::UnknownAddress,
        Self::LackOfInformation,
        Self::UnavailableInformation,
        Self::Blacklisted,
        Self::UnverifiedKyc,
        Self::MismatchedName,
        Self::NotAllowed,
        Self::UndefinedError,
    ];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::UnknownSymbol => "UNKNOWN-SYMBOL",
            Self::UnknownNetwork => "UNKNOWN-NETWORK",
            Self::UnknownAddress => "UNKNOWN-ADDRESS",
            Self::LackOfInformation => "LACK-OF-INFORMATION",
            Self::UnavailableInformation => "UNAVAILABLE-INFORMATION",
            Self::Blacklisted => "BLACKLISTED",
            Self::UnverifiedKyc => "UNVERIFIED-KYC",
            Self::MismatchedName => "MISMATCHED-NAME",
            Self::NotAllowed => "NOT-ALLOWED",
            Self::UndefinedError => "UNDEFINED-ERROR",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One answer, field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) uuid: String,
    pub(super) kind: Kind,
    pub(super) originating_vasp: VaspId,
    pub(super) beneficiary_vasp: VaspId,
    pub(super) asset: String,
    pub(super) network: String,
    pub(super) destination: String,
    pub(super) amount: String,
    /// Hex, or `-` where no person was asked about.
    pub(super) commitment: String,
    pub(super) decision: Decision,
    pub(super) reason: Reason,
    pub(super) answered_at: Seconds,
    pub(super) request_digest: String,
}

impl Answer {
    /// The canonical text.
    pub(super) fn render(&self) -> String {
        let values = [
            self.uuid.clone(),
            self.kind.as_str().into(),
            self.originating_vasp.to_string(),
            self.beneficiary_vasp.to_string(),
            self.asset.clone(),
            self.network.clone(),
            self.destination.clone(),
            self.amount.clone(),
            self.commitment.clone(),
            self.decision.as_str().into(),
            self.reason.as_str().into(),
            self.answered_at.0.to_string(),
            self.request_digest.clone(),
        ];
        let mut text = format!("{HEADING}\n");
        for (key, value) in KEYS.iter().zip(values) {
            text.push_str(&format!("{key}: {value}\n"));
        }
        text
    }

    /// Reads the canonical text; anything that does not render back to the same bytes is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next() != Some(HEADING) {
            return None;
        }
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(": ");
        let vasp = |text: &str| VaspId::parse(text).ok();
        let answer = Self {
            uuid: value("uuid")?.into(),
            kind: Kind::parse(value("kind")?)?,
            originating_vasp: vasp(value("originating_vasp")?)?,
            beneficiary_vasp: vasp(value("beneficiary_vasp")?)?,
            asset: value("asset")?.into(),
            network: value("network")?.into(),
            destination: value("destination")?.into(),
            amount: value("amount")?.into(),
            commitment: value("commitment")?.into(),
            decision: Decision::parse(value("result")?)?,
            reason: Reason::parse(value("reason")?)?,
            answered_at: Seconds(value("answered_at")?.parse().ok()?),
            request_digest: value("request_digest")?.into(),
        };
        (answer.render() == text).then_some(answer)
    }
}

/// Whether a value may stand in a canonical text: printable ASCII, no blank at the ends, at most 512 bytes.
pub(super) fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 512
        && value.trim() == value
        && value.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

/// The salted commitment to a beneficiary's canonical bytes.
pub(super) fn commitment(salt: &[u8; 32], canonical: &str) -> String {
    let hash = Sha256::new().chain_update(b"countersign beneficiary commitment v1\n").chain_update(salt);
    HEXLOWER.encode(&hash.chain_update(canonical.as_bytes()).finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn answer() -> Answer {
        Answer {
            uuid: "5b1f…".replace('…', "-"),
            kind: Kind::User,
            originating_vasp: VaspId(1),
            beneficiary_vasp: VaspId(2),
            asset: "BTC".into(),
            network: "regtest".into(),
            destination: "bcrt1q".into(),
            amount: "150000".into(),
            commitment: "ab".repeat(32),
            decision: Decision::Denied,
            reason: Reason::MismatchedName,
            answered_at: Seconds(1_700_000_000),
            request_digest: "cd".repeat(32),
        }
    }

    #[test]
    fn an_answer_reads_back_and_every_other_spelling_is_none() {
        let text = answer().render();
        assert_eq!(Answer::parse(&text), Some(answer()));
        assert_eq!(text.lines().count(), KEYS.len() + 1);
        for other in [
            text.replace("DENIED", "denied"),
            text.replace("v1\n", "v2\n"),
            text.replace("answered_at: 17", "answered_at: +17"),
            text.replace('\n', "\r\n"),
            format!("{text}\n"),
            format!("{text}more: 1\n"),
            text.trim_end().to_owned(),
        ] {
            assert_eq!(Answer::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn a_commitment_depends_on_salt_and_person() {
        assert_ne!(commitment(&[0; 32], "a"), commitment(&[1; 32], "a"));
        assert_ne!(commitment(&[0; 32], "a"), commitment(&[0; 32], "b"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,200}") {
            prop_assert_eq!(Answer::parse(&text), None);
        }
    }
}
