//! Asking all endpoints at once, and counting: the first answer that enough of them gave is the fact.

use std::future::Future;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::line::SetupFault;
use super::said::{Agreed, Tally};
use super::settings::{Finality, Name, Settings};
use crate::ethereum::ChainId;

/// The endpoints of one chain.
pub struct Nodes {
    chain: ChainId,
    pub(super) quorum: usize,
    pub(super) finality: Finality,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Nodes {
    /// The endpoints of these settings. Nobody is asked yet.
    pub fn new(settings: Settings) -> Result<Self, SetupFault> {
        let Settings { chain, places, quorum, finality, bounds, roots } = settings;
        let endpoint = |place| Endpoint::new(chain, place, bounds, roots.clone()).map(Arc::new);
        let endpoints = places.iter().map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self { chain, quorum, finality, endpoints })
    }

    /// The chain; an endpoint that serves another is never used.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// How many blocks are asked for logs at once.
    pub(super) fn log_blocks_max(&self) -> u64 {
        self.endpoints.first().map_or(1, |endpoint| endpoint.bounds().log_blocks_max)
    }

    /// Asks every endpoint, and is done as soon as enough said the same, or no longer can.
    pub(super) async fn agree<T, Answer>(
        &self,
        what: &'static str,
        ask: impl Fn(Arc<Endpoint>) -> Answer,
    ) -> Result<Agreed<T>, NotAgreed>
    where
        T: PartialEq,
        Answer: Future<Output = Result<T, EndpointFault>>,
    {
        let mut waiting = self.asked(ask);
        let mut tally = Tally::new(what, self.quorum);
        while let Some((name, answer)) = waiting.next().await {
            if tally.hear(name, answer) {
                break;
            }
        }
        tally.close()
    }

    /// Asks every endpoint, and waits for each within its time.
    pub(super) async fn all<T, Answer>(&self, ask: impl Fn(Arc<Endpoint>) -> Answer) -> Vec<Heard<T>>
    where
        Answer: Future<Output = Result<T, EndpointFault>>,
    {
        self.asked(ask).collect().await
    }

    fn asked<T, Answer, Ask>(
        &self,
        ask: Ask,
    ) -> FuturesUnordered<impl Future<Output = Heard<T>> + use<T, Answer, Ask>>
    where
        Ask: Fn(Arc<Endpoint>) -> Answer,
        Answer: Future<Output = Result<T, EndpointFault>>,
    {
        let each =
            self.endpoints.iter().map(|endpoint| hear(endpoint.name().clone(), ask(Arc::clone(endpoint))));
        each.collect()
    }
}

/// What came from whom.
type Heard<T> = (Name, Result<T, EndpointFault>);

async fn hear<T>(name: Name, answer: impl Future<Output = Result<T, EndpointFault>>) -> Heard<T> {
    (name, answer.await)
}
