//! What is to be said of a withdrawal now: the facts are gathered, and the policy judges them.

use wallet_policy::Facts;

use super::approve;
use super::batch::Batch;
use super::context::Context;
use super::facts::{FeeSeen, Sight, judge};
use super::ledger::rows::Errand;
use super::ledger::{Ledger, Open};
use super::rail::{self, Picked};
use crate::freeze::Leaving;
use crate::withdrawal::{Asset, Code, Finding, Kind, Outcome, Seconds};

/// What is to be said of a withdrawal now, behind those of its asset that are gathered, and what would pay it: with them, where it
/// joins them.
pub(super) fn weigh(
    context: &Context,
    ledger: &Ledger,
    open: &Open,
    now: Seconds,
    (gathered, joins): (Option<&Batch>, bool),
) -> (Outcome, Option<Picked>) {
    let request = open.request.request();
    let place = match rail::place(context, request.asset, &request.destination) {
        Ok(place) => place,
        Err(invalid) => return (refuse(invalid.code, invalid.problem), None),
    };
    if request.amount.units() < place.dust {
        let detail = format!("the dust limit there is {} base units", place.dust);
        return (refuse(Code::AmountDust, detail), None);
    }
    if now.since(Seconds(open.row.asked_at)).is_some_and(|age| age > context.settings.hold_s_max) {
        let waited: Vec<&str> = open.row.findings.iter().map(|f| f.code.as_str()).collect();
        return (refuse(Code::HoldExpired, format!("waited for {}", waited.join(" "))), None);
    }
    // Its nonce is used up, and nobody was paid: it is never paid a second time under this id.
    if open.row.executed.is_some() {
        return (open.row.outcome(), None);
    }
    if !context.brake.is_free(Leaving::Payment) {
        return (Outcome::Held(vec![context.brake.finding()]), None);
    }
    let picked = match &open.clearance {
        Some(_) => {
            let gathered = gathered.map(|batch| &batch.picked);
            rail::pick(context, ledger, open, (gathered, joins))
        }
        None => Ok(None),
    };
    let (picked, unpicked) = match picked {
        Ok(picked) => (picked, None),
        Err(finding) => (None, Some(finding)),
    };
    let own = place.is_own(ledger);
    let fee = picked.as_ref().map_or_else(FeeSeen::default, Picked::fee);
    let sight = sight(context, ledger, request.asset, now);
    let approvals = approve::counting(context, open, now);
    let outcome = match sight.of_withdrawal(&open.request, own, open.clearance.as_ref(), &approvals, fee) {
        // When it came here is this party's own record, whatever time the request bears.
        Ok(facts) => {
            let queued =
                facts.queued || context.brake.is_queued(request.asked_at, Some(Seconds(open.row.asked_at)));
            let facts = match gathered {
                Some(batch) => batch.before(joins).behind(batch.amount, facts),
                None => Some(facts),
            };
            match facts {
                Some(facts) => judge(&context.policy, &Facts { queued, ..facts }),
                None => Outcome::Held(vec![Finding::new(Code::PolicyFault, UNCOUNTED)]),
            }
        }
        Err(finding) => Outcome::Held(vec![finding]),
    };
    if let Some(finding) = unpicked {
        return (without_coins(outcome, finding), None);
    }
    if outcome == Outcome::Moving && ledger.is_pending(Errand::Sweep, request.asset) {
        let finding =
            Finding::new(Code::HotShareAboveLimit, "the sweep to cold is reserved and not signed yet");
        return (Outcome::Held(vec![finding]), None);
    }
    (outcome, picked)
}

const UNCOUNTED: &str = "a sum of amounts does not fit 128 bits";

/// What is said where no coins can be picked. By a fee rate that is out of date nothing is refused: `judged`, the policy's
/// word, then says what is missing. What broke on our own side is no reason to refuse either.
fn without_coins(judged: Outcome, finding: Finding) -> Outcome {
    let is_stale = |found: &[Finding]| found.iter().any(|f| f.code == Code::FeeRateStale);
    match judged {
        Outcome::Held(found) if is_stale(&found) => Outcome::Held(found),
        _ if finding.code.kind() == Kind::Hold || finding.code == Code::Internal => {
            Outcome::Held(vec![finding])
        }
        _ => Outcome::Refused(vec![finding]),
    }
}

/// What the signer sees of one of its assets now.
pub fn sight<'a>(context: &'a Context, ledger: &'a Ledger, asset: Asset, now: Seconds) -> Sight<'a> {
    Sight::new(context, &ledger.treasury, asset, &|asset| ledger.hot(asset, now), now)
}

fn refuse(code: Code, detail: impl Into<String>) -> Outcome {
    Outcome::Refused(vec![Finding::new(code, detail)])
}
