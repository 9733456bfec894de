//! What an operator signed to say no (law L14). A rejection names the withdrawal and the reason; it binds no policy,
//! because it must stand whatever the policy becomes.

use std::collections::BTreeSet;

use super::approval::operator_signature;
use super::canonical::{Form, Reader, Writer, same};
use super::subject::Subject;
use super::{NAMESPACE_APPROVAL, NotProven, Trust, VerifiedRequest, digest};
use crate::withdrawal::{Code, Invalid, WithdrawalId};

/// The form of a rejection.
pub static REJECTION: Form = Form::new(
    "countersign withdrawal-rejection v1",
    &[
        "withdrawal",
        "organisation",
        "request_id",
        "customer_ref",
        "asset",
        "network",
        "amount",
        "amount_units",
        "destination",
        "reason",
    ],
);

/// What an operator signs to say no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionText {
    /// The withdrawal it is about.
    pub subject: Subject,
    /// Why not, in one line without personal data.
    pub reason: String,
}

impl RejectionText {
    /// The text for a verified request.
    pub fn of(request: &VerifiedRequest, reason: &str) -> Self {
        Self {
            subject: {
                let asked = request.request();
                Subject::of(asked, asked.asset.denomination())
            },
            reason: reason.to_owned(),
        }
    }

    /// The withdrawal it is about.
    pub fn withdrawal(&self) -> WithdrawalId {
        self.subject.withdrawal()
    }

    /// The canonical text. A reason that no line can hold shows when the text is read back.
    pub fn render(&self) -> String {
        self.subject.write(Writer::new(&REJECTION)).line("reason", &self.reason).finish()
    }

    /// Reads the canonical text; every other spelling is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut reader = Reader::open(text, &REJECTION)?;
        let subject = Subject::read(&mut reader)?;
        let rejection = Self { subject, reason: reader.take("reason")?.to_owned() };
        reader.close()?;
        same(text, &rejection.render())?;
        Ok(rejection)
    }
}

/// One person's no to one withdrawal.
#[derive(Debug)]
pub struct Rejection {
    text: RejectionText,
    person: String,
    groups: BTreeSet<String>,
    digest: [u8; 32],
}

/// The door: an operator's armored SSHSIG in namespace `countersign-approval-v1` over a rejection of this request.
pub fn verify_rejection(
    text: &str,
    armored: &str,
    trust: &Trust,
    request: &VerifiedRequest,
) -> Result<Rejection, NotProven> {
    let rejection = RejectionText::parse(text)?;
    if rejection != RejectionText::of(request, &rejection.reason) {
        return Err(NotProven::refused(Code::ApprovalInvalid, "the rejection is of another withdrawal"));
    }
    let signer = operator_signature(text, armored, trust, (NAMESPACE_APPROVAL, Code::ApprovalInvalid))?;
    Ok(Rejection { text: rejection, person: signer.person, groups: signer.groups, digest: digest(text) })
}

impl Rejection {
    /// What was signed.
    pub fn text(&self) -> &RejectionText {
        &self.text
    }

    /// Who said no.
    pub fn person(&self) -> &str {
        &self.person
    }

    /// The groups that person belongs to.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// SHA-256 of the text.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
