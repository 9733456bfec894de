//! Who takes part: the program in five roles, killed and started again at the same addresses, and the people around it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use countersign::desk::{Role, WithdrawalView};
use countersign::enclave::Enclave;
use countersign::ethereum::{Address, U256};
use countersign::evidence::{ed25519, sign_request};
use countersign::grpc::{Client, ClientOrder};
use countersign::pki::PemFiles;
use countersign::relay::robot::{Customer, Robot};
use countersign::sandbox::anvil::{self, Anvil};
use countersign::sandbox::children::{self, Child};
use countersign::sandbox::configs::{self, Listeners};
use countersign::sandbox::folder::Folder;
use countersign::sandbox::house::{self, Ground};
use countersign::sandbox::observer::Observer;
use countersign::sandbox::papers::{self, Keys, REQUEST_KEY};
use countersign::sandbox::seeds::{self, Seeds};
use countersign::sandbox::{ORGANISATION, ROBOT_VASP, now, robot};
use countersign::wire::v1;
use countersign::withdrawal::evm_address::spell;
use countersign::withdrawal::*;
use serde_json::{Value, json};

use super::proxy::{Manner, Proxy};

/// How many blocks lie on top of a final one.
pub const DEPTH: u64 = 8;
pub const GAS_MONEY: u128 = 50_000_000_000_000_000_000;
const NAME: (&str, &str) = ("KIM", "MINSU");

/// The folder with anvil, or a loud word that the test is skipped.
pub fn modules() -> Option<PathBuf> {
    let found = anvil::folder(None);
    if found.is_none() {
        let required = std::env::var_os("COUNTERSIGN_REQUIRE_EVM").is_some_and(|value| value == "1");
        assert!(!required, "COUNTERSIGN_REQUIRE_EVM=1, but COUNTERSIGN_EVM names no packages");
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud = "\n*** SKIPPED: the whole house: COUNTERSIGN_EVM names no packages; tests/run.sh brings them ***\n\n";
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
    }
    found
}

pub struct House {
    // those who ask go before those who are asked
    running: BTreeMap<&'static str, Child>,
    pub proxies: Vec<Proxy>,
    pub anvil: Anvil,
    pub seeds: Seeds,
    pub account: Address,
    pub bank: String,
    pub listeners: Listeners,
    keys: Keys,
    folder: Folder,
    observer: Observer,
    pub exchange: Client,
    _robot: Enclave,
}

impl House {
    /// Everything made, every process started, and the facts stated; a block comes only when it is asked for.
    pub async fn open(seed: u64, payees: &[Address]) -> Option<Self> {
        let modules = modules()?;
        // another build of it, so that a long run is not disturbed by the next one
        let other = std::env::var_os("COUNTERSIGN_PROGRAM").map(PathBuf::from);
        children::use_program(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_countersign").into()));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Folder::create(None).unwrap();
        let mut seeds = seeds::make(&folder).await.unwrap();
        seeds.safes.add_hot(1);
        let keys = Keys::create(&folder).unwrap();
        papers::certificates(&folder).unwrap();
        keys.trust(&folder, &seeds, true).unwrap();
        let listeners = Listeners::choose().unwrap();
        configs::write(&folder, &listeners, &keys, &seeds).unwrap();
        let anvil = Anvil::start(&modules, &seeds.safes).await.unwrap();
        anvil.ask("evm_setIntervalMining", json!([0])).await.unwrap();
        anvil.ask("anvil_mine", json!([format!("0x{:x}", DEPTH + 2)])).await.unwrap();
        let mut proxies = Vec::new();
        for n in 1..=3 {
            proxies.push(Proxy::seeded(&anvil.urls()[0], Manner::Honest, seed + n).await);
        }
        let nodes: Vec<String> = proxies.iter().map(|proxy| proxy.url.clone()).collect();
        let height = anvil.height().await.unwrap() - DEPTH;
        let ground = Ground { signer: listeners.signer, nodes: &nodes, depth: DEPTH, height };
        let account = house::prepare(&folder, &keys, &ground).await.unwrap();
        anvil
            .ask("anvil_setBalance", json!([account.to_string(), format!("0x{GAS_MONEY:x}")]))
            .await
            .unwrap();
        let bank = anvil.ask("eth_accounts", json!([])).await.unwrap()[0].as_str().unwrap().to_owned();
        let client = |role| client(&folder, role, listeners.signer);
        let (observer, exchange) = (client(Role::Observer), client(Role::Exchange));
        let observer = Observer::new(observer, keys.observer.clone(), None);
        let mut running = BTreeMap::new();
        for party in ["relay", "cosigner"] {
            running.insert(party, start(&folder, party));
        }
        running.get_mut("relay").unwrap().listens(listeners.relay).await.unwrap();
        let held: Vec<String> = payees.iter().map(|payee| spell(*payee)).collect();
        let held: Vec<&str> = held.iter().map(String::as_str).collect();
        let customers = Robot { customers: vec![Customer::person(NAME.0, NAME.1, &held)] };
        running.insert("signer", start(&folder, "signer"));
        let robot = robot::start(&folder, (&listeners, &keys, &seeds), customers).await.unwrap();
        for party in ["observer", "executor"] {
            running.insert(party, start(&folder, party));
        }
        let mut house = Self {
            anvil,
            proxies,
            seeds,
            account,
            bank,
            listeners,
            keys,
            folder,
            running,
            observer,
            exchange,
            _robot: robot,
        };
        house.serves().await;
        house.state().await;
        Some(house)
    }

    /// Waits until signer and co-signer serve.
    pub async fn serves(&mut self) {
        let at = [
            ("cosigner", Role::Cosigner, self.listeners.cosigner),
            ("signer", Role::Signer, self.listeners.signer),
        ];
        for (party, role, address) in at {
            let files = PemFiles::in_folder(&self.folder.at("tls"), "auditor");
            let order = ClientOrder { address: address.to_string(), files, server_role: role };
            let client = Client::open(&order).unwrap();
            self.running.get_mut(party).unwrap().serves(&client).await.unwrap();
        }
    }

    /// Prices, the cold balances, and that no coin has changed; the chain is the observer's process's.
    pub async fn state(&mut self) {
        self.observer.state_facts().await.unwrap();
    }

    /// SIGKILL, and started again at the same addresses.
    pub async fn kill(&mut self, party: &'static str) {
        self.running.remove(party).unwrap().kill().await;
        self.running.insert(party, start(&self.folder, party));
    }

    /// What a party said last.
    pub fn said(&self, party: &str) -> String {
        self.running[party].last_lines()
    }

    pub async fn mine(&self) {
        self.anvil.ask("anvil_mine", json!(["0x1"])).await.unwrap();
    }

    /// A signed request with its payload.
    pub fn order(&self, id: &str, asset: Asset, payee: Address, units: u128) -> v1::CreateWithdrawalRequest {
        let destination = spell(payee);
        let request = WithdrawalRequest {
            organisation: Organisation::parse(ORGANISATION).unwrap(),
            request_id: RequestId::parse(id).unwrap(),
            customer_ref: CustomerRef::parse("customer-17").unwrap(),
            asset,
            destination: destination.clone(),
            amount: Amount::from_units(units),
            fee_max: Amount::from_units(100_000_000_000_000_000),
            beneficiary_vasp: ROBOT_VASP,
            asked_at: now(),
        };
        let signed = sign_request(&request, ed25519(&self.keys.exchange)).unwrap();
        let person = |name: (&str, &str)| {
            json!({"naturalPerson": {
                "name": {"nameIdentifier": [
                    {"primaryIdentifier": name.0, "secondaryIdentifier": name.1, "nameIdentifierType": "LEGL"}
                ]},
                "customerIdentification": "c-1",
            }})
        };
        let ivms = json!({
            "originator": {"originatorPersons": [person(("LEE", "JIHYE"))], "accountNumber": ["customer-17"]},
            "beneficiary": {"beneficiaryPersons": [person(NAME)], "accountNumber": [destination]},
        });
        let request = v1::SignedText {
            text: signed.text,
            key_id: REQUEST_KEY.into(),
            signature: signed.signature.to_vec(),
        };
        v1::CreateWithdrawalRequest { request: Some(request), ivms101_payload: ivms.to_string().into_bytes() }
    }

    /// What the executor's ledger says of every Safe transaction.
    pub async fn executions(&self) -> Vec<Value> {
        let config = self.folder.at("executor/executor.toml");
        let words: [OsString; 5] =
            ["executor".into(), "status".into(), "--json".into(), "--config".into(), config.into()];
        let told = children::run("countersign executor status", &words).await.unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        told["executions"].as_array().unwrap().clone()
    }

    /// The hot Safes.
    pub fn safes(&self) -> Vec<Address> {
        self.seeds.safes.hot_safes().map(|(safe, _)| safe).collect()
    }

    /// How many transactions all of them have executed.
    pub async fn executed(&self) -> u64 {
        let mut sum = 0;
        for safe in self.safes() {
            sum += self.safe_nonce(safe).await;
        }
        sum
    }

    /// A Safe's own nonce.
    pub async fn safe_nonce(&self, safe: Address) -> u64 {
        let call = json!({"to": safe.to_string(), "data": "0xaffed0e0"});
        let word = self.anvil.ask("eth_call", json!([call, "latest"])).await.unwrap();
        u64::try_from(word.as_str().unwrap().parse::<U256>().unwrap()).unwrap()
    }

    pub async fn sent(&self, tag: &str) -> u64 {
        let word =
            self.anvil.ask("eth_getTransactionCount", json!([self.account.to_string(), tag])).await.unwrap();
        u64::from_str_radix(word.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }
}

fn start(folder: &Folder, party: &'static str) -> Child {
    let config = folder.at(&format!("{party}/{party}.toml"));
    Child::start(party, &[party.into(), "--config".into(), config.into()]).unwrap()
}

fn client(folder: &Folder, role: Role, signer: SocketAddr) -> Client {
    let files = PemFiles::in_folder(&folder.at("tls"), role.as_str());
    Client::open(&ClientOrder { address: signer.to_string(), files, server_role: Role::Signer }).unwrap()
}

/// What a careful exchange does after any fault: the same request again, until it is released, or was and its payee refused.
pub async fn ask_until_released(client: Client, order: v1::CreateWithdrawalRequest) -> WithdrawalView {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(900);
    loop {
        let told = client.withdrawals().create_withdrawal(order.clone()).await;
        let now = match told {
            Ok(answer) => {
                let view = WithdrawalView::try_from(answer.into_inner()).unwrap();
                assert!(!matches!(view.outcome, Outcome::Refused(_)), "{:?}", view.outcome);
                if view.outcome == Outcome::Released || is_reverted(&view) {
                    return view;
                }
                format!("{:?}", view.outcome)
            }
            Err(status) => {
                let passes = [
                    tonic::Code::Unavailable,
                    tonic::Code::DeadlineExceeded,
                    tonic::Code::Unknown,
                    tonic::Code::Cancelled,
                ];
                assert!(passes.contains(&status.code()), "{status:?}");
                status.to_string()
            }
        };
        assert!(tokio::time::Instant::now() < deadline, "not released in time: {now}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

pub fn is_reverted(view: &WithdrawalView) -> bool {
    matches!(&view.outcome, Outcome::Held(findings) if findings.iter().any(|f| f.code == Code::PayeeReverted))
}
