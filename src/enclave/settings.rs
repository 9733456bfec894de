//! Owns what an enclave is started with, and refuses settings that cannot be meant.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use rustls::RootCertStore;

use super::allow::AllowList;
use super::screen::Screener;
use super::wire::key::KeyType;
use super::wire::tls::{Identity, QUIET_TIME};
use super::{Clock, Coin, DataKey, EnclaveFault};
use crate::enclave::wire::seal::Suite;
use crate::withdrawal::{Network, VaspId};

/// Shortest life of a cached key, in seconds, as the network documents it.
const KEY_TTL_S_MIN: u64 = 600;
/// Longest, so that a cached statement never outlives its own end.
const KEY_TTL_S_MAX: u64 = 3600;

/// Where the relay is and what it signs with.
#[derive(Debug, Clone)]
pub struct RelayPin {
    /// Its `https://` address without path.
    pub url: String,
    /// Its Ed25519 key: only its requests are taken.
    pub key: [u8; 32],
}

/// What the trust file says of a VASP beside its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaspFacts {
    /// Its name.
    pub name: String,
    /// Whose law binds it (ISO 3166-1 alpha-2), where that is known.
    pub country: Option<String>,
}

impl VaspFacts {
    /// As an IVMS101 person, which is what a VASP is there: a legal one with its name, and its country where that is known.
    pub(super) fn ivms101(&self) -> String {
        let name = serde_json::json!({"legalPersonName": self.name, "legalPersonNameIdentifierType": "LEGL"});
        let mut legal = serde_json::json!({"name": {"nameIdentifier": [name]}});
        if let (Some(country), Some(members)) = (&self.country, legal.as_object_mut()) {
            members.insert("countryOfRegistration".to_owned(), serde_json::Value::String(country.clone()));
        }
        serde_json::json!({ "legalPerson": legal }).to_string()
    }
}

/// Everything an enclave needs.
pub struct Settings {
    /// Who this is.
    pub vasp: VaspId,
    /// The VASP's identity key: signs answers, keys and requests.
    pub identity: SigningKey,
    /// Seals the database; of its own, never derived from a coin key.
    pub data_key: DataKey,
    /// The database file.
    pub database: PathBuf,
    /// The identity keys of the VASPs that are trusted, from the trust file.
    pub directory: BTreeMap<VaspId, [u8; 32]>,
    /// The version of that trust file: nothing starts with one below what the database has seen.
    pub directory_version: u64,
    /// What records say of the VASPs, our own among them: who is not named has nothing said of it.
    pub vasps: BTreeMap<VaspId, VaspFacts>,
    /// The relay.
    pub relay: RelayPin,
    /// The roots that the relay's certificate must lead to.
    pub roots: RootCertStore,
    /// The certificate of the public listener.
    pub tls: Identity,
    /// The public `https://` address of the listener, as the relay reaches it.
    pub endpoint: String,
    /// Who looks for addresses and names on sanctions lists; nobody, where nobody is named.
    pub screener: Option<Arc<dyn Screener>>,
    /// Bounds and times.
    pub limits: Limits,
    /// The clock.
    pub now: Clock,
}

/// Bounds and times.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The suites this enclave has, X25519 among them.
    pub suites: Vec<Suite>,
    /// How encryption keys are chosen.
    pub key_type: KeyType,
    /// How long a counterparty's key is kept, in seconds (600 to 3,600).
    pub key_ttl_s: u64,
    /// How long one `verify` waits for an answer.
    pub answer_wait: Duration,
    /// How long one try may take, the wait for a place among others included; what takes longer is tried again.
    pub try_time: Duration,
    /// How long a verification is retried, in seconds.
    pub expiry_s: u64,
    /// The longest pause between two tries, in seconds.
    pub retry_s_max: u64,
    /// The most verifications that may wait; at most half of them for one counterparty.
    pub waiting_max: u64,
    /// The most verifications tried at the same time, at most a quarter of them of one counterparty; and the most taken from the relay.
    pub at_once_max: usize,
    /// How long the own backend may take over a person, and a screener over everybody who is named.
    pub user_time: Duration,
    /// How long the own backend may take over an address, a transfer's status or a callback.
    pub account_time: Duration,
    /// The relay's addresses, both as a caller and as the called, where they are listed.
    pub relay_allow: Option<AllowList>,
    /// How long an unused connection of the public listener is kept; at least [`QUIET_TIME`], as the relay expects.
    pub keepalive: Duration,
    /// How long a verification is kept, in seconds; for ever without a number.
    pub kept_s: Option<u64>,
    /// How long an ordered account verification, or an inquiry, may take altogether.
    pub order_time: Duration,
    /// The assets that may be ordered and asked about; where the ticker alone names one of them, its network need not be given.
    pub assets: Vec<Coin>,
    /// The longest pause between two tries to tell the other side, or the own backend, something, in seconds.
    pub tell_pause_s_max: u64,
    /// How long the other side, or the own backend, is told something before that is given up, in seconds.
    pub tell_s_max: u64,
    /// How long after a deposit was handed in possible senders are asked, in seconds.
    pub deposit_s_max: u64,
    /// The first pause between two times that they are asked, in seconds; the longest is ten times as long.
    pub deposit_pause_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            suites: Suite::ALL.to_vec(),
            key_type: KeyType::PerVasp,
            key_ttl_s: 1800,
            answer_wait: Duration::from_secs(6),
            try_time: Duration::from_secs(60),
            expiry_s: 86_400,
            retry_s_max: 60,
            waiting_max: 10_000,
            at_once_max: 128,
            user_time: Duration::from_secs(5),
            account_time: Duration::from_secs(1),
            relay_allow: None,
            keepalive: QUIET_TIME,
            kept_s: None,
            order_time: Duration::from_secs(5),
            assets: Network::ALL.map(Coin::bitcoin).to_vec(),
            tell_pause_s_max: 600,
            tell_s_max: 86_400,
            deposit_s_max: 3_600,
            deposit_pause_s: 60,
        }
    }
}

impl Settings {
    /// Says no to what cannot be meant.
    pub(super) fn check(&self) -> Result<(), EnclaveFault> {
        let no = |problem: String| Err(EnclaveFault::Config(problem));
        for (name, url) in [("relay.url", &self.relay.url), ("endpoint", &self.endpoint)] {
            let rest = url.strip_prefix("https://").unwrap_or_default();
            if rest.is_empty() || rest.contains('/') {
                return no(format!("`{name}` is not an https:// address without path"));
            }
        }
        if !(KEY_TTL_S_MIN..=KEY_TTL_S_MAX).contains(&self.limits.key_ttl_s) {
            return no(format!("`key_ttl_s` is not between {KEY_TTL_S_MIN} and {KEY_TTL_S_MAX}"));
        }
        if !self.limits.suites.contains(&Suite::X25519) {
            return no("`suites` lacks X25519, which every enclave has".into());
        }
        if self.limits.at_once_max == 0 || self.limits.expiry_s == 0 {
            return no("`at_once_max` and `expiry_s` must be above zero".into());
        }
        Ok(())
    }
}
