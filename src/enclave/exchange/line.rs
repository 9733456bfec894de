//! Owns one call to the exchange's backend: POST JSON, a bounded answer, a bounded time, no redirects, no second try.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use reqwest::Url;
use reqwest::redirect::Policy;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::auth::Auth;
use crate::enclave::allow::{AllowList, Reach, is_inner};
use crate::enclave::wire::tls;

/// Longest answer that is read, in bytes.
pub const ANSWER_LEN_MAX: usize = 64 * 1024;
/// Longest URL, in bytes.
pub const URL_LEN_MAX: usize = 2048;

/// The backend gave no usable answer. Holds nothing of what was sent or said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Nobody answered, or the connection broke.
    #[error("the backend does not answer")]
    Unreachable,
    /// Its time is over.
    #[error("the backend did not answer in time")]
    Late,
    /// Anything but 200; a redirect too.
    #[error("the backend answered with status {0}, not 200")]
    Status(u16),
    /// More than [`ANSWER_LEN_MAX`].
    #[error("the backend's answer is longer than {ANSWER_LEN_MAX} bytes")]
    TooLong,
    /// Not what the documented API says.
    #[error("the backend's answer cannot be used: {0}")]
    Malformed(&'static str),
    /// The client cannot be built.
    #[error("the HTTP client cannot be set up")]
    Setup,
}

/// Why a URL cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceFault {
    /// No http or https URL with a host.
    #[error("is no http:// or https:// address of at most {URL_LEN_MAX} bytes")]
    Malformed,
    /// A user or password in it.
    #[error("holds a user or password; the token goes into a header")]
    User,
    /// A fragment in it.
    #[error("holds a fragment, which no server ever sees")]
    Fragment,
    /// Plain http beyond the inner network.
    #[error("is plain http to an address that is neither this machine nor a private network")]
    Plain,
    /// The address is not in the allow-list.
    #[error("names an address that the allow-list does not hold")]
    NotAllowed,
}

/// A URL of the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Url);

impl Place {
    /// Reads a URL. Plain http is for this machine and private networks only; a name is judged when it is resolved.
    pub fn parse(text: &str, allow: Option<&AllowList>) -> Result<Self, PlaceFault> {
        // A URL's reader passes over line ends, and takes one slash or none for two: what is called is what stands there.
        let unseen = text.chars().any(|c| c.is_control() || c.is_whitespace());
        if unseen || !text.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//")) {
            return Err(PlaceFault::Malformed);
        }
        let url = Url::parse(text).map_err(|_| PlaceFault::Malformed)?;
        let schemed = ["http", "https"].contains(&url.scheme());
        if !schemed || url.host_str().is_none_or(str::is_empty) || text.len() > URL_LEN_MAX {
            return Err(PlaceFault::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PlaceFault::User);
        }
        if url.fragment().is_some() {
            return Err(PlaceFault::Fragment);
        }
        let place = Self(url);
        match place.address() {
            Some(address) if place.is_plain() && !is_inner(address) => Err(PlaceFault::Plain),
            Some(address) if allow.is_some_and(|list| !list.admits(address)) => Err(PlaceFault::NotAllowed),
            _ => Ok(place),
        }
    }

    /// Whether what is sent there can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// The address, where the URL names one and no name.
    fn address(&self) -> Option<IpAddr> {
        self.0.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok())
    }
}

/// The way to the backend: its connections are kept open and used again.
#[derive(Clone)]
pub struct Line {
    secure: reqwest::Client,
    plain: reqwest::Client,
    auth: Option<Auth>,
}

impl Line {
    /// A line that believes these roots, shows this token and calls only these addresses.
    pub fn new(
        roots: RootCertStore,
        auth: Option<Auth>,
        allow: Option<AllowList>,
    ) -> Result<Self, LineFault> {
        let client = |inner_only| {
            let tls = tls::client_config(roots.clone()).map_err(|_| LineFault::Setup)?;
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .no_proxy()
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .dns_resolver(Arc::new(Reach { allow: allow.clone(), inner_only }))
                .https_only(!inner_only)
                .build()
                .map_err(|_| LineFault::Setup)
        };
        Ok(Self { secure: client(false)?, plain: client(true)?, auth })
    }

    /// Sends JSON and reads the whole answer; only a 200 within its time is one.
    pub async fn post(
        &self,
        place: &Place,
        body: Zeroizing<String>,
        time: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, LineFault> {
        tokio::time::timeout(time, self.exchange(place, body)).await.unwrap_or(Err(LineFault::Late))
    }

    async fn exchange(
        &self,
        place: &Place,
        mut body: Zeroizing<String>,
    ) -> Result<Zeroizing<Vec<u8>>, LineFault> {
        // The bytes wipe themselves when the client lets go of them.
        let body = Bytes::from_owner(Zeroizing::new(std::mem::take(&mut *body).into_bytes()));
        let request = self.request(Method::POST, place).header("content-type", "application/json").body(body);
        let answer = request.send().await.map_err(|_| LineFault::Unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(LineFault::Status(answer.status().as_u16()));
        }
        bounded(answer, ANSWER_LEN_MAX).await
    }
}

/// Any answer, with its whole body.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body, wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
}

/// What is asked.
pub enum Verb {
    /// GET.
    Get,
    /// POST with JSON, and with one more header where one is given.
    Post {
        /// The JSON.
        body: Zeroizing<String>,
        /// The header's name and value.
        header: Option<(&'static str, String)>,
    },
}

/// No whole answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// There was no connection: nothing was sent.
    NotSent,
    /// It broke off, was late or too long: what was asked may have happened.
    Unknown(LineFault),
}

impl Line {
    /// Sends a request, with JSON if there is some, and reads an answer of any status, within a time and a length.
    pub(in crate::enclave) async fn ask(
        &self,
        method: Method,
        place: &Place,
        body: Option<Zeroizing<String>>,
        bounds: (Duration, usize),
    ) -> Result<Reply, NoReply> {
        self.whole(with_json(self.request(method, place), body), bounds).await
    }

    /// Calls a place and reads an answer of any status, within a time and a length.
    pub async fn call(&self, verb: Verb, place: &Place, bounds: (Duration, usize)) -> Result<Reply, NoReply> {
        let request = match verb {
            Verb::Get => self.request(Method::GET, place),
            Verb::Post { body, header } => {
                let request = with_json(self.request(Method::POST, place), Some(body));
                header.into_iter().fold(request, |request, (name, value)| request.header(name, value))
            }
        };
        self.whole(request, bounds).await
    }

    async fn whole(
        &self,
        request: reqwest::RequestBuilder,
        (time, len_max): (Duration, usize),
    ) -> Result<Reply, NoReply> {
        let asked = async {
            let answer = request.send().await.map_err(|broken| match broken.is_connect() {
                true => NoReply::NotSent,
                false => NoReply::Unknown(LineFault::Unreachable),
            })?;
            let status = answer.status();
            let body = bounded(answer, len_max).await.map_err(NoReply::Unknown)?;
            Ok(Reply { status, body })
        };
        tokio::time::timeout(time, asked).await.unwrap_or(Err(NoReply::Unknown(LineFault::Late)))
    }

    fn request(&self, method: Method, place: &Place) -> reqwest::RequestBuilder {
        let http = if place.is_plain() { &self.plain } else { &self.secure };
        let request = http.request(method, place.0.clone());
        match &self.auth {
            Some(auth) => {
                let (name, value) = auth.header();
                request.header(name, value)
            }
            None => request,
        }
    }
}

fn with_json(request: reqwest::RequestBuilder, body: Option<Zeroizing<String>>) -> reqwest::RequestBuilder {
    let Some(mut body) = body else { return request };
    let bytes = Bytes::from_owner(Zeroizing::new(std::mem::take(&mut *body).into_bytes()));
    request.header("content-type", "application/json").body(bytes)
}

/// Reads into a buffer of full size, which never grows and so leaves no copy behind.
async fn bounded(mut answer: reqwest::Response, len_max: usize) -> Result<Zeroizing<Vec<u8>>, LineFault> {
    let mut whole = Zeroizing::new(Vec::with_capacity(len_max));
    while let Some(chunk) = answer.chunk().await.map_err(|_| LineFault::Unreachable)? {
        if whole.len() + chunk.len() > len_max {
            return Err(LineFault::TooLong);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_is_https_or_plain_http_within_the_inner_network() {
        let list = AllowList::parse(&["10.0.0.0/8"]).unwrap();
        let parse = |text: &str| Place::parse(text, None).map(|p| p.is_plain());
        assert_eq!(parse("https://backend.exchange.example/tr/verify?x=1"), Ok(false));
        assert_eq!(parse("http://127.0.0.1:8080/verify"), Ok(true));
        assert_eq!(parse("http://[::1]:8080/verify"), Ok(true));
        assert_eq!(parse("http://backend:8080/verify"), Ok(true), "judged when it is resolved");
        let table = [
            ("", PlaceFault::Malformed),
            ("backend/verify", PlaceFault::Malformed),
            ("ftp://backend/verify", PlaceFault::Malformed),
            ("https://", PlaceFault::Malformed),
            // what a URL's reader would mend in silence
            ("http\r://backend/verify", PlaceFault::Malformed),
            ("https://back\tend/verify", PlaceFault::Malformed),
            (" https://backend/verify", PlaceFault::Malformed),
            ("https:/backend/verify", PlaceFault::Malformed),
            ("https:\\\\backend/verify", PlaceFault::Malformed),
            ("https://user@backend/", PlaceFault::User),
            ("https://u:p@backend/", PlaceFault::User),
            ("https://backend/#x", PlaceFault::Fragment),
            ("http://8.8.8.8/verify", PlaceFault::Plain),
            ("http://169.254.169.254/latest", PlaceFault::Plain),
            // 8.8.8.8 in one number
            ("http://134744072/", PlaceFault::Plain),
        ];
        for (text, fault) in table {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
        assert_eq!(Place::parse("https://192.0.2.1/", Some(&list)), Err(PlaceFault::NotAllowed));
        assert!(Place::parse("https://10.0.0.1/", Some(&list)).is_ok());
        assert!(Place::parse("https://name.example/", Some(&list)).is_ok(), "judged when it is resolved");
    }
}
