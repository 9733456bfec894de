//! Owns calling the other side: HTTPS with signed requests, bounded answers and time-outs. Retries belong to the caller.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use reqwest::StatusCode;
use rustls::RootCertStore;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::allow::Reach;
use super::signed::{Head, Sender};
use super::{BODY_LEN_MAX, Failure, plain_code, tls};

/// A call gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// The client cannot be built.
    #[error("the HTTPS client cannot be set up: {0}")]
    Setup(String),
    /// Nobody answered; the call may have arrived.
    #[error("`{0}` does not answer")]
    Unreachable(String),
    /// The other side said no, with a code of `docs/relay.md`.
    #[error("refused with status {status}: `{error}`")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code.
        error: String,
    },
    /// The answer is too long or cannot be read.
    #[error("the answer cannot be read")]
    Unreadable,
}

impl CallFault {
    /// Whether the other side said exactly this.
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused { error, .. } if error == code)
    }
}

/// Calls with one party's signature.
pub struct Client {
    http: reqwest::Client,
    sender: Sender,
}

/// One call.
pub struct Call<'a> {
    /// The receiver's name, which is signed.
    pub to: &'a str,
    /// The receiver's `https://` address without path.
    pub base: &'a str,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// How long to wait for the whole answer.
    pub time: Duration,
}

impl Client {
    /// A client that believes `roots` and signs as `sender`.
    pub fn new(roots: RootCertStore, sender: Sender) -> Result<Self, CallFault> {
        Self::reaching(roots, sender, Reach::default())
    }

    /// The same, that calls only some addresses.
    pub fn reaching(roots: RootCertStore, sender: Sender, reach: Reach) -> Result<Self, CallFault> {
        let setup = |error: &dyn std::fmt::Display| CallFault::Setup(error.to_string());
        let tls = tls::client_config(roots).map_err(|e| setup(&e))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .dns_resolver(Arc::new(reach))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|e| setup(&e))?;
        Ok(Self { http, sender })
    }

    /// Sends a message and reads the answer.
    pub async fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        call: Call<'_>,
        body: &B,
    ) -> Result<A, CallFault> {
        let body = serde_json::to_vec(body).map_err(|_| CallFault::Unreadable)?;
        let answer = self.send(&call, body).await?;
        serde_json::from_slice(&answer).map_err(|_| CallFault::Unreadable)
    }

    /// Sends a call without a body and reads the answer; an empty one reads as `null`.
    pub async fn ask<A: DeserializeOwned>(&self, call: Call<'_>) -> Result<A, CallFault> {
        let answer = self.send(&call, Vec::new()).await?;
        let answer: &[u8] = if answer.is_empty() { b"null" } else { &answer };
        serde_json::from_slice(answer).map_err(|_| CallFault::Unreadable)
    }

    async fn send(&self, call: &Call<'_>, body: Vec<u8>) -> Result<Vec<u8>, CallFault> {
        let unreachable = || CallFault::Unreachable(call.base.to_owned());
        let head = Head { to: call.to, method: call.method.as_str(), path: call.path };
        let headers = self.sender.headers(head, &body).map_err(|e| CallFault::Setup(e.to_string()))?;
        let mut request = self.http.request(call.method.clone(), format!("{}{}", call.base, call.path));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.header("content-type", "application/json").timeout(call.time).body(body);
        let answer = request.send().await.map_err(|_| unreachable())?;
        let status = answer.status();
        let body = bounded(answer).await?;
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }
}

async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, CallFault> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| CallFault::Unreadable)? {
        if body.len() + chunk.len() > BODY_LEN_MAX {
            return Err(CallFault::Unreadable);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refused(status: StatusCode, body: &[u8]) -> CallFault {
    let error = serde_json::from_slice::<Failure>(body).map(|f| f.error).unwrap_or_default();
    CallFault::Refused { status: status.as_u16(), error: plain_code(error) }
}
