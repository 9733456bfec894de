//! Owns the four questions to the exchange's backend over HTTP. Late, malformed, not 200, about something else: never a yes.

use std::time::Duration;

use super::answers;
use super::line::{Line, LineFault, Place};
use crate::enclave::{Backend, CallbackKind, Clock, Question, Transfer, Verdict, Working};

/// How long the backend may take over a person, as the network documents it.
pub const USER_TIME: Duration = Duration::from_secs(5);
/// How long it may take over everything else.
pub const SHORT_TIME: Duration = Duration::from_secs(1);

/// Where the backend takes which question.
#[derive(Debug, Clone)]
pub struct Places {
    /// Verify User.
    pub user: Place,
    /// Verify User Account.
    pub account: Place,
    /// Check Transaction Status.
    pub transaction: Place,
    /// Callback; without one the backend asks for results itself.
    pub callback: Option<Place>,
}

/// The exchange's own system, reached over HTTP.
pub struct HttpBackend {
    line: Line,
    places: Places,
    now: Clock,
}

impl HttpBackend {
    /// A backend at these places.
    pub fn new(line: Line, places: Places, now: Clock) -> Self {
        Self { line, places, now }
    }

    async fn account(&self, question: &Question<'_>) -> Result<Verdict, LineFault> {
        let body = answers::account_question(question)?;
        answers::account_answer(&self.line.post(&self.places.account, body, SHORT_TIME).await?)
    }

    async fn user(&self, question: &Question<'_>) -> Result<Verdict, LineFault> {
        let body = answers::user_question(question)?;
        answers::user_answer(&self.line.post(&self.places.user, body, USER_TIME).await?, (self.now)())
    }

    async fn transaction(&self, uuid: &str) -> Result<Transfer, LineFault> {
        let body = answers::transaction_question(uuid)?;
        answers::transaction_answer(&self.line.post(&self.places.transaction, body, SHORT_TIME).await?, uuid)
    }

    async fn call_back(&self, kind: CallbackKind, data: &str) -> Result<(), LineFault> {
        let Some(place) = &self.places.callback else { return Ok(()) };
        let body = answers::callback(kind.as_str(), data)?;
        self.line.post(place, body, SHORT_TIME).await.map(|_| ())
    }
}

/// What went wrong is logged here; the verdict says only that it could not be found out.
fn error_of(uuid: &str, call: &str, fault: LineFault) -> Verdict {
    tracing::warn!(uuid, call, %fault, "the backend gave no usable answer");
    Verdict::error()
}

impl Backend for HttpBackend {
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async {
            let answer = self.account(question).await;
            answer.unwrap_or_else(|fault| error_of(question.uuid, "account", fault))
        })
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        Box::pin(async {
            let answer = self.user(question).await;
            answer.unwrap_or_else(|fault| error_of(question.uuid, "user", fault))
        })
    }

    fn transaction_status<'a>(&'a self, uuid: &'a str) -> Working<'a, Option<Transfer>> {
        Box::pin(async move {
            let answer = self.transaction(uuid).await;
            answer
                .inspect_err(|fault| tracing::warn!(uuid, %fault, "the backend told no transaction status"))
                .ok()
        })
    }

    fn callback<'a>(&'a self, kind: CallbackKind, data: &'a str) -> Working<'a, bool> {
        Box::pin(async move {
            let told = self.call_back(kind, data).await;
            let kind = kind.as_str();
            told.inspect_err(|fault| tracing::warn!(kind, %fault, "the backend did not take a callback"))
                .is_ok()
        })
    }
}
