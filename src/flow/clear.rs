//! Asks the enclave about withdrawals and brings its answers to the writer. Personal data passes through unread.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tracing::warn;
use zeroize::Zeroizing;

use super::Command;
use super::context::Context;
use crate::desk::{DeskError, Payload};
use crate::enclave::{Door, EnclaveFault, Kind, LookAsk, Looked, VerifyAsk, VerifyReply, Word};
use crate::evidence::answer::parse_answer;
use crate::evidence::{Clearance, NameMatch, NotProven, Passage, Reported, VerifiedRequest};
use crate::withdrawal::{Code, Finding, Krw, Seconds, WithdrawalId, WithdrawalRequest};

/// How many verifications are asked about at once.
const ASKING_MAX: usize = 256;
/// How often a verification that still waits is asked about, after the first time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What is to be asked about one withdrawal.
pub struct ClearAsk {
    /// The withdrawal.
    pub id: WithdrawalId,
    /// The request's canonical text.
    pub text: String,
    /// Its digest, hex.
    pub digest: String,
    /// What was asked.
    pub request: WithdrawalRequest,
    /// Its value at our price.
    pub value: Option<Krw>,
    /// Whether the exchange gave names: then the person is asked for, whether they are still at hand or not.
    pub named: bool,
    /// The payload as the exchange gave it, where it is at hand.
    pub payload: Option<Zeroizing<Vec<u8>>>,
}

/// The way to the enclave.
#[derive(Clone)]
pub struct Clearing {
    context: Arc<Context>,
    enclave: Arc<dyn Door>,
    commands: mpsc::Sender<Command>,
    places: Arc<Semaphore>,
    asking: Asking,
}

impl Clearing {
    /// A way to this enclave that answers to this writer.
    pub fn new(context: Arc<Context>, enclave: Arc<dyn Door>, commands: mpsc::Sender<Command>) -> Self {
        let places = Arc::new(Semaphore::new(ASKING_MAX));
        Self { context, enclave, commands, places, asking: Asking::default() }
    }

    /// What is asked: the person from the threshold on, or whenever names were given; the address alone below it.
    pub fn ask_of(&self, ask: &ClearAsk) -> VerifyAsk {
        let needed = self.context.needs_name(ask.value, ask.request.beneficiary_vasp, self.context.now());
        let below = needed == NameMatch::NotRequired;
        let kind = if below && !ask.named { Kind::Account } else { Kind::User };
        VerifyAsk {
            request_text: ask.text.clone(),
            request_digest: ask.digest.clone(),
            symbol: self
                .context
                .trust
                .denomination(ask.request.asset)
                .map_or_else(String::new, |known| known.symbol().to_owned()),
            network: ask.request.asset.chain().to_string(),
            destination: ask.request.destination.clone(),
            amount: ask.request.amount,
            value: ask.value,
            beneficiary_vasp: ask.request.beneficiary_vasp,
            kind,
            // Wiped by the door that takes it.
            payload: ask.payload.as_ref().map(|payload| payload.to_vec()),
            // An answer that no longer clears, by the evidence or by the policy, is asked for again, under a new uuid.
            fresh_since: Some(Seconds(self.context.now().0.saturating_sub(self.age_s_max()))),
        }
    }

    fn age_s_max(&self) -> u64 {
        self.context.settings.clearance_age_s_max.min(self.context.policy.settings().ages.clearance_s)
    }

    /// Whether an answer is too old to clear anything: another is under way, and is asked for with a pause.
    fn is_old(&self, answer_text: &str) -> bool {
        let answered_at = parse_answer(answer_text).ok().map(|answer| answer.answered_at);
        let age = answered_at.and_then(|at| self.context.now().since(at));
        age.is_some_and(|age| age > self.context.settings.clearance_age_s_max)
    }

    /// Asks once, for a caller who waits.
    pub async fn verify(&self, ask: &ClearAsk) -> Result<VerifyReply, EnclaveFault> {
        self.enclave.verify(self.ask_of(ask)).await
    }

    /// Reads a request's payload and looks for an answer that is there already. Without a payload nothing depends on it: an enclave that
    /// is away has no answer.
    pub async fn look(&self, ask: LookAsk<'_>) -> Result<Looked, EnclaveFault> {
        match self.enclave.look(ask).await {
            Err(fault) if ask.payload.is_none() => {
                warn!(code = %fault.code(), "the enclave cannot be asked for an answer: {fault}");
                Ok(Looked { fingerprint: None, answer: None })
            }
            looked => looked,
        }
    }

    /// Asks in the background until there is an answer, and brings it to the writer. Where it is being asked already, a payload that
    /// comes with the repetition goes along from then on.
    pub fn start(&self, mut ask: ClearAsk) {
        let Some(asked) = self.asking.begin(ask.id, &mut ask.payload) else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let command = this.until_answered(&asked, ask).await;
            drop(asked);
            if let Some(command) = command {
                let _ = this.commands.send(command).await;
            }
        });
    }

    async fn until_answered(&self, asked: &Asked, mut ask: ClearAsk) -> Option<Command> {
        let id = ask.id;
        loop {
            if let Some(payload) = asked.payload() {
                (ask.payload, ask.named) = (Some(payload), true);
            }
            let place = self.places.acquire().await;
            let reply = self.verify(&ask).await;
            drop(place);
            match reply {
                Ok(VerifyReply::Answered { answer_text, .. }) if self.is_old(&answer_text) => {}
                Ok(VerifyReply::Answered { answer_text, signature }) => {
                    let word = Word::Signed { text: answer_text, signature };
                    return Some(Command::Answered { id, word });
                }
                Ok(VerifyReply::Reported { report_text }) => {
                    return Some(Command::Answered { id, word: Word::Reported(report_text) });
                }
                Ok(VerifyReply::Expired) => {
                    let finding =
                        Finding::new(Code::TravelRuleTimeout, "the beneficiary VASP did not answer in time");
                    return Some(Command::Unanswered { id, finding });
                }
                Ok(VerifyReply::Listed) => return Some(Command::Unanswered { id, finding: listed() }),
                // A crash came between the request and its payload. It waits for the exchange to ask again, which it may just have done.
                Err(EnclaveFault::Invalid(no)) if no.code == Code::FieldMissing && ask.payload.is_none() => {
                    let payload = asked.payload_or_end()?;
                    (ask.payload, ask.named) = (Some(payload), true);
                    continue;
                }
                Err(
                    fault
                    @ (EnclaveFault::VaspUnknown(_) | EnclaveFault::Invalid(_) | EnclaveFault::Conflict),
                ) => {
                    let finding = Finding::new(refusal(&fault), fault.to_string());
                    return Some(Command::Unanswered { id, finding });
                }
                // The writer asks again when a price is stated, and gives the payload back.
                Err(EnclaveFault::Unvalued) => {
                    let payload = asked.end().or(ask.payload);
                    let personal = payload.map(|payload| Payload::new(payload.to_vec()));
                    return Some(Command::Unvalued { id, personal });
                }
                Ok(VerifyReply::Pending) => {}
                Err(fault) => {
                    warn!(code = %fault.code(), withdrawal = %id, "the enclave cannot answer yet: {fault}")
                }
            }
            let asked = self.context.now().since(ask.request.asked_at).unwrap_or(0);
            if asked > self.context.settings.hold_s_max {
                let finding =
                    Finding::new(Code::TravelRuleTimeout, "the beneficiary VASP did not answer in time");
                return Some(Command::Unanswered { id, finding });
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// A payload that came while its withdrawal was being asked about.
type Left = Option<Zeroizing<Vec<u8>>>;

/// The withdrawals that are being asked about, each with what was left for whoever asks.
#[derive(Clone, Default)]
struct Asking(Arc<Mutex<HashMap<WithdrawalId, Left>>>);

impl Asking {
    /// Begins to ask about a withdrawal. Where that is done already, whoever does it is left the payload, if there is one.
    fn begin(&self, id: WithdrawalId, payload: &mut Left) -> Option<Asked> {
        let mut asking = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match asking.entry(id) {
            Entry::Vacant(free) => {
                free.insert(None);
                Some(Asked { asking: self.clone(), id, has_ended: AtomicBool::new(false) })
            }
            Entry::Occupied(mut left) => {
                if payload.is_some() {
                    left.insert(payload.take());
                }
                None
            }
        }
    }
}

/// A withdrawal that is being asked about; dropped, even by a panic, it may be asked about again.
struct Asked {
    asking: Asking,
    id: WithdrawalId,
    has_ended: AtomicBool,
}

impl Asked {
    /// The payload that came since this was last asked for.
    fn payload(&self) -> Left {
        let mut asking = self.asking.0.lock().unwrap_or_else(PoisonError::into_inner);
        asking.get_mut(&self.id).and_then(Option::take)
    }

    /// The same; where none came, it ends.
    fn payload_or_end(&self) -> Left {
        let mut asking = self.asking.0.lock().unwrap_or_else(PoisonError::into_inner);
        let payload = asking.get_mut(&self.id).and_then(Option::take);
        if payload.is_none() && !self.has_ended.swap(true, Ordering::Relaxed) {
            asking.remove(&self.id);
        }
        payload
    }

    /// Ends, and gives back the payload that came since: whoever brings one from now on begins anew.
    fn end(&self) -> Left {
        let mut asking = self.asking.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What stands there after the end is another's.
        if self.has_ended.swap(true, Ordering::Relaxed) { None } else { asking.remove(&self.id).flatten() }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// The no of a sanctions list. Which one of the two it was is the enclave's to know.
pub fn listed() -> Finding {
    Finding::new(Code::SanctionsListed, "the destination or a person of this withdrawal")
}

/// What a counterparty's yes or no proves to the signer (laws L3, L4).
pub fn prove(
    context: &Context,
    word: &Word,
    request: &VerifiedRequest,
    name_match: NameMatch,
) -> Result<Passage, NotProven> {
    let (trust, now, age_s_max) = (&context.trust, context.now(), context.settings.clearance_age_s_max);
    match word {
        Word::Signed { text, signature } => {
            Clearance::from_answer(text, signature, trust, request, now, age_s_max, name_match)
                .map(Passage::Cleared)
        }
        Word::Reported(text) => {
            Reported::from_report(text, trust, request, now, age_s_max).map(Passage::Reported)
        }
    }
}

/// What a caller is told who waits for the enclave.
pub fn desk_error(fault: EnclaveFault) -> DeskError {
    match fault {
        EnclaveFault::Invalid(invalid) => DeskError::Invalid(invalid),
        EnclaveFault::VaspUnknown(_)
        | EnclaveFault::Conflict
        | EnclaveFault::Unknown
        | EnclaveFault::State(_) => DeskError::Refused(Finding::new(fault.code(), fault.to_string())),
        fault if fault.may_have_happened() => DeskError::may_have_happened(fault.code(), fault.to_string()),
        fault => DeskError::nothing_happened(fault.code(), fault.to_string()),
    }
}

fn refusal(fault: &EnclaveFault) -> Code {
    match fault {
        EnclaveFault::VaspUnknown(_) => Code::TravelRuleVaspUnknown,
        // A payload that cannot be verified clears nothing.
        _ => Code::NoClearance,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::withdrawal::{Organisation, RequestId};

    fn id() -> WithdrawalId {
        WithdrawalId::of(&Organisation::parse("exchange").unwrap(), &RequestId::parse("w1").unwrap())
    }

    fn payload(text: &str) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[tokio::test]
    async fn a_withdrawal_whose_asking_panicked_may_be_asked_about_again() {
        let (asking, id) = (Asking::default(), id());
        let asked = asking.begin(id, &mut None).unwrap();
        assert!(asking.begin(id, &mut None).is_none());
        let task = tokio::spawn(async move {
            let _asked = asked;
            panic!("the enclave broke");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(asking.begin(id, &mut None).is_some());
    }

    #[test]
    fn a_payload_that_comes_while_it_is_asked_without_one_goes_along() {
        let (asking, id) = (Asking::default(), id());
        let asked = asking.begin(id, &mut None).unwrap();
        let mut later = payload("names");
        assert!(asking.begin(id, &mut later).is_none() && later.is_none(), "it was left");
        assert!(asking.begin(id, &mut None).is_none());
        assert_eq!(
            asked.payload_or_end(),
            payload("names"),
            "and a repetition without names takes nothing back"
        );
        assert_eq!(asked.payload(), None);
    }

    #[test]
    fn a_payload_that_comes_after_the_end_begins_anew_and_the_end_of_the_old_asking_ends_nothing() {
        let (asking, id) = (Asking::default(), id());
        let old = asking.begin(id, &mut None).unwrap();
        assert_eq!(old.payload_or_end(), None);
        let new = asking.begin(id, &mut payload("names")).unwrap();
        drop(old);
        assert!(asking.begin(id, &mut payload("later")).is_none(), "it is still being asked about");
        assert_eq!(new.end(), payload("later"));
        assert!(asking.begin(id, &mut None).is_some());
    }
}
