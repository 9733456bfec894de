//! What an executor runs on: its keystore and ledger, the signer, the trust file, one chain with its nodes, what it pays. Opens no file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::nodes::NodesSettings;
use super::settings::{
    StorePlace, Tracing, TrustPlaces, above_zero, host_and_port, network, origin, pem, secret, store,
    tracing, trust,
};
use super::typed;
use crate::cli::problem::Problem;
use crate::executor::Rules;
use crate::keys::{ChildIndex, PassphraseSource};
use crate::pki::PemFiles;
use crate::withdrawal::Network;

/// The longest name of a process.
const NAME_LEN_MAX: usize = 60;

/// The executor's settings.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// The network of its keystore.
    pub network: Network,
    /// Its name among those that share the ledger.
    pub name: String,
    /// Which account of its seed pays gas.
    pub key_index: ChildIndex,
    /// The keystore's file.
    pub keystore: PathBuf,
    /// What opens it.
    pub passphrase: PassphraseSource,
    /// The ledger.
    pub store: StorePlace,
    /// The name of its log.
    pub origin: String,
    /// The signer's address, `host:port`.
    pub signer: String,
    /// The certificate shown to the signer, and the CA.
    pub tls: PemFiles,
    /// Where the Safes are pinned.
    pub trust: TrustPlaces,
    /// The chain's nodes.
    pub nodes: NodesSettings,
    /// Caps, windows, and how patient it is.
    pub rules: Rules,
    /// How long is waited between two looks at the signer's list.
    pub follow: Duration,
    /// Whether to refuse to start unless memory is locked.
    pub memory_lock: bool,
    /// How the process says what it does.
    pub tracing: Tracing,
}

impl ExecutorSettings {
    /// Checks what was typed; `base` is the folder from which paths count.
    pub fn new(file: typed::ExecutorFile, base: &Path) -> Result<Self, Problem> {
        let cure = "write a number below 2147483648";
        let key_index = ChildIndex::new(file.key_index)
            .ok_or_else(|| Problem::config("key_index", "is no index of a key", cure))?;
        Ok(Self {
            network: network(&file.network)?,
            name: name(file.name)?,
            key_index,
            keystore: base.join(file.keystore.path),
            passphrase: secret("keystore.passphrase", file.keystore.passphrase, base)?,
            store: store(file.store, base)?,
            origin: origin(file.log.origin)?,
            signer: host_and_port("signer.address", file.signer.address)?,
            tls: pem(file.tls, base),
            trust: trust(file.trust, base)?,
            nodes: NodesSettings::new(&file.chain.into(), base).map_err(of_chain)?,
            rules: rules(&file.gas, &file.limits)?,
            follow: Duration::from_millis(above_zero("limits.follow_ms", file.limits.follow_ms)?),
            memory_lock: file.limits.memory_lock,
            tracing: tracing(file.tracing)?,
        })
    }
}

fn name(text: String) -> Result<String, Problem> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.is_empty() && text.len() <= NAME_LEN_MAX && text.bytes().all(plain) {
        return Ok(text);
    }
    let cure = "write 1 to 60 small letters, digits and hyphens, another one for each process";
    Err(Problem::config("name", "is no name of a process", cure))
}

/// An executor has one chain: what is said of several is said of it.
pub fn of_chain(problem: Problem) -> Problem {
    let field = problem.field.as_deref().and_then(|field| field.strip_prefix("chains")).map(str::to_owned);
    match field {
        Some(rest) => problem.at(format!("chain{rest}")),
        None => problem,
    }
}

fn rules(gas: &typed::GasTable, limits: &typed::ExecutorLimits) -> Result<Rules, Problem> {
    let rules = Rules {
        window: limits.window,
        jobs_max: limits.jobs_max,
        fee_per_gas_cap: wei("gas.fee_per_gas_cap", &gas.fee_per_gas_cap)?,
        fee_job_cap: wei("gas.fee_job_cap", &gas.fee_job_cap)?,
        base_fee_margin_percent: gas.base_fee_margin_percent,
        tip_min: wei("gas.tip_min", &gas.tip_min)?,
        stuck_blocks: limits.stuck_blocks,
        attempts_max: limits.attempts_max,
        gas_more: gas.gas_more,
        gas_limit_max: gas.gas_limit_max,
        cancel_gas: gas.cancel_gas,
        balance_low: wei("gas.balance_low", &gas.balance_low)?,
        balance_target: wei("gas.balance_target", &gas.balance_target)?,
        search_blocks: limits.search_blocks,
        alarm_after_s: limits.alarm_after_s,
        lease_s: limits.lease_s,
        pause_ms: limits.pause_ms,
    };
    let of_gas = |field: &str| {
        ["fee_", "base_fee", "tip_", "gas_", "cancel_", "balance_"].iter().any(|head| field.starts_with(head))
    };
    rules.check().map_err(|no| {
        let table = if of_gas(no.field) { "gas" } else { "limits" };
        let cure = "deploy/executor.example.toml shows a figure that does";
        Problem::config(format!("{table}.{}", no.field), no.problem, cure)
    })?;
    Ok(rules)
}

fn wei(field: &str, text: &str) -> Result<u128, Problem> {
    let read = text.parse::<u128>().ok().filter(|units| units.to_string() == text);
    read.ok_or_else(|| Problem::config(field, "is no plain number", "write wei as digits in quotes"))
}
