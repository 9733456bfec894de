//! A private chain: a process of anvil's or ganache's, and what is asked of it over JSON-RPC.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use countersign::ethereum::receipt::Log;
use countersign::ethereum::{ChainId, Receipt};
use serde_json::{Value, json};

/// Which program plays the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Anvil,
    Ganache,
}

/// Where canonical deployments come from, and the code that stands there on every chain (Safe's singleton factory).
const FACTORY: &str = "0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7";
const FACTORY_CODE: &str = "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";

/// The first account that both programs give money to is not the same; each says its own.
pub struct Chain {
    child: Child,
    client: reqwest::Client,
    url: String,
    pub kind: Kind,
    pub id: ChainId,
    pub bank: Address,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the packages, or a loud word that the test is skipped.
pub fn packages() -> Option<PathBuf> {
    let found = std::env::var_os("COUNTERSIGN_EVM").filter(|path| !path.is_empty());
    if found.is_none() {
        let required = std::env::var_os("COUNTERSIGN_REQUIRE_EVM").is_some_and(|value| value == "1");
        assert!(!required, "COUNTERSIGN_REQUIRE_EVM=1, but COUNTERSIGN_EVM names no packages");
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a test").to_owned();
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud = format!(
            "\n*** SKIPPED: {name}: COUNTERSIGN_EVM names no packages; tests/run.sh brings them ***\n\n"
        );
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
    }
    found.map(PathBuf::from)
}

fn command(kind: Kind) -> Option<Command> {
    let modules = packages()?.join("node_modules");
    match kind {
        Kind::Anvil => {
            let folder = std::fs::read_dir(modules.join("@foundry-rs")).unwrap();
            let mut programs = folder.map(|entry| entry.unwrap().path().join("bin/anvil"));
            let mut anvil =
                Command::new(programs.find(|path| path.is_file()).expect("anvil's program is there"));
            anvil.args(["--port", "0", "--chain-id", "31337", "--gas-limit", "60000000"]);
            Some(anvil)
        }
        Kind::Ganache => {
            let mut ganache = Command::new("node");
            ganache.arg(modules.join("ganache/dist/node/cli.js"));
            // it takes no port 0
            let port = countersign::sandbox::ports::free().unwrap().port();
            ganache.args(["--server.port", &port.to_string()]).stderr(Stdio::null());
            ganache.args(["--chain.chainId", "1337", "--wallet.deterministic"]);
            ganache.args(["--miner.blockGasLimit", "60000000", "--logging.quiet", "false"]);
            Some(ganache)
        }
    }
}

impl Chain {
    /// Starts one, and puts the canonical factory where it stands everywhere; or says loudly why not.
    pub async fn start(kind: Kind) -> Option<Self> {
        let mut command = command(kind)?;
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the chain starts");
        let url = listening(&mut child);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut chain = Self { child, client, url, kind, id: ChainId::MAINNET, bank: Address::ZERO };
        chain.id = ChainId::new(chain.number("eth_chainId", json!([])).await).unwrap();
        let accounts = chain.ask("eth_accounts", json!([])).await;
        chain.bank = accounts[0].as_str().unwrap().parse().unwrap();
        chain.put_code(FACTORY.parse().unwrap(), FACTORY_CODE.parse().unwrap()).await;
        Some(chain)
    }

    pub async fn start_anvil() -> Option<Self> {
        Self::start(Kind::Anvil).await
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and takes a refusal for an answer: the error's own object.
    pub async fn try_ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let sent =
            self.client.post(&self.url).header("content-type", "application/json").body(body.to_string());
        let answer = sent.send().await.expect("the chain answers").bytes().await.unwrap();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        if answer.get("error").is_some_and(|error| !error.is_null()) {
            return Err(answer["error"].take());
        }
        Ok(answer["result"].take())
    }

    pub async fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn number(&self, method: &str, params: Value) -> u64 {
        let answer = self.ask(method, params).await;
        u64::from_str_radix(answer.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    pub async fn put_code(&self, address: Address, code: Bytes) {
        let method = match self.kind {
            Kind::Anvil => "anvil_setCode",
            Kind::Ganache => "evm_setAccountCode",
        };
        self.ask(method, json!([address.to_string(), code.to_string()])).await;
    }

    pub async fn put_storage(&self, address: Address, slot: B256, value: B256) {
        let method = match self.kind {
            Kind::Anvil => "anvil_setStorageAt",
            Kind::Ganache => "evm_setAccountStorageAt",
        };
        self.ask(method, json!([address.to_string(), slot.to_string(), value.to_string()])).await;
    }

    pub async fn code_hash(&self, address: Address) -> B256 {
        keccak256(self.bytes("eth_getCode", json!([address.to_string(), "latest"])).await)
    }

    pub async fn storage(&self, address: Address, slot: B256) -> B256 {
        let word =
            self.bytes("eth_getStorageAt", json!([address.to_string(), slot.to_string(), "latest"])).await;
        B256::left_padding_from(&word)
    }

    pub async fn balance(&self, address: Address) -> U256 {
        let word = self.ask("eth_getBalance", json!([address.to_string(), "latest"])).await;
        word.as_str().unwrap().parse().unwrap()
    }

    pub async fn count(&self, address: Address) -> u64 {
        self.number("eth_getTransactionCount", json!([address.to_string(), "latest"])).await
    }

    async fn bytes(&self, method: &str, params: Value) -> Bytes {
        self.ask(method, params).await.as_str().unwrap().parse().unwrap()
    }

    /// What a call returns, or the bytes it reverts with.
    pub async fn call(&self, to: Address, data: &[u8]) -> Result<Bytes, Bytes> {
        let call = json!({"from": self.bank.to_string(), "to": to.to_string(), "data": hex(data), "gas": "0x1c9c380"});
        match self.try_ask("eth_call", json!([call, "latest"])).await {
            Ok(answer) => Ok(answer.as_str().unwrap().parse().unwrap()),
            Err(error) => {
                let data = if error["data"].is_string() { &error["data"] } else { &error["data"]["result"] };
                Err(data.as_str().unwrap_or("0x").parse().unwrap())
            }
        }
    }

    /// The bank sends wei and data somewhere; it must go through.
    pub async fn bank_sends(&self, to: Address, value: U256, data: &[u8]) {
        let sent = json!({
            "from": self.bank.to_string(), "to": to.to_string(), "value": format!("0x{value:x}"),
            "data": hex(data), "gas": "0x1c9c380",
        });
        let hash = self.ask("eth_sendTransaction", json!([sent])).await;
        assert!(self.receipt(hash.as_str().unwrap()).await.succeeded, "what the bank sent went through");
    }

    /// The canonical factory deploys this creation code with salt zero.
    pub async fn deploy(&self, code: &[u8]) {
        let data = [&[0; 32], code].concat();
        self.bank_sends(FACTORY.parse().unwrap(), U256::ZERO, &data).await;
    }

    /// Sends a signed transaction and waits for its receipt.
    pub async fn send(&self, bytes: &[u8]) -> Receipt {
        let hash = self.ask("eth_sendRawTransaction", json!([hex(bytes)])).await;
        self.receipt(hash.as_str().unwrap()).await
    }

    async fn receipt(&self, hash: &str) -> Receipt {
        read_receipt(&self.mined(hash).await)
    }

    /// The node's own words on a transaction, once it is in a block.
    pub async fn mined(&self, hash: &str) -> Value {
        for _ in 0..200 {
            let receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                return receipt;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{hash} is in no block");
    }

    pub async fn base_fee(&self) -> u128 {
        let block = self.ask("eth_getBlockByNumber", json!(["latest", false])).await;
        let fee = block["baseFeePerGas"].as_str().unwrap_or("0x0").trim_start_matches("0x").to_owned();
        u128::from_str_radix(&fee, 16).unwrap()
    }
}

/// Reads the line that names the port, and keeps reading so that the program never waits for us.
fn listening(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let at = line.to_ascii_lowercase().find("listening on")?;
        let (_, address) = line[at..].rsplit_once(|c: char| c.is_whitespace())?;
        let port = address.rsplit_once(':')?.1.to_owned();
        Some(format!("http://127.0.0.1:{port}"))
    });
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    url.expect("the chain says where it listens")
}

fn read_receipt(receipt: &Value) -> Receipt {
    let read = |log: &Value| Log {
        address: log["address"].as_str().unwrap().parse().unwrap(),
        topics: log["topics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|topic| topic.as_str().unwrap().parse().unwrap())
            .collect(),
        data: log["data"].as_str().unwrap().parse::<Bytes>().unwrap().to_vec(),
    };
    Receipt {
        succeeded: receipt["status"] == "0x1",
        logs: receipt["logs"].as_array().unwrap().iter().map(read).collect(),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(bytes))
}
