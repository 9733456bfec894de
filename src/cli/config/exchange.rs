//! Reads where the exchange's own backend is, what it is shown, and the listener for its calls.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secrets::{Given, Secret, given_secret};
use super::settings::{above_zero, listener, secret};
use super::travel_rule::{allow, place};
use super::typed;
use crate::cli::problem::Problem;
use crate::enclave::allow::{AllowList, is_inner};
use crate::enclave::exchange::Places;
use crate::enclave::exchange::auth::header_name;
use crate::keys::PassphraseSource;

/// The exchange's own backend, and the listener for it.
#[derive(Debug, Clone)]
pub struct ExchangeSettings {
    /// Where it takes which question.
    pub places: Places,
    /// What it is shown.
    pub token: Option<Secret>,
    /// In which header; `Authorization: Bearer` without one.
    pub token_header: Option<String>,
    /// What its certificate must lead to; needed where a place is https.
    pub authority: Option<PathBuf>,
    /// Its addresses, where they are listed.
    pub allow: Option<AllowList>,
    /// The listener for its calls.
    pub listener: Option<ListenerSettings>,
}

/// The private listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// An address of this machine or of a private network.
    pub listen: SocketAddr,
    /// What callers must show.
    pub token: PassphraseSource,
    /// Who may call, where they are listed.
    pub allow: Option<AllowList>,
    /// How long an unused connection is kept.
    pub keepalive: Duration,
    /// Certificate and key, where it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl ExchangeSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub(super) fn new(table: typed::ExchangeTable, base: &Path, given: &Given) -> Result<Self, Problem> {
        let allow = allow("enclave.exchange.allow", table.allow.as_deref())?;
        let place =
            |field: &str, text: &str| place(&format!("enclave.exchange.{field}"), text, allow.as_ref());
        let places = Places {
            user: place("verify_user_url", &table.verify_user_url)?,
            account: place("verify_account_url", &table.verify_account_url)?,
            transaction: place("transaction_url", &table.transaction_url)?,
            callback: table.callback_url.as_deref().map(|url| place("callback_url", url)).transpose()?,
        };
        if let Some(header) = &table.token_header {
            let cure = "write a header's name such as X-Api-Key, or leave it out for Authorization: Bearer";
            header_name(header)
                .map_err(|no| Problem::config("enclave.exchange.token_header", no.to_string(), cure))?;
            if table.token.is_none() {
                let cure = "set enclave.exchange.token (VEGA_VERIFICATION_AUTHORIZATION_TOKEN) as well, or leave the header out";
                return Err(Problem::config(
                    "enclave.exchange.token_header",
                    "is set, but there is no token",
                    cure,
                ));
            }
        }
        let all = [&places.user, &places.account, &places.transaction].into_iter().chain(&places.callback);
        if all.into_iter().any(|place| !place.is_plain()) && table.ca.is_none() {
            let cure = "name the PEM file that the backend's certificate leads to";
            return Err(Problem::config("enclave.exchange.ca", "is missing, and a URL is https", cure));
        }
        Ok(Self {
            places,
            token: table.token.map(|t| given_secret("enclave.exchange.token", t, base, given)).transpose()?,
            token_header: table.token_header,
            authority: table.ca.map(|path| base.join(path)),
            allow,
            listener: table.listener.map(|listener| ListenerSettings::new(listener, base)).transpose()?,
        })
    }
}

impl ListenerSettings {
    fn new(table: typed::ListenerTable, base: &Path) -> Result<Self, Problem> {
        let field = "enclave.exchange.listener.listen";
        let listen = listener(field, &table.listen)?;
        if !is_inner(listen.ip()) {
            let cure = "listen on this machine (127.0.0.1, ::1) or on an address of a private network";
            return Err(Problem::config(field, format!("`{}` is open to the world", listen.ip()), cure));
        }
        let keepalive = above_zero("enclave.exchange.listener.keepalive_ms", table.keepalive_ms)?;
        Ok(Self {
            listen,
            token: secret("enclave.exchange.listener.token", table.token, base)?,
            allow: allow("enclave.exchange.listener.allow", table.allow.as_deref())?,
            keepalive: Duration::from_millis(keepalive),
            tls: table.tls.map(|tls| (base.join(tls.cert), base.join(tls.key))),
        })
    }
}
