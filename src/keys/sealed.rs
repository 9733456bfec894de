//! The keystore's text form: a clear header, the sealed seed, and a digest. Opens nothing and knows no passphrase.
//!
//! Every line ends with one LF. The lines above `sealed` are the header and are bound as associated data; `digest` is
//! SHA-256 of everything above it and only tells damage from a wrong passphrase: it protects nothing.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::keystore::KeystoreError;
use crate::withdrawal::{KeyRole, Network};

const HEADING: &str = "countersign keystore v1";
/// Bytes of the sealed seed: 64 and the tag of 16.
pub(super) const SEALED_LEN: usize = 80;

/// What Argon2id (RFC 9106) may cost: memory in KiB, passes, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl SealCost {
    /// 64 MiB, 3 passes, 1 lane: the second recommended option of RFC 9106 with one lane.
    pub const STANDARD: Self = Self { memory_kib: 65_536, passes: 3, lanes: 1 };

    /// Nearly nothing: for throwaway keys of the sandbox and of tests. A guessed passphrase opens it at once.
    pub const fn danger_cheap() -> Self {
        Self { memory_kib: 64, passes: 1, lanes: 1 }
    }

    /// Checks what a file asks for before any memory is taken.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, KeystoreError> {
        let fits =
            (64..=1_048_576).contains(&memory_kib) && (1..=16).contains(&passes) && (1..=8).contains(&lanes);
        if !fits {
            return Err(KeystoreError::CostOutOfBounds { memory_kib, passes, lanes });
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// Whether guessing passphrases costs less than with the standard.
    pub const fn is_cheap(self) -> bool {
        self.memory_kib < Self::STANDARD.memory_kib || self.passes < Self::STANDARD.passes
    }

    pub(super) fn params(self) -> Option<argon2::Params> {
        argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()
    }
}

/// Whose seed a keystore holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeystoreRole {
    /// One of the three whose keys the wallets have.
    Party(KeyRole),
    /// The executor, whose account pays gas and nothing else.
    Executor,
}

impl KeystoreRole {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Party(role) => role.as_str(),
            Self::Executor => "executor",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "executor" => Some(Self::Executor),
            party => KeyRole::parse(party).map(Self::Party),
        }
    }
}

impl From<KeyRole> for KeystoreRole {
    fn from(role: KeyRole) -> Self {
        Self::Party(role)
    }
}

/// What a keystore says about itself in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeystoreTerms {
    /// Whose key it is.
    pub role: KeystoreRole,
    /// The network it signs on.
    pub network: Network,
    /// The account of BIP-0048.
    pub account: u32,
    /// What opening it costs.
    pub cost: SealCost,
}

/// A keystore file, read but not opened.
pub(super) struct Sealed {
    pub(super) terms: KeystoreTerms,
    pub(super) fingerprint: [u8; 4],
    pub(super) salt: [u8; 16],
    pub(super) nonce: [u8; 24],
    pub(super) body: [u8; SEALED_LEN],
}

impl Sealed {
    /// The lines that are bound as associated data.
    pub(super) fn header(&self) -> String {
        let KeystoreTerms { role, network, account, cost } = self.terms;
        format!(
            "{HEADING}\nrole: {}\nnetwork: {network}\naccount: {account}\nfingerprint: {}\nkdf: argon2id\n\
             memory_kib: {}\npasses: {}\nlanes: {}\nsalt: {}\ncipher: xchacha20poly1305\nnonce: {}\n",
            role.as_str(),
            HEXLOWER.encode(&self.fingerprint),
            cost.memory_kib,
            cost.passes,
            cost.lanes,
            HEXLOWER.encode(&self.salt),
            HEXLOWER.encode(&self.nonce),
        )
    }

    /// The whole file.
    pub(super) fn render(&self) -> String {
        let body = format!("{}sealed: {}\n", self.header(), HEXLOWER.encode(&self.body));
        let digest = HEXLOWER.encode(&Sha256::digest(body.as_bytes()));
        format!("{body}digest: {digest}\n")
    }

    /// Reads a file; what it read must render to the same bytes again.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeystoreError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeystoreError::Corrupted("it is not text"))?;
        let mut lines = text.lines();
        match lines.next() {
            Some(HEADING) => {}
            Some(other) if other.starts_with("countersign keystore v") => {
                return Err(KeystoreError::Corrupted("it is of a version this program does not know"));
            }
            _ => return Err(KeystoreError::Corrupted("it does not start like a keystore")),
        }
        let sealed = Self::parse_lines(&mut lines)?;
        if sealed.render() != text {
            return Err(KeystoreError::Corrupted("its digest or its form does not hold"));
        }
        sealed.terms.cost.checked()?;
        Ok(sealed)
    }

    fn parse_lines<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Self, KeystoreError> {
        let role = KeystoreRole::parse(value(lines, "role")?);
        let network = Network::parse(value(lines, "network")?);
        let account = number(lines, "account")?;
        let fingerprint = hex(lines, "fingerprint")?;
        value(lines, "kdf")?;
        let cost = SealCost {
            memory_kib: number(lines, "memory_kib")?,
            passes: number(lines, "passes")?,
            lanes: number(lines, "lanes")?,
        };
        let salt = hex(lines, "salt")?;
        value(lines, "cipher")?;
        let terms = KeystoreTerms {
            role: role.ok_or(KeystoreError::Corrupted("its role is unknown"))?,
            network: network.map_err(|_| KeystoreError::Corrupted("its network is unknown"))?,
            account,
            cost,
        };
        Ok(Self { terms, fingerprint, salt, nonce: hex(lines, "nonce")?, body: hex(lines, "sealed")? })
    }
}

impl SealCost {
    fn checked(self) -> Result<Self, KeystoreError> {
        Self::new(self.memory_kib, self.passes, self.lanes)
    }
}

fn value<'a>(lines: &mut impl Iterator<Item = &'a str>, key: &'static str) -> Result<&'a str, KeystoreError> {
    let line = lines.next().and_then(|line| line.strip_prefix(key)).and_then(|line| line.strip_prefix(": "));
    line.ok_or(KeystoreError::Corrupted("a line of its header is missing"))
}

fn number<'a>(lines: &mut impl Iterator<Item = &'a str>, key: &'static str) -> Result<u32, KeystoreError> {
    value(lines, key)?.parse().map_err(|_| KeystoreError::Corrupted("a number in its header cannot be read"))
}

fn hex<'a, const N: usize>(
    lines: &mut impl Iterator<Item = &'a str>,
    key: &'static str,
) -> Result<[u8; N], KeystoreError> {
    let bytes = HEXLOWER.decode(value(lines, key)?.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(KeystoreError::Corrupted("a hex value in it has the wrong length or digits"))
}
