//! The text by which a key holder proves that the key behind a descriptor is theirs. Its signature is made and checked
//! by the room of the keys.

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::field;
use crate::withdrawal::{Invalid, KeyRole, Network, Seconds};

/// The form of a proof of possession.
pub static POSSESSION: Form = Form::new("countersign key-possession v1", &["role", "network", "key", "at"]);

/// Whose key, for which network, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PossessionText {
    /// Who holds the key.
    pub role: KeyRole,
    /// The network it is for.
    pub network: Network,
    /// The account's key expression with its origin, `[fingerprint/path]xpub` (BIP-0380).
    pub key: String,
    /// When it was said.
    pub at: Seconds,
}

impl PossessionText {
    /// The canonical text.
    pub fn render(&self) -> String {
        Writer::new(&POSSESSION)
            .line("role", self.role.as_str())
            .line("network", self.network)
            .line("key", &self.key)
            .line("at", self.at.0)
            .finish()
    }

    /// Reads the canonical text; every other spelling is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut reader = Reader::open(text, &POSSESSION)?;
        let possession = Self {
            role: parse_role(reader.take("role")?)?,
            network: field::network("network", reader.take("network")?)?,
            key: parse_key(reader.take("key")?)?,
            at: field::seconds("at", reader.take("at")?)?,
        };
        reader.close()?;
        same(text, &possession.render())?;
        Ok(possession)
    }
}

fn parse_role(text: &str) -> Result<KeyRole, Invalid> {
    KeyRole::parse(text).ok_or_else(|| malformed("role", "is none of signer, cosigner, vault"))
}

/// The outer shape only: an origin with its fingerprint in brackets, then the key.
fn parse_key(text: &str) -> Result<String, Invalid> {
    let shaped = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(_, key)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()))
        .and_then(|(origin, _)| origin.split_once('/'))
        .is_some_and(|(fingerprint, _)| field::hex::<4>("key", fingerprint).is_ok());
    if !shaped {
        return Err(malformed("key", "is not `[fingerprint/path]xpub`"));
    }
    field::graphic("key", text)
}
