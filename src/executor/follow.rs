//! Following the signer: what the two parties have released is asked for, page by page, and handed to the executor's own desk.
//!
//! The signer is not believed: the desk reads each transaction anew. Where in the list this is stands in the ledger with the job that
//! was taken last, so a new start goes on there. What comes twice is one job.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::desk::{Desk, Submission, SubmitError};
use super::job::JobKey;
use crate::desk::{SafeRelease, SafeReleases};
use crate::grpc::{Client, explain};
use crate::store::StoreFault;
use crate::wire::status::stable_code;
use crate::wire::v1::ListSafeReleasesRequest;
use crate::wire::v1::release_service_client::ReleaseServiceClient;
use crate::withdrawal::{ChainId, Code, Invalid};

/// How many places of the signer's ledger are asked for at once.
const PAGE_SIZE: i32 = 200;
/// How long a question may take.
const CALL_TIME: Duration = Duration::from_secs(20);

/// Why a page was not handed over whole. It is asked for again.
#[derive(Debug, thiserror::Error)]
enum FollowFault {
    #[error("the signer does not answer: {}", explain(.0))]
    Signer(Box<Status>),
    #[error("the signer's answer cannot be read: {0}")]
    Answer(#[from] Invalid),
    #[error("the executor takes nothing now: {0}")]
    Desk(#[from] SubmitError),
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Hands to an executor what the signer lists.
pub struct Follower {
    client: ReleaseServiceClient<Channel>,
    desk: Desk,
    chain: ChainId,
    pause: Duration,
    /// Where the next question begins.
    at: String,
    /// Whether something was not taken: the ledger then keeps the place before it.
    is_left: bool,
    trouble: Option<String>,
}

impl Follower {
    /// Goes on where the ledger says. Nothing is asked yet.
    pub async fn open(
        client: &Client,
        desk: Desk,
        chain: ChainId,
        pause: Duration,
    ) -> Result<Self, StoreFault> {
        let at = desk.followed().await?;
        Ok(Self { client: client.releases(), desk, chain, pause, at, is_left: false, trouble: None })
    }

    /// Follows until it is told to stop. A signer that is away is asked again.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let step = tokio::select! {
                step = self.step() => step,
                () = stop.cancelled() => return,
            };
            let is_more = self.heard(step);
            if !is_more {
                tokio::select! { () = tokio::time::sleep(self.pause) => {}, () = stop.cancelled() => {} }
            }
        }
    }

    /// Says what is new about the line, and whether there is more to ask for at once.
    fn heard(&mut self, step: Result<bool, FollowFault>) -> bool {
        let trouble = step.as_ref().err().map(ToString::to_string);
        if trouble != self.trouble {
            match &trouble {
                Some(fault) => tracing::warn!(%fault, "nothing is followed for now"),
                None => tracing::info!("the signer is followed again"),
            }
            self.trouble = trouble;
        }
        step.unwrap_or(false)
    }

    async fn step(&mut self) -> Result<bool, FollowFault> {
        let message = ListSafeReleasesRequest { page_size: PAGE_SIZE, page_token: self.at.clone() };
        let mut request = Request::new(message);
        request.set_timeout(CALL_TIME);
        let answer = match self.client.list_safe_releases(request).await {
            Err(status) if stable_code(&status) == Some(Code::FieldMalformed) && !self.at.is_empty() => {
                tracing::warn!(
                    "the signer does not know the place in its list: it is read from its beginning"
                );
                self.at.clear();
                return Ok(true);
            }
            answer => answer.map_err(|status| FollowFault::Signer(Box::new(status)))?,
        };
        let page = SafeReleases::try_from(answer.into_inner())?;
        for release in page.items {
            self.take(release).await?;
        }
        let is_more = page.next != self.at;
        self.at = page.next;
        Ok(is_more)
    }

    async fn take(&mut self, release: SafeRelease) -> Result<(), FollowFault> {
        let place = release.place;
        if place.chain != self.chain {
            return Ok(());
        }
        let key = JobKey { safe: place.safe, nonce: place.nonce };
        let known = self.desk.job(&key).await?;
        if known.is_some_and(|known| known.hash.to_string() == release.hash) {
            return Ok(());
        }
        let submission = Submission { safe: place.safe, nonce: place.nonce, data: release.data };
        let cursor = (!self.is_left && !self.at.is_empty()).then(|| self.at.clone());
        let hash = release.hash;
        match self.desk.submit_at(submission, cursor).await {
            Ok(view) => tracing::info!(%place, hash = %view.hash, "taken"),
            Err(no) if is_for_now(&no) => return Err(no.into()),
            Err(no) => {
                self.is_left = true;
                tracing::error!(code = %no.code(), %place, hash, "alarm: a released transaction is not carried: {no}");
            }
        }
        Ok(())
    }
}

/// Whether asking again may help.
const fn is_for_now(no: &SubmitError) -> bool {
    match no {
        SubmitError::Refused { code, .. } => matches!(code, Code::ExecutorStandby | Code::QueueFull),
        SubmitError::Journal(_) | SubmitError::Store(_) | SubmitError::Stopped => true,
        SubmitError::Unreadable(_) => false,
    }
}
