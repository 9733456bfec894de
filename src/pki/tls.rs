//! The TLS settings of both sides: version 1.3, certificates required, HTTP/2, no resumption, ring named outright.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::PkiFault;

const HTTP_2: &[u8] = b"h2";

/// A certificate chain and its private key. Has no `Debug` and cannot be cloned.
pub struct Identity {
    /// The party's certificate first, then what leads to the CA.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first.
    pub key: PrivateKeyDer<'static>,
}

/// A server that takes only clients with a valid certificate of one of these authorities.
pub fn server_config(
    authorities: &[CertificateDer<'static>],
    identity: Identity,
) -> Result<Arc<ServerConfig>, PkiFault> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, provider())
        .build()
        .map_err(|error| PkiFault::Tls(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(tls_fault)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(tls_fault)?;
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    // Every connection shows its certificate anew: no session outlives it.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A client that shows its certificate and takes only servers of one of these authorities.
pub fn client_config(
    authorities: &[CertificateDer<'static>],
    identity: Identity,
) -> Result<Arc<ClientConfig>, PkiFault> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(tls_fault)?
        .with_root_certificates(roots(authorities)?)
        .with_client_auth_cert(identity.chain, identity.key)
        .map_err(tls_fault)?;
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, PkiFault> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(tls_fault)?;
    }
    if roots.is_empty() {
        return Err(PkiFault::Tls("no authority is given".into()));
    }
    Ok(Arc::new(roots))
}

fn tls_fault(error: rustls::Error) -> PkiFault {
    PkiFault::Tls(error.to_string())
}
