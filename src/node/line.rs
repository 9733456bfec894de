//! One HTTP exchange with one endpoint: a bounded time, a bounded answer, no redirect, no second try.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::fault::EndpointFault;
use super::settings::Place;

/// How long opening a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The HTTP client cannot be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct SetupFault;

/// The way to one endpoint. Connections are kept and used again.
pub(super) struct Line {
    client: reqwest::Client,
    url: Url,
    bearer: Option<HeaderValue>,
    answer_len_max: usize,
}

impl Line {
    pub(super) fn new(
        place: &Place,
        roots: RootCertStore,
        answer_len_max: usize,
    ) -> Result<Self, SetupFault> {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| SetupFault)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIME)
            .build()
            .map_err(|_| SetupFault)?;
        let bearer = place.bearer.as_ref().map(|token| header(token)).transpose()?;
        Ok(Self { client, url: place.url.clone(), bearer, answer_len_max })
    }

    /// Posts JSON and reads the whole answer.
    pub(super) async fn post(&self, body: String) -> Result<Vec<u8>, EndpointFault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        let sent = self.client.post(self.url.clone()).headers(headers).body(body).send();
        let mut answer = sent.await.map_err(|_| EndpointFault::Unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(EndpointFault::Status(answer.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| EndpointFault::Unreachable)? {
            if bytes.len().saturating_add(chunk.len()) > self.answer_len_max {
                return Err(EndpointFault::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

fn header(token: &str) -> Result<HeaderValue, SetupFault> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| SetupFault)?;
    value.set_sensitive(true);
    Ok(value)
}
