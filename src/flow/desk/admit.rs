//! What is handed over is verified here, before the writer or the enclave hears of it.

use super::{SignerDesk, refused};

use zeroize::Zeroizing;

use crate::desk::{Caller, DeskError, Role, SignedText, WithdrawalOrder};
use crate::enclave::{LookAsk, VerifyReply, Word};
use crate::evidence::NotProven;
use crate::evidence::{NameMatch, VerifiedRequest, verify_request};
use crate::flow::clear::{self, ClearAsk};
use crate::flow::context::Context;
use crate::flow::rail;
use crate::flow::writer::Question;
use crate::withdrawal::{Code, Finding, Outcome};

/// An order that can be read and was signed by the exchange.
pub(super) struct Admitted {
    pub(super) request: VerifiedRequest,
    /// The payload's fingerprint.
    pub(super) payload: String,
    /// The counterparty's answer, if the enclave has it already.
    pub(super) answer: Option<Word>,
    /// Why it is refused if it is new.
    pub(super) late: Option<Finding>,
}

impl SignerDesk {
    /// Reads an order: form, signature, age, asset, destination, and, with one question to the enclave, the payload's fingerprint and the
    /// counterparty's answer, if there is one already.
    pub(super) async fn admit(
        &self,
        caller: &Caller,
        order: &WithdrawalOrder,
    ) -> Result<Admitted, DeskError> {
        let SignedText { text, key_id, signature } = &order.request;
        let (trust, now) = (&self.context.trust, self.context.now());
        let age_s_max = self.context.settings.request_age_s_max;
        let (request, late) = match verify_request(text, key_id, signature, trust, now, age_s_max) {
            Ok(request) => (request, None),
            // Too old, or its key has ended since: new it is refused, repeated it is answered with its outcome.
            Err(NotProven::Refused(finding)) => {
                let request = VerifiedRequest::reverify(text, key_id, signature, trust).map_err(refused)?;
                (request, Some(finding))
            }
            Err(no) => return Err(refused(no)),
        };
        let asked = request.request();
        if caller.role == Role::Exchange && caller.name != asked.organisation.as_str() {
            let detail =
                format!("the certificate is `{}`'s, the request is `{}`'s", caller.name, asked.organisation);
            return Err(DeskError::Refused(Finding::new(Code::RequestKeyUnknown, detail)));
        }
        if !self.context.pays(asked.asset) {
            let cure = "send the asset of one of its wallets";
            let problem = format!("`{}` is no asset of this service's wallets", asked.asset);
            return Err(crate::withdrawal::Invalid::new(Code::AssetUnknown, "asset", problem, cure).into());
        }
        if asked.amount > asked.asset.supply_max() {
            let cure = Code::AmountAboveSupply.cure();
            let problem = format!("{} is above the supply of {}", asked.amount, asked.asset.supply_max());
            return Err(
                crate::withdrawal::Invalid::new(Code::AmountAboveSupply, "amount", problem, cure).into()
            );
        }
        let place = rail::place(&self.context, asked.asset, &asked.destination)?;
        if place.text != asked.destination {
            let problem = format!("is not in its normal spelling `{}`", place.text);
            let cure = "sign the address in lower case";
            return Err(crate::withdrawal::Invalid::new(
                Code::AddressMalformed,
                "destination",
                problem,
                cure,
            )
            .into());
        }
        let digest = data_encoding::HEXLOWER.encode(request.digest());
        let payload = (!order.ivms101.is_empty()).then(|| order.ivms101.as_bytes());
        let looked = self.clearing.look(LookAsk { request_digest: &digest, payload }).await;
        // Nothing was written yet, whatever the enclave has to say.
        let looked = looked.map_err(|fault| match clear::desk_error(fault) {
            DeskError::Fault { code, detail, .. } => DeskError::nothing_happened(code, detail),
            error => error,
        })?;
        let payload =
            looked.fingerprint.map_or_else(|| "-".to_owned(), |print| data_encoding::HEXLOWER.encode(&print));
        Ok(Admitted { request, payload, answer: looked.answer, late })
    }

    /// What is asked of the enclave ahead of time, valued at the price that stands.
    async fn clear_ask(
        &self,
        request: &VerifiedRequest,
        order: &WithdrawalOrder,
    ) -> Result<ClearAsk, DeskError> {
        let asked = request.request();
        let value = self.question(|to| Question::Value(asked.asset, asked.amount, to)).await?;
        Ok(ClearAsk {
            id: request.id(),
            text: request.signed().text().to_owned(),
            digest: data_encoding::HEXLOWER.encode(request.digest()),
            request: asked.clone(),
            value,
            named: !order.ivms101.is_empty(),
            payload: (!order.ivms101.is_empty()).then(|| Zeroizing::new(order.ivms101.as_bytes().to_vec())),
        })
    }

    /// What the counterparty says of a withdrawal ahead of time.
    pub(super) async fn foreseen(
        &self,
        request: &VerifiedRequest,
        order: &WithdrawalOrder,
    ) -> Result<Outcome, DeskError> {
        let ask = self.clear_ask(request, order).await?;
        Ok(match self.clearing.verify(&ask).await {
            Ok(VerifyReply::Answered { answer_text, signature }) => {
                prepared(&self.context, request, &Word::Signed { text: answer_text, signature })
            }
            Ok(VerifyReply::Reported { report_text }) => {
                prepared(&self.context, request, &Word::Reported(report_text))
            }
            Ok(VerifyReply::Pending) => {
                held(Code::ClearancePending, "the beneficiary VASP has not answered yet")
            }
            Ok(VerifyReply::Expired) => {
                Outcome::Refused(vec![Finding::new(Code::TravelRuleTimeout, "nobody answered in time")])
            }
            Ok(VerifyReply::Listed) => Outcome::Refused(vec![clear::listed()]),
            Err(fault) => return Err(clear::desk_error(fault)),
        })
    }
}

/// What an answer that came ahead of its request says.
fn prepared(context: &Context, request: &VerifiedRequest, word: &Word) -> Outcome {
    match clear::prove(context, word, request, NameMatch::NotRequired) {
        Ok(_) => Outcome::Moving,
        Err(NotProven::Refused(finding)) => Outcome::Refused(vec![finding]),
        Err(NotProven::Unreadable(no)) => {
            Outcome::Refused(vec![Finding::new(Code::EvidenceInvalid, no.to_string())])
        }
    }
}

fn held(code: Code, detail: &str) -> Outcome {
    Outcome::Held(vec![Finding::new(code, detail)])
}
