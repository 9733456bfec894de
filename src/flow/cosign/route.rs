//! What the co-signer's own route says of the verifications that nobody signed (law L4): asked by itself, before anything is decided.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use uuid::Uuid;

use super::party::Party;
use crate::desk::{ClearanceEvidence, CosignItem, CosignOrder, CosignPayment};
use crate::enclave::verifyvasp::Route;
use crate::evidence::reported::check_speaker;
use crate::evidence::{
    NotProven, Passage, Reported, RouteAnswer, Trust, VerificationReport, VerifiedRequest, parse_report,
};
use crate::flow::context::Context;
use crate::store::Table;
use crate::withdrawal::{Code, Finding, Seconds};

/// How many verifications are asked about at the same time.
const AT_ONCE_MAX: usize = 16;
/// How long one order may wait for all of them.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// What was heard, by verification; whatever is not in it was not heard in time.
#[derive(Default)]
pub(super) struct Heard(HashMap<Uuid, Result<RouteAnswer, Finding>>);

impl Heard {
    /// The clearance that a report gets by what was heard, and by nothing the signer says.
    pub(super) fn passage(
        &self,
        context: &Context,
        text: &str,
        request: &VerifiedRequest,
        now: Seconds,
    ) -> Result<Passage, NotProven> {
        let said = parse_report(text)?.said;
        check_speaker(said.beneficiary_vasp, &context.trust)?;
        let uuid = said.uuid;
        let heard = match self.0.get(&uuid) {
            Some(Ok(heard)) => heard,
            Some(Err(finding)) => return Err(NotProven::Refused(finding.clone())),
            None => return Err(NotProven::Refused(unconfirmed(uuid, "it was not heard in time"))),
        };
        let age_s_max = context.settings.clearance_age_s_max;
        Reported::from_route(text, heard, &context.trust, request, now, age_s_max).map(Passage::Reported)
    }
}

impl Party {
    /// Asks the own route about every report of an order, each once, but for what was decided before: that is answered as it
    /// was. Nothing is believed of the reports but whom to ask about.
    pub(super) async fn ask_route(&self, order: &CosignOrder) -> Heard {
        let trust = &self.context.trust;
        let mut items: Vec<_> = order.items.iter().map(|item| (item, reported(trust, item))).collect();
        items.retain(|(_, uuids)| !uuids.is_empty());
        if items.is_empty() {
            return Heard::default();
        }
        let core = self.core.lock().await;
        let is_new =
            |item: &CosignItem| !core.journal.has(Table::SignedReservation, &item.reservation.to_string());
        items.retain(|(item, _)| is_new(item));
        drop(core);
        let uuids: HashSet<Uuid> = items.into_iter().flat_map(|(_, uuids)| uuids).collect();
        let Some(route) = &self.route else {
            let none = |uuid| (uuid, Err(unconfirmed(uuid, "no route is configured; set [verifyvasp]")));
            return Heard(uuids.into_iter().map(none).collect());
        };
        let mut heard = HashMap::new();
        let mut asking = stream::iter(uuids).map(|uuid| ask(route, uuid)).buffer_unordered(AT_ONCE_MAX);
        let gather = async {
            while let Some((uuid, said)) = asking.next().await {
                heard.insert(uuid, said);
            }
        };
        let _ = tokio::time::timeout(WAIT_MAX, gather).await;
        drop(asking);
        Heard(heard)
    }
}

async fn ask(route: &Route, uuid: Uuid) -> (Uuid, Result<RouteAnswer, Finding>) {
    let heard = route.ask(uuid).await.map_err(|fault| {
        tracing::warn!(%uuid, "the co-signer's own route does not confirm: {fault}");
        unconfirmed(uuid, &fault.to_string())
    });
    (uuid, heard)
}

/// The verifications an item reports, of VASPs that sign nothing by the own trust file: about others nobody is asked.
fn reported(trust: &Trust, item: &CosignItem) -> HashSet<Uuid> {
    let unsigned = |report: &VerificationReport| {
        trust.vasp(report.said.beneficiary_vasp).is_some_and(|vasp| vasp.identity_key.is_none())
    };
    item.payments.iter().filter_map(report_of).filter(unsigned).map(|report| report.said.uuid).collect()
}

fn report_of(payment: &CosignPayment) -> Option<VerificationReport> {
    match &payment.clearance {
        Some(ClearanceEvidence::Reported(text)) => parse_report(text).ok(),
        Some(ClearanceEvidence::Answer(_) | ClearanceEvidence::Exempt(_)) | None => None,
    }
}

/// The verification that a payment's evidence would use up.
pub(super) fn uuid_of(payment: &CosignPayment) -> Option<Uuid> {
    match &payment.clearance {
        Some(ClearanceEvidence::Answer(answer)) => {
            crate::evidence::answer::parse_answer(&answer.text).ok().map(|answer| answer.uuid)
        }
        Some(ClearanceEvidence::Reported(_)) => report_of(payment).map(|report| report.said.uuid),
        Some(ClearanceEvidence::Exempt(_)) | None => None,
    }
}

fn unconfirmed(uuid: Uuid, why: &str) -> Finding {
    Finding::new(Code::RouteUnconfirmed, format!("verification {uuid}: {why}"))
}
