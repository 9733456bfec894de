//! Who a certificate belongs to: one URI in its subject alternative names (RFC 5280, section 4.2.1.6).

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PkiFault;
use crate::desk::{Caller, Role};
use crate::withdrawal::Seconds;

const PREFIX: &str = "countersign:role:";
const NAME_LEN_MAX: usize = 64;

/// The URI that a certificate of this role and name carries.
pub fn role_uri(role: Role, name: &str) -> Result<String, PkiFault> {
    let uri = format!("{PREFIX}{role}/{name}");
    role_of_uri(&uri).map(|_| uri)
}

fn role_of_uri(uri: &str) -> Result<(Role, String), PkiFault> {
    let no = || PkiFault::RoleMalformed(uri.chars().take(120).collect());
    let (role, name) = uri.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).ok_or_else(no)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(plain) {
        return Err(no());
    }
    Ok((Role::parse(role).ok_or_else(no)?, name.to_owned()))
}

/// Reads who the certificate belongs to. Says nothing of whether it is valid: TLS has verified that.
pub fn caller_of(certificate: &CertificateDer<'_>) -> Result<Caller, PkiFault> {
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| PkiFault::Unreadable)?;
    if !rest.is_empty() {
        return Err(PkiFault::Unreadable);
    }
    let names = parsed.subject_alternative_name().map_err(|_| PkiFault::Unreadable)?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let mut roles = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if uri.starts_with(PREFIX) => Some(*uri),
        _ => None,
    });
    let uri = roles.next().ok_or(PkiFault::NoRole)?;
    if roles.next().is_some() {
        return Err(PkiFault::SeveralRoles);
    }
    let (role, name) = role_of_uri(uri)?;
    let not_after = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Caller { role, name, not_after: Seconds(not_after) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pki::{Authority, LeafOrder, Validity};

    const VALIDITY: Validity = Validity { not_before: Seconds(1_000), not_after: Seconds(4_000_000_000) };

    #[test]
    fn every_role_and_its_name_come_back_from_a_certificate() {
        let authority = Authority::create("test", VALIDITY).unwrap();
        for role in Role::ALL {
            let order = LeafOrder { role, name: "kr:main-1".into(), hosts: vec![], validity: VALIDITY };
            let caller = caller_of(&authority.issue(&order).unwrap().certificate).unwrap();
            assert_eq!(caller, Caller { role, name: "kr:main-1".into(), not_after: Seconds(4_000_000_000) });
        }
    }

    #[test]
    fn a_certificate_without_a_role_is_nobodys() {
        let authority = Authority::create("test", VALIDITY).unwrap();
        assert!(matches!(caller_of(authority.certificate()), Err(PkiFault::NoRole)));
        assert!(matches!(caller_of(&CertificateDer::from(vec![1, 2, 3])), Err(PkiFault::Unreadable)));
    }

    #[test]
    fn a_role_we_do_not_know_and_a_name_with_a_slash_are_refused() {
        for wrong in ["root/x", "signer/", "signer/a/b", "signer", "Signer/x", "signer/a b"] {
            assert!(role_of_uri(&format!("{PREFIX}{wrong}")).is_err(), "{wrong}");
        }
        assert!(role_uri(Role::Signer, &"x".repeat(65)).is_err());
        assert_eq!(role_uri(Role::Auditor, "kim").unwrap(), "countersign:role:auditor/kim");
    }
}
