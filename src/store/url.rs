//! Where a store is. Parsing only; nothing is opened here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::OpenFault;

/// The address of a store: `sqlite:/path/to/file` or `mysql://user:password@host:port/database?ssl-ca=/path`.
///
/// It is printed without the password.
#[derive(Clone)]
pub struct StoreUrl(pub(super) Place);

#[derive(Clone)]
pub(super) enum Place {
    Sqlite(PathBuf),
    MySql(Box<MySqlConnectOptions>),
}

impl StoreUrl {
    /// Reads an address. A server on another machine must prove who it is (TLS with `ssl-mode=VERIFY_CA` or
    /// `VERIFY_IDENTITY`; the latter is taken when nothing is said).
    pub fn parse(text: &str) -> Result<Self, OpenFault> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path.strip_prefix("//").unwrap_or(path));
        }
        if text.starts_with("mysql://") {
            // A URL's reader passes over tabs and line ends: what is called is what stands there.
            if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(OpenFault::Url("holds a blank or a character that nobody sees"));
            }
            return mysql(text);
        }
        Err(OpenFault::Url("starts neither with `sqlite:` nor with `mysql://`"))
    }
}

fn sqlite(path: &str) -> Result<StoreUrl, OpenFault> {
    if path.is_empty() {
        return Err(OpenFault::Url("names no file"));
    }
    if path.contains(['?', '#']) || path.starts_with(':') {
        return Err(OpenFault::Url("must be a plain path: no memory databases and no parameters"));
    }
    Ok(StoreUrl(Place::Sqlite(PathBuf::from(path))))
}

fn mysql(text: &str) -> Result<StoreUrl, OpenFault> {
    let mut options =
        MySqlConnectOptions::from_str(text).map_err(|_| OpenFault::Url("is not a valid mysql:// address"))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(OpenFault::Url("names no database"));
    }
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let said = query.split('&').any(|p| p.starts_with("ssl-mode=") || p.starts_with("sslmode="));
    let authority = query.split('&').any(|p| p.starts_with("ssl-ca=") || p.starts_with("sslca="));
    let local =
        options.get_socket().is_some() || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1");
    if !said && (authority || !local) {
        options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
    }
    let verified = matches!(options.get_ssl_mode(), MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity);
    if !local && !verified {
        return Err(OpenFault::Url("asks for a connection to another machine without verifying it"));
    }
    Ok(StoreUrl(Place::MySql(Box::new(options))))
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Place::MySql(options) => write!(
                f,
                "mysql://{}@{}:{}/{}",
                options.get_username(),
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(text: &str) -> String {
        StoreUrl::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_address_with_characters_that_a_reader_would_drop_is_refused() {
        for text in ["mysql://u@local\thost/name", "mysql://u@localhost/na\nme", "mysql://u@localhost/name "]
        {
            assert!(problem(text).contains("nobody sees"), "{text:?}");
        }
    }

    #[test]
    fn a_path_is_a_path_and_nothing_else() {
        assert_eq!(StoreUrl::parse("sqlite:/var/lib/a.db").unwrap().to_string(), "sqlite:/var/lib/a.db");
        assert_eq!(StoreUrl::parse("sqlite:///var/lib/a.db").unwrap().to_string(), "sqlite:/var/lib/a.db");
        assert!(problem("sqlite::memory:").contains("plain path"));
        assert!(problem("sqlite:/a.db?mode=rwc").contains("plain path"));
        assert!(problem("sqlite:").contains("no file"));
        assert!(problem("/var/lib/a.db").contains("starts neither"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let url = StoreUrl::parse("mysql://signer:hunter2@127.0.0.1:3306/ledger").unwrap();
        assert_eq!(format!("{url} {url:?}").matches("hunter2").count(), 0);
        assert_eq!(url.to_string(), "mysql://signer@127.0.0.1:3306/ledger");
    }

    #[test]
    fn a_server_on_another_machine_must_be_verified() {
        assert!(problem("mysql://a@db.example/x?ssl-mode=REQUIRED").contains("without verifying"));
        assert!(problem("mysql://a@db.example/").contains("no database"));
        let Place::MySql(options) = StoreUrl::parse("mysql://a@db.example/x").unwrap().0 else { return };
        assert!(matches!(options.get_ssl_mode(), MySqlSslMode::VerifyIdentity));
    }
}
