//! What the door is told: the chain, the endpoints and how many must agree, what final means, and the bounds.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use crate::ethereum::ChainId;
use crate::withdrawal::{Code, Invalid};

/// The most endpoints.
const ENDPOINTS_MAX: usize = 16;
/// The longest address, in bytes.
const URL_LEN_MAX: usize = 2048;
/// The longest name, in bytes.
const NAME_LEN_MAX: usize = 40;

/// What an endpoint is called in every message. Addresses may hold a provider's key, so they are never shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a name: small letters, digits and hyphens.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > NAME_LEN_MAX || !text.bytes().all(plain) {
            let problem = "is no name of an endpoint";
            let cure = "write 1 to 40 small letters, digits and hyphens";
            return Err(Invalid::new(Code::FieldMalformed, "nodes.name", problem, cure));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One node, or a provider's entrance to many. Its address may be a secret, so it has no `Debug`.
pub struct Place {
    pub(super) name: Name,
    pub(super) url: Url,
    pub(super) bearer: Option<Zeroizing<String>>,
}

impl Place {
    /// An endpoint at an `https://` address; plain `http://` is for this machine and private networks, by number.
    pub fn new(name: Name, url: &str, bearer: Option<Zeroizing<String>>) -> Result<Self, Invalid> {
        let no = |problem: &str| {
            let cure =
                "write https://host[:port][/path], or http:// to this machine or a private network's address";
            Err(Invalid::new(Code::FieldMalformed, "nodes.url", problem, cure))
        };
        // a reader of addresses passes over line ends and mends slashes: what is called is what stands there
        let unseen = url.chars().any(|c| c.is_control() || c.is_whitespace());
        let slashes = url.starts_with("https://") || url.starts_with("http://");
        if unseen || !slashes || url.len() > URL_LEN_MAX {
            return no("is no http:// or https:// address");
        }
        let Ok(url) = Url::parse(url) else { return no("is no http:// or https:// address") };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return no("holds a user, a password or a fragment");
        }
        if url.scheme() == "http" && !is_inner(&url) {
            return no("is plain http beyond this machine and private networks");
        }
        let shown = |b: u8| (0x21..0x7f).contains(&b);
        if bearer.as_ref().is_some_and(|token| token.is_empty() || !token.bytes().all(shown)) {
            let cure = "put the token alone into the file, in one line";
            return Err(Invalid::new(Code::FieldMalformed, "nodes.bearer", "is no token", cure));
        }
        Ok(Self { name, url, bearer })
    }
}

fn is_inner(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => false,
    }
}

/// A block that nodes name themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `finalized`: two thirds of the stake would have to be lost to undo it.
    Finalized,
    /// `safe`: undone only by an attack.
    Safe,
}

impl Tag {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Finalized => "finalized",
            Self::Safe => "safe",
        }
    }
}

/// Which blocks are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finality {
    /// The node's own tag, if one is used.
    pub tag: Option<Tag>,
    /// How many blocks lie on top, where there is no tag, or a node does not know it. At least one.
    pub depth: u64,
}

/// What one question may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long one call may take, and how long at most it waits for a place before.
    pub time: Duration,
    /// The longest answer that is read, in bytes.
    pub answer_len_max: usize,
    /// How many blocks are asked for logs at once.
    pub log_blocks_max: u64,
    /// How many calls are under way at one endpoint.
    pub at_once_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            answer_len_max: 8 * 1024 * 1024,
            log_blocks_max: 1000,
            at_once_max: 16,
        }
    }
}

/// Everything that the door is told.
pub struct Settings {
    pub(super) chain: ChainId,
    pub(super) places: Vec<Place>,
    pub(super) quorum: usize,
    pub(super) finality: Finality,
    pub(super) bounds: Bounds,
    pub(super) roots: RootCertStore,
}

impl Settings {
    /// Settings where no single node is believed: at least two must agree, and they are more than half of all.
    pub fn new(
        chain: ChainId,
        (places, quorum): (Vec<Place>, usize),
        finality: Finality,
        bounds: Bounds,
        roots: RootCertStore,
    ) -> Result<Self, Invalid> {
        let no = |field, problem: &str, cure| Err(Invalid::new(Code::FieldMalformed, field, problem, cure));
        if places.len() > ENDPOINTS_MAX {
            return no("nodes", "names too many endpoints", "name at most 16");
        }
        let names: BTreeSet<&Name> = places.iter().map(|place| &place.name).collect();
        let urls: BTreeSet<&str> = places.iter().map(|place| place.url.as_str()).collect();
        if names.len() != places.len() || urls.len() != places.len() {
            return no("nodes", "names an endpoint twice", "give each endpoint its own name and address");
        }
        if quorum < 2 || quorum > places.len() || quorum.saturating_mul(2) <= places.len() {
            let cure = "name at least two endpoints, and let more than half of them have to agree";
            return no("nodes.quorum", "is no majority of at least two", cure);
        }
        if finality.depth == 0 {
            return no("nodes.depth", "is zero", "write how many blocks on top make a block final");
        }
        let zero = bounds.time.is_zero() || bounds.answer_len_max == 0;
        if zero || bounds.log_blocks_max == 0 || bounds.at_once_max == 0 {
            return no("nodes.bounds", "has a bound of zero", "write a positive number");
        }
        Ok(Self { chain, places, quorum, finality, bounds, roots })
    }
}
