//! Owns the law of certificates: a caller is read only where a role and a name stand, and both can be written again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use rustls_pki_types::CertificateDer;

use super::{Authority, LeafOrder, Role, Validity, caller_of, role_uri};
use crate::withdrawal::Seconds;

/// DER certificates, as they come with a connection.
pub(crate) fn certificate(data: &[u8]) {
    if let Ok(caller) = caller_of(&CertificateDer::from(data)) {
        let uri = role_uri(caller.role, &caller.name).expect("a caller's name can be written");
        assert!(data.windows(uri.len()).any(|at| at == uri.as_bytes()), "a role that does not stand there");
    }
}

pub(crate) fn certificate_seeds() -> Vec<Vec<u8>> {
    let validity = Validity { not_before: Seconds(1_700_000_000), not_after: Seconds(1_900_000_000) };
    let authority = Authority::create("fuzzing", validity).unwrap();
    let issued = |role| {
        let order =
            LeafOrder { role, name: "hanbit".to_owned(), hosts: vec!["localhost".to_owned()], validity };
        authority.issue(&order).ok().map(|issued| issued.certificate.to_vec())
    };
    let mut all: Vec<_> = Role::ALL.into_iter().filter_map(issued).collect();
    all.push(authority.certificate().to_vec());
    all
}
