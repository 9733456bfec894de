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
use super::ivms::Payload;
use super::screen::{Screener, Screening, Subject};
use super::wire::client::{Call, CallFault, Client};
use super::wire::key::{KeyType, SignedKey};
use super::wire::signed::{Gate, Sender};
use super::wire::tls;
use super::{Clock, EnclaveFault, Health, Limits, Settings};
use crate::enclave::asking::known::{Answers, KNOWN_MAX};
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
/// How long the database is left to others between two goes at sealing it anew.
const RESEAL_PAUSE: Duration = Duration::from_millis(20);
/// How long it waits where that failed.
const RESEAL_AGAIN: Duration = Duration::from_secs(10);

/// How long a key for one verification is kept, in seconds.
const KEY_ONCE_S: u64 = 86_400;
/// How many of them one peer may have made in that time.
const KEYS_ONCE_MAX: u64 = 20_000;

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
    pub(super) places: Arc<Semaphore>,
    pub(super) inbound_places: Semaphore,
    pub(super) registered: AtomicBool,
    screener: Option<Arc<dyn Screener>>,
    /// Wakes the worker of the outbox.
    pub(super) told: Notify,
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
        let db = Database::open(&settings.database, vault).await?;
        // One more than are held, so that the memory learns that it does not hold all.
        let known = Answers::of(KNOWN_MAX, db.answers(KNOWN_MAX + 1).await?);
        let room = Self {
            vasp: settings.vasp,
            identity: settings.identity,
            peers,
            db,
            known,
            backend,
            gate: Gate::new(name, callers, settings.now.clone()),
            now: settings.now,
            endpoint: settings.endpoint,
            uuids: Mutex::default(),
            fetching: AtomicBool::new(false),
            trying: Mutex::default(),
            places: Arc::new(Semaphore::new(settings.limits.at_once_max)),
            inbound_places: Semaphore::new(settings.limits.at_once_max),
            limits: settings.limits,
            registered: AtomicBool::new(false),
            screener: settings.screener,
            told: Notify::new(),
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
        let Some(screener) = &self.screener else { return Screening::Clear };
        let mut persons = payload.map(Payload::beneficiaries).unwrap_or_default();
        persons.extend(payload.map(Payload::originators).unwrap_or_default());
        screener.screen(&Subject { addresses, persons: &persons }).await
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

    /// Seals what an older data key has sealed with the current one, a little at a time, until nothing is left.
    pub(super) async fn reseal(self: Arc<Self>) {
        loop {
            let pause = match self.db.reseal_some().await {
                Ok(true) => RESEAL_PAUSE,
                Ok(false) => return,
                Err(fault) => {
                    tracing::error!(%fault, "the enclave's database cannot be sealed anew; it is tried again");
                    RESEAL_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The own key for a purpose, made now for this VASP's sake if there is none yet.
    pub(super) async fn own_key(
        &self,
        suite: Suite,
        purpose: (KeyType, &str),
        made_for: VaspId,
    ) -> Result<Arc<OwnKey>, EnclaveFault> {
        if let Some(key) = self.db.own_key(suite, purpose).await? {
            return Ok(key);
        }
        if purpose.0 == KeyType::PerVerification {
            self.check_keys_once(made_for).await?;
        }
        let pair = KeyPair::derive(suite, &entropy()?);
        let name = key_id(&pair.public);
        let key = OwnKey::new(pair.public, pair.private);
        self.db.own_key_insert(purpose, made_for, &name, &key, (self.now)()).await?;
        // Somebody else may have been first; the one on disk counts.
        Ok(self.db.own_key(suite, purpose).await?.unwrap_or_else(|| Arc::new(key)))
    }

    /// A key for one verification is of no use after a day; a peer may not have too many made until then.
    async fn check_keys_once(&self, made_for: VaspId) -> Result<(), EnclaveFault> {
        let since = Seconds((self.now)().0.saturating_sub(KEY_ONCE_S));
        let waiting = self.db.own_keys_once(made_for, since).await?;
        let too_many = made_for != self.vasp && waiting >= KEYS_ONCE_MAX;
        if too_many { Err(EnclaveFault::QueueFull(waiting)) } else { Ok(()) }
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
