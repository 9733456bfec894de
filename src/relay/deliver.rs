//! Owns bringing parcels and questions to enclaves: retries, pauses, probes. Reads no envelope.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::{Carried, Mood, State};
use crate::enclave::Clock;
use crate::enclave::wire::Fate;
use crate::enclave::wire::client::{Call, CallFault, Client};

/// What deliveries need.
pub(super) struct Courier {
    pub(super) state: Arc<State>,
    pub(super) client: Client,
    pub(super) now: Clock,
}

impl Courier {
    /// Calls an enclave; at most so many calls to one enclave run at the same time.
    pub(super) async fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        to: &str,
        path: &str,
        body: &B,
    ) -> Result<A, CallFault> {
        let unreachable = || CallFault::Unreachable(to.to_owned());
        let base = self.state.endpoint(to).ok_or_else(unreachable)?;
        let calls = self.state.calls(to).ok_or_else(unreachable)?;
        let _place = calls.acquire().await.map_err(|_| unreachable())?;
        let time = Duration::from_secs(self.state.limits().call_s_max);
        let call = Call { to, base: &base, method: Method::POST, path, time };
        let answer = self.client.call(call, body).await;
        let down = matches!(answer, Err(CallFault::Unreachable(_)));
        self.state.note_mood(to, if down { Mood::Down } else { Mood::Up });
        answer
    }

    /// Brings a parcel once.
    pub(super) async fn bring(&self, carried: &Carried) -> Fate {
        let parcel = &carried.parcel;
        match self.call(&parcel.to, "/v1/inbound/verifications", parcel).await {
            Ok(fate) => fate,
            Err(fault) => {
                tracing::debug!(uuid = parcel.uuid, to = parcel.to, %fault, "a parcel could not be delivered");
                Fate::Waiting
            }
        }
    }

    /// Brings a parcel until it is answered, refused, dropped or expired.
    pub(super) async fn carry(&self, carried: Arc<Carried>) {
        let mut pause = 1;
        while self.state.is_carried(&carried.parcel) && (self.now)() < carried.expires_at {
            let fate = self.bring(&carried).await;
            if !matches!(fate, Fate::Waiting) {
                carried.fate.send_replace(fate);
                return;
            }
            tokio::time::sleep(Duration::from_secs(pause)).await;
            pause = (pause * 2).min(self.state.limits().retry_s_max.max(1));
        }
    }

    /// Probes the enclaves' health and lets old things go, for ever.
    pub(super) async fn watch(&self) {
        loop {
            self.state.expire((self.now)());
            for (vasp, _) in self.state.members() {
                let Some(base) = self.state.endpoint(&vasp) else { continue };
                let time = Duration::from_secs(2);
                let call = Call { to: &vasp, base: &base, method: Method::GET, path: "/health", time };
                let well = self.client.ask::<serde_json::Value>(call).await.is_ok();
                self.state.note_mood(&vasp, if well { Mood::Up } else { Mood::Down });
            }
            tokio::time::sleep(Duration::from_secs(self.state.limits().probe_s.max(1))).await;
        }
    }
}
