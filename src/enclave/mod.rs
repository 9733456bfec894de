//! The travel rule: the only room where personal data exists. It is spoken to in plain messages, as if across a wall.
//!
//! The signer's door is [`Door`], with [`LookAsk`], [`VerifyAsk`] and [`TellAsk`]: [`Enclave`] is it in one's own process, [`wall::Outside`] in front of
//! another. The exchange's own backend orders through [`UserOrder`], [`AccountOrder`] and [`ErrorReport`], and is asked and told through
//! [`Backend`]. The enclave does not know withdrawals, policy or keys to coins, and never decides whether something is paid: it brings back
//! what a VASP signed.
//!
//! Sub-rooms, in reading order: `asking` (our side of a verification), `answering` (the other side), `telling` (what follows), `deposits`
//! (coins that arrive), `wire` (what passes the relay, and how it is sealed), [`exchange`] (calls from and to the own backend), [`ivms`]
//! (persons), `database`, [`verifyvasp`] (an enclave server of the network behind the same door), [`wall`] (the enclave as a process of
//! its own).

pub mod allow;
mod answer;
mod answering;
mod ask;
mod asking;
mod asset_info;
mod backend;
mod coin;
mod database;
mod deposits;
mod door;
pub mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod ivms;
pub mod name;
mod office;
mod record;
mod rekey;
mod retention;
mod room;
pub mod screen;
mod settings;
mod telling;
pub mod verifyvasp;
pub mod wall;
pub mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::answer::{Decision, Kind, Reason};
pub use self::ask::{EnclaveFault, Health, VerifyAsk, VerifyReply, Word};
pub use self::asking::order::{
    AccountOrder, AccountReply, ErrorReport, Ordered, UserOrder, VaspHealth, VaspListed,
};
pub use self::asset_info::AssetInfo;
pub use self::backend::{
    Backend, CallbackKind, NoCustomers, Question, Transfer, TransferStatus, Verdict, Working,
};
pub use self::coin::Coin;
use self::database::Database;
pub use self::database::KeyUse;
pub use self::database::vault::DataKey;
use self::database::vault::Vault;
pub use self::deposits::words::{
    Deposit, DepositInquiry, DepositReason, DepositSearch, DepositSeen, DepositState,
};
pub use self::door::{Door, ErrorReason, LookAsk, Looked, REPLACES_MAX, TELL_MAX, Tell, TellAsk, Tellings};
use self::ivms::Payload;
pub use self::record::{Action, Outcome, Page, RPP_MAX, Record, Search};
pub use self::rekey::{HandedOver, Rekey};
use self::room::Room;
pub use self::settings::{Limits, RelayPin, Settings, VaspFacts};
pub use self::wire::key::KeyType;
use crate::withdrawal::{Invalid, Seconds};

/// What a payload that is refused is answered with, beside the cures of the codes.
fn cures() -> [&'static str; 3] {
    [ivms::CURE, ask::CURE, asking::originator::CURE]
}

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Seconds + Send + Sync>;

/// The running enclave: its database, its public listener and its worker.
pub struct Enclave {
    room: Arc<Room>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Enclave {
    /// Creates the database file; refuses an existing one. Only `init` does this.
    pub async fn create_database(path: &Path) -> Result<(), EnclaveFault> {
        Ok(Database::create(path).await?)
    }

    /// Whether the data key is the database's; a new database gets it for its own.
    ///
    /// Errors: [`crate::withdrawal::Code::StoreOtherKey`] if it was begun with another one.
    pub async fn try_database(path: &Path, key: &DataKey) -> Result<(), EnclaveFault> {
        let vault = Vault::new(key).map_err(|e| EnclaveFault::Config(e.to_string()))?;
        Database::open(path, vault).await?.close().await;
        Ok(())
    }

    /// What [`Enclave::start`] would refuse of a database, changing nothing; without a key, whose key it is stays open. Only its owner asks.
    ///
    /// Errors: those of [`Enclave::try_database`]; [`EnclaveFault::DirectoryOld`] if it has worked with a newer directory than this version.
    pub async fn look_at_database(
        path: &Path,
        key: Option<&DataKey>,
        directory_version: u64,
    ) -> Result<(), EnclaveFault> {
        let vault = key.map(Vault::new).transpose().map_err(|e| EnclaveFault::Config(e.to_string()))?;
        match Database::look_at(path, vault.as_ref()).await? {
            Some(newest) if newest > directory_version => Err(EnclaveFault::DirectoryOld(directory_version)),
            _ => Ok(()),
        }
    }

    /// Opens the database, serves `listener` for the relay, and takes up every verification that still waits.
    ///
    /// An unreachable relay is no error here: the worker registers the endpoint as soon as it answers.
    ///
    /// Errors: [`EnclaveFault::DirectoryOld`] where the database has seen a newer directory; nobody was served then.
    pub async fn start(
        settings: Settings,
        backend: Arc<dyn Backend>,
        listener: TcpListener,
    ) -> Result<Self, EnclaveFault> {
        let address = listener.local_addr().map_err(|e| EnclaveFault::Config(e.to_string()))?;
        let (room, tls) = Room::open(settings, backend).await?;
        let stop = CancellationToken::new();
        let guests = wire::tls::Guests {
            allow: room.limits.relay_allow.clone(),
            keepalive: room.limits.keepalive.max(wire::tls::QUIET_TIME),
            connections: wire::tls::CONNECTIONS_MAX,
        };
        let router = answering::inbound::router(room.clone());
        let serve = wire::tls::serve_guests(guests, listener, Some(tls), router, stop.clone());
        let work = stop.clone().run_until_cancelled_owned(asking::trying::work(room.clone()));
        let tell = stop.clone().run_until_cancelled_owned(telling::outbox::work(room.clone()));
        let forget = stop.clone().run_until_cancelled_owned(retention::work(room.clone()));
        let end_keys = stop.clone().run_until_cancelled_owned(retention::end_keys(room.clone()));
        let register = stop.clone().run_until_cancelled_owned(asking::originator::register(room.clone()));
        let rescreen = stop.clone().run_until_cancelled_owned(room.clone().rescreen());
        let arrive = stop.clone().run_until_cancelled_owned(deposits::work::work(room.clone()));
        let reseal = stop.clone().run_until_cancelled_owned(rekey::work(room.clone()));
        let tasks = vec![
            tokio::spawn(async move { arrive.await.unwrap_or_default() }),
            tokio::spawn(async move { reseal.await.unwrap_or_default() }),
            tokio::spawn(async move { rescreen.await.unwrap_or_default() }),
            tokio::spawn(serve),
            tokio::spawn(async move { work.await.unwrap_or_default() }),
            tokio::spawn(async move { tell.await.unwrap_or_default() }),
            tokio::spawn(async move { forget.await.unwrap_or_default() }),
            tokio::spawn(async move { end_keys.await.unwrap_or_default() }),
            tokio::spawn(async move { register.await.unwrap_or_default() }),
        ];
        Ok(Self { room, address, stop, tasks })
    }

    /// Asks the beneficiary VASP, or gives what it answered before to the same request digest.
    ///
    /// Waits a bounded time for an answer ([`Limits::answer_wait`]); what is still open is retried in the background until it expires.
    /// Asking again is always safe, and needs no payload. An answer from before [`VerifyAsk::fresh_since`] is asked for again under a new
    /// uuid, and stays the one given to everybody else until the new one has come.
    pub async fn verify(&self, ask: VerifyAsk) -> Result<VerifyReply, EnclaveFault> {
        asking::originator::verify(&self.room, ask).await
    }

    /// The answer kept for a request digest (hex), if there is one; asks nobody, and says nothing of its age.
    ///
    /// The newest answers are in memory; at most one indexed read otherwise. A database that does not answer is reported and counts as
    /// no answer: [`Enclave::verify`] will say what is wrong.
    pub async fn known_answer(&self, request_digest: &str) -> Option<(String, [u8; 64])> {
        asking::originator::known_answer(&self.room, request_digest).await
    }

    /// The keyed hash of a payload's canonical form (law L2): equal for equal content, and says nothing to others.
    ///
    /// Errors: [`crate::withdrawal::Code::IvmsMalformed`] naming the element.
    pub fn payload_fingerprint(&self, payload: &[u8]) -> Result<[u8; 32], Invalid> {
        let payload = Payload::parse(payload, (self.room.now)())?;
        Ok(self.room.db.vault().fingerprint(&payload.canonical()))
    }

    /// How the enclave is.
    pub async fn health(&self) -> Health {
        self.room.health().await
    }

    /// Where its listener is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listener and worker and closes the database.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await;
        }
        self.room.db.close().await;
    }
}

/// A dropped enclave serves nobody any more.
impl Drop for Enclave {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
