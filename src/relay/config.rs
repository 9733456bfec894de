//! Owns the relay's configuration: its members, its key, its bounds. Unknown fields are refused.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;

use crate::withdrawal::VaspId;

/// The relay's configuration, as in TOML.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The VASPs that may use it.
    #[serde(rename = "member")]
    pub members: Vec<Member>,
    /// Bounds and times; each has a default.
    #[serde(default)]
    pub limits: Limits,
}

/// One member.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The VASP's id in decimal.
    pub vasp: String,
    /// Its Ed25519 identity key, hex.
    pub identity_key: String,
    /// The only endpoint it may register; any `https://` one if absent.
    pub endpoint: Option<String>,
}

/// Bounds and times.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most parcels kept for all members together.
    pub parcels_max: usize,
    /// The most parcels of one originating VASP.
    pub parcels_per_member_max: usize,
    /// The most bytes of parcels and their answers kept for all members together. Parcels take at most half of it.
    pub bytes_max: usize,
    /// The same of one originating VASP.
    pub bytes_per_member_max: usize,
    /// How long a parcel is kept, in seconds.
    pub parcel_expiry_s: u64,
    /// The longest pause between two deliveries of a parcel, in seconds.
    pub retry_s_max: u64,
    /// The most calls to one enclave at the same time.
    pub calls_per_member_max: usize,
    /// How long an enclave may take over a call, in seconds.
    pub call_s_max: u64,
    /// The pause between two probes of an enclave's health, in seconds.
    pub probe_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parcels_max: 10_000,
            parcels_per_member_max: 5_000,
            bytes_max: 512 * 1024 * 1024,
            bytes_per_member_max: 64 * 1024 * 1024,
            parcel_expiry_s: 86_400,
            retry_s_max: 600,
            calls_per_member_max: 64,
            call_s_max: 8,
            probe_s: 15,
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// Not TOML, or an unknown or missing field.
    #[error("the relay's configuration cannot be read: {0}")]
    Unreadable(String),
    /// A member that cannot be one.
    #[error("member `{0}`: {1}")]
    Member(String, &'static str),
}

impl Config {
    /// Reads the TOML form and checks it.
    pub fn parse(text: &str) -> Result<Self, ConfigFault> {
        let config: Self = toml::from_str(text).map_err(|e| ConfigFault::Unreadable(e.to_string()))?;
        config.keys().map(|_| config)
    }

    /// The members' keys by their names.
    pub(super) fn keys(&self) -> Result<HashMap<String, VerifyingKey>, ConfigFault> {
        let mut keys = HashMap::new();
        for member in &self.members {
            let no = |problem| ConfigFault::Member(member.vasp.clone(), problem);
            VaspId::parse(&member.vasp).map_err(|_| no("the id is not a decimal number of up to 64 bits"))?;
            let bytes = HEXLOWER.decode(member.identity_key.as_bytes()).ok().and_then(|b| b.try_into().ok());
            let key = bytes.and_then(|b: [u8; 32]| VerifyingKey::from_bytes(&b).ok());
            let key = key.ok_or_else(|| no("the identity key is not an Ed25519 key in hex"))?;
            if member.endpoint.as_deref().is_some_and(|e| !is_endpoint(e)) {
                return Err(no("the endpoint is not an https:// address without path"));
            }
            if keys.insert(member.vasp.clone(), key).is_some() {
                return Err(no("stands twice"));
            }
        }
        Ok(keys)
    }
}

/// Whether that is an `https://` address without path, query or user.
pub(super) fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !rest.is_empty() && text.len() <= 256 && rest.chars().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_member_list_is_read_and_its_mistakes_are_named() {
        let member =
            |vasp: &str, key: &str| format!("[[member]]\nvasp = \"{vasp}\"\nidentity_key = \"{key}\"\n");
        assert_eq!(Config::parse(&member("7", KEY)).unwrap().members.len(), 1);
        for bad in [
            member("x", KEY),
            member("7", "00"),
            member("7", KEY) + &member("7", KEY),
            member("7", KEY) + "endpoint = \"http://a\"\n",
            member("7", KEY) + "colour = \"red\"\n",
            String::new(),
        ] {
            assert!(Config::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_https_with_nothing_behind_the_host() {
        assert!(is_endpoint("https://127.0.0.1:8443") && is_endpoint("https://[::1]:1"));
        for bad in ["http://a", "https://", "https://a/b", "https://u@a", "https://a?b", "https://a b"] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}
