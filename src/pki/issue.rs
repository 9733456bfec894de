//! A certificate authority of one's own, and the certificates it issues. ECDSA P-256 throughout.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::{Identity, PkiFault, role_uri};
use crate::desk::Role;
use crate::withdrawal::Seconds;

/// 9999-12-31T23:59:59Z, the last moment a certificate can name (RFC 5280, section 4.1.2.5).
const LAST_SECOND: u64 = 253_402_300_799;

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Seconds,
    /// The last second.
    pub not_after: Seconds,
}

/// A certificate asked for.
#[derive(Debug, Clone)]
pub struct LeafOrder {
    /// The role it carries.
    pub role: Role,
    /// The name after the role.
    pub name: String,
    /// The DNS names and IP addresses it serves under; empty for who only calls.
    pub hosts: Vec<String>,
    /// From when to when.
    pub validity: Validity,
}

/// A certificate and its private key. Has no `Debug` and cannot be cloned.
pub struct Issued {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The certificate in PEM form.
    pub certificate_pem: String,
    /// The private key in PEM form (PKCS #8), wiped when dropped.
    pub key_pem: Zeroizing<String>,
    key_der: Zeroizing<Vec<u8>>,
}

impl Issued {
    /// What TLS needs of it.
    pub fn identity(&self) -> Identity {
        Identity {
            chain: vec![self.certificate.clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.to_vec())),
        }
    }
}

/// Who issues certificates. Holds the authority's key; has no `Debug` and cannot be cloned.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

impl Authority {
    /// Makes a new authority with a new key.
    pub fn create(name: &str, validity: Validity) -> Result<Self, PkiFault> {
        let key = new_key()?;
        let mut params = params(name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(issue_fault)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Takes up an authority from its certificate and key in PEM form.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiFault> {
        let key = KeyPair::from_pem(key_pem).map_err(issue_fault)?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| PkiFault::Pem { path: "authority".into(), what: "certificate" })?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(issue_fault)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), certificate, issuer })
    }

    /// Issues one certificate with a new key.
    pub fn issue(&self, order: &LeafOrder) -> Result<Issued, PkiFault> {
        let key = new_key()?;
        let mut params = params(&format!("{} {}", order.role, order.name), order.validity)?;
        params.subject_alt_names =
            CertificateParams::new(order.hosts.clone()).map_err(issue_fault)?.subject_alt_names;
        let uri = role_uri(order.role, &order.name)?;
        params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(issue_fault)?));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes(order.role);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(issue_fault)?;
        Ok(Issued {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            key_der: Zeroizing::new(key.serialize_der()),
        })
    }

    /// The authority's certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate in PEM form.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's private key in PEM form, to be written once and kept offline.
    pub fn danger_key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }
}

fn new_key() -> Result<KeyPair, PkiFault> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(issue_fault)
}

fn issue_fault(error: rcgen::Error) -> PkiFault {
    PkiFault::Issue(error.to_string())
}

fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, PkiFault> {
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |seconds: Seconds| match seconds.0 {
        0..=LAST_SECOND => Ok(epoch + Duration::from_secs(seconds.0)),
        _ => Err(PkiFault::Issue("the validity ends after the year 9999".into())),
    };
    let mut params = CertificateParams::default();
    params.not_before = at(validity.not_before)?;
    params.not_after = at(validity.not_after)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "countersign");
    Ok(params)
}

/// Only the two parties serve; only they may be taken for a server. The co-signer calls nobody.
fn purposes(role: Role) -> Vec<ExtendedKeyUsagePurpose> {
    match role {
        Role::Signer => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Role::Cosigner => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Role::Exchange | Role::Observer | Role::Operator | Role::Auditor | Role::Executor => {
            vec![ExtendedKeyUsagePurpose::ClientAuth]
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pki::caller_of;

    const VALIDITY: Validity = Validity { not_before: Seconds(1_000), not_after: Seconds(4_000_000_000) };

    #[test]
    fn an_authority_read_back_from_its_files_issues_under_the_same_name() {
        let first = Authority::create("test ca", VALIDITY).unwrap();
        let again = Authority::from_pem(first.certificate_pem(), &first.danger_key_pem()).unwrap();
        let order = LeafOrder { role: Role::Exchange, name: "x".into(), hosts: vec![], validity: VALIDITY };
        let leaf = again.issue(&order).unwrap();
        assert_eq!(caller_of(&leaf.certificate).unwrap().role, Role::Exchange);
        assert_eq!(first.certificate(), again.certificate());
    }

    #[test]
    fn a_validity_beyond_the_last_year_is_refused_and_does_not_panic() {
        let validity = Validity { not_before: Seconds(0), not_after: Seconds(u64::MAX) };
        assert!(matches!(Authority::create("x", validity), Err(PkiFault::Issue(_))));
    }
}
