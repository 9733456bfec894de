//! Owns what both sides of the enclave share: database, identity, peers, relay client, own keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore, watch};
use zeroize::Zeroizing;

use super::allow::Reach;
use super::backend::Backend;
use super::database::{Database, OwnKey};
use super::ivms::{Payload, Person};
use super::screen::{Screener, Screening, Subject, screened};
use super::wire::client::{Call, CallFault, Client};
use super::wire::key::{KeyType, SignedKey};
use super::wire::signed::{Gate, Sender};
use super::wire::tls;
use super::{Clock, EnclaveFault, Health, Limits, Settings};
use crate::enclave::asking::known::{Answers, KNOWN_MAX};
use crate::enclave::asking::places::Places;
use crate::enclave::asking::trying::Brought;
use crate::enclave::database::vault::Vault;
use crate::enclave::wire::seal::{KeyPair, PublicKey, Suite, key_id};
use crate::withdrawal::{Seconds, VaspId};

/// The name under which the relay signs and is addressed.
pub(super) const RELAY: &str = "relay";
/// How long a call to the relay may take, beside what it is asked to wait.
pub(super) const CALL_TIME: Duration = Duration::from_secs(10);

/// How often the sanctions lists are looked at.
const REFRESH: Duration = Duration::from_secs(30);

/// How many keys of a kind one peer may have made in a day.
const KEYS_A_DAY_MAX: u64 = 20_000;

pub(super) struct Room {
    pub(super) vasp: VaspId,
    pub(super) identity: SigningKey,
    pub(super) peers: HashMap<VaspId, VerifyingKey>,
    pub(super) db: Database,
    pub(super) known: Answers,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) gate: Gate,
    pub(super) limits: Limits,
    pub(super) now: Clock,
    pub(super) endpoint: String,
    /// Uuids given out by the relay and not used yet.
    pub(super) uuids: Mutex<Vec<String>>,
    /// Whether more of them are being fetched ahead.
    pub(super) fetching: AtomicBool,
    /// Verifications that are being tried right now.
    pub(super) trying: Mutex<HashMap<String, watch::Receiver<Brought>>>,
    pub(super) places: Places,
    pub(super) inbound_places: Semaphore,
    pub(super) registered: AtomicBool,
    screener: Option<Arc<dyn Screener>>,
    /// Wakes the worker of the outbox.
    pub(super) told: Notify,
    /// Wakes the worker of deposits.
    pub(super) arrived: Notify,
    relay_answers: AtomicBool,
    relay_url: String,
    client: Client,
}

impl Room {
    /// Opens the database and prepares both ends of TLS.
    pub(super) async fn open(
        settings: Settings,
        backend: Arc<dyn Backend>,
    ) -> Result<(Arc<Self>, Arc<rustls::ServerConfig>), EnclaveFault> {
        settings.check()?;
        let config = |problem: String| EnclaveFault::Config(problem);
        let key = |bytes: &[u8; 32]| {
            VerifyingKey::from_bytes(bytes).map_err(|_| config("a pinned key is no key".into()))
        };
        let tls = tls::server_config(settings.tls).map_err(|e| config(e.to_string()))?;
        let peers = settings.directory.iter().map(|(vasp, bytes)| Ok((*vasp, key(bytes)?)));
        let peers = peers.collect::<Result<HashMap<_, _>, EnclaveFault>>()?;
        let name = settings.vasp.to_string();
        let callers = HashMap::from([(RELAY.to_owned(), key(&settings.relay.key)?)]);
        let sender = Sender::new(name.clone(), settings.identity.clone(), settings.now.clone());
        let reach = Reach { allow: settings.limits.relay_allow.clone(), inner_only: false };
        let client = Client::reaching(settings.roots, sender, reach).map_err(|e| config(e.to_string()))?;
        let vault = Vault::new(&settings.data_key).map_err(|e| config(e.to_string()))?;
        let facts = settings.vasps.iter().map(|(vasp, facts)| (*vasp, facts.ivms101())).collect();
        let db = Database::open(&settings.database, vault).await?.saying(facts);
        db.take_directory(settings.directory_version).await?;
        // One more than are held, so that the memory learns that it does not hold all.
        let known = Answers::of(KNOWN_MAX, db.answers(KNOWN_MAX + 1).await?);
        let room = Self {
            vasp: settings.vasp,
            identity: settings.identity,
            db,
            known,
            backend,
            gate: Gate::new(name, callers, settings.now.clone()),
            now: settings.now,
            endpoint: settings.endpoint,
            uuids: Mutex::default(),
            fetching: AtomicBool::new(false),
            trying: Mutex::default(),
            places: Places::new(settings.limits.at_once_max, peers.keys().copied()),
            peers,
            inbound_places: Semaphore::new(settings.limits.at_once_max),
            limits: settings.limits,
            registered: AtomicBool::new(false),
            screener: settings.screener,
            told: Notify::new(),
            arrived: Notify::new(),
            relay_answers: AtomicBool::new(false),
            relay_url: settings.relay.url,
            client,
        };
        Ok((Arc::new(room), tls))
    }

    /// Calls the relay with a message.
    pub(super) async fn relay<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        time: Duration,
        body: &B,
    ) -> Result<A, CallFault> {
        let call = Call { to: RELAY, base: &self.relay_url, method, path, time };
        let answer = self.client.call(call, body).await;
        let answers = !matches!(answer, Err(CallFault::Unreachable(_)));
        self.relay_answers.store(answers, Ordering::Relaxed);
        answer
    }

    /// Asks the relay for something without sending a message.
    pub(super) async fn relay_ask<A: DeserializeOwned>(&self, path: &str) -> Result<A, CallFault> {
        let call = Call { to: RELAY, base: &self.relay_url, method: Method::GET, path, time: CALL_TIME };
        self.client.ask(call).await
    }

    /// How it is.
    pub(super) async fn health(&self) -> Health {
        Health {
            database: self.db.is_well().await,
            relay: self.relay_answers.load(Ordering::Relaxed),
            registered: self.registered.load(Ordering::Relaxed),
            waiting: self.db.verifications_waiting().await.unwrap_or_default(),
        }
    }

    /// Looks for addresses and persons of both sides on the sanctions lists.
    pub(super) async fn screened(&self, addresses: &[&str], payload: Option<&Payload>) -> Screening {
        self.screened_as(addresses, &payload.map(Payload::persons).unwrap_or_default()).await
    }

    /// The same for persons that were read already.
    pub(super) async fn screened_as(&self, addresses: &[&str], persons: &[Person]) -> Screening {
        screened(self.screener.as_ref(), Subject { addresses, persons }, self.limits.user_time).await
    }

    /// Whether anybody screens at all.
    pub(super) fn screens(&self) -> bool {
        self.screener.is_some()
    }

    /// The number of the lists as they stand now.
    pub(super) fn lists_version(&self) -> Option<u64> {
        self.screener.as_ref().and_then(|screener| screener.version())
    }

    /// Has the screener take up what has changed, for ever.
    pub(super) async fn rescreen(self: Arc<Self>) {
        let Some(screener) = self.screener.clone() else { return };
        loop {
            tokio::time::sleep(REFRESH).await;
            let screener = screener.clone();
            let _ = tokio::task::spawn_blocking(move || screener.refresh()).await;
        }
    }

    /// The own key for a purpose, made now for this VASP's sake if there is none yet.
    pub(super) async fn own_key(
        &self,
        suite: Suite,
        purpose: (KeyType, &str),
        made_for: VaspId,
    ) -> Result<Arc<OwnKey>, EnclaveFault> {
        let now = (self.now)();
        if let Some(key) = self.db.own_key(suite, purpose, now).await? {
            return Ok(key);
        }
        self.check_keys_made(purpose.0, made_for, now).await?;
        let pair = KeyPair::derive(suite, &entropy()?);
        let name = key_id(&pair.public);
        let key = OwnKey::new(pair.public, pair.private);
        self.db.own_key_insert(purpose, made_for, &name, &key, now).await?;
        // Somebody else may have been first; the one on disk counts.
        Ok(self.db.own_key(suite, purpose, now).await?.unwrap_or_else(|| Arc::new(key)))
    }

    /// A peer, or a relay in its name, may not fill the disk with keys.
    async fn check_keys_made(
        &self,
        key_type: KeyType,
        made_for: VaspId,
        now: Seconds,
    ) -> Result<(), EnclaveFault> {
        if made_for == self.vasp {
            return Ok(());
        }
        let made = self.db.own_keys_made(key_type, made_for, now).await?;
        if made >= KEYS_A_DAY_MAX { Err(EnclaveFault::QueueFull(made)) } else { Ok(()) }
    }

    /// A key of one's own with its signed statement.
    pub(super) fn signed_key(&self, purpose: (KeyType, &str), public: &PublicKey) -> SignedKey {
        let offers = &*self.limits.suites;
        SignedKey::sign(&self.identity, self.vasp, purpose, (public, offers), (self.now)())
    }
}

/// Fresh bytes.
pub(super) fn entropy<const N: usize>() -> Result<Zeroizing<[u8; N]>, EnclaveFault> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|_| EnclaveFault::Entropy)?;
    Ok(bytes)
}
