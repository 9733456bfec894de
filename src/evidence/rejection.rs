//! What an operator signed to say no (law L14). A rejection names the withdrawal and the reason; it binds no policy,
//! because it must stand whatever the policy becomes.

use std::collections::BTreeSet;

use super::approval::operator_signature;
use super::approval_text::{agrees, in_words};
use super::canonical::{Form, Reader, Writer, same};
use super::{NotProven, Trust, VerifiedRequest, digest, field};
use crate::withdrawal::{Amount, Asset, Code, CustomerRef, Invalid, Organisation, RequestId, WithdrawalId};

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
    /// Who asked.
    pub organisation: Organisation,
    /// Under which id.
    pub request_id: RequestId,
    /// Whose money it is.
    pub customer_ref: CustomerRef,
    /// What was to be paid.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
    /// Where to, in full.
    pub destination: String,
    /// Why not, in one line without personal data.
    pub reason: String,
}

impl RejectionText {
    /// The text for a verified request.
    pub fn of(request: &VerifiedRequest, reason: &str) -> Self {
        let asked = request.request();
        Self {
            organisation: asked.organisation.clone(),
            request_id: asked.request_id.clone(),
            customer_ref: asked.customer_ref.clone(),
            asset: asked.asset,
            amount: asked.amount,
            destination: asked.destination.clone(),
            reason: reason.to_owned(),
        }
    }

    /// The withdrawal it is about.
    pub fn withdrawal(&self) -> WithdrawalId {
        WithdrawalId::of(&self.organisation, &self.request_id)
    }

    /// The canonical text. A reason that no line can hold shows when the text is read back.
    pub fn render(&self) -> String {
        Writer::new(&REJECTION)
            .line("withdrawal", self.withdrawal())
            .line("organisation", &self.organisation)
            .line("request_id", &self.request_id)
            .line("customer_ref", &self.customer_ref)
            .line("asset", self.asset)
            .line("network", self.asset.network())
            .line("amount", in_words(self.amount, self.asset))
            .line("amount_units", self.amount)
            .line("destination", &self.destination)
            .line("reason", &self.reason)
            .finish()
    }

    /// Reads the canonical text; every other spelling is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut reader = Reader::open(text, &REJECTION)?;
        let withdrawal = reader.take("withdrawal")?;
        let organisation = Organisation::parse(reader.take("organisation")?)?;
        let request_id = RequestId::parse(reader.take("request_id")?)?;
        let customer_ref = CustomerRef::parse(reader.take("customer_ref")?)?;
        let asset = field::asset("asset", reader.take("asset")?)?;
        let network = reader.take("network")?;
        let amount_in_words = reader.take("amount")?;
        let rejection = Self {
            organisation,
            request_id,
            customer_ref,
            asset,
            amount: field::amount("amount_units", reader.take("amount_units")?, asset)?,
            destination: field::destination(reader.take("destination")?)?,
            reason: reader.take("reason")?.to_owned(),
        };
        reader.close()?;
        agrees("withdrawal", withdrawal, &rejection.withdrawal().to_string())?;
        agrees("network", network, rejection.asset.network().as_str())?;
        agrees("amount", amount_in_words, &in_words(rejection.amount, rejection.asset))?;
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
    let signer = operator_signature(text, armored, trust)?;
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
