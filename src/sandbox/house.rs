//! Owns what stands before a chain: the configurations of the observer and of the executor, both processes, and what the chain says of
//! what was released.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::anvil::Anvil;
use super::children::{Child, Children, run};
use super::evm::{CHAIN, ETHER, denomination};
use super::folder::Folder;
use super::papers::{EVM_OBSERVER, Keys};
use super::played::Played;
use super::released::By;
use super::report::{Report, money};
use super::{Fault, NETWORK, configs};
use crate::ethereum::{Address, U256};
use crate::withdrawal::evm_address::{read, spell};
use crate::withdrawal::{Amount, Asset};

/// The ether that the account that pays gas is given.
const GAS_MONEY: u128 = 5_000_000_000_000_000_000;
/// How many blocks lie on top of a final one.
const DEPTH: u64 = 2;
/// How long it may take until what was released is final.
const PAID_TIME_MAX: Duration = Duration::from_secs(60);

/// The chain, and the account that pays gas.
pub struct House {
    /// The chain.
    pub anvil: Anvil,
    account: Address,
}

/// What the chain says of one withdrawal.
pub struct OnChain {
    /// The transaction that carried it.
    pub transaction: String,
    /// What it cost in gas, in wei.
    pub gas_paid: String,
    /// The payee, and what they have now of the asset.
    pub payee: (String, Amount),
}

impl House {
    /// Writes both configurations, makes keystore, ledger and state, and starts both processes before the signer.
    pub async fn open(
        anvil: Anvil,
        folder: &Folder,
        children: &mut Children,
        (keys, signer): (&Keys, SocketAddr),
    ) -> Result<Self, Fault> {
        let height = anvil.height().await?.saturating_sub(DEPTH);
        let ground = Ground { signer, nodes: anvil.urls(), depth: DEPTH, height };
        let account = prepare(folder, keys, &ground).await?;
        anvil.send(account, U256::from(GAS_MONEY), &[]).await?;
        for party in ["observer", "executor"] {
            children.add(Child::start(party, &configured(folder, party))?);
        }
        Ok(Self { anvil, account })
    }

    /// Waits until the executor's ledger has so many as paid in a final block, and reads what the payees have.
    pub async fn paid(&self, folder: &Folder, played: &[Played]) -> Result<BTreeMap<String, OnChain>, Fault> {
        let due: Vec<&Played> = played.iter().filter(|one| by_safe(one).is_some()).collect();
        let until = Instant::now() + PAID_TIME_MAX;
        loop {
            let told = status(folder).await?;
            let found: Vec<(&Played, &Value)> =
                due.iter().filter_map(|one| Some((*one, carried(&told, by_safe(one)?)?))).collect();
            if found.len() == due.len() {
                let mut paid = BTreeMap::new();
                for (one, job) in found {
                    paid.insert(one.request_id.clone(), self.on_chain(one, job).await?);
                }
                return Ok(paid);
            }
            if Instant::now() > until {
                return Err(Fault::call("executor status", &format!("not all is paid: {told}")));
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    async fn on_chain(&self, one: &Played, job: &Value) -> Result<OnChain, Fault> {
        let no = |problem: &str| Fault::call("executor status", problem);
        let text = |key: &str| job.get(key).and_then(Value::as_str).map(str::to_owned);
        let (asset, payee, _) = &one.asked;
        let asset = Asset::parse(asset).map_err(|invalid| no(&invalid.to_string()))?;
        let has = self.anvil.balance(asset, read(payee).map_err(no)?).await?;
        Ok(OnChain {
            transaction: text("transaction").ok_or_else(|| no("names no transaction"))?,
            gas_paid: text("gas_paid").ok_or_else(|| no("names no gas"))?,
            payee: (payee.clone(), has),
        })
    }

    /// For people.
    pub fn tell(&self, report: Report, played: &[Played], paid: &BTreeMap<String, OnChain>) {
        report.section("On the chain");
        report
            .fact("anvil", &format!("{CHAIN} at {}, a block every second", self.anvil.urls().join(" and ")));
        report.fact("executor", &format!("{} paid the gas", spell(self.account)));
        for one in played {
            let Some(on_chain) = paid.get(&one.request_id) else { continue };
            let asset = Asset::parse(&one.asked.0).unwrap_or(ETHER);
            report.fact(&one.request_id, &format!("{}  final", on_chain.transaction));
            let (payee, has) = &on_chain.payee;
            report.fact("", &format!("{payee} has {}", money(asset, *has)));
        }
    }

    /// For programs.
    pub fn json(&self, played: &[Played], paid: &BTreeMap<String, OnChain>) -> Value {
        let one = |one: &Played| {
            let on_chain = paid.get(&one.request_id)?;
            let (payee, has) = &on_chain.payee;
            Some(json!({
                "request_id": one.request_id, "transaction": on_chain.transaction, "gas_paid": on_chain.gas_paid,
                "payee": payee, "payee_has": has.to_string(), "asset": one.asked.0,
                "symbol": Asset::parse(&one.asked.0).ok().map(|asset| denomination(asset).symbol().to_owned()),
            }))
        };
        let paid: Vec<Value> = played.iter().filter_map(one).collect();
        json!({ "nodes": self.anvil.urls(), "executor": spell(self.account), "paid": paid })
    }
}

/// The hash of what a Safe pays.
fn by_safe(one: &Played) -> Option<&str> {
    let released = one.released.as_ref()?;
    matches!(released.by, By::Safe(..)).then_some(released.txid.as_str())
}

/// The executor's word on a Safe transaction, once it is paid in a final block.
fn carried<'a>(told: &'a Value, hash: &str) -> Option<&'a Value> {
    let says = |job: &Value, key: &str, what: &str| job.get(key).and_then(Value::as_str) == Some(what);
    let mut all = told.get("executions")?.as_array()?.iter();
    all.find(|job| {
        says(job, "safe_tx_hash", hash) && says(job, "state", "final") && says(job, "effect", "paid")
    })
}

fn configured(folder: &Folder, party: &str) -> Vec<OsString> {
    vec![party.into(), "--config".into(), folder.at(&format!("{party}/{party}.toml")).into()]
}

async fn status(folder: &Folder) -> Result<Value, Fault> {
    let mut arguments = vec!["executor".into(), "status".into(), "--json".into()];
    arguments.extend(configured(folder, "executor").into_iter().skip(1));
    let told = run("countersign executor status", &arguments).await?;
    serde_json::from_str(&told).map_err(|no| Fault::call("executor status", &no.to_string()))
}

/// What both stand on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Where the signer listens.
    pub signer: SocketAddr,
    /// The nodes, of which two must agree.
    pub nodes: &'a [String],
    /// How many blocks lie on top of a final one.
    pub depth: u64,
    /// A final block before the first payment.
    pub height: u64,
}

/// Writes both configurations, and makes what either needs before its first start. Gives the account that pays gas.
pub async fn prepare(folder: &Folder, keys: &Keys, ground: &Ground<'_>) -> Result<Address, Fault> {
    let (signer, chain, trust) = (ground.signer, chain(ground), configs::trust(keys));
    for party in ["observer", "executor"] {
        folder.folder(party)?;
        keys.hand_trust(folder, party)?;
    }
    let key = data_encoding::HEXLOWER.encode(keys.evm_observer.as_bytes());
    folder.write("observer/statement-key", &format!("{key}\n"))?;
    folder.write("executor/passphrase", &data_encoding::HEXLOWER.encode(&super::folder::fresh()?))?;
    let called = format!(
        "[signer]\naddress = \"{signer}\"\n\n[tls]\nca = \"../tls/ca.pem\"\ncert = \"../tls/ROLE.pem\"\nkey = \"../tls/ROLE.key\"\n\n{trust}\n"
    );
    let observer = format!(
        "observer = \"{EVM_OBSERVER}\"\nstatement_key = {{ file = \"statement-key\" }}\nstate = \"state.toml\"\nevery_s = 1\n\n\
         {}\n[[chains]]\n{}\n[tracing]\nformat = \"text\"\n",
        called.replace("ROLE", "observer"),
        chain.replace("NODES", "[[chains.nodes]]"),
    );
    folder.write("observer/observer.toml", &observer)?;
    let store = toml::Value::String(format!("sqlite:{}", folder.at("executor/executor.db").display()));
    let executor = format!(
        "network = \"{NETWORK}\"\nname = \"executor-1\"\nkeystore = {{ path = \"keystore\", passphrase = {{ file = \"passphrase\" }} }}\n\
         store = {{ url = {store} }}\nlog = {{ origin = \"sandbox.countersign.example/executor\" }}\n\
         limits = {{ pause_ms = 50, follow_ms = 100, lease_s = 5, memory_lock = false }}\n\n\
         {}\n[chain]\n{}\n[tracing]\nformat = \"text\"\n",
        called.replace("ROLE", "executor"),
        chain.replace("NODES", "[[chain.nodes]]"),
    );
    folder.write("executor/executor.toml", &executor)?;
    begin(folder, ground.height).await
}

fn chain(ground: &Ground<'_>) -> String {
    let Ground { nodes, depth, .. } = *ground;
    let node = |(at, url): (usize, &String)| format!("NODES\nname = \"node-{at}\"\nurl = \"{url}\"\n");
    let nodes: String = nodes.iter().enumerate().map(node).collect();
    format!("network = \"{CHAIN}\"\nquorum = 2\nfinality = \"depth\"\ndepth = {depth}\n{nodes}")
}

async fn begin(folder: &Folder, height: u64) -> Result<Address, Fault> {
    let mut words: Vec<OsString> = configured(folder, "observer");
    words.extend(["--json".into(), "--begin".into(), format!("{CHAIN}={height}").into()]);
    run("countersign observer --begin", &words).await?;
    let mut words: Vec<OsString> =
        ["init", "--json", "--role", "executor", "--cost", "cheap"].map(Into::into).into();
    words.extend(["--words-file".into(), folder.at("executor/words").into()]);
    words.extend(configured(folder, "executor").into_iter().skip(1));
    let made = run("countersign init --role executor", &words).await?;
    let made: Value = serde_json::from_str(&made).map_err(|no| Fault::setup("the executor", no))?;
    let account = made.get("account").and_then(Value::as_str).and_then(|text| read(text).ok());
    account.ok_or_else(|| Fault::setup("the executor", "its account is not in what `init` printed"))
}
