//! The executor: opens what its configuration names, follows the signer, and carries; and what its ledger says.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{protect, serve, speak, stop_signal};
use crate::cli::answer::{Answer, Out, table};
use crate::cli::config::executor::{ExecutorSettings, of_chain};
use crate::cli::config::{self, check, load};
use crate::cli::instance::Books;
use crate::cli::problem::{Exit, Problem};
use crate::desk::Role;
use crate::ethereum::Address;
use crate::evidence::Trust;
use crate::executor::{self, Account, Executor, Follower, JobView, OpenFault, Outcome, Parts, State};
use crate::flow::rail::pins::SafePins;
use crate::grpc::{Client, ClientOrder};
use crate::keys::{KeystoreRole, OpenKeystore};
use crate::node::Nodes;
use crate::store::StoreFault;

/// What the executor takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ExecutorArgs {
    /// Something else than to run
    #[command(subcommand)]
    pub action: Option<ExecutorAction>,
    /// The configuration
    #[arg(long, value_name = "FILE", required = true)]
    pub config: Option<PathBuf>,
    /// Validate the configuration and everything it names, say so part by part, and exit; no node and no signer is asked
    #[arg(long)]
    pub check: bool,
}

/// What can be done with an executor beside running it.
#[derive(Debug, Subcommand)]
pub enum ExecutorAction {
    /// Show what became of each Safe transaction, as the executor's ledger has it
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
}

/// What `executor status` takes.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The executor's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only those that have not ended
    #[arg(long)]
    pub open: bool,
}

const STATUS_HELP: &str = "\
Examples:
  countersign executor status --config executor.toml
  countersign executor status --config executor.toml --open --json

Reads the ledger beside the process that works on it, in the order of the last change, and asks no node. Run it as the user that
owns keystore and ledger.";

/// How many jobs are read at once.
const PAGE: usize = 500;

/// Runs the executor.
pub fn executor(args: &ExecutorArgs, out: Out) -> Result<Answer, Problem> {
    if let Some(ExecutorAction::Status(args)) = &args.action {
        return serve(status(config::executor(&args.config)?, args.open));
    }
    let missing = || Problem::config("--config", "is missing", "name the executor's configuration file");
    let settings = config::executor(args.config.as_deref().ok_or_else(missing)?)?;
    if args.check {
        return Ok(check::executor::executor(&settings));
    }
    protect(settings.memory_lock)?;
    speak(&settings.tracing)?;
    serve(stand(settings, out))
}

/// Opens the executor's keystore.
pub fn keystore(settings: &ExecutorSettings) -> Result<OpenKeystore, Problem> {
    let whose = (KeystoreRole::Executor, settings.network);
    load::keystore_at(&settings.keystore, &settings.passphrase, whose)
}

/// The account that pays gas.
pub fn account(settings: &ExecutorSettings, keystore: &OpenKeystore) -> Result<Account, Problem> {
    let account = Account::new(settings.nodes.chain, keystore.seat_keys()?, settings.key_index);
    account.map_err(|fault| {
        Problem::config("key_index", fault.to_string(), "name another index of the keystore's accounts")
    })
}

/// The nodes; none is asked.
pub fn nodes(settings: &ExecutorSettings) -> Result<Nodes, Problem> {
    super::nodes::nodes(&settings.nodes).map_err(of_chain)
}

/// What the trust file pins of the chain.
pub fn pins(settings: &ExecutorSettings, trust: &Trust) -> Result<SafePins, Problem> {
    let chain = settings.nodes.chain;
    load::safes(trust)?.remove(&chain).ok_or_else(|| {
        let cure = "name a chain of the trust file, or have its quorum pin a Safe";
        Problem::config("chain.network", format!("the trust file pins no Safe on {chain}"), cure)
    })
}

/// Who refuels the account; that another one is pinned is an error, for this one would run dry unseen.
pub fn refuelled(pins: &SafePins, account: Address) -> Result<String, Problem> {
    let Some(pinned) = &pins.executor else { return Ok("by nobody: none is pinned".to_owned()) };
    if pinned.address == account {
        return Ok(format!("by a hot Safe, below {} wei", pinned.level));
    }
    let problem = format!("is the account {account}, and the trust file has {} refuelled", pinned.address);
    let cure = "open the keystore of the pinned account, or have the trust file's quorum pin this one in [wallets.executor]";
    Err(Problem::config("keystore.path", problem, cure))
}

fn parts(settings: &ExecutorSettings) -> Result<Parts, Problem> {
    let pins = pins(settings, &load::trust(&settings.trust)?)?;
    let keystore = keystore(settings)?;
    let account = account(settings, &keystore)?;
    refuelled(&pins, account.address())?;
    let Books { store, log_identity, log_key } = Books::of(&keystore, &settings.origin)?;
    Ok(Parts {
        store: load::store_url(&settings.store)?,
        secret: store,
        log_key,
        identity: log_identity,
        account,
        nodes: Arc::new(nodes(settings)?),
        wallets: pins.signed_for().cloned().collect(),
        rules: settings.rules,
        name: settings.name.clone(),
    })
}

async fn stand(settings: ExecutorSettings, out: Out) -> Result<Answer, Problem> {
    let parts = parts(&settings)?;
    let (chain, account) = (settings.nodes.chain, parts.account.address().to_string());
    let order = ClientOrder {
        address: settings.signer.clone(),
        files: settings.tls.clone(),
        server_role: Role::Signer,
    };
    let client = Client::open(&order)?;
    let (executor, desk) = Executor::open(parts).await?;
    let stop = CancellationToken::new();
    let (stopping, signalled) = (stop.clone(), stop_signal()?);
    tokio::spawn(async move {
        signalled.await;
        stopping.cancel();
    });
    let follower = Follower::open(&client, desk.clone(), chain, settings.follow).await?;
    let telling = tokio::spawn(executor::tell(desk, stop.clone()));
    let following = tokio::spawn(follower.run(stop.clone()));
    out.print(
        &json!({ "ready": true, "party": "executor", "chain": chain.to_string(), "account": account }),
        &format!("ready: executor of {chain}, gas is paid by {account}"),
    );
    executor.run(stop).await;
    let _ = tokio::join!(telling, following);
    Ok(Answer::silent(Exit::Ok))
}

async fn status(settings: ExecutorSettings, open: bool) -> Result<Answer, Problem> {
    let own = keystore(&settings)?;
    let (books, account) = (Books::of(&own, &settings.origin)?, account(&settings, &own)?);
    drop(own);
    let ledger = executor::Books::open(&load::store_url(&settings.store)?, &books.store).await?;
    let (mut cursor, mut documents, mut rows) = (String::new(), Vec::new(), Vec::new());
    loop {
        let page = ledger.changes(&cursor, PAGE).await?;
        if page.jobs.is_empty() {
            break;
        }
        for job in page.jobs.iter().filter(|job| !open || job.open || !matches!(job.state, State::Final(_))) {
            documents.push(document(job));
            rows.push(row(job));
        }
        cursor = page.cursor;
    }
    let (chain, account) = (settings.nodes.chain, account.address());
    let text = table(["safe", "nonce", "state", "effect", "transaction"], &rows);
    let json = json!({ "chain": chain.to_string(), "account": account.to_string(), "executions": documents });
    Ok(Answer::ok(json, format!("gas on {chain} is paid by {account}\n{text}")))
}

/// State, effect, transaction, and what is wrong.
fn words(job: &JobView) -> (&'static str, &'static str, Option<String>, Option<String>) {
    match &job.state {
        State::Waiting(held) => {
            ("waiting", "", None, held.as_ref().map(|(code, detail)| format!("{code}: {detail}")))
        }
        State::InFlight => ("in_flight", "", None, None),
        State::Included { txid, effect, .. } => ("included", effect.as_str(), Some(txid.to_string()), None),
        State::Final(Outcome::Executed { effect, txid, detail, .. }) => {
            let detail = Some(detail.clone()).filter(|detail| !detail.is_empty());
            ("final", effect.as_str(), Some(txid.to_string()), detail)
        }
        State::Final(Outcome::NotFound { since }) => {
            ("final", "not_found", None, Some(format!("searched from block {since} on")))
        }
    }
}

fn row(job: &JobView) -> [String; 5] {
    let (state, effect, txid, _) = words(job);
    let known = txid.unwrap_or_default();
    [job.key.safe.to_string(), job.key.nonce.to_string(), state.to_owned(), effect.to_owned(), known]
}

fn document(job: &JobView) -> Value {
    let (state, effect, txid, detail) = words(job);
    json!({
        "safe": job.key.safe.to_string(),
        "nonce": job.key.nonce,
        "safe_tx_hash": job.hash.to_string(),
        "state": state,
        "effect": Some(effect).filter(|effect| !effect.is_empty()),
        "transaction": txid,
        "detail": detail,
        "gas_paid": job.gas_paid.to_string(),
        "open": job.open,
    })
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        Self::of(fault.code(), fault.to_string()).at("store")
    }
}

impl From<OpenFault> for Problem {
    fn from(fault: OpenFault) -> Self {
        match fault {
            OpenFault::Journal(fault) => fault.into(),
            OpenFault::Rules(no) => {
                Self::config(no.field, no.problem, "deploy/executor.example.toml shows a figure that does")
            }
            fault => Self { exit: Exit::Usage, ..Self::of(fault.code(), fault.to_string()) },
        }
    }
}
