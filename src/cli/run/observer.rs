//! The observer of EVM chains: opens what its configuration names, begins, looks once, or looks until it is told to stop.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{nodes, protect, serve, speak, stop_signal};
use crate::cli::answer::{Answer, Facts, Out};
use crate::cli::config::observer::{ChainSettings, ObserverSettings};
use crate::cli::config::{self, check, load};
use crate::cli::problem::{Exit, Problem};
use crate::cli::{keyfile, now_ms};
use crate::desk::Role;
use crate::evidence::{
    Body, Statement, StatementKind, Trust, ed25519, read_ownership, sign_statement, write_witnessed,
};
use crate::grpc::{Client, ClientOrder};
use crate::observer::run::{Missed, Subject};
use crate::observer::watch::safes_of;
use crate::observer::{Observer, Speaker, State, StateFault, Turn, Watch, begin, ownership_fact};
use crate::withdrawal::{Chain, ChainId, Seconds, evm_address};

/// What the observer takes.
#[derive(Debug, Args)]
pub struct ObserverArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Validate the configuration and everything it names, say so part by part, and exit; no node is asked
    #[arg(long)]
    pub check: bool,
    /// Look once, state what was seen, and exit
    #[arg(long)]
    pub once: bool,
    /// Note from where the Safes of a chain are told of, and exit: everything they executed above this height
    #[arg(long, value_name = "CHAIN=HEIGHT", value_parser = height)]
    pub begin: Vec<(ChainId, u64)>,
    /// State that a contract wallet accepts a proof for the message in this file (EIP-1271), print it, and exit
    #[arg(long, value_name = "FILE", requires = "proof", conflicts_with_all = ["check", "once", "begin"])]
    pub witness: Option<PathBuf>,
    /// What the contract is shown: 0x and hex digits in lower case
    #[arg(long, value_name = "HEX", requires = "witness")]
    pub proof: Option<String>,
}

fn height(text: &str) -> Result<(ChainId, u64), String> {
    let (chain, height) = text.split_once('=').ok_or("write chain=height, such as eip155:1=23000000")?;
    let chain = ChainId::parse(chain).map_err(|no| format!("{}; {}", no.problem, no.cure))?;
    Ok((chain, height.parse().map_err(|_| format!("`{height}` is no height"))?))
}

/// Runs the observer.
pub fn observer(args: &ObserverArgs, out: Out) -> Result<Answer, Problem> {
    let settings = config::observer(&args.config)?;
    if args.check {
        return Ok(check::observer::observer(&settings));
    }
    protect(false)?;
    speak(&settings.tracing)?;
    if let (Some(message), Some(proof)) = (&args.witness, &args.proof) {
        return serve(witness(settings, message, proof));
    }
    match (args.begin.as_slice(), args.once) {
        ([], true) => serve(once(settings)),
        ([], false) => serve(stand(settings, out)),
        (begin, _) => serve(note_begin(settings, begin)),
    }
}

/// What a chain is watched by.
pub fn watch(chain: &ChainSettings, trust: &Trust) -> Result<Watch, Problem> {
    let watch = Watch::new(nodes::nodes(&chain.nodes)?, trust, chain.bounds);
    watch.map_err(|no| Problem::config(format!("trust.file: {}", no.field), no.problem, no.cure))
}

/// The statement key, if the trust file lets this observer speak by it of all that it will state.
pub fn statement_key(
    settings: &ObserverSettings,
    trust: &Trust,
) -> Result<ed25519_dalek::SigningKey, Problem> {
    key_for(settings, trust, &[StatementKind::Chain, StatementKind::Safe])
}

fn key_for(
    settings: &ObserverSettings,
    trust: &Trust,
    kinds: &[StatementKind],
) -> Result<ed25519_dalek::SigningKey, Problem> {
    let key = keyfile::signing_key(&load::hex_key("statement_key", &settings.statement_key)?);
    let own = key.verifying_key();
    let speaks = |kind| trust.observer_keys(&settings.observer, kind).any(|known| *known == own);
    let has_treasury = |chain: &ChainSettings| {
        let entry = trust.wallet(Chain::Evm(chain.nodes.chain)).and_then(|entry| entry.safe.as_ref());
        entry.is_some_and(|safe| safe.treasury.is_some())
    };
    let deposits = settings.chains.iter().any(has_treasury).then_some(StatementKind::Deposits);
    match kinds.iter().copied().chain(deposits).find(|kind| !speaks(*kind)) {
        None => Ok(key),
        Some(kind) => {
            let problem = format!("is no key by which `{}` may state {}", settings.observer, kind.as_str());
            let cure =
                "name the observer and its key as the trust file has them, or have its quorum add the kind";
            Err(Problem::config("statement_key", problem, cure))
        }
    }
}

fn open(settings: &ObserverSettings) -> Result<Observer, Problem> {
    let trust = load::trust(&settings.trust)?;
    let key = statement_key(settings, &trust)?;
    let watches = settings.chains.iter().map(|chain| watch(chain, &trust)).collect::<Result<Vec<_>, _>>()?;
    let state = State::open(&settings.state)?;
    for watch in &watches {
        check_begun(&state, watch)?;
    }
    let order = ClientOrder {
        address: settings.signer.clone(),
        files: settings.tls.clone(),
        server_role: Role::Signer,
    };
    let speaker = Speaker::new(Client::open(&order)?, settings.observer.clone(), key);
    Ok(Observer::new(watches, speaker, state))
}

/// Whether every Safe of a chain has a beginning.
pub fn check_begun(state: &State, watch: &Watch) -> Result<(), Problem> {
    match watch.safes().find(|safe| state.cursor(watch.chain(), *safe).is_none()) {
        None => Ok(()),
        Some(safe) => {
            let problem = format!("does not say from where the Safe {safe} on {} is told of", watch.chain());
            Err(Problem::config("state", problem, BEGIN))
        }
    }
}

const BEGIN: &str = "run `countersign observer --config FILE --begin <chain>=<height>` once: the height of a final block before the \
                     first transaction that is to be told of";

async fn stand(settings: ObserverSettings, out: Out) -> Result<Answer, Problem> {
    let mut observer = open(&settings)?;
    let stop = CancellationToken::new();
    let (stopping, signalled) = (stop.clone(), stop_signal()?);
    tokio::spawn(async move {
        signalled.await;
        stopping.cancel();
    });
    let chains: Vec<String> = settings.chains.iter().map(|chain| chain.nodes.chain.to_string()).collect();
    out.print(
        &json!({ "ready": true, "party": "observer", "chains": chains }),
        &format!("ready: observer of {}", chains.join(", ")),
    );
    match observer.run(settings.every, &now_ms, stop).await {
        Ok(()) => Ok(Answer::silent(Exit::Ok)),
        Err((subject, missed)) => Err(problem(&subject, missed)),
    }
}

async fn once(settings: ObserverSettings) -> Result<Answer, Problem> {
    let turn = open(&settings)?.turn(&now_ms).await;
    Ok(told(&turn))
}

fn told(turn: &Turn) -> Answer {
    let mut facts = Facts::new();
    for (subject, number) in &turn.stated {
        facts = facts.line("stated", format!("{subject}, number {number}"));
    }
    for (subject, missed) in &turn.missed {
        facts = facts.line("not stated", format!("{subject}: {}: {missed}", missed.code()));
    }
    let stated: Vec<Value> = turn
        .stated
        .iter()
        .map(|(subject, number)| json!({ "subject": subject.to_string(), "number": number }))
        .collect();
    let missed: Vec<Value> = turn
        .missed
        .iter()
        .map(|(subject, missed)| {
            json!({ "subject": subject.to_string(), "code": missed.code().as_str(), "problem": missed.to_string() })
        })
        .collect();
    let exit = if turn.missed.is_empty() { Exit::Ok } else { Exit::No };
    Answer { exit, json: json!({ "stated": stated, "not_stated": missed }), text: facts.text() }
}

/// Asks the contract of the message, and prints the proof of a registration. Nothing is sent.
async fn witness(settings: ObserverSettings, message: &Path, proof: &str) -> Result<Answer, Problem> {
    let trust = load::trust(&settings.trust)?;
    let key = key_for(&settings, &trust, &[StatementKind::Ownership])?;
    let unreadable = |problem: String| {
        let cure = "write the message of `countersign wallet challenge` into the file, as it is";
        Problem::config("--witness", problem, cure)
    };
    let text = std::fs::read_to_string(message).map_err(|no| unreadable(no.to_string()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let (chain, address) = read_ownership(text).map_err(|no| unreadable(no.to_string()))?;
    let known = settings.chains.iter().find(|known| Chain::Evm(known.nodes.chain) == chain);
    let known = known.ok_or_else(|| unreadable(format!("is of {chain}, which is not observed")))?;
    let contract = evm_address::read(&address).map_err(|no| unreadable(format!("its address {no}")))?;
    let (watch, now) = (watch(known, &trust)?, now_ms());
    let fact = ownership_fact(&watch, contract, (text, proof), Seconds(now / 1_000)).await;
    let fact = fact.map_err(|fault| Problem::of(fault.code(), fault.to_string()))?;
    let statement = Statement {
        observer: settings.observer.clone(),
        number: now,
        after: 0,
        at: Seconds(now / 1_000),
        body: Body::Ownership(fact),
    };
    let word = sign_statement(&statement, ed25519(&key)).map_err(|no| unreadable(no.to_string()))?;
    let proof = write_witnessed(proof, &word);
    let facts = Facts::new()
        .line("contract", format!("{address} on {chain}"))
        .line("block", fact.height)
        .line("proof", &proof);
    let json =
        json!({ "contract": address, "chain": chain.to_string(), "height": fact.height, "proof": proof });
    Ok(Answer::ok(json, facts.text()))
}

async fn note_begin(settings: ObserverSettings, heights: &[(ChainId, u64)]) -> Result<Answer, Problem> {
    let trust = load::trust(&settings.trust)?;
    let mut state = State::begin(&settings.state)?;
    let mut facts = Facts::new();
    let mut begun = Vec::new();
    for (chain, height) in heights {
        let known = settings.chains.iter().find(|known| known.nodes.chain == *chain);
        let known = known.ok_or_else(|| {
            let cure = "write a [[chains]] for it into the configuration";
            Problem::config("--begin", format!("names {chain}, which is not observed"), cure)
        })?;
        let watch = watch(known, &trust)?;
        let safes = safes_of(&trust, *chain)
            .map_err(|no| Problem::config(format!("trust.file: {}", no.field), no.problem, no.cure))?;
        for (_, wallet) in safes {
            let safe = wallet.address();
            let cursor = begin(&watch, &wallet, *height).await;
            let cursor = cursor.map_err(|fault| Problem::of(fault.code(), fault.to_string()))?;
            let is_new = state.begin_safe(*chain, safe, cursor)?;
            let word = if is_new { "begins" } else { "had begun before, and stays" };
            facts =
                facts.line("safe", format!("{safe} on {chain} {word}; nonce {} at {height}", cursor.nonce));
            begun.push(json!({ "chain": chain.to_string(), "safe": safe.to_string(), "nonce": cursor.nonce, "height": height, "new": is_new }));
        }
    }
    Ok(Answer::ok(json!({ "begun": begun }), facts.text()))
}

fn problem(subject: &Subject, missed: Missed) -> Problem {
    let code = missed.code();
    match missed {
        Missed::State(fault) => fault.into(),
        Missed::NotBegun => Problem::config("state", format!("{subject}: {missed}"), BEGIN),
        Missed::Look(_) | Missed::Speak(_) => Problem::of(code, format!("{subject}: {missed}")),
    }
}

impl From<StateFault> for Problem {
    fn from(fault: StateFault) -> Self {
        let cure = match &fault {
            StateFault::Missing(_) => BEGIN,
            StateFault::Taken(_) => "end the other process; one observer at a time speaks by one state",
            StateFault::Unreadable { .. } => "restore the file, or move it away and begin anew with --begin",
            StateFault::Unwritable { .. } => "let the observer's user write to the file and its folder",
        };
        Self::config("state", fault.to_string(), cure)
    }
}
