//! Owns who can be asked, by the enclave server's own list. It is fetched ahead, so that nobody waits for it and an adapter that nobody
//! uses still knows how its server is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;
use tokio::time::{sleep, timeout};

use super::adapter::{Office, TURN_TIME, away};
use super::said::Listed;
use crate::enclave::EnclaveFault;
use crate::withdrawal::VaspId;

/// How long a list counts that no newer one has followed.
const LIST_TIME: Duration = Duration::from_secs(60);

/// The last list.
#[derive(Default)]
pub(super) struct Members {
    listed: Turn<Option<(Instant, Vec<Listed>)>>,
    came: AtomicBool,
}

impl Members {
    /// Whether the last list that was asked for came, from a server that is ours.
    pub(super) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

/// Fetches the list anew, for ever. Where it does not come, the one before counts no more.
pub(super) async fn work(office: Arc<Office>) {
    loop {
        let listed = office.listing().await;
        if let Err(fault) = &listed {
            tracing::warn!(%fault, "the enclave server's list does not come; it is asked for again");
        }
        *office.members.listed.lock().await = listed.ok().map(|all| (Instant::now(), all));
        sleep(office.refresh).await;
    }
}

impl Office {
    /// Whether the network can ask that VASP now; an error where it never can.
    pub(super) async fn is_up(&self, vasp: VaspId) -> Result<bool, EnclaveFault> {
        let mut listed = timeout(TURN_TIME, self.members.listed.lock())
            .await
            .map_err(|_| EnclaveFault::away("the enclave server's list does not come"))?;
        if listed.as_ref().is_none_or(|(at, _)| at.elapsed() > LIST_TIME) {
            *listed = Some((Instant::now(), self.listing().await?));
        }
        let name = vasp.to_string();
        let all = listed.iter().flat_map(|(_, all)| all);
        let found = all.into_iter().find(|listed| listed.vasp_id == name);
        match found.map(|listed| (listed.vasp_status.as_str(), listed.health.as_str())) {
            Some(("VERIFIED-MEMBER" | "INTEROPERATED", health)) => Ok(health == "UP"),
            Some(_) | None => Err(EnclaveFault::VaspUnknown(vasp)),
        }
    }

    async fn listing(&self) -> Result<Vec<Listed>, EnclaveFault> {
        let listed = self.listing_of_ours().await;
        self.members.came.store(listed.is_ok(), Ordering::Relaxed);
        listed
    }

    /// The list of an enclave server that is ours: it must know us by the id of our trust file.
    async fn listing_of_ours(&self) -> Result<Vec<Listed>, EnclaveFault> {
        let own = self.server.own().await.map_err(|miss| away(&miss))?;
        if own.vasp_id != self.vasp.to_string() {
            let problem = "the enclave server is another VASP's than the trust file says";
            return Err(EnclaveFault::Config(problem.to_owned()));
        }
        Ok(self.server.vasps().await.map_err(|miss| away(&miss))?.vasps)
    }
}
