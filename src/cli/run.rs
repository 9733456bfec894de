//! The services: opens what a configuration names, stands it up, says `ready`, and drains when told to stop.

mod adapter;
pub(super) mod assemble;
pub(super) mod custodian;
pub(super) mod executor;
pub(super) mod nodes;
pub(super) mod observer;
pub(super) mod outward;
mod rekey;
pub(super) mod room;
pub(super) mod standalone;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::custodian::Calls;

pub use observer::ObserverArgs;
pub use room::{RoomArgs, enclave_room};

use super::answer::{Answer, Out};
use super::config::load::{self, Beliefs};
use super::config::settings::{PartyPlaces, Tracing};
use super::config::{self, CosignerSettings, RelaySettings, SignerSettings, check};
use super::instance::{Books, Instance};
use super::keyfile;
use super::problem::{Exit, Problem};
use crate::enclave::wall::{Launch, Outside};
use crate::flow::context::machine_clock;
use crate::flow::cosign::Cosigner;
use crate::flow::ledger::journal::JournalFault;
use crate::flow::signer::{self, Signer, StartFault};
use crate::freeze::{Brake, Counter, FolderFault};
use crate::grpc::freeze::{Apart, serve_apart};
use crate::grpc::{self, Desks, Drain, Limits, Server};
use crate::keys::{KeyRole, forbid_core_dumps, lock_process_memory};
use crate::pki;
use crate::relay::{self as carrier, Standing};
use crate::store::{OpenFault, StoreUrl};
use crate::withdrawal::Code;

pub use executor::ExecutorArgs;

/// The largest question between the parties: a thousand transactions with their proofs.
const COSIGN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What each service takes.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Validate the configuration and everything it names, say so part by part, and exit
    #[arg(long)]
    pub check: bool,
}

pub use self::rekey::{RekeyArgs, rekey};
pub use self::standalone::{EnclaveAction, EnclaveArgs, enclave};

/// Runs the signer.
pub fn signer(args: &ServiceArgs, out: Out) -> Result<Answer, Problem> {
    let settings = config::signer(&args.config)?;
    if args.check {
        return Ok(check::signer(&settings));
    }
    protect(settings.party.bounds.memory_lock)?;
    speak(&settings.party.tracing)?;
    let launch = room::launch(&settings, &args.config)?;
    serve(stand_signer(settings, launch, out))
}

/// Runs the co-signer.
pub fn cosigner(args: &ServiceArgs, out: Out) -> Result<Answer, Problem> {
    let settings = config::cosigner(&args.config)?;
    if args.check {
        return Ok(check::cosigner(&settings));
    }
    protect(settings.party.bounds.memory_lock)?;
    speak(&settings.party.tracing)?;
    serve(stand_cosigner(settings, out))
}

/// Runs the relay, which has no secret of worth but its own key.
pub fn relay(args: &ServiceArgs, out: Out) -> Result<Answer, Problem> {
    let settings = config::relay(&args.config)?;
    if args.check {
        return Ok(check::relay(&settings));
    }
    protect(false)?;
    speak(&settings.tracing)?;
    serve(stand_relay(settings, out))
}

/// Creates a party's store and begins its log. A store that is there is kept only where that is asked for.
pub async fn create_store(url: &StoreUrl, books: Books, party: &str, existing: bool) -> Result<(), Problem> {
    let Books { store, log_key, log_identity } = books;
    match signer::create_store(url, &store, log_key, log_identity, (party, super::now())).await {
        Err(JournalFault::Open(OpenFault::AlreadyExists(_))) if existing => Ok(()),
        made => Ok(made?),
    }
}

async fn stand_signer(settings: SignerSettings, launch: Launch, out: Out) -> Result<Answer, Problem> {
    let party = &settings.party;
    let beliefs = Beliefs::open(party)?;
    let parts = assemble::signer_keys(party, &beliefs)?;
    let (brake, freezing) = stand_brake(party, &beliefs, KeyRole::Signer)?;
    let (listener, address) = listen("listen", party.listen).await?;
    let enclave = Arc::new(Outside::start(launch).await?);
    let server = server(party, Limits { calls_max: party.bounds.queue_max, ..Limits::default() })?;
    let signer =
        Signer::start(assemble::signer(&settings, (beliefs, brake), parts, enclave.clone())?).await?;
    let watched = Some(watch::watch_enclave(enclave.clone()));
    let desks = Desks { enclave: watched, ..Desks::of_signer(&signer.desk()) };
    let listeners = [("grpc", address), ("freeze", freezing.address), ("travel_rule", enclave.address())];
    ready(out, "signer", &listeners);
    let served = drained(Server { desks, ..server }.serve(listener, stop_signal()?).await);
    signer.stop().await;
    enclave.stop().await;
    served
}

async fn stand_cosigner(settings: CosignerSettings, out: Out) -> Result<Answer, Problem> {
    let party = &settings.party;
    let beliefs = Beliefs::open(party)?;
    let (brake, freezing) = stand_brake(party, &beliefs, KeyRole::Cosigner)?;
    let (parts, shown) = assemble::cosigner(&settings, (beliefs, brake))?;
    let (listener, address) = listen("listen", party.listen).await?;
    let limits = Limits {
        calls_max: party.bounds.queue_max,
        message_bytes_max: COSIGN_BYTES_MAX,
        ..Limits::default()
    };
    let server = server(party, limits)?;
    let inbox = parts.hot_key.inbox();
    let calls = Calls::stand(settings.custodian.as_ref(), inbox, shown).await?;
    let cosigner = Cosigner::start(parts).await?;
    let audit = Arc::new(crate::flow::audit::LogDesk::new(cosigner.log()));
    let desks = Desks { cosign: Some(Arc::new(cosigner)), audit: Some(audit), ..Desks::default() };
    let mut listeners = vec![("grpc", address), ("freeze", freezing.address)];
    listeners.extend(calls.as_ref().map(|calls| ("custodian", calls.address)));
    ready(out, "cosigner", &listeners);
    let served = drained(Server { desks, ..server }.serve(listener, stop_signal()?).await);
    if let Some(calls) = calls {
        calls.end().await;
    }
    served
}

/// The brake at work; its listener closes when this is dropped.
struct Freezing {
    address: SocketAddr,
    _thread: Apart,
}

/// Opens the marker and the brake's own listener, before anything that may hang is touched.
fn stand_brake(
    party: &PartyPlaces,
    beliefs: &Beliefs,
    role: KeyRole,
) -> Result<(Arc<Brake>, Freezing), Problem> {
    let field = "freeze.listen";
    let brake = Arc::new(Brake::open(&party.freeze_folder, role)?);
    let rules = beliefs.policy.settings().freeze.clone();
    let counter = Counter::new(brake.clone(), beliefs.trust.clone(), rules, machine_clock());
    let no = |error: std::io::Error| no_listener(field, party.freeze_listen, &error);
    let listener = std::net::TcpListener::bind(party.freeze_listen).map_err(no)?;
    let address = listener.local_addr().map_err(no)?;
    let server = server(party, Limits::default())?;
    let desks = Desks { freeze: Some(Arc::new(counter)), ..Desks::default() };
    let thread = serve_apart(Server { desks, ..server }, listener).map_err(no)?;
    Ok((brake, Freezing { address, _thread: thread }))
}

impl From<FolderFault> for Problem {
    fn from(fault: FolderFault) -> Self {
        let cure = "make the folder (`countersign init` does), and let the party's user write to it";
        Self::config("freeze.folder", fault.to_string(), cure)
    }
}

async fn stand_relay(settings: RelaySettings, out: Out) -> Result<Answer, Problem> {
    let key = keyfile::signing_key(&load::hex_key("key", &settings.key)?);
    let standing = Standing {
        key,
        tls: assemble::server_identity(&settings.tls)?,
        roots: assemble::roots(&settings.tls)?,
        now: machine_clock(),
    };
    let (listener, address) = listen("listen", settings.listen).await?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let signalled = stop_signal()?;
    tokio::spawn(async move {
        signalled.await;
        stopping.cancel();
    });
    ready(out, "relay", &[("https", address)]);
    let served = carrier::serve(settings.config, standing, listener, stop).await;
    served
        .map_err(|fault| Problem::config("relay", fault.to_string(), "correct the relay's configuration"))?;
    Ok(Answer::silent(Exit::Ok))
}

/// Opens the keystore of this role and derives what the process works with; the seed is wiped before it serves.
fn keystore_of(party: &PartyPlaces, role: KeyRole) -> Result<(crate::keys::OpenKeystore, Instance), Problem> {
    let keystore = load::keystore(party, role)?;
    let instance = Instance::of(&keystore, &party.origin)?;
    Ok((keystore, instance))
}

fn server(party: &PartyPlaces, limits: Limits) -> Result<Server, Problem> {
    let authorities = pki::read_certificates(&party.tls.authority)?;
    let identity = pki::read_identity(&party.tls.certificate, &party.tls.key)?;
    Ok(Server {
        tls: pki::server_config(&authorities, identity)?,
        limits: Limits { drain_time_max: party.bounds.drain, ..limits },
        clock: grpc::system_clock(),
        desks: Desks::default(),
    })
}

async fn listen(field: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Problem> {
    let no = |error: std::io::Error| no_listener(field, address, &error);
    let listener = TcpListener::bind(address).await.map_err(no)?;
    let bound = listener.local_addr().map_err(no)?;
    Ok((listener, bound))
}

fn no_listener(field: &str, address: SocketAddr, error: &std::io::Error) -> Problem {
    let cure = "choose an address of this machine and a port that is free";
    Problem::config(field, format!("cannot listen on {address}: {error}"), cure)
}

/// One line on the output, once calls are taken.
fn ready(out: Out, party: &str, listeners: &[(&str, SocketAddr)]) {
    let names =
        listeners.iter().map(|(name, address)| format!("{name} {address}")).collect::<Vec<_>>().join(", ");
    let map: serde_json::Map<String, Value> =
        listeners.iter().map(|(name, address)| ((*name).to_owned(), json!(address.to_string()))).collect();
    out.print(
        &json!({ "ready": true, "party": party, "listeners": map }),
        &format!("ready: {party}, {names}"),
    );
    info!(party, listeners = %names, "ready");
}

fn drained(served: Result<Drain, grpc::ServeFault>) -> Result<Answer, Problem> {
    match served {
        Ok(Drain::Finished) => info!("stopped; everything under way was finished"),
        Ok(Drain::Cut { calls }) => {
            warn!(calls, "stopped while calls were at work; they are taken up at the next start")
        }
        Err(fault) => return Err(Problem::of(Code::Internal, fault.to_string())),
    }
    Ok(Answer::silent(Exit::Ok))
}

/// Ends when the process is told to stop.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Problem> {
    let no = |error: std::io::Error| {
        Problem::of(Code::Internal, format!("signals cannot be listened to: {error}"))
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(no)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Before any key is read.
fn protect(memory_lock: bool) -> Result<(), Problem> {
    let no = |error: crate::keys::MemoryError| {
        let cure = "or set limits.memory_lock = false, which leaves secrets open to swap";
        Problem::config("limits.memory_lock", error.to_string(), cure)
    };
    forbid_core_dumps().map_err(no)?;
    if memory_lock { lock_process_memory().map_err(no) } else { Ok(()) }
}

/// Says what the process does on standard error.
fn speak(tracing: &Tracing) -> Result<(), Problem> {
    let no = |error: &dyn std::fmt::Display| {
        Problem::config("tracing", error.to_string(), "write a filter that EnvFilter reads")
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&tracing.filter).map_err(|error| no(&error))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if tracing.json { lines.json().try_init() } else { lines.try_init() };
    set.map_err(|error| no(&error))
}

fn serve(work: impl Future<Output = Result<Answer, Problem>>) -> Result<Answer, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Problem::of(Code::Internal, error.to_string()))?.block_on(work)
}

impl From<JournalFault> for Problem {
    fn from(fault: JournalFault) -> Self {
        match fault {
            JournalFault::Open(open) => open.into(),
            fault => Self {
                may_have_happened: fault.may_have_happened(),
                ..Self::of(fault.code(), fault.to_string())
            },
        }
    }
}

impl From<StartFault> for Problem {
    fn from(fault: StartFault) -> Self {
        match fault {
            StartFault::Journal(fault) => fault.into(),
            fault @ StartFault::Behind { .. } => Self::of(fault.code(), fault.to_string()).at("store"),
            fault @ StartFault::Trust(_) => {
                Self { exit: Exit::Usage, ..Self::of(fault.code(), fault.to_string()) }.at("trust.file")
            }
        }
    }
}
