//! Owns the calls to an enclave server's documented REST API: what is sent, and which answers are one. A definite no, nothing sent,
//! and nobody knows are three different things.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::names::Names;
use super::said::{Item, Own, Page, Receipt, Refusal, Taken, Vasps};
use crate::enclave::allow::AllowList;
use crate::enclave::exchange::line::{Line, NoReply, Place, PlaceFault};
use crate::evidence::RouteAnswer;

/// Longest answer about one verification: persons of both sides are in it.
const ANSWER_LEN_MAX: usize = 256 * 1024;
/// Longest page of a search, and longest list of VASPs.
const PAGE_LEN_MAX: usize = 2 * 1024 * 1024;
/// Rows of one page.
const RPP: usize = 20;
/// What stands for the code of a refusal that names none: whoever said it need not be an enclave server.
pub(super) const NO_CODE: &str = "-";
/// The most pages that are looked through.
const PAGES_MAX: u64 = 5;

/// No answer that counts. Holds nothing of what was sent or said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// There was no connection: nothing was sent.
    #[error("the enclave server cannot be reached")]
    NotSent,
    /// It says no, by its status and its code: nothing was begun.
    #[error("the enclave server refuses with status {0}, code {1}")]
    Refused(u16, String),
    /// Late, broken off, or not what the documented API says: what was asked may have happened.
    #[error("the enclave server gives no usable answer: {0}")]
    Unknown(&'static str),
}

/// Where an enclave server is, and what it is shown.
#[derive(Clone)]
pub struct Settings {
    /// Its address without path, as [`Place`] reads it.
    pub url: String,
    /// The way there: certificates, header, allowed addresses.
    pub line: Line,
    /// What it calls our asset.
    pub names: Names,
    /// How long one call may take.
    pub time: Duration,
}

/// An enclave server, as one party reaches it.
pub(super) struct Server {
    settings: Settings,
    answers: AtomicBool,
}

/// Checks that an address is one that paths can follow.
pub fn check_url(url: &str, allow: Option<&AllowList>) -> Result<Place, PlaceFault> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    if rest.is_empty() || rest.contains(['/', '?', '#']) {
        return Err(PlaceFault::Malformed);
    }
    Place::parse(url, allow)
}

impl Server {
    /// A server at these settings.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, answers: AtomicBool::new(false) }
    }

    /// What it calls our asset.
    pub(super) fn names(&self) -> &Names {
        &self.settings.names
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.settings.url
    }

    /// Whether the last call brought an answer.
    pub(super) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// `POST /v1/verifications`: begins one.
    pub(super) async fn order(&self, body: Zeroizing<String>) -> Result<Uuid, Miss> {
        let receipt: Receipt =
            self.call(Method::POST, "/v1/verifications", Some(body), ANSWER_LEN_MAX).await?;
        receipt.uuid()
    }

    /// `GET /v1/verifications/{uuid}`: as it is kept there.
    pub(super) async fn item(&self, uuid: Uuid) -> Result<Item, Miss> {
        let path = format!("/v1/verifications/{}", uuid.hyphenated());
        self.call(Method::GET, &path, None, ANSWER_LEN_MAX).await
    }

    /// The same in our words. It must be about the verification that was asked about.
    pub(super) async fn said(&self, uuid: Uuid) -> Result<RouteAnswer, Miss> {
        let said = self.item(uuid).await?.read(&self.settings.url, &self.settings.names)?;
        if said.uuid == uuid { Ok(said) } else { Err(Miss::Unknown("it tells of another verification")) }
    }

    /// `GET /v1/verifications`: what we have sent to that VASP and address, the whole of it.
    pub(super) async fn sent(&self, vasp: &str, address: &str, from: &str) -> Result<Vec<Item>, Miss> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!(
                "/v1/verifications?actionType=SEND&oppositeVaspId={vasp}&beneficiaryAccountNumber={address}\
                 &fromDate={from}&page={page}&rpp={RPP}"
            );
            let found: Page = self.call(Method::GET, &path, None, PAGE_LEN_MAX).await?;
            let is_last = found.verifications.len() < RPP;
            all.extend(found.verifications);
            if is_last {
                let whole = u64::try_from(all.len()).is_ok_and(|len| len >= found.count);
                return if whole { Ok(all) } else { Err(Miss::Unknown("a page of the search is missing")) };
            }
        }
        Err(Miss::Unknown("there are too many verifications to look through"))
    }

    /// `POST /v1/verifications/tx` or `/error`: reports what became of one; whether it was taken.
    pub(super) async fn report(&self, path: &str, body: &serde_json::Value) -> Result<bool, Miss> {
        let body = Zeroizing::new(body.to_string());
        let taken: Taken = self.call(Method::POST, path, Some(body), ANSWER_LEN_MAX).await?;
        Ok(taken.result)
    }

    /// `GET /v1/vasps`: who can be asked.
    pub(super) async fn vasps(&self) -> Result<Vasps, Miss> {
        self.call(Method::GET, "/v1/vasps?protocol=ALL", None, PAGE_LEN_MAX).await
    }

    /// `GET /v1/vasps/self`: who we are there.
    pub(super) async fn own(&self) -> Result<Own, Miss> {
        self.call(Method::GET, "/v1/vasps/self", None, ANSWER_LEN_MAX).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Zeroizing<String>>,
        len_max: usize,
    ) -> Result<A, Miss> {
        let place = Place::parse(&format!("{}{path}", self.settings.url), None);
        let place = place.map_err(|_| Miss::Unknown("its address cannot be called"))?;
        let reply = self.settings.line.ask(method, &place, body, (self.settings.time, len_max)).await;
        self.answers.store(reply.is_ok(), Ordering::Relaxed);
        let reply = reply.map_err(|no| match no {
            NoReply::NotSent => Miss::NotSent,
            NoReply::Unknown(_) => Miss::Unknown("it broke off, was late or too long"),
        })?;
        match reply.status.as_u16() {
            // What the reader says of bad JSON may quote it.
            200 => serde_json::from_slice(&reply.body).map_err(|_| Miss::Unknown("it cannot be read")),
            status @ (400 | 401 | 403 | 404 | 405 | 413 | 415 | 422) => {
                let said: Option<Refusal> = serde_json::from_slice(&reply.body).ok();
                let code = said.as_ref().and_then(Refusal::code).unwrap_or(NO_CODE).to_owned();
                Err(Miss::Refused(status, code))
            }
            _ => Err(Miss::Unknown("its status is not 200")),
        }
    }
}
