//! Certificates: issuing them, reading who a caller is from one, and the TLS settings that both sides use.
//!
//! TLS 1.3 only, certificates on both sides, one crypto provider named outright. It does not know what a role may do.

pub mod caller;
pub mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod issue;
pub mod tls;

pub use crate::desk::{Caller, Role};
pub use caller::{caller_of, role_uri};
pub use files::{PemFiles, load_authority, read_certificates, read_identity};
pub use issue::{Authority, Issued, LeafOrder, Validity};
pub use tls::{Identity, client_config, server_config};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiFault {
    /// The certificate is no X.509 certificate.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// There is no URI that names a role.
    #[error("the certificate names no role; it needs one URI `countersign:role:<role>/<name>`")]
    NoRole,
    /// There are several URIs that name a role.
    #[error("the certificate names more than one role")]
    SeveralRoles,
    /// The role is none of ours, or the name has a character that is not allowed.
    #[error("`{0}` is no role and name; write <role>/<name>, the name 1 to 64 of A-Z a-z 0-9 . _ - :")]
    RoleMalformed(String),
    /// A file cannot be read or written.
    #[error("`{path}`: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A PEM file does not hold what it should.
    #[error("`{path}` holds no {what} in PEM form")]
    Pem {
        /// Which file or text.
        path: String,
        /// What was looked for.
        what: &'static str,
    },
    /// A private key can be read by others.
    #[error("`{0}` can be read by other users; run chmod 600 on it")]
    KeyOpen(String),
    /// A certificate cannot be made.
    #[error("the certificate cannot be issued: {0}")]
    Issue(String),
    /// The settings do not fit together.
    #[error("the certificates cannot be used for TLS: {0}")]
    Tls(String),
}
