//! The way to the exchange's own backend, built once: a secret behind a descriptor can be read only once.

use std::sync::Arc;

use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::assemble::roots_of;
use crate::cli::config::exchange::{ExchangeSettings, ListenerSettings};
use crate::cli::config::secrets::text_of;
use crate::cli::problem::Problem;
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::exchange::{Auth, HttpBackend, Line};
use crate::enclave::wire::tls::{self, Identity};
use crate::enclave::{Backend, NoCustomers};
use crate::flow::context::machine_clock;
use crate::pki;

/// What a private listener opens with: its token, and its TLS where it has a certificate.
pub type Private = (OwnToken, Option<Arc<rustls::ServerConfig>>);

/// The way to the exchange's backend, with the token that is shown there.
pub struct Outward {
    line: Line,
    /// The other direction's token must be another one.
    token: Option<Zeroizing<String>>,
}

impl Outward {
    /// Reads the token and the CA, each once.
    pub fn of(exchange: &ExchangeSettings) -> Result<Self, Problem> {
        let field = "enclave.exchange.token";
        let roots =
            exchange.authority.as_deref().map(|path| roots_of("enclave.exchange.ca", path)).transpose()?;
        let token = exchange.token.as_ref().map(|token| token.read(field)).transpose()?;
        let auth = token.as_ref().map(|token| {
            let auth = Auth::new(token, exchange.token_header.as_deref());
            let cure = "write a token of visible ASCII characters without blanks";
            auth.map_err(|no| Problem::config(field, no.to_string(), cure))
        });
        let roots = roots.unwrap_or_else(RootCertStore::empty);
        let line = Line::new(roots, auth.transpose()?, exchange.allow.clone()).map_err(|fault| {
            Problem::config("enclave.exchange", fault.to_string(), "correct the exchange's settings")
        })?;
        Ok(Self { line, token })
    }

    /// The line itself; copies share its connections.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// What the private listener needs. The two sides' tokens differ.
    pub fn private(&self, listener: &ListenerSettings) -> Result<Private, Problem> {
        let field = "enclave.exchange.listener.token";
        let text = text_of(field, &listener.token)?;
        let cure = "write at least 32 random characters, such as 32 bytes in hex";
        let token = OwnToken::new(&text).map_err(|no| Problem::config(field, no.to_string(), cure))?;
        if self.token.as_ref().is_some_and(|other| **other == *text) {
            let cure = "make a token of its own for each direction";
            return Err(Problem::config(field, "is the token of enclave.exchange.token as well", cure));
        }
        let tls = listener.tls.as_ref().map(|(certificate, key)| {
            let identity = pki::read_identity(certificate, key)?;
            let field = "enclave.exchange.listener.tls";
            let tls = tls::server_config(Identity { chain: identity.chain, key: identity.key });
            tls.map_err(|error| Problem::config(field, error.to_string(), "name a certificate and its key"))
        });
        Ok((token, tls.transpose()?))
    }
}

/// Who answers for our own customers; without a backend nobody is known.
pub fn backend(exchange: Option<(&ExchangeSettings, &Outward)>) -> Arc<dyn Backend> {
    match exchange {
        None => Arc::new(NoCustomers),
        Some((exchange, outward)) => {
            Arc::new(HttpBackend::new(outward.line().clone(), exchange.places.clone(), machine_clock()))
        }
    }
}
