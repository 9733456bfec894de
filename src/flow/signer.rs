//! The signer as a whole: opens what `init` made, takes up what was under way, and stands behind the desks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tracing::info;

use super::clear::Clearing;
use super::context::Context;
use super::courier::Courier;
use super::desk::SignerDesk;
use super::ledger::journal::{Journal, JournalFault, LogView};
use super::policies;
use super::rail::Keys;
use super::recover::{self, Seen};
use super::report::{self, Reporter};
use super::writer::{self, Hands, Writer};
use crate::audit::{EntryKind, LogKey, WitnessKey};
use crate::desk::CosignDesk;
use crate::enclave::Door;
use crate::keys::IdentityKey;
use crate::store::{Store, StoreSecret, StoreUrl, Table};
use crate::withdrawal::{Code, Seconds};

/// How many changes a slow reader may fall behind before it is told so.
const VIEWS_KEPT: usize = 16_384;
/// How often what only time can change is decided again.
const TICK: Duration = Duration::from_secs(1);

/// Creates a party's store and begins its log. Only `init` does this.
pub async fn create_store(
    url: &StoreUrl,
    secret: &StoreSecret,
    key: LogKey,
    identity: Arc<IdentityKey>,
    (party, now): (&str, Seconds),
) -> Result<(), JournalFault> {
    Store::create(url, secret).await?.close().await;
    let origin = key.name().to_owned();
    let mut journal = Journal::open(url, secret, key, identity, &mut |_| {}).await?;
    let mut draft = journal.draft(now);
    draft.entry(EntryKind::LogStarted, &[("origin", &origin), ("party", &party), ("version", &1)]);
    journal.commit(draft).await
}

/// What a signer is made of.
pub struct SignerParts {
    /// What it decides with.
    pub context: Arc<Context>,
    /// Its store.
    pub store: StoreUrl,
    /// The secret of its rows' tags.
    pub secret: StoreSecret,
    /// The key its log signs with.
    pub log_key: LogKey,
    /// The identity behind that key.
    pub identity: Arc<IdentityKey>,
    /// Key A.
    pub keys: Keys,
    /// The other party.
    pub cosigner: Arc<dyn CosignDesk>,
    /// The travel rule.
    pub enclave: Arc<dyn Door>,
}

/// Why a signer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The store, or the log in it.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The trust file names something that cannot be used.
    #[error("the trust file's {0}")]
    Trust(&'static str),
    /// An older database was put back: written on, its log would fork, and the co-signer stop for good.
    #[error("the co-signer has witnessed {witnessed} entries of this log, and here are {here}")]
    Behind {
        /// How many entries the co-signer has seen.
        witnessed: u64,
        /// How many there are.
        here: u64,
    },
}

impl StartFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Journal(fault) => fault.code(),
            Self::Trust(_) => Code::TrustFileInvalid,
            Self::Behind { .. } => Code::LogBehindWitness,
        }
    }
}

/// A running signer.
pub struct Signer {
    desk: Arc<SignerDesk>,
    log: Arc<LogView>,
    tasks: Vec<JoinHandle<()>>,
}

impl Signer {
    /// Opens the store, takes up what was under way, and starts.
    pub async fn start(parts: SignerParts) -> Result<Self, StartFault> {
        let SignerParts { context, store, secret, log_key, identity, keys, cosigner, enclave } = parts;
        let witness = WitnessKey::parse(context.trust.cosigner_log_key())
            .map_err(|_| StartFault::Trust("witness key of the co-signer cannot be read"))?;
        policies::ask(&context, cosigner.as_ref()).await;
        let mut seen = Seen::default();
        let mut journal =
            Journal::open(&store, &secret, log_key, identity, &mut |row| seen.visit(row)).await?;
        not_behind(&journal, cosigner.as_ref()).await?;
        let opened = journal.view().head().size;
        enter_start(&context, &mut journal).await?;
        let (ledger, effects) = recover::load(&context, &journal, seen).await?;
        info!(open = ledger.open.len(), coins = ledger.treasury.coins.len(), "the ledger is loaded");
        ledger.noted.remind(&context.brake);
        let (log, reader) = (journal.view(), journal.store());
        let size = Arc::downgrade(&log);
        // Not held: a party that stopped lets go of its store, whoever still holds its brake.
        context.brake.know_log(move || size.upgrade().map_or(0, |log| log.head().size));
        let (commands, commanded) = mpsc::channel(context.settings.queue_max);
        let (questions, questioned) = mpsc::channel(1_024);
        let (courier, carried) = mpsc::unbounded_channel();
        let (views, _) = broadcast::channel(VIEWS_KEPT);
        let clearing = Clearing::new(context.clone(), enclave.clone(), commands.clone());
        let (reports, rung) = report::bell();
        let reporter = Reporter::new(context.clone(), enclave, (log.clone(), reader.clone()), rung);
        let hands = Hands { courier, clearing: clearing.clone(), reports, views: views.clone() };
        let writer = Writer::new(context.clone(), (journal, ledger), (commanded, questioned), hands);
        let mut messenger = Courier::new(
            context.clone(),
            (log.clone(), reader.clone()),
            (cosigner.clone(), witness),
            keys,
            (commands.clone(), carried),
        );
        messenger.opened = opened;
        let desk = SignerDesk::new(
            context.clone(),
            (commands.clone(), questions),
            (log.clone(), reader),
            clearing,
            (cosigner.clone(), views),
        );
        let tasks = vec![
            tokio::spawn(writer.run(effects)),
            tokio::spawn(messenger.run()),
            tokio::spawn(reporter.run()),
            tokio::spawn(writer::tick(commands, TICK)),
            tokio::spawn(keep_policy(context, cosigner)),
        ];
        Ok(Self { desk: Arc::new(desk), log, tasks })
    }

    /// The counters that faces stand at.
    pub fn desk(&self) -> Arc<SignerDesk> {
        self.desk.clone()
    }

    /// The log.
    pub fn log(&self) -> Arc<LogView> {
        self.log.clone()
    }

    /// Stops at once. What was under way is taken up at the next start.
    pub async fn stop(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// A log shorter than what the co-signer has witnessed is not written on (law L22). Where it does not answer, the courier
/// finds out before anything is signed.
async fn not_behind(journal: &Journal, cosigner: &dyn CosignDesk) -> Result<(), StartFault> {
    let here = journal.view().head().size;
    match cosigner.status().await {
        Ok(status) if status.known_size > here => {
            Err(StartFault::Behind { witnessed: status.known_size, here })
        }
        _ => Ok(()),
    }
}

/// Asks again until it is known, and then now and then: the co-signer may restart with another policy.
async fn keep_policy(context: Arc<Context>, cosigner: Arc<dyn CosignDesk>) {
    loop {
        let known = policies::ask(&context, cosigner.as_ref()).await;
        tokio::time::sleep(if known { Duration::from_secs(30) } else { context.settings.retry }).await;
    }
}

/// The key of the row that remembers the trust file and the policy in force.
const IN_FORCE: &str = "in-force";
/// The key of the row that remembers the policies that were in force.
const POLICIES: &str = "policies";

/// Writes down which trust file and policy are in force; a trust file that goes back is refused. Earlier policies are
/// compared with the one in force, for the approvals that name them.
pub async fn enter_start(context: &Context, journal: &mut Journal) -> Result<(), StartFault> {
    let trust = &context.trust;
    let digest = data_encoding::HEXLOWER.encode(trust.digest());
    let in_force = format!("{} {} {}", trust.version(), digest, context.policy_hash());
    let known = journal.rows(Table::Setting, &[IN_FORCE.to_owned(), POLICIES.to_owned()]).await?;
    let row_of = |key: &str| known.iter().find(|row| row.key() == key);
    let earlier = row_of(POLICIES).map(|row| policies::read_kept(row.content())).unwrap_or_default();
    policies::keep(context, &earlier);
    let is_newest = earlier.first().is_some_and(|newest| newest.hash() == context.policy.hash());
    if let Some(row) = row_of(IN_FORCE) {
        if row.content() == in_force && is_newest {
            return Ok(());
        }
        let mut parts = row.content().split(' ');
        let version = parts.next().and_then(|v| v.parse().ok()).unwrap_or(u64::MAX);
        let seen = parts.next().and_then(|d| data_encoding::HEXLOWER.decode(d.as_bytes()).ok());
        let seen = seen.and_then(|d| d.try_into().ok()).unwrap_or([0; 32]);
        trust.check_follows(version, &seen).map_err(|_| {
            StartFault::Trust("version went back, or another file bears the version seen before")
        })?;
    }
    let signers: Vec<&str> = trust.signers().collect();
    let mut draft = journal.draft(context.now());
    draft.entry(
        EntryKind::TrustFile,
        &[("version", &trust.version()), ("digest", &digest), ("signers", &signers.join(" "))],
    );
    draft.entry(EntryKind::Policy, &[("policy", &context.policy_hash())]);
    let now = draft.now();
    draft.row(Table::Setting, IN_FORCE.to_owned(), "in-force", now, in_force);
    let kept = policies::write_kept(&context.policy, &earlier);
    draft.row(Table::Setting, POLICIES.to_owned(), "policies", now, kept);
    Ok(journal.commit(draft).await?)
}
