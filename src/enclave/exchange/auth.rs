//! Owns how the two sides prove themselves to each other: the header of our calls, and the token of calls to us.

use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Longest token, in bytes.
pub const TOKEN_LEN_MAX: usize = 4096;
/// Shortest token of the private listener, in bytes.
pub const OWN_TOKEN_LEN_MIN: usize = 32;

/// Headers that belong to HTTP itself.
const TAKEN: [HeaderName; 9] =
    [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// A token or a header's name cannot be used. Never repeats a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthFault {
    /// Empty, too long, or with characters that no header carries.
    #[error("is not 1 to {TOKEN_LEN_MAX} visible ASCII characters without blanks")]
    Token,
    /// Too easy to guess.
    #[error("is shorter than {OWN_TOKEN_LEN_MIN} characters")]
    Short,
    /// No name of a header, or one that HTTP needs for itself.
    #[error("is no name of a header that may carry a token")]
    Header,
}

/// The header that our calls to the backend carry.
#[derive(Clone)]
pub struct Auth {
    name: HeaderName,
    value: HeaderValue,
}

impl Auth {
    /// Without a header's name `Authorization: Bearer <token>`; with one, that header with the bare token.
    pub fn new(token: &str, header: Option<&str>) -> Result<Self, AuthFault> {
        check_token(token)?;
        let (name, value) = match header {
            None => (AUTHORIZATION, Zeroizing::new(format!("Bearer {token}"))),
            Some(header) => (header_name(header)?, Zeroizing::new(token.to_owned())),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| AuthFault::Token)?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    /// Name and value.
    pub(super) fn header(&self) -> (HeaderName, HeaderValue) {
        (self.name.clone(), self.value.clone())
    }
}

/// Reads the name of a header that may carry a token.
pub fn header_name(text: &str) -> Result<HeaderName, AuthFault> {
    let name = HeaderName::try_from(text).map_err(|_| AuthFault::Header)?;
    if TAKEN.contains(&name) { Err(AuthFault::Header) } else { Ok(name) }
}

fn check_token(token: &str) -> Result<(), AuthFault> {
    let good = (1..=TOKEN_LEN_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(()) } else { Err(AuthFault::Token) }
}

/// The token that calls to the private listener must bear. Only its hash is kept.
pub struct OwnToken([u8; 32]);

impl OwnToken {
    /// Takes a token that is long enough not to be guessed.
    pub fn new(token: &str) -> Result<Self, AuthFault> {
        check_token(token)?;
        if token.len() < OWN_TOKEN_LEN_MIN {
            return Err(AuthFault::Short);
        }
        Ok(Self(Sha256::digest(token.as_bytes()).into()))
    }

    /// Whether the request bears it: exactly one `Authorization: Bearer <token>`. Takes as long for any wrong token.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
        let hash: [u8; 32] = Sha256::digest(token).into();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(hash.ct_eq(&self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(token: &str, header: Option<&str>) -> (String, String) {
        let (name, value) = Auth::new(token, header).unwrap().header();
        assert!(value.is_sensitive(), "no log shows it");
        (name.to_string(), value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_token_goes_where_the_guide_says() {
        assert_eq!(shown("s3cret", None), ("authorization".into(), "Bearer s3cret".into()));
        assert_eq!(shown("s3cret", Some("X-Api-Key")), ("x-api-key".into(), "s3cret".into()));
        assert_eq!(shown("s3cret", Some("Authorization")), ("authorization".into(), "s3cret".into()));
    }

    #[test]
    fn tokens_and_headers_that_cannot_travel_are_refused() {
        for bad in ["", "a b", "a\nb", "á", &"x".repeat(TOKEN_LEN_MAX + 1)] {
            assert_eq!(Auth::new(bad, None).err(), Some(AuthFault::Token), "{bad}");
        }
        for bad in ["", "X Api Key", "Host", "content-length", "Transfer-Encoding", "a:b"] {
            assert_eq!(Auth::new("t", Some(bad)).err(), Some(AuthFault::Header), "{bad}");
        }
    }

    #[test]
    fn only_the_very_token_opens_the_private_listener() {
        let secret = "0123456789abcdef0123456789abcdef";
        let token = OwnToken::new(secret).unwrap();
        let admits = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|v| {
                headers.append(AUTHORIZATION, HeaderValue::from_str(v).unwrap());
            });
            token.admits(&headers)
        };
        let good = format!("Bearer {secret}");
        assert!(admits(&[&good]) && admits(&[&good.replace("Bearer", "bearer")]));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            secret,
            &format!("Basic {secret}"),
            &format!("{good}0"),
            &good.replace("ef", "fe"),
        ] {
            assert!(!admits(&[bad]), "{bad}");
        }
        assert!(!admits(&[]) && !admits(&[&good, &good]), "one header, once");
        assert_eq!(OwnToken::new("short").err(), Some(AuthFault::Short));
    }
}
