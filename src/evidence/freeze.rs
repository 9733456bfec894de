//! What an operator signed to stop everything (law L15). Any one whose key is in force may; a freeze is the safe side.

use super::approval::operator_signature;
use super::canonical::{Form, Reader, Writer, malformed, same};
use super::{NAMESPACE_FREEZE, NotProven, SKEW_S_MAX, Trust, digest, field};
use crate::withdrawal::{Code, FreezeId, Invalid, KeyRole, Seconds};

/// How old a freeze may be when it arrives, in seconds. A party remembers the ids it has seen for longer.
pub const FREEZE_AGE_S_MAX: u64 = 600;
/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// The form of a freeze.
pub static FREEZE: Form =
    Form::new("countersign freeze v1", &["freeze", "party", "operator", "at", "reason"]);

/// Which party is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addressee {
    /// The signer alone.
    Signer,
    /// The co-signer alone.
    Cosigner,
    /// Each of them.
    Both,
}

impl Addressee {
    /// Every addressee.
    pub const ALL: [Self; 3] = [Self::Signer, Self::Cosigner, Self::Both];

    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signer => "signer",
            Self::Cosigner => "cosigner",
            Self::Both => "both",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|addressee| addressee.as_str() == text)
    }

    /// Whether this party is meant.
    pub fn names(self, party: KeyRole) -> bool {
        match self {
            Self::Signer => party == KeyRole::Signer,
            Self::Cosigner => party == KeyRole::Cosigner,
            Self::Both => party != KeyRole::Vault,
        }
    }
}

/// What an operator signs to stop everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeText {
    /// Its id, drawn by the operator.
    pub freeze: FreezeId,
    /// Which party is to stop.
    pub party: Addressee,
    /// Who says so, as the trust file names the person.
    pub operator: String,
    /// When it was said. What was asked from then on needs approval after the resume, whatever its tier.
    pub at: Seconds,
    /// Why, in one line without personal data.
    pub reason: String,
}

impl FreezeText {
    /// The canonical text. A reason that no line can hold shows when the text is read back.
    pub fn render(&self) -> String {
        Writer::new(&FREEZE)
            .line("freeze", self.freeze)
            .line("party", self.party.as_str())
            .line("operator", &self.operator)
            .line("at", self.at)
            .line("reason", &self.reason)
            .finish()
    }

    /// Reads the canonical text; every other spelling is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut reader = Reader::open(text, &FREEZE)?;
        let freeze = Self {
            freeze: FreezeId::parse(reader.take("freeze")?)?,
            party: parse_party(reader.take("party")?)?,
            operator: field::name("operator", reader.take("operator")?)?,
            at: field::date("at", reader.take("at")?)?,
            reason: reader.take("reason")?.to_owned(),
        };
        reader.close()?;
        if freeze.reason.chars().count() > REASON_CHARS_MAX {
            return Err(malformed("reason", format!("is longer than {REASON_CHARS_MAX} characters")));
        }
        same(text, &freeze.render())?;
        Ok(freeze)
    }
}

fn parse_party(text: &str) -> Result<Addressee, Invalid> {
    Addressee::parse(text).ok_or_else(|| malformed("party", "is none of signer, cosigner, both"))
}

/// One operator's freeze, for this party and not long ago.
#[derive(Debug)]
pub struct VerifiedFreeze {
    text: FreezeText,
    key_fingerprint: String,
    digest: [u8; 32],
}

/// The door: an armored SSHSIG in namespace `countersign-freeze-v1` by the very operator that the text names, for this
/// party, at most [`FREEZE_AGE_S_MAX`] old.
pub fn verify_freeze(
    text: &str,
    armored: &str,
    trust: &Trust,
    party: KeyRole,
    now: Seconds,
) -> Result<VerifiedFreeze, NotProven> {
    let no = |detail: String| NotProven::refused(Code::FreezeInvalid, detail);
    let freeze = FreezeText::parse(text)?;
    let signer = operator_signature(text, armored, trust, (NAMESPACE_FREEZE, Code::FreezeInvalid))?;
    if signer.person != freeze.operator {
        return Err(no(format!("`{}` signed in the name of `{}`", signer.person, freeze.operator)));
    }
    if !freeze.party.names(party) {
        return Err(no(format!("it is for the {}", freeze.party.as_str())));
    }
    if freeze.at > now.plus(SKEW_S_MAX) || now.since(freeze.at).is_some_and(|age| age > FREEZE_AGE_S_MAX) {
        return Err(no(format!("it was signed for {}, and it is {now}", freeze.at)));
    }
    Ok(VerifiedFreeze { text: freeze, key_fingerprint: signer.key_fingerprint, digest: digest(text) })
}

impl VerifiedFreeze {
    /// What was signed.
    pub fn text(&self) -> &FreezeText {
        &self.text
    }

    /// The SHA-256 fingerprint of the key, as `ssh-keygen -l` prints it.
    pub fn key_fingerprint(&self) -> &str {
        &self.key_fingerprint
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
