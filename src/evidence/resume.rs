//! What a quorum signed to end a freeze (law L15): which freeze, at which party, what was reviewed, and how much resumes.
//! How many people of which groups are enough is the policy's business.

use std::collections::{BTreeMap, BTreeSet};

use super::approval::operator_signature;
use super::canonical::{Form, Reader, Writer, malformed, same};
use super::{NAMESPACE_RESUME, NotProven, SKEW_S_MAX, Trust, digest, field};
use crate::withdrawal::{Code, FreezeId, Invalid, KeyRole, Scope, Seconds};

/// The longest time a resume may be handed in after it was written, in seconds.
pub const RESUME_LIFE_S_MAX: u64 = 86_400;
/// The most signatures one resume may bring.
pub const SIGNATURES_MAX: usize = 64;

/// The form of a resume.
pub static RESUME: Form =
    Form::new("countersign resume v1", &["freeze", "party", "scope", "reviewed", "at", "expires_at"]);

/// What the quorum signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeText {
    /// The freeze that is to end.
    pub freeze: FreezeId,
    /// At which party: signer or co-signer. Each has its own log, and its own text.
    pub party: KeyRole,
    /// How much resumes.
    pub scope: Scope,
    /// The largest index of that party's log that was reviewed.
    pub reviewed: u64,
    /// When it was written.
    pub at: Seconds,
    /// The last second at which it is taken.
    pub expires_at: Seconds,
}

impl ResumeText {
    /// The canonical text, which is what operators see and sign.
    pub fn render(&self) -> String {
        Writer::new(&RESUME)
            .line("freeze", self.freeze)
            .line("party", self.party.as_str())
            .line("scope", self.scope.as_str())
            .line("reviewed", self.reviewed)
            .line("at", self.at)
            .line("expires_at", self.expires_at)
            .finish()
    }

    /// Reads the canonical text; every other spelling is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut reader = Reader::open(text, &RESUME)?;
        let party = |text: &str| KeyRole::parse(text).filter(|party| *party != KeyRole::Vault);
        let resume = Self {
            freeze: FreezeId::parse(reader.take("freeze")?)?,
            party: party(reader.take("party")?)
                .ok_or_else(|| malformed("party", "is none of signer, cosigner"))?,
            scope: Scope::parse(reader.take("scope")?)
                .ok_or_else(|| malformed("scope", "is none of all, sweeps"))?,
            reviewed: field::number("reviewed", reader.take("reviewed")?)?,
            at: field::date("at", reader.take("at")?)?,
            expires_at: field::date("expires_at", reader.take("expires_at")?)?,
        };
        reader.close()?;
        same(text, &resume.render())?;
        Ok(resume)
    }
}

/// A resume with the people whose signatures held over it; there may be too few.
#[derive(Debug)]
pub struct VerifiedResume {
    text: ResumeText,
    people: BTreeMap<String, BTreeSet<String>>,
    digest: [u8; 32],
}

/// The door: armored SSHSIGs in namespace `countersign-resume-v1`, each by a key that the trust file gives to an operator,
/// over exactly this text, for this party, in its time. Two keys of one person are one person; a person who bears the
/// name of an organisation that asks for payments is none.
pub fn verify_resume(
    text: &str,
    signatures: &[String],
    trust: &Trust,
    party: KeyRole,
    now: Seconds,
) -> Result<VerifiedResume, NotProven> {
    let no = |detail: String| NotProven::refused(Code::ResumeInvalid, detail);
    let resume = ResumeText::parse(text)?;
    if signatures.len() > SIGNATURES_MAX {
        return Err(no(format!("{} signatures, the limit is {SIGNATURES_MAX}", signatures.len())));
    }
    let mut people = BTreeMap::new();
    for armored in signatures {
        let signer = operator_signature(text, armored, trust, (NAMESPACE_RESUME, Code::ResumeInvalid))?;
        if !trust.asks_for_payments(&signer.person) {
            people.insert(signer.person, signer.groups);
        }
    }
    if resume.party != party {
        return Err(no(format!("it is for the {}", resume.party.as_str())));
    }
    let life = resume.expires_at.since(resume.at);
    if life.is_none_or(|life| life > RESUME_LIFE_S_MAX) {
        return Err(no(format!(
            "it may be handed in for at most {RESUME_LIFE_S_MAX} s after it was written"
        )));
    }
    if resume.at > now.plus(SKEW_S_MAX) || now > resume.expires_at {
        return Err(no(format!("it holds from {} to {}, and it is {now}", resume.at, resume.expires_at)));
    }
    Ok(VerifiedResume { text: resume, people, digest: digest(text) })
}

impl VerifiedResume {
    /// What was signed.
    pub fn text(&self) -> &ResumeText {
        &self.text
    }

    /// Who signed, each with the groups they belong to.
    pub fn people(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.people
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
