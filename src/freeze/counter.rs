//! The counter of the brake: whose word is taken, by the party's own trust file, policy and clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use wallet_policy::facts::Approval;
use wallet_policy::settings::FreezeRules;
use wallet_policy::tiers::satisfied;

use super::brake::Brake;
use crate::desk::{Caller, DeskError, FreezeDesk, FreezeOrder, FreezeView, ResumeOrder};
use crate::evidence::{NotProven, Trust, VerifiedResume, verify_freeze, verify_resume};
use crate::withdrawal::{Code, Finding, Seconds};

/// A party's own time.
type Clock = Arc<dyn Fn() -> Seconds + Send + Sync>;

/// The counter of one party.
#[derive(Clone)]
pub struct Counter {
    brake: Arc<Brake>,
    trust: Arc<Trust>,
    rules: FreezeRules,
    clock: Clock,
}

impl Counter {
    /// A counter before a brake.
    pub fn new(brake: Arc<Brake>, trust: Arc<Trust>, rules: FreezeRules, clock: Clock) -> Self {
        Self { brake, trust, rules, clock }
    }

    fn view(&self) -> FreezeView {
        self.brake.view(self.rules.resume_delay_s, (self.clock)())
    }

    fn take_freeze(&self, order: &FreezeOrder) -> Result<FreezeView, DeskError> {
        let now = (self.clock)();
        let freeze = verify_freeze(&order.text, &order.signature, &self.trust, self.brake.party(), now);
        self.brake.freeze(&freeze.map_err(told)?, now)?;
        Ok(self.view())
    }

    fn take_resume(&self, order: &ResumeOrder) -> Result<FreezeView, DeskError> {
        let now = (self.clock)();
        let resume = verify_resume(&order.text, &order.signatures, &self.trust, self.brake.party(), now);
        let resume = resume.map_err(told)?;
        self.enough(&resume).map_err(DeskError::Refused)?;
        self.brake.resume(&resume, now.plus(self.rules.resume_delay_s))?;
        Ok(self.view())
    }

    fn enough(&self, resume: &VerifiedResume) -> Result<(), Finding> {
        let needs = &self.rules.resume_needs;
        let short = |detail: String| Err(Finding::new(Code::ResumeQuorumShort, detail));
        if needs.is_empty() {
            return short("the policy names nobody in `freeze.resume_needs`".to_owned());
        }
        let people = resume.people().iter().map(|(person, groups)| Approval {
            person: person.clone(),
            groups: groups.iter().cloned().collect(),
        });
        let people: Vec<Approval> = people.collect();
        if satisfied(needs, &people, &BTreeSet::new()) {
            return Ok(());
        }
        let signed: Vec<&str> = people.iter().map(|person| person.person.as_str()).collect();
        short(format!("it needs {needs}; signed: {}", signed.join(", ")))
    }

    /// On a thread of its own: the marker's disk may be slow.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, DeskError> + Send + 'static,
    ) -> Result<T, DeskError> {
        let own = self.clone();
        let broke = |_| DeskError::may_have_happened(Code::Internal, "freezing broke off; ask again");
        tokio::task::spawn_blocking(move || work(&own)).await.map_err(broke)?
    }
}

fn told(no: NotProven) -> DeskError {
    match no {
        NotProven::Unreadable(invalid) => DeskError::Invalid(invalid),
        NotProven::Refused(finding) => DeskError::Refused(finding),
    }
}

#[tonic::async_trait]
impl FreezeDesk for Counter {
    async fn standing(&self, _caller: &Caller) -> Result<FreezeView, DeskError> {
        Ok(self.view())
    }

    async fn freeze(&self, _caller: &Caller, order: FreezeOrder) -> Result<FreezeView, DeskError> {
        self.apart(move |own| own.take_freeze(&order)).await
    }

    async fn resume(&self, _caller: &Caller, order: ResumeOrder) -> Result<FreezeView, DeskError> {
        self.apart(move |own| own.take_resume(&order)).await
    }
}
