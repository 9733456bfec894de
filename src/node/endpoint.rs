//! One endpoint: proved to serve the right chain before anything else is asked, left alone for a while when it is broken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::RootCertStore;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::fault::EndpointFault;
use super::hex::Quantity;
use super::json::{self, RpcError};
use super::line::{Line, SetupFault};
use super::settings::{Bounds, Name, Place};
use crate::ethereum::ChainId;

/// How long a broken endpoint is left alone the first time; twice as long each time after.
const REST_FIRST: Duration = Duration::from_millis(250);
/// How long at most.
const REST_LONGEST: Duration = Duration::from_secs(30);

/// Which chain an endpoint serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    Unknown,
    Ours,
    Another,
}

struct Standing {
    serves: Serves,
    failures: u32,
    rests_until: Option<Instant>,
}

/// What one endpoint answers: a value, its own `null`, or its own no.
pub(super) type Reply<T> = Result<Option<T>, RpcError>;

/// One endpoint.
pub(super) struct Endpoint {
    name: Name,
    chain: ChainId,
    line: Line,
    bounds: Bounds,
    places: Semaphore,
    last_id: AtomicU64,
    standing: Mutex<Standing>,
}

impl Endpoint {
    pub(super) fn new(
        chain: ChainId,
        place: &Place,
        bounds: Bounds,
        roots: RootCertStore,
    ) -> Result<Self, SetupFault> {
        Ok(Self {
            name: place.name.clone(),
            chain,
            line: Line::new(place, roots, bounds.answer_len_max)?,
            bounds,
            places: Semaphore::new(bounds.at_once_max),
            last_id: AtomicU64::new(0),
            standing: Mutex::new(Standing { serves: Serves::Unknown, failures: 0, rests_until: None }),
        })
    }

    pub(super) const fn name(&self) -> &Name {
        &self.name
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Asks, and takes neither a refusal nor nothing for an answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, EndpointFault> {
        self.ask_or_none(method, params).await?.ok_or(EndpointFault::Elsewhere)
    }

    /// Asks, and takes no refusal for an answer.
    pub(super) async fn ask_or_none<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Option<T>, EndpointFault> {
        Ok(self.ask_freely(method, params).await??)
    }

    /// Asks, and hands on whatever is answered.
    pub(super) async fn ask_freely<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Reply<T>, EndpointFault> {
        self.prove_chain().await?;
        self.exchange(method, params).await
    }

    /// Asks for the chain id unless it is known; after every break it is asked anew.
    async fn prove_chain(&self) -> Result<(), EndpointFault> {
        match self.standing().serves {
            Serves::Ours => return Ok(()),
            Serves::Another => return Err(EndpointFault::WrongChain),
            Serves::Unknown => {}
        }
        let said: Reply<Quantity> = self.exchange("eth_chainId", json!([])).await?;
        // only a number that differs shuts it out for good; a hiccup may say anything else
        let number = said?.and_then(Quantity::u64);
        let number = number.ok_or(EndpointFault::Malformed("its chain id is no number that there is"))?;
        let ours = number == self.chain.number();
        self.standing().serves = if ours { Serves::Ours } else { Serves::Another };
        if ours { Ok(()) } else { Err(EndpointFault::WrongChain) }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Reply<T>, EndpointFault> {
        self.is_fit()?;
        // the queue is ours: waiting in it says nothing of the endpoint
        let place = tokio::time::timeout(self.bounds.time, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(EndpointFault::Busy) };
        let begun = self.is_fit()?;
        let call = self.call(method, params);
        let answer = tokio::time::timeout(self.bounds.time, call).await.unwrap_or(Err(EndpointFault::Late));
        self.note(&answer, begun);
        answer
    }

    /// Now, unless the endpoint rests.
    fn is_fit(&self) -> Result<Instant, EndpointFault> {
        let (now, until) = (Instant::now(), self.standing().rests_until);
        if until.is_some_and(|until| now < until) { Err(EndpointFault::Resting) } else { Ok(now) }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Reply<T>, EndpointFault> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        json::read(&self.line.post(body.to_string()).await?, id)
    }

    fn note<T>(&self, answer: &Result<T, EndpointFault>, begun: Instant) {
        let mut standing = self.standing();
        match answer {
            Err(fault) if fault.is_broken() => {
                if standing.serves == Serves::Ours {
                    standing.serves = Serves::Unknown;
                }
                // calls that were under way together tell of one break
                if standing.rests_until.is_none_or(|until| until <= begun) {
                    let longer = REST_FIRST.saturating_mul(1 << standing.failures.min(8));
                    standing.failures = standing.failures.saturating_add(1);
                    standing.rests_until = Some(Instant::now() + longer.min(REST_LONGEST));
                }
            }
            _ => {
                standing.failures = 0;
                standing.rests_until = None;
            }
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
