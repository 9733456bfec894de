//! The enclave that stands alone, so that an exchange can meet the travel rule with this module and nothing else; and the private
//! listener, which the signer opens in the same way.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::assemble::Known;
use super::outward::{Outward, backend};
use super::room::listen_now;
use super::{RekeyArgs, assemble, listen, protect, ready, rekey, serve, speak, stop_signal};
use crate::cli::answer::{Answer, Out};
use crate::cli::config::environment::Variables;
use crate::cli::config::exchange::ExchangeSettings;
use crate::cli::config::{self, EnclaveSettings, StandaloneSettings, check, load};
use crate::cli::problem::{Exit, Problem};
use crate::enclave::exchange::auth::OwnToken;
use crate::enclave::exchange::listener;
use crate::enclave::wire::tls::{CONNECTIONS_MAX, Guests};
use crate::enclave::{self, Backend, Enclave};
use crate::flow::context::machine_clock;
use crate::withdrawal::{Code, VaspId};

/// What the enclave takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EnclaveArgs {
    /// Something else than to run
    #[command(subcommand)]
    pub action: Option<EnclaveAction>,
    /// The configuration
    #[arg(long, value_name = "FILE", required_unless_present = "from_env")]
    pub config: Option<PathBuf>,
    /// Read the documented VEGA_* variables, and COUNTERSIGN_ENCLAVE_* for what they have no name for
    #[arg(long)]
    pub from_env: bool,
    /// Validate the configuration and everything it names, say so part by part, and exit
    #[arg(long)]
    pub check: bool,
}

/// What can be done with an enclave beside running it.
#[derive(Debug, Subcommand)]
pub enum EnclaveAction {
    /// Seal the database with another data key, without stopping what runs on it
    #[command(after_help = REKEY_HELP)]
    Rekey(RekeyArgs),
}

const REKEY_HELP: &str = "\
Examples:
  countersign enclave rekey --config enclave.toml --generate new.key     (then write both keys into the configuration)
  countersign enclave rekey --config enclave.toml
  countersign enclave rekey --signer-config signer.toml
  countersign enclave rekey --config enclave.toml --status

The configuration names the new key as data_key (or encryption_key) and the one before among old_data_keys (or
old_encryption_keys). An enclave that runs is handed the new key and goes on; whatever the old one sealed is sealed anew.
It ends by saying that the old key is needed no more. Run it as the user that owns the database.";

/// Runs an enclave without a signer.
pub fn enclave(args: &EnclaveArgs, out: Out) -> Result<Answer, Problem> {
    if let Some(EnclaveAction::Rekey(args)) = &args.action {
        return rekey(args, out);
    }
    let variables = Variables::of_process();
    let overlooked = if args.from_env { String::new() } else { variables.names().join(", ") };
    let mut settings = config::enclave(args.config.as_deref(), args.from_env.then_some(variables))?;
    if !overlooked.is_empty() {
        settings.notices.push(format!("set and not read, since --from-env was not given: {overlooked}"));
    }
    if args.check {
        return Ok(check::enclave(&settings));
    }
    protect(settings.memory_lock)?;
    speak(&settings.tracing)?;
    serve(stand(settings, out))
}

async fn stand(settings: StandaloneSettings, out: Out) -> Result<Answer, Problem> {
    settings.notices.iter().for_each(|notice| warn!("{notice}"));
    let directory = load::directory(&settings.trust)?;
    let known =
        Known::of(directory.version(), (directory.vasp_id(), directory.vasp_name()), directory.vasps());
    let (listener, address) = listen("enclave.listen", settings.enclave.listen).await?;
    let Prepared { settings, backend, desk } = prepare(&settings.enclave, known).await?;
    let enclave = Arc::new(Enclave::start(settings, backend, listener).await?);
    let desk = desk.map(|desk| desk.open(enclave.clone())).transpose()?;
    let mut listeners = vec![("travel_rule", address)];
    listeners.extend(desk.as_ref().map(|desk| ("exchange", desk.address)));
    let stopped = stop_signal()?;
    ready(out, "enclave", &listeners);
    stopped.await;
    if let Some(desk) = desk {
        desk.stop().await;
    }
    if let Some(enclave) = Arc::into_inner(enclave) {
        enclave.stop().await;
    }
    Ok(Answer::silent(Exit::Ok))
}

/// The open private listener.
pub(super) struct Desk {
    /// Where it is.
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl Desk {
    /// Takes nothing new, and lets open requests finish for a while.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// The private listener before anybody is let in.
pub(in crate::cli) struct PreparedDesk {
    listener: StdListener,
    guests: Guests,
    token: OwnToken,
    tls: Option<Arc<rustls::ServerConfig>>,
    names: BTreeMap<VaspId, String>,
}

/// What an enclave runs on, each of its secrets read once.
pub(in crate::cli) struct Prepared {
    /// Its settings, with its keys.
    pub(in crate::cli) settings: enclave::Settings,
    /// The exchange's backend.
    pub(in crate::cli) backend: Arc<dyn Backend>,
    /// The private listener, where there is one.
    pub(in crate::cli) desk: Option<PreparedDesk>,
}

/// Reads the enclave's keys, tokens and certificates, and takes the place of the private listener.
pub(in crate::cli) async fn prepare(own: &EnclaveSettings, known: Known) -> Result<Prepared, Problem> {
    let outward = own.exchange.as_ref().map(Outward::of).transpose()?;
    let settings = assemble::enclave_settings(own, &known, outward.as_ref()).await?;
    let exchange = own.exchange.as_ref().zip(outward.as_ref());
    let desk = exchange.map(|exchange| prepare_desk(exchange, known)).transpose()?.flatten();
    Ok(Prepared { settings, backend: backend(exchange), desk })
}

/// Takes the place of the private listener and reads its files, if the settings have one.
fn prepare_desk(
    (exchange, outward): (&ExchangeSettings, &Outward),
    known: Known,
) -> Result<Option<PreparedDesk>, Problem> {
    let Some(own) = &exchange.listener else { return Ok(None) };
    let (token, tls) = outward.private(own)?;
    let listener = listen_now("enclave.exchange.listener.listen", own.listen)?;
    let guests = Guests { allow: own.allow.clone(), keepalive: own.keepalive, connections: CONNECTIONS_MAX };
    Ok(Some(PreparedDesk { listener, guests, token, tls, names: known.names }))
}

impl PreparedDesk {
    /// Lets the exchange's backend in.
    pub(super) fn open(self, enclave: Arc<Enclave>) -> Result<Desk, Problem> {
        let Self { listener, guests, token, tls, names } = self;
        let no = |error: std::io::Error| Problem::of(Code::Internal, error.to_string());
        let listener = TcpListener::from_std(listener).map_err(no)?;
        let address = listener.local_addr().map_err(no)?;
        let stop = CancellationToken::new();
        let standing = listener::Standing { listener, guests, tls, token, names, now: machine_clock() };
        let serving = listener::serve(enclave, standing, stop.clone());
        Ok(Desk { address, stop, task: tokio::spawn(serving) })
    }
}
