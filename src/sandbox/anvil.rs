//! Owns a private EVM chain: a process of anvil's, what is asked of it over JSON-RPC, and the Safe's contracts as they are published.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, Command};
use tokio::time::{Instant, sleep, timeout};

use super::Fault;
use super::evm::{CHAIN, ETHER, HOT, Safes, TOKEN};
use crate::ethereum::{Address, B256, Bytes, U256};
use crate::withdrawal::{Amount, Asset};

/// Where canonical deployments come from, and the code that stands there on every chain (Safe's singleton factory).
const FACTORY: Address = alloy_primitives::address!("0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7");
const FACTORY_CODE: &str = "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";
/// Everything of the release that is pinned.
const CONTRACTS: [&str; 5] =
    ["Safe", "SafeL2", "SafeProxyFactory", "MultiSendCallOnly", "CompatibilityFallbackHandler"];
/// A token of six decimals that returns nothing, as USDT does: `transfer`, `balanceOf`, `decimals`; balances lie at the holder's slot.
const TOKEN_CODE: &str = include_str!("../../sandbox/token.hex");
/// Where it listens: nobody believes one endpoint alone.
const HOSTS: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
/// How long it may take to listen, and a transaction to be in a block.
const WAIT: Duration = Duration::from_secs(20);

/// A chain; dropped, it is gone.
pub struct Anvil {
    _process: Process,
    client: reqwest::Client,
    urls: [String; 2],
    bank: Address,
}

/// The folder whose `node_modules` has anvil and the contracts: the one that was named, or `COUNTERSIGN_EVM`.
pub fn folder(named: Option<&Path>) -> Option<PathBuf> {
    let known = || std::env::var_os("COUNTERSIGN_EVM").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.map(Path::to_owned).or_else(known)
}

fn no(problem: impl std::fmt::Display) -> Fault {
    Fault::setup("the chain", problem)
}

impl Anvil {
    /// Starts one of this folder's, with the hot Safes of these owners on it, put there by the canonical factory, each with what it
    /// is to have. From then on a block comes every second.
    pub async fn start(modules: &Path, safes: &Safes) -> Result<Self, Fault> {
        let modules = modules.join("node_modules");
        let anvil = Self::run(&modules).await?;
        anvil.ask("anvil_setCode", json!([FACTORY.to_string(), FACTORY_CODE])).await?;
        for contract in CONTRACTS {
            let code = published(&modules.join("@safe-global/safe-contracts"), contract)?;
            anvil.send(FACTORY, U256::ZERO, &[&[0; 32], code.as_ref()].concat()).await?;
        }
        anvil.ask("anvil_setCode", json!([TOKEN.to_string(), TOKEN_CODE.trim()])).await?;
        for (safe, deployment) in safes.hot_safes() {
            anvil.send(safes.deployment.0, U256::ZERO, deployment).await?;
            for (asset, amount) in HOT {
                let units = U256::from(amount.units());
                match asset {
                    ETHER => anvil.send(safe, units, &[]).await?,
                    _ => anvil.grant(safe, units).await?,
                }
            }
        }
        anvil.ask("anvil_mine", json!(["0x4"])).await?;
        anvil.ask("evm_setIntervalMining", json!([1])).await?;
        Ok(anvil)
    }

    async fn run(modules: &Path) -> Result<Self, Fault> {
        let mut command = Command::new(program(modules)?);
        let port = super::ports::free()?.port();
        command.args(["--host", &HOSTS.join(","), "--port", &port.to_string(), "--gas-limit", "60000000"]);
        command.args(["--chain-id", &CHAIN.number().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.kill_on_drop(true).process_group(0);
        let mut process = command.spawn().map_err(|source| Fault::file("anvil", source))?;
        let mut lines = BufReader::new(process.stdout.take().ok_or_else(|| no("says nothing"))?).lines();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("Listening on ") {
                    return true;
                }
            }
            false
        };
        if !timeout(WAIT, listening).await.unwrap_or(false) {
            return Err(no("does not listen"));
        }
        let urls = HOSTS.map(|host| format!("http://{host}:{port}"));
        // It never waits for us to read.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = reqwest::Client::builder().no_proxy().build().map_err(no)?;
        let mut anvil = Self { _process: process, client, urls, bank: Address::ZERO };
        let accounts = anvil.ask("eth_accounts", json!([])).await?;
        let bank = accounts.get(0).and_then(Value::as_str).and_then(|text| text.parse().ok());
        anvil.bank = bank.ok_or_else(|| no("has no account"))?;
        Ok(anvil)
    }

    /// Where it listens. It is one node; elsewhere each is of another operator.
    pub const fn urls(&self) -> &[String; 2] {
        &self.urls
    }

    fn url(&self) -> &str {
        let [url, _] = &self.urls;
        url
    }

    /// Asks, and gives the result.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value, Fault> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let failed = |problem: &dyn std::fmt::Display| Fault::call(method, &problem.to_string());
        let answer = self.client.post(self.url()).json(&body).send().await.map_err(|error| failed(&error))?;
        let mut answer: Value = answer.json().await.map_err(|error| failed(&error))?;
        match answer.get_mut("result").map(Value::take) {
            Some(result) => Ok(result),
            None => Err(failed(&answer)),
        }
    }

    /// The bank sends wei and data somewhere, and it goes through.
    pub async fn send(&self, to: Address, value: U256, data: &[u8]) -> Result<(), Fault> {
        let sent = json!({
            "from": self.bank.to_string(), "to": to.to_string(), "value": format!("0x{value:x}"),
            "data": hex(data), "gas": "0x1c9c380",
        });
        let hash = self.ask("eth_sendTransaction", json!([sent])).await?;
        let until = Instant::now() + WAIT;
        loop {
            let receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await?;
            match receipt.get("status").and_then(Value::as_str) {
                Some("0x1") => return Ok(()),
                None if Instant::now() < until => sleep(Duration::from_millis(20)).await,
                _ => return Err(no(format!("what the bank sent to {to} did not go through"))),
            }
        }
    }

    async fn grant(&self, holder: Address, units: U256) -> Result<(), Fault> {
        let (slot, value) = (holder.into_word(), B256::from(units));
        let params = json!([TOKEN.to_string(), slot.to_string(), value.to_string()]);
        self.ask("anvil_setStorageAt", params).await.map(drop)
    }

    /// What somebody has of an asset.
    pub async fn balance(&self, asset: Asset, of: Address) -> Result<Amount, Fault> {
        let word = match asset {
            ETHER => self.ask("eth_getBalance", json!([of.to_string(), "latest"])).await?,
            _ => {
                let data = [&[0x70, 0xa0, 0x82, 0x31], of.into_word().as_slice()].concat();
                let call = json!({ "to": TOKEN.to_string(), "data": hex(&data) });
                self.ask("eth_call", json!([call, "latest"])).await?
            }
        };
        let units = word.as_str().and_then(|text| text.parse::<U256>().ok());
        let units =
            units.and_then(|units| u128::try_from(units).ok()).ok_or_else(|| no("tells no balance"))?;
        Ok(Amount::from_units(units))
    }

    /// The height of the newest block.
    pub async fn height(&self) -> Result<u64, Fault> {
        let word = self.ask("eth_blockNumber", json!([])).await?;
        let digits = word.as_str().and_then(|text| text.strip_prefix("0x"));
        digits.and_then(|hex| u64::from_str_radix(hex, 16).ok()).ok_or_else(|| no("tells no height"))
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", HEXLOWER.encode(bytes))
}

/// Anvil's program, as npm's package for this machine brings it.
fn program(modules: &Path) -> Result<PathBuf, Fault> {
    let packages = modules.join("@foundry-rs");
    let entries = std::fs::read_dir(&packages).map_err(|source| Fault::file(packages.display(), source))?;
    let mut programs = entries.flatten().map(|entry| entry.path().join("bin/anvil"));
    programs.find(|path| path.is_file()).ok_or_else(|| no(format!("`{}` has no anvil", packages.display())))
}

/// The creation code of a contract as the package has it.
fn published(package: &Path, contract: &str) -> Result<Bytes, Fault> {
    let wanted = format!("{contract}.json");
    let file = find(&package.join("build/artifacts/contracts"), &wanted);
    let file = file.ok_or_else(|| no(format!("`{}` has no {wanted}", package.display())))?;
    let text = std::fs::read_to_string(&file).map_err(|source| Fault::file(file.display(), source))?;
    let artifact: Value = serde_json::from_str(&text).map_err(no)?;
    let code = artifact.get("bytecode").and_then(Value::as_str).and_then(|code| code.parse().ok());
    code.ok_or_else(|| no(format!("{wanted} has no code")))
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let direct = entries.iter().find(|path| path.is_file() && path.file_name().is_some_and(|it| it == name));
    direct.cloned().or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}
