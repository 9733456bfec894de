//! Owns the running adapter: its database, its enclave server, the sanctions lists, and its door.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::sync::{Mutex as Turn, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::members::{self, Members};
use super::server::{Miss, Server};
use super::transfer::payload_of;
use super::{Settings, orders, telling};
use crate::enclave::backend::Working;
use crate::enclave::database::vault::Vault;
use crate::enclave::database::{Database, OrderRow};
use crate::enclave::door::{LookAsk, Looked, TELL_MAX, TellAsk, Tellings};
use crate::enclave::ivms::Payload;
use crate::enclave::screen::{Screener, Screening, Subject, screened};
use crate::enclave::{Clock, DataKey, Door, EnclaveFault, Health, KeyType, VerifyAsk, VerifyReply, Word};
use crate::withdrawal::{Seconds, VaspId};

/// How long anybody waits for another's turn, or for the list of VASPs that another fetches.
pub(super) const TURN_TIME: Duration = Duration::from_secs(30);
/// How long a screener may take.
const SCREEN_TIME: Duration = Duration::from_secs(5);
/// The most turns that are remembered before the unused ones are let go.
const TURNS_MAX: usize = 4_096;
/// How often the sanctions lists and the enclave server's list of VASPs are looked at.
pub const REFRESH: Duration = Duration::from_secs(30);

/// Everything the adapter needs.
pub struct AdapterSettings {
    /// Who we are.
    pub vasp: VaspId,
    /// Who can be asked: active in the trust file, and signing nothing.
    pub directory: BTreeSet<VaspId>,
    /// The version of that trust file: nothing starts with one below what the database has seen.
    pub directory_version: u64,
    /// The enclave server.
    pub server: Settings,
    /// The database file.
    pub database: PathBuf,
    /// Seals it.
    pub data_key: DataKey,
    /// How the enclave server is to choose encryption keys.
    pub key_type: KeyType,
    /// Who looks for addresses and names on sanctions lists; nobody, where nobody is named.
    pub screener: Option<Arc<dyn Screener>>,
    /// How long one `verify` waits for a result.
    pub answer_wait: Duration,
    /// How long a verification is waited for, in seconds.
    pub expiry_s: u64,
    /// How often the sanctions lists and the list of VASPs are looked at: [`REFRESH`].
    pub refresh: Duration,
    /// How long an order is kept, in seconds; for ever without a number.
    pub kept_s: Option<u64>,
    /// The clock.
    pub now: Clock,
}

/// What all of the adapter's work shares.
pub(super) struct Office {
    pub(super) db: Database,
    pub(super) server: Server,
    pub(super) vasp: VaspId,
    pub(super) key_type: KeyType,
    pub(super) answer_wait: Duration,
    pub(super) expiry_s: u64,
    pub(super) kept_s: Option<u64>,
    pub(super) now: Clock,
    pub(super) refresh: Duration,
    pub(super) members: Members,
    /// Wakes whoever tells.
    pub(super) told: Notify,
    /// Wakes whoever waits for a result.
    pub(super) rung: Notify,
    directory: BTreeSet<VaspId>,
    screener: Option<Arc<dyn Screener>>,
    trade_ms: AtomicI64,
    turns: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

/// The running adapter.
pub struct Adapter {
    office: Arc<Office>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Adapter {
    /// Opens the database and begins to tell what still is to be told. An enclave server that is away is no error here.
    pub async fn start(settings: AdapterSettings) -> Result<Self, EnclaveFault> {
        let vault = Vault::new(&settings.data_key).map_err(|e| EnclaveFault::Config(e.to_string()))?;
        let db = Database::open(&settings.database, vault).await?;
        db.take_directory(settings.directory_version).await?;
        let trade_ms = AtomicI64::new(db.order_trade_ms_max().await?);
        let office = Arc::new(Office {
            db,
            server: Server::new(settings.server),
            vasp: settings.vasp,
            key_type: settings.key_type,
            answer_wait: settings.answer_wait,
            expiry_s: settings.expiry_s,
            kept_s: settings.kept_s,
            now: settings.now,
            refresh: settings.refresh,
            members: Members::default(),
            told: Notify::new(),
            rung: Notify::new(),
            directory: settings.directory,
            screener: settings.screener,
            trade_ms,
            turns: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let tell = stop.clone().run_until_cancelled_owned(telling::work(office.clone()));
        let keep = stop.clone().run_until_cancelled_owned(keep(office.clone()));
        let list = stop.clone().run_until_cancelled_owned(members::work(office.clone()));
        let tasks = vec![
            tokio::spawn(async move { list.await.unwrap_or_default() }),
            tokio::spawn(async move { tell.await.unwrap_or_default() }),
            tokio::spawn(async move { keep.await.unwrap_or_default() }),
        ];
        Ok(Self { office, stop, tasks })
    }

    /// What its work shares, for the listener.
    pub(super) fn office(&self) -> Arc<Office> {
        self.office.clone()
    }

    /// Stops telling and closes the database.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await;
        }
        self.office.db.close().await;
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whatever is done in the background beside telling: lists, sealing anew, letting go.
async fn keep(office: Arc<Office>) {
    loop {
        if let Some(screener) = office.screener.clone() {
            let _ = tokio::task::spawn_blocking(move || screener.refresh()).await;
        }
        if let Err(fault) = office.tidy().await {
            tracing::error!(%fault, "the adapter's database cannot be tidied; it is tried again");
        }
        tokio::time::sleep(office.refresh).await;
    }
}

impl Office {
    async fn tidy(&self) -> Result<(), EnclaveFault> {
        while self.db.reseal_some().await? {}
        if let Some(kept_s) = self.kept_s {
            let since = Seconds((self.now)().0.saturating_sub(kept_s));
            while self.db.orders_forget(since, 500).await? > 0 {}
        }
        Ok(())
    }

    /// A moment of valuing that no other order has, in milliseconds since 1970.
    pub(super) fn next_trade_ms(&self) -> i64 {
        let now = i64::try_from((self.now)().0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let later = |last: i64| Some(last.saturating_add(1).max(now));
        let last = self.trade_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        last.map_or(now, |last| last.saturating_add(1).max(now))
    }

    /// The turn of a request: of two that ask about the same, one waits.
    pub(super) fn turn(&self, digest: &str) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= TURNS_MAX {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        turns.entry(digest.to_owned()).or_default().clone()
    }

    /// Says no to a VASP that cannot be asked this way.
    pub(super) fn check_vasp(&self, vasp: VaspId) -> Result<(), EnclaveFault> {
        if self.directory.contains(&vasp) { Ok(()) } else { Err(EnclaveFault::VaspUnknown(vasp)) }
    }

    /// Looks for both accounts and all persons of a payload on the sanctions lists.
    async fn screen(&self, payload: &Payload) -> Screening {
        let addresses = [payload.account(), payload.originator_account()];
        let subject = Subject { addresses: &addresses, persons: &payload.persons() };
        screened(self.screener.as_ref(), subject, SCREEN_TIME).await
    }

    /// Looks for everybody of an order on the lists as they stand now. What cannot be read cannot be screened.
    pub(super) async fn screen_order(&self, order: &OrderRow) -> Screening {
        if self.screener.is_none() {
            return Screening::Clear;
        }
        match payload_of(order, (self.now)()) {
            Ok(payload) => self.screen(&payload).await,
            Err(_) => {
                tracing::error!(request = order.digest, "the persons of an order cannot be read again");
                Screening::Unknown
            }
        }
    }

    /// The report of an order, unless a list stops it, or stops whom this payload names in its place.
    async fn given(&self, order: OrderRow, payload: Option<&Payload>) -> Option<Word> {
        if order.report.is_none() || self.screen_order(&order).await != Screening::Clear {
            return None;
        }
        match payload {
            Some(payload) if self.screen(payload).await != Screening::Clear => None,
            Some(_) | None => order.report.map(Word::Reported),
        }
    }
}

/// The enclave server cannot be had; nothing was begun.
pub(super) fn away(miss: &Miss) -> EnclaveFault {
    EnclaveFault::Told {
        code: crate::withdrawal::Code::EnclaveUnavailable,
        text: miss.to_string(),
        may_have_happened: false,
    }
}

impl Door for Adapter {
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
        Box::pin(async move {
            let office = &self.office;
            let payload = ask.payload.map(|bytes| Payload::parse(bytes, (office.now)())).transpose()?;
            let print = |payload: &Payload| office.db.vault().fingerprint(&payload.canonical());
            let answer = match office.db.order(ask.request_digest).await? {
                Some(order) => office.given(order, payload.as_ref()).await,
                None => None,
            };
            Ok(Looked { fingerprint: payload.as_ref().map(print), answer })
        })
    }

    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
        Box::pin(orders::verify(&self.office, ask))
    }

    fn tell(&self, asks: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>> {
        Box::pin(async move {
            if asks.len() > TELL_MAX {
                return Err(EnclaveFault::QueueFull(u64::try_from(asks.len()).unwrap_or(u64::MAX)));
            }
            let told = asks.iter().map(|ask| telling::tell_of(&self.office, ask));
            Ok(futures_util::future::join_all(told).await)
        })
    }

    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
        Box::pin(async {
            Ok(Health {
                database: self.office.db.is_well().await,
                relay: self.office.server.answers(),
                registered: self.office.members.came(),
                waiting: self.office.db.orders_waiting().await.unwrap_or_default(),
            })
        })
    }
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
