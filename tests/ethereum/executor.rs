//! The executor before a real chain: what it carries arrives once, whoever else sends it, and whoever works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use countersign::audit::LogKey;
use countersign::ethereum::pins::{Singleton, V1_4_1};
use countersign::ethereum::*;
use countersign::executor::{
    Account, Desk, Effect, Executor, JobKey, JobView, Outcome, Parts, Rules, State, Submission, SubmitError,
};
use countersign::flow::signer::create_store;
use countersign::keys::{ChildIndex, KeyRole};
use countersign::node::{Bounds, Finality, Name, Nodes, Place, Settings};
use countersign::store::{Row, Store, StoreSecret, StoreUrl, Table};
use countersign::withdrawal::{Code, Seconds};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::chain::{Chain, hex};
use super::proxy::{Manner, Proxy};
use super::seats::{opened, seat_keys};
use super::world::*;

/// How many blocks lie on top of a final one.
pub const DEPTH: u64 = 8;

/// A chain with hot Safes, three nodes before it, and the place of an executor.
pub struct Port {
    pub world: World,
    pub wallets: Vec<SafeWallet>,
    pub proxies: [Proxy; 3],
    nodes: Arc<Nodes>,
    folder: tempfile::TempDir,
    pub rules: Rules,
}

/// A finished Safe transaction and what is to come of it.
#[derive(Debug, Clone)]
pub struct Ready {
    pub submission: Submission,
    pub hash: B256,
    pub payees: Vec<Payee>,
}

impl Ready {
    pub fn key(&self) -> JobKey {
        JobKey { safe: self.submission.safe, nonce: self.submission.nonce }
    }
}

/// An executor at work; dropped, it is killed.
pub struct Running {
    pub desk: Desk,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

fn secret() -> StoreSecret {
    StoreSecret::take(&mut [5; 32])
}

impl Port {
    pub async fn open(seed: u64, safes: u64) -> Option<Self> {
        let chain = Chain::start_anvil().await?;
        let world = World::new(chain, Make { release: &V1_4_1, singleton: Singleton::Plain }).await;
        let mut wallets = Vec::new();
        for salt in 0..safes {
            let wallet = world.make_safe(salt).await;
            world.chain.bank_sends(wallet.address(), U256::from(u128::from(ETHER)), &[]).await;
            wallets.push(wallet);
        }
        world.chain.ask("evm_setAutomine", json!([false])).await;
        world.chain.ask("anvil_mine", json!([format!("0x{:x}", DEPTH + 2)])).await;
        let url = world.chain.url().to_owned();
        let proxy = |n: u64| Proxy::seeded(&url, Manner::Honest, seed + n);
        let proxies = [proxy(1).await, proxy(2).await, proxy(3).await];
        let bounds = Bounds { time: Duration::from_secs(2), ..Bounds::default() };
        let place = |(at, proxy): (usize, &Proxy)| {
            Place::new(Name::parse(&format!("node-{at}")).unwrap(), &proxy.url, None).unwrap()
        };
        let places = proxies.iter().enumerate().map(place).collect();
        let finality = Finality { tag: None, depth: DEPTH };
        let roots = rustls::RootCertStore::empty();
        let settings = Settings::new(world.chain.id, (places, 2), finality, bounds, roots).unwrap();
        let nodes = Arc::new(Nodes::new(settings).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let rules = Rules {
            window: 8,
            stuck_blocks: 4,
            base_fee_margin_percent: 25,
            tip_min: 100_000_000,
            pause_ms: 20,
            lease_s: 3,
            alarm_after_s: 20,
            ..Rules::default()
        };
        let port = Self { world, wallets, proxies, nodes, folder, rules };
        let identity = Arc::new(opened(KeyRole::Signer, 10).ed25519_identity("log").unwrap());
        create_store(&port.url(), &secret(), port.log_key(), identity, ("executor", Seconds(1)))
            .await
            .unwrap();
        Some(port)
    }

    /// How each nonce of the account ended, counted; there is no gap between them.
    pub async fn ends(&self) -> BTreeMap<String, usize> {
        let (mut ends, mut nonces) = (BTreeMap::new(), BTreeSet::new());
        let mut visit = |row: Row| {
            if row.table() == Table::AccountNonce {
                nonces.insert(row.key().parse::<u64>().unwrap());
                *ends.entry(row.state().to_owned()).or_default() += 1;
            }
        };
        Store::open_visiting(&self.url(), &secret(), &mut visit).await.unwrap();
        let (first, last) = (*nonces.first().unwrap(), *nonces.last().unwrap());
        assert_eq!(nonces, (first..=last).collect(), "a gap");
        ends
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> StoreUrl {
        StoreUrl::parse(&format!("sqlite:{}", self.path().join("executor.db").display())).unwrap()
    }

    fn log_key(&self) -> LogKey {
        let public = opened(KeyRole::Signer, 10).ed25519_identity("log").unwrap().public_key();
        LogKey::new("executor.example/log", &public).unwrap()
    }

    /// Starts an executor of this name on the one store.
    pub async fn start(&self, name: &str) -> Running {
        let chain = self.world.chain.id;
        let account =
            Account::new(chain, seat_keys(KeyRole::Signer, 10), ChildIndex::new(0).unwrap()).unwrap();
        assert_eq!(account.address(), self.world.party.executor());
        let parts = Parts {
            store: self.url(),
            secret: secret(),
            log_key: self.log_key(),
            identity: Arc::new(opened(KeyRole::Signer, 10).ed25519_identity("log").unwrap()),
            account,
            nodes: Arc::clone(&self.nodes),
            wallets: self.wallets.clone(),
            rules: self.rules,
            name: name.to_owned(),
        };
        let (executor, desk) = Executor::open(parts).await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(executor.run(stop.clone()));
        Running { desk, stop, task }
    }

    /// Builds, checks, and signs as both owners; for a nonce that may lie ahead.
    pub async fn sign(&self, wallet: &SafeWallet, nonce: u64, payees: &[Payee]) -> Ready {
        let safe = self.world.trusted(wallet).await;
        self.sign_for(&safe, nonce, payees)
    }

    pub fn sign_for(&self, safe: &TrustedSafe, nonce: u64, payees: &[Payee]) -> Ready {
        let safe_tx_gas = 60_000 + 60_000 * u64::try_from(payees.len()).unwrap();
        let plan = UnsignedPlan { nonce, safe_tx_gas, task: Task::Pay(payees.to_vec()) };
        let proposal = Unsigned::build(safe, &plan).unwrap().proposal();
        let checked = check_proposal(&proposal, safe, &Expectations { nonce, ..expecting(payees) }).unwrap();
        let [a, b] = [KeyRole::Signer, KeyRole::Cosigner].map(|role| self.world.sign(&checked, role));
        let finished = checked.finish(&a, &b).unwrap();
        let submission = Submission { safe: finished.safe(), nonce, data: finished.data().to_vec() };
        Ready { submission, hash: finished.hash(), payees: payees.to_vec() }
    }

    pub async fn mine(&self) {
        self.world.chain.ask("anvil_mine", json!(["0x1"])).await;
    }

    /// A stranger sends a Safe transaction of ours: it is good for whoever pays the gas.
    pub async fn stranger_sends(&self, ready: &Ready) {
        let sent = json!({
            "from": self.world.chain.bank.to_string(), "to": ready.submission.safe.to_string(),
            "data": hex(&ready.submission.data), "gas": "0x989680",
            "maxPriorityFeePerGas": "0x2540be400", "maxFeePerGas": "0x2e90edd000",
        });
        self.world.chain.ask("eth_sendTransaction", json!([sent])).await;
    }

    /// Mines until something holds, and says how it stands when it does not come to that.
    pub async fn mine_until(&self, running: &Running, what: &str, mut holds: impl AsyncFnMut(&Desk) -> bool) {
        for _ in 0..400 {
            if holds(&running.desk).await {
                return;
            }
            self.mine().await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        panic!("{what} never came: {:?}", running.desk.standing());
    }

    /// Submits as soon as the executor has looked at the chain.
    pub async fn submit(&self, running: &Running, ready: &Ready) -> JobView {
        for _ in 0..400 {
            match running.desk.submit(ready.submission.clone()).await {
                Ok(view) => return view,
                Err(no) if no.code() == Code::ExecutorStandby => {}
                Err(no) => panic!("{no}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never had its turn: {:?}", running.desk.standing());
    }

    pub async fn final_effect(desk: &Desk, key: &JobKey) -> Option<Effect> {
        match desk.job(key).await.unwrap()?.state {
            State::Final(Outcome::Executed { effect, .. }) => Some(effect),
            State::Final(Outcome::NotFound { .. }) => panic!("{key} was not found"),
            _ => None,
        }
    }

    /// Whether each of these is final, and no nonce is left.
    pub async fn is_calm(&self, desk: &Desk, all: &[Ready]) -> bool {
        for ready in all {
            if Self::final_effect(desk, &ready.key()).await.is_none() {
                return false;
            }
        }
        let standing = desk.standing();
        let account = self.world.party.executor();
        let settled = standing.open_nonces == 0 && standing.open_jobs == 0 && standing.fault.is_none();
        settled && standing.next_nonce == Some(self.world.chain.count(account).await)
    }
}

fn eth(port: &Port, n: u8, wei: u64) -> Payee {
    ether(&port.world.chain, stranger(n), wei)
}

#[tokio::test]
async fn what_is_handed_over_is_paid_once_also_if_a_stranger_sends_it_first_or_the_payee_refuses() {
    let Some(port) = Port::open(1, 1).await else { return };
    let wallet = &port.wallets[0];
    port.world.chain.put_code(stranger(2), "0x60006000fd".parse().unwrap()).await;
    let mut all = Vec::new();
    for (nonce, payees) in
        [vec![eth(&port, 1, 11)], vec![eth(&port, 2, 12)], vec![eth(&port, 3, 13), eth(&port, 4, 14)]]
            .into_iter()
            .enumerate()
    {
        all.push(port.sign(wallet, u64::try_from(nonce).unwrap(), &payees).await);
    }
    let running = port.start("one").await;
    for ready in &all {
        let first = port.submit(&running, ready).await;
        let again = port.submit(&running, ready).await;
        assert_eq!((first.hash, again.hash), (ready.hash, ready.hash), "the same twice is one job");
    }
    let before = port.world.chain.balance(port.world.party.executor()).await;
    // somebody who pays more for gas than we do
    port.stranger_sends(&all[0]).await;
    port.mine_until(&running, "calm", async |desk| port.is_calm(desk, &all).await).await;
    let mut gas = U256::ZERO;
    for (ready, expected) in all.iter().zip([Effect::Paid, Effect::Reverted, Effect::Paid]) {
        assert_eq!(Port::final_effect(&running.desk, &ready.key()).await, Some(expected));
        let view = running.desk.job(&ready.key()).await.unwrap().unwrap();
        gas += U256::from(view.gas_paid);
    }
    for (n, wei) in [(1, 11), (2, 0), (3, 13), (4, 14)] {
        assert_eq!(port.world.chain.balance(stranger(n)).await, U256::from(wei), "payee {n}");
    }
    let after = port.world.chain.balance(port.world.party.executor()).await;
    assert_eq!(before - after, gas, "what the ledger says of gas is what the account has paid");

    // another transaction under a nonce that is known, though that one is long final
    let other = port.sign_again(wallet, 0, &[eth(&port, 5, 15)]);
    let no = running.desk.submit(other.submission).await.unwrap_err();
    assert_eq!(no.code(), Code::ExecutionConflict);
    let mut changed = all[1].submission.clone();
    changed.nonce = 9;
    assert!(matches!(running.desk.submit(changed).await, Err(SubmitError::Unreadable(_))));
    let unknown = Submission { safe: Address::repeat_byte(7), ..all[1].submission.clone() };
    assert_eq!(running.desk.submit(unknown).await.unwrap_err().code(), Code::FieldMalformed);
    running.stop().await;
}

impl Port {
    /// What a thief of two keys could sign: another transaction under a nonce that was used.
    fn sign_again(&self, wallet: &SafeWallet, nonce: u64, payees: &[Payee]) -> Ready {
        let facts = SafeFacts {
            chain: wallet.chain(),
            address: wallet.address(),
            proxy_code_hash: V1_4_1.proxy_code_hash,
            singleton: V1_4_1.plain.pin,
            version: V1_4_1.version.to_owned(),
            owners: wallet.owners().all().to_vec(),
            threshold: U256::from(2),
            modules: vec![],
            guard: Address::ZERO,
            module_guard: Address::ZERO,
            fallback_handler: V1_4_1.fallback_handler,
            multi_send: V1_4_1.multi_send,
            nonce: U256::ZERO,
        };
        self.sign_for(&judge(wallet, &facts).unwrap(), nonce, payees)
    }
}

#[tokio::test]
async fn a_second_executor_stands_by_writes_nothing_and_takes_over_when_the_first_is_gone() {
    let Some(port) = Port::open(2, 1).await else { return };
    let wallet = &port.wallets[0];
    let all =
        [port.sign(wallet, 0, &[eth(&port, 1, 11)]).await, port.sign(wallet, 1, &[eth(&port, 2, 12)]).await];
    let first = port.start("one").await;
    port.submit(&first, &all[0]).await;
    port.mine_until(&first, "a nonce", async |desk| desk.standing().next_nonce.is_some()).await;
    let second = port.start("two").await;
    port.mine_until(&second, "standing by", async |desk| desk.standing().stands_by.is_some()).await;
    assert_eq!(second.desk.standing().stands_by.as_deref(), Some("one"));
    let no = second.desk.submit(all[1].submission.clone()).await.unwrap_err();
    assert_eq!(no.code(), Code::ExecutorStandby);
    drop(first);
    // its turn ends by itself
    port.mine_until(&second, "the turn", async |desk| desk.standing().stands_by.is_none()).await;
    port.submit(&second, &all[1]).await;
    port.mine_until(&second, "calm", async |desk| port.is_calm(desk, &all).await).await;
    for (ready, wei) in all.iter().zip([11, 12]) {
        assert_eq!(Port::final_effect(&second.desk, &ready.key()).await, Some(Effect::Paid));
        assert_eq!(port.world.chain.balance(ready.payees[0].to).await, U256::from(wei));
    }
}

#[tokio::test]
async fn who_executed_a_hash_is_found_by_its_logs_whoever_sent_it_and_no_other_hash_is() {
    let Some(port) = Port::open(3, 1).await else { return };
    let ready = port.sign(&port.wallets[0], 0, &[eth(&port, 1, 11)]).await;
    let find = async |hash: B256| {
        let head = port.nodes.latest().await.unwrap();
        port.nodes.executions((ready.submission.safe, hash), 0, &head).await.unwrap().into_value()
    };
    assert!(find(ready.hash).await.is_empty());
    port.stranger_sends(&ready).await;
    port.mine().await;
    let found = find(ready.hash).await;
    let head = port.nodes.latest().await.unwrap().into_value();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].block, found[0].block_hash), (head.number, head.hash));
    assert!(find(B256::repeat_byte(1)).await.is_empty());
    let head = port.nodes.latest().await.unwrap();
    assert_eq!(*port.nodes.safe_nonce(&head, ready.submission.safe).await.unwrap().value(), 1);
    assert!(port.nodes.safe_nonce(&head, stranger(9)).await.is_err());
    // one that lies is not believed
    port.proxies[0].behave(Manner::Lies);
    port.proxies[1].behave(Manner::Lags(2));
    let head_of = port.nodes.executions((ready.submission.safe, ready.hash), 0, &head).await;
    assert!(head_of.is_err());
}
