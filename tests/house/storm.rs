//! The torture of the whole house: pools that lose, nodes that fail, blocks that are undone, strangers, payees that refuse, and SIGKILL of
//! signer, co-signer, executor and observer. Every payee that can be paid is paid exactly once, and after calm no nonce is left.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use countersign::desk::WithdrawalView;
use countersign::ethereum::Address;
use countersign::sandbox::evm::{ETHER, HOT, USDT};
use countersign::wire::v1;
use countersign::withdrawal::{Asset, Outcome};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::chance::Chance;
use super::parties::{DEPTH, GAS_MONEY, House, ask_until_released, is_reverted};
use super::proxy::Manner;

/// How long it may take until everything is at rest once nothing goes wrong any more.
const CALM: Duration = Duration::from_secs(60);
/// How many requests the exchange has under way at once.
const AT_ONCE: usize = 12;
/// The storm goes on until so few are left to carry.
const LEFT_MAX: usize = 30;
/// Well before any price is too old.
const STATE_AGAIN: Duration = Duration::from_secs(120);

struct Paid {
    asset: Asset,
    payee: Address,
    units: u128,
    refuses: bool,
    order: v1::CreateWithdrawalRequest,
    view: Option<WithdrawalView>,
}

/// What was done to it. Printed as a whole.
#[derive(Debug, Default)]
struct Told {
    signer: usize,
    cosigner: usize,
    executor: usize,
    observer: usize,
    reorgs: usize,
    dropped: usize,
    strangers: usize,
    blocks: usize,
}

const VICTIMS: [&str; 4] = ["signer", "cosigner", "executor", "observer"];

impl Told {
    fn kills(&self) -> [usize; 4] {
        [self.signer, self.cosigner, self.executor, self.observer]
    }

    fn killed(&mut self, at: usize) {
        *[&mut self.signer, &mut self.cosigner, &mut self.executor, &mut self.observer][at] += 1;
    }
}

struct Storm {
    house: House,
    chance: Chance,
    all: Vec<Paid>,
    told: Told,
    seed: u64,
    stated: Instant,
    /// Not before then is anybody killed again: who is killed at every breath does no work to be killed in.
    next_kill: Instant,
}

fn payee(n: usize) -> Address {
    Address::from_word(countersign::ethereum::B256::from(
        <[u8; 32]>::try_from(&sha(format!("house payee {n}").as_bytes())[..]).unwrap(),
    ))
}

fn sha(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}

impl Storm {
    async fn prepare(seed: u64, count: usize) -> Option<Self> {
        let payees: Vec<Address> = (0..count).map(payee).collect();
        let house = House::open(seed, &payees).await?;
        let mut chance = Chance::new(seed);
        let mut all = Vec::new();
        for (n, payee) in payees.into_iter().enumerate() {
            let refuses = chance.one_in(8);
            let asset = if !refuses && chance.one_in(2) { USDT } else { ETHER };
            let units = 1_000 + u128::try_from(n).unwrap();
            if refuses {
                house.anvil.ask("anvil_setCode", json!([payee.to_string(), "0x60006000fd"])).await.unwrap();
            }
            let order = house.order(&format!("h-{n}"), asset, payee, units);
            all.push(Paid { asset, payee, units, refuses, order, view: None });
        }
        // what was put there lies deeper than any block that is undone
        house.anvil.ask("anvil_mine", json!([format!("0x{:x}", DEPTH + 2)])).await.unwrap();
        let (told, stated, next_kill) = (Told::default(), Instant::now(), Instant::now());
        Some(Self { house, chance, all, told, seed, stated, next_kill })
    }

    async fn block(&mut self) {
        self.house.mine().await;
        self.told.blocks += 1;
        tokio::time::sleep(Duration::from_millis(30 + self.chance.below(60))).await;
    }

    /// One bad thing on the chain, or none.
    async fn harm(&mut self) {
        let anvil = &self.house.anvil;
        match self.chance.below(12) {
            0 => {
                let depth = 1 + self.chance.below(DEPTH - 3);
                anvil.ask("anvil_reorg", json!([depth, []])).await.unwrap();
                self.told.reorgs += 1;
            }
            1..=4 => {
                let own = self.in_pool("pending").await;
                if !own.is_empty() {
                    let one = &own[usize::try_from(self.chance.below(own.len() as u64)).unwrap()];
                    self.house.anvil.ask("anvil_dropTransaction", json!([one["hash"]])).await.unwrap();
                    self.told.dropped += 1;
                }
            }
            5 => self.stranger().await,
            6 => {
                // gas becomes dear at once, and cheap again by itself
                let fee = 1_000_000_000 + self.chance.below(20_000_000_000);
                anvil.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("0x{fee:x}")])).await.unwrap();
            }
            _ => {}
        }
    }

    /// Somebody else sends what is next: it is good for whoever pays the gas.
    async fn stranger(&mut self) {
        let safes = self.house.safes();
        let safe = safes[usize::try_from(self.chance.below(safes.len() as u64)).unwrap()];
        let next = (safe, self.house.safe_nonce(safe).await);
        let mut views = self.all.iter().filter_map(|one| one.view.as_ref());
        let next = views.find(|view| view.safe.is_some_and(|place| (place.safe, place.nonce) == next));
        if let Some(view) = next.filter(|view| !view.raw_transaction.is_empty()) {
            let sent = json!({
                "from": self.house.bank, "to": safe.to_string(),
                "data": format!("0x{}", data_encoding::HEXLOWER.encode(&view.raw_transaction)), "gas": "0x989680",
                "maxPriorityFeePerGas": "0x2540be400", "maxFeePerGas": "0x2e90edd000",
            });
            self.house.anvil.ask("eth_sendTransaction", json!([sent])).await.unwrap();
            self.told.strangers += 1;
        }
    }

    async fn in_pool(&self, part: &str) -> Vec<Value> {
        let pool = self.house.anvil.ask("txpool_content", json!([])).await.unwrap();
        let own = self.house.account;
        let mine = |(from, txs): (&String, &Value)| {
            let from: Address = from.parse().unwrap();
            (from == own).then(|| txs.as_object().unwrap().values().cloned().collect::<Vec<_>>())
        };
        pool[part].as_object().unwrap().iter().filter_map(mine).flatten().collect()
    }

    /// Somebody is killed wherever they were, and begins again from what is durable.
    async fn maybe_kill(&mut self) {
        if Instant::now() < self.next_kill || !self.chance.one_in(4) {
            return;
        }
        // whoever was never killed comes first, the signer before all
        let spared = self.told.kills().iter().position(|kills| *kills == 0);
        let at = spared
            .unwrap_or_else(|| [0, 0, 0, 1, 1, 2, 2, 3][usize::try_from(self.chance.below(8)).unwrap()]);
        self.told.killed(at);
        self.house.kill(VICTIMS[at]).await;
        self.next_kill = Instant::now() + Duration::from_millis(800 + self.chance.below(2_500));
    }

    async fn storm(&mut self) {
        for proxy in &self.house.proxies {
            proxy.behave(Manner::Chaos(8));
        }
        let (tell, mut hear) = mpsc::channel(AT_ONCE);
        let (mut next, mut asking, mut done, mut after, mut left) = (0, 0, 0, 0, self.all.len());
        while after < 20 {
            while next < self.all.len() && asking < AT_ONCE && self.chance.one_in(2) {
                let (client, order, tell) =
                    (self.house.exchange.clone(), self.all[next].order.clone(), tell.clone());
                let at = next;
                tokio::spawn(async move {
                    let view = ask_until_released(client, order).await;
                    let _ = tell.send((at, view)).await;
                });
                (next, asking) = (next + 1, asking + 1);
            }
            while let Ok((at, view)) = hear.try_recv() {
                self.all[at].view = Some(view);
                (asking, done) = (asking - 1, done + 1);
                if done % 100 == 0 {
                    println!("house: {done} released, {:?}", self.told);
                }
            }
            self.harm().await;
            self.block().await;
            self.maybe_kill().await;
            if self.stated.elapsed() > STATE_AGAIN {
                self.house.serves().await;
                self.house.state().await;
                self.stated = Instant::now();
            }
            let all_met = self.told.kills().iter().all(|kills| *kills > 0);
            if done == self.all.len() && self.told.blocks.is_multiple_of(40) {
                left = self.unfinished().await;
            }
            after = if all_met && left <= LEFT_MAX { after + 1 } else { 0 };
            let most = 1_000 + 60 * self.all.len();
            assert!(
                self.told.blocks < most,
                "seed {}: {done} released, {left} left: {}",
                self.seed,
                self.standing()
            );
        }
        for proxy in &self.house.proxies {
            proxy.behave(Manner::Honest);
        }
    }

    fn standing(&self) -> String {
        let said =
            ["signer", "cosigner", "observer", "executor"].map(|p| format!("{p}:\n{}", self.house.said(p)));
        format!("{:?}\n{}", self.told, said.join("\n"))
    }

    /// How many Safe transactions there are: tokens that were ready together are paid by one, ether and what is refused each by its
    /// own. One that is not released yet counts for itself.
    fn transactions(&self) -> usize {
        let (refused, paid): (Vec<_>, Vec<_>) = self.all.iter().partition(|one| one.refuses);
        let hashes = paid.iter().filter_map(|one| one.view.as_ref()?.txid.as_deref());
        let awaited = paid.iter().filter(|one| one.view.is_none()).count();
        hashes.collect::<BTreeSet<_>>().len() + awaited + refused.len()
    }

    /// How many transactions are not final on the chain.
    async fn unfinished(&self) -> usize {
        let executions = self.house.executions().await;
        let done = executions.iter().filter(|job| job["state"] == "final").count();
        self.transactions().saturating_sub(done)
    }

    /// Each nonce of the Safes is used, and nothing of the account that pays gas is under way.
    async fn no_gap_is_left(&self) -> bool {
        self.house.executed().await == u64::try_from(self.transactions()).unwrap()
            && self.house.sent("latest").await == self.house.sent("pending").await
            && self.in_pool("queued").await.is_empty()
    }

    /// And the executor's ledger has each as final and done with.
    async fn is_settled(&self) -> bool {
        let executions = self.house.executions().await;
        let settled = executions.iter().filter(|job| job["state"] == "final" && job["open"] == false);
        settled.count() == self.transactions() && self.no_gap_is_left().await
    }

    async fn calm(&mut self) -> Duration {
        let begun = Instant::now();
        while !self.no_gap_is_left().await {
            self.block().await;
            if begun.elapsed() > CALM {
                panic!("seed {}: not calm: {} {}", self.seed, self.unrest().await, self.standing());
            }
        }
        let calmed = begun.elapsed();
        // reading the whole ledger takes its time where much is written and others use the machine
        while !self.is_settled().await {
            for _ in 0..6 {
                self.block().await;
            }
            if begun.elapsed() > 4 * CALM {
                panic!("seed {}: not settled: {} {}", self.seed, self.unrest().await, self.standing());
            }
        }
        calmed
    }

    /// What keeps it from being calm.
    async fn unrest(&self) -> String {
        let executions = self.house.executions().await;
        let is_settled = |job: &&Value| job["state"] == "final" && job["open"] == false;
        let open: Vec<&Value> = executions.iter().filter(|job| !is_settled(job)).take(3).collect();
        let (latest, pending) = (self.house.sent("latest").await, self.house.sent("pending").await);
        let pool = [self.in_pool("pending").await, self.in_pool("queued").await];
        format!(
            "{} of {} known, {open:?}; nonce {latest} of {pending}, {pool:?}",
            executions.len(),
            self.transactions()
        )
    }

    /// The same request again, of a house that begins from its disks alone: the same bytes, and what became of them.
    async fn each_is_told_the_same(&mut self) {
        for party in ["cosigner", "signer", "executor", "observer"] {
            self.house.kill(party).await;
        }
        self.house.serves().await;
        let until = Instant::now() + CALM;
        for one in &self.all {
            let first = one.view.as_ref().unwrap();
            loop {
                let again = ask_until_released(self.house.exchange.clone(), one.order.clone()).await;
                if !is_reverted(&again) {
                    assert_eq!((&again.txid, again.safe), (&first.txid, first.safe), "{}", again.id);
                }
                // what nobody was paid is said to be so once it is final at the observer as well
                if is_reverted(&again) == one.refuses {
                    assert!(one.refuses || again.outcome == Outcome::Released);
                    break;
                }
                assert!(
                    Instant::now() < until,
                    "seed {}: {:?} {}",
                    self.seed,
                    again.outcome,
                    self.standing()
                );
                self.house.mine().await;
            }
        }
    }

    async fn every_wei_is_where_it_should_be(&self) {
        let anvil = &self.house.anvil;
        let safes = self.house.safes();
        let executions = self.house.executions().await;
        let mut left: Vec<(Asset, u128)> =
            HOT.iter().map(|(asset, amount)| (*asset, amount.units() * safes.len() as u128)).collect();
        for one in &self.all {
            let hash = one.view.as_ref().unwrap().txid.as_deref();
            let jobs: Vec<&Value> =
                executions.iter().filter(|job| job["safe_tx_hash"].as_str() == hash).collect();
            assert_eq!(jobs.len(), 1, "{hash:?}");
            let effect = if one.refuses { "reverted" } else { "paid" };
            assert!(jobs.iter().all(|job| job["effect"] == effect), "{jobs:?}");
            let due = if one.refuses { 0 } else { one.units };
            assert_eq!(anvil.balance(one.asset, one.payee).await.unwrap().units(), due, "{}", one.payee);
            left.iter_mut().filter(|(asset, _)| *asset == one.asset).for_each(|(_, left)| *left -= due);
        }
        for (asset, left) in left {
            let mut rests = 0;
            for safe in &safes {
                rests += anvil.balance(asset, *safe).await.unwrap().units();
            }
            assert_eq!(rests, left, "the Safes' {asset}");
        }
        for safe in safes {
            assert!(self.house.safe_nonce(safe).await > 0, "{safe} paid nothing");
        }
        let reverted = executions.iter().filter(|job| job["effect"] == "reverted").count();
        assert_eq!(reverted, self.all.iter().filter(|one| one.refuses).count());
        let gas: u128 =
            executions.iter().map(|job| job["gas_paid"].as_str().unwrap().parse::<u128>().unwrap()).sum();
        let has = anvil.balance(ETHER, self.house.account).await.unwrap().units();
        assert_eq!(GAS_MONEY - has, gas, "what the ledger says of gas is what the account has paid");
        assert_eq!(
            self.house.executed().await,
            u64::try_from(self.transactions()).unwrap(),
            "one nonce for each transaction, none left"
        );
    }
}

async fn torture(seed: u64, count: usize) {
    println!("house: seed {seed}, {count} withdrawals (COUNTERSIGN_SEED sets another)");
    let Some(mut storm) = Storm::prepare(seed, count).await else { return };
    let begun = Instant::now();
    storm.storm().await;
    let stormed = begun.elapsed();
    let calmed = storm.calm().await;
    storm.each_is_told_the_same().await;
    storm.every_wei_is_where_it_should_be().await;
    let refused = storm.all.iter().filter(|one| one.refuses).count();
    println!("house: storm {stormed:?}, calm after {calmed:?}, {refused} payees refused, {:?}", storm.told);
}

fn seed() -> u64 {
    std::env::var("COUNTERSIGN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_122)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_signers_and_all_else_each_payee_is_paid_once_or_held_as_reverted_and_every_wei_adds_up() {
    torture(seed(), 36).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes many minutes: cargo test --test house a_thousand -- --ignored --nocapture"]
async fn a_thousand_withdrawals_through_killed_signers_and_all_else_are_each_paid_once_or_held_as_reverted() {
    let count = std::env::var("COUNTERSIGN_COUNT").ok().and_then(|text| text.parse().ok());
    torture(seed(), count.unwrap_or(1_000)).await;
}
