//! Hand-over by HTTPS: each transaction is posted until it is taken, and its answer is asked for, unless the custodian calls it in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Answer, CustodianFault, Errand};
use crate::bitcoin::custody::ANSWER_LEN_MAX;
use crate::enclave::exchange::line::{Line, NoReply, Place, Verb};
use crate::withdrawal::ReservationId;

/// The header that carries the co-signer's signature over the order.
pub const SIGNATURE_HEADER: &str = "countersign-signature";

/// How long after it was taken a transaction is posted once more to a server that is not asked: it cannot say that it lost it.
const AGAIN: Duration = Duration::from_secs(3_600);

/// Where a custodian's server is.
pub struct Settings {
    /// Its address, `https://host[:port]/path`; a reservation's id is put behind a slash.
    pub url: String,
    /// The way there: certificates, token, allowed addresses.
    pub line: Line,
    /// How long one call may take.
    pub time: Duration,
}

/// A custodian's server.
pub struct Webhook {
    settings: Settings,
    /// What it has taken since this process runs; after a start everything is handed over once more.
    taken: Mutex<HashMap<ReservationId, Instant>>,
}

impl Webhook {
    /// A server at these settings. Nobody is called yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, taken: Mutex::default() }
    }

    pub(super) async fn hand_over(&self, errand: &Errand, calls_in: bool) -> Result<(), CustodianFault> {
        let taken = self.taken().get(&errand.reservation).copied();
        if taken.is_some_and(|at| !calls_in || at.elapsed() < AGAIN) {
            return Ok(());
        }
        let body = json!({
            "reservation": errand.reservation.to_string(),
            "txid": errand.txid,
            "order": errand.order,
            "psbt": BASE64.encode(&errand.psbt),
        });
        let signature = (SIGNATURE_HEADER, HEXLOWER.encode(&errand.signature));
        let call = Verb::Post { body: Zeroizing::new(body.to_string()), header: Some(signature) };
        let (status, _) = self.call(&self.settings.url, call).await?;
        match status {
            // 409: it has it already, which is as good.
            200 | 201 | 202 | 204 | 409 => {
                self.taken().insert(errand.reservation, Instant::now());
                Ok(())
            }
            other => Err(CustodianFault::Status(other)),
        }
    }

    pub(super) async fn answers(&self, reservation: ReservationId) -> Result<Vec<Answer>, CustodianFault> {
        let url = format!("{}/{reservation}", self.settings.url.trim_end_matches('/'));
        let (status, bytes) = self.call(&url, Verb::Get).await?;
        match status {
            200 => Ok(vec![Answer { from: url, bytes }]),
            202 | 204 => Ok(Vec::new()),
            404 => {
                // It has lost it, or is another one than the one that took it: it gets it again.
                self.taken().remove(&reservation);
                Ok(Vec::new())
            }
            other => Err(CustodianFault::Status(other)),
        }
    }

    /// It is over: that it was taken need not be known any longer.
    pub(super) fn done(&self, reservation: ReservationId) {
        self.taken().remove(&reservation);
    }

    async fn call(&self, url: &str, call: Verb) -> Result<(u16, Vec<u8>), CustodianFault> {
        let silent = |why: &str| CustodianFault::Silent(why.to_owned());
        let place = Place::parse(url, None).map_err(|_| silent("its address cannot be called"))?;
        let bounds = (self.settings.time, ANSWER_LEN_MAX);
        let reply = self.settings.line.call(call, &place, bounds).await.map_err(|no| match no {
            NoReply::NotSent => silent("it cannot be reached"),
            NoReply::Unknown(fault) => silent(&fault.to_string()),
        })?;
        Ok((reply.status.as_u16(), reply.body.to_vec()))
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, HashMap<ReservationId, Instant>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use rustls::RootCertStore;

    use super::*;
    use crate::custodian::{Custodian, Way};

    #[tokio::test]
    async fn what_is_done_is_not_remembered_as_taken() {
        let line = Line::new(RootCertStore::empty(), None, None).unwrap();
        let settings =
            Settings { url: "https://127.0.0.1:1/v1".to_owned(), line, time: Duration::from_secs(1) };
        let webhook = Webhook::new(settings);
        let [one, two] = [1, 2].map(|n| ReservationId::of_txid(&[n; 32]));
        webhook.taken().extend([one, two].map(|id| (id, Instant::now())));
        let custodian = Custodian::new(Way::Webhook(webhook), None);
        custodian.done(one).await.unwrap();
        let Way::Webhook(webhook) = &custodian.way else { panic!("another way") };
        assert_eq!(webhook.taken().keys().collect::<Vec<_>>(), [&two]);
    }
}
