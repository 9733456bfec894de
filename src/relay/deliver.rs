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
    /// Calls an enclave; at most so many calls to one enclave run at the same time. Who gets no place for as long as a call may take
    /// has not reached it, which says nothing of its health.
    pub(super) async fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        to: &str,
        path: &str,
        body: &B,
    ) -> Result<A, CallFault> {
        let unreachable = || CallFault::Unreachable(to.to_owned());
        let base = self.state.endpoint(to).ok_or_else(unreachable)?;
        let calls = self.state.calls(to).ok_or_else(unreachable)?;
        let time = Duration::from_secs(self.state.limits().call_s_max);
        let place = tokio::time::timeout(time, calls.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(unreachable()) };
        let call = Call { to, base: &base, method: Method::POST, path, time };
        let answer = self.client.call(call, body).await;
        let down = matches!(answer, Err(CallFault::Unreachable(_)));
        self.state.note_mood(to, if down { Mood::Down } else { Mood::Up });
        answer
    }

    /// Brings a parcel once, unless it is dropped before a place for the call is free, or before there is an answer.
    pub(super) async fn bring(&self, carried: &Carried) -> Fate {
        let parcel = &carried.parcel;
        let call = self.call(&parcel.to, "/v1/inbound/verifications", parcel);
        match carried.dropped.run_until_cancelled(call).await {
            None => Fate::Waiting,
            Some(Ok(fate)) => fate,
            Some(Err(fault)) => {
                tracing::debug!(uuid = parcel.uuid, to = parcel.to, %fault, "a parcel could not be delivered");
                Fate::Waiting
            }
        }
    }

    /// Brings a parcel until it is answered, refused, dropped or expired.
    pub(super) async fn carry(&self, carried: Arc<Carried>) {
        let mut pause = 1;
        while !carried.dropped.is_cancelled() && (self.now)() < carried.expires_at {
            let fate = self.bring(&carried).await;
            if !matches!(fate, Fate::Waiting) && self.state.keep(&carried, fate) {
                return;
            }
            carried.dropped.run_until_cancelled(tokio::time::sleep(Duration::from_secs(pause))).await;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use data_encoding::HEXLOWER;
    use ed25519_dalek::SigningKey;
    use rustls::RootCertStore;

    use super::super::mark::Marker;
    use super::super::{Config, Limits, Member};
    use super::*;
    use crate::enclave::wire::Parcel;
    use crate::enclave::wire::seal::Envelope;
    use crate::enclave::wire::signed::Sender;
    use crate::withdrawal::Seconds;

    fn courier() -> Courier {
        let key = SigningKey::from_bytes(&[1; 32]);
        let member = |vasp: &str| Member {
            vasp: vasp.into(),
            identity_key: HEXLOWER.encode(key.verifying_key().as_bytes()),
            endpoint: None,
        };
        let limits = Limits { calls_per_member_max: 1, call_s_max: 1, ..Limits::default() };
        let state =
            State::new(Config { members: vec![member("1"), member("2")], limits }, Marker::new(&[1; 32]));
        let now: Clock = Arc::new(|| Seconds(1));
        let client = Client::new(RootCertStore::empty(), Sender::new("relay".into(), key, now.clone()));
        Courier { state: Arc::new(state), client: client.unwrap(), now }
    }

    fn taken_in(state: &State) -> Arc<Carried> {
        let uuid = state.give_uuids("1", 1).remove(0);
        let envelope =
            Envelope { suite: "s".into(), key_id: "k".into(), enc: "e".into(), ciphertext: "c".into() };
        let (kind, key_type) = ("user".into(), "PerVasp".into());
        let parcel = Parcel { from: "1".into(), to: "2".into(), uuid, kind, key_type, envelope };
        state.take_in(parcel, Seconds(1)).unwrap().0
    }

    /// A parcel whose carrier waits for a place that never gets free, and then lets go of it.
    async fn let_go(drop_it: impl FnOnce(&State, &Parcel)) {
        let courier = Arc::new(courier());
        courier.state.register("2", "https://127.0.0.1:1").unwrap();
        let held = courier.state.calls("2").unwrap().acquire_owned().await.unwrap();
        let carried = taken_in(&courier.state);
        let (of, with) = (courier.clone(), carried.clone());
        let carrying = tokio::spawn(async move { of.carry(with).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!carrying.is_finished());
        drop_it(&courier.state, &carried.parcel);
        tokio::time::timeout(Duration::from_secs(5), carrying).await.unwrap().unwrap();
        assert_eq!(Arc::strong_count(&carried), 1);
        drop(held);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_place_longer_than_a_call_may_take() {
        let courier = courier();
        courier.state.register("2", "https://127.0.0.1:1").unwrap();
        courier.state.note_mood("2", Mood::Up);
        let _held = courier.state.calls("2").unwrap().acquire_owned().await.unwrap();
        let call = courier.call::<_, serde_json::Value>("2", "/v1/inbound/keys", &());
        let called = tokio::time::timeout(Duration::from_secs(5), call).await;
        assert!(matches!(called, Ok(Err(CallFault::Unreachable(_)))));
        assert!(courier.state.members().contains(&("2".to_owned(), Mood::Up)), "it was not asked");
    }

    #[tokio::test]
    async fn a_dropped_parcel_waits_for_no_place() {
        let_go(|state, parcel| assert!(state.drop_parcel(&parcel.from, &parcel.uuid))).await;
    }

    #[tokio::test]
    async fn an_expired_parcel_waits_for_no_place() {
        let_go(|state, _| state.expire(Seconds(u64::MAX))).await;
    }
}
