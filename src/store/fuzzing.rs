//! Owns the law of a store's address: what is shown of it holds no password, and what is shown of a file is its address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::StoreUrl;

/// Addresses of stores.
pub(crate) fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = StoreUrl::parse(text) {
        let shown = url.to_string();
        if let Some(path) = shown.strip_prefix("sqlite:") {
            assert!(text.ends_with(path) && text.starts_with("sqlite:"), "another file is shown");
        }
        if text.starts_with("mysql://u:pw0rd7391@") {
            assert!(shown.starts_with("mysql://u@"), "more than the user is shown: {shown}");
        }
        assert!(text.starts_with("sqlite:") || !text.chars().any(char::is_control));
    }
}

pub(crate) fn url_seeds() -> Vec<Vec<u8>> {
    [
        "sqlite:/var/lib/a.db",
        "sqlite:///a.db",
        "mysql://u:pw0rd7391@db.example:3306/name?ssl-mode=VERIFY_IDENTITY",
        "mysql://u:pw0rd7391@localhost/name",
        "mysql://u@[::1]/name?socket=/run/x",
        "mysql://db/name?ssl-ca=/etc/ca.pem&charset=utf8mb4",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
