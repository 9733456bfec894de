//! The nonce torture: pools that lose, nodes that fail, blocks that are undone, strangers, kills. Every payee is paid exactly once,
//! and after calm no nonce is left.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256, keccak256};
use countersign::ethereum::*;
use countersign::executor::Effect;
use countersign::withdrawal::Code;
use serde_json::json;

use super::chance::Chance;
use super::executor::{DEPTH, Port, Ready, Running};
use super::proxy::Manner;
use super::token::{self, held};

/// How long it may take until everything is at rest once nothing goes wrong any more.
const CALM: Duration = Duration::from_secs(60);
const SAFES: u64 = 2;

struct Torture {
    port: Port,
    chance: Chance,
    ready: Vec<Ready>,
    refusing: Vec<Address>,
    told: Told,
}

/// What was done to it.
/// Printed as a whole.
#[derive(Debug, Default)]
struct Told {
    #[allow(dead_code)]
    jobs: usize,
    kills: usize,
    reorgs: usize,
    dropped: usize,
    strangers: usize,
    blocks: usize,
}

fn payee(n: u64) -> Address {
    Address::from_word(keccak256(format!("payee {n}")))
}

impl Torture {
    async fn prepare(seed: u64, payees: u64) -> Option<Self> {
        let port = Port::open(seed, SAFES).await?;
        let mut chance = Chance::new(seed);
        let chain = &port.world.chain;
        let mut token_at = None;
        for wallet in &port.wallets {
            token_at =
                Some(token::token(chain, token::Manner::ReturnsNothing, wallet.address(), 1 << 40).await);
        }
        let token_at = token_at.unwrap();
        let (mut ready, mut refusing) = (Vec::new(), Vec::new());
        let mut nonces = [0; SAFES as usize];
        let mut next = 0;
        let mut trusted = Vec::new();
        for wallet in &port.wallets {
            trusted.push(port.world.trusted(wallet).await);
        }
        while next < payees {
            let lane = usize::try_from(chance.below(SAFES)).unwrap();
            let refuses = chance.one_in(8);
            let count = if refuses || chance.one_in(3) { 1 } else { 2 + chance.below(12) };
            let count = count.min(payees - next);
            let mut pays = Vec::new();
            for n in next..next + count {
                let units = Units::new(U256::from(1_000 + n));
                let is_token = !refuses && chance.one_in(2);
                let asset =
                    if is_token { EvmAsset::Token(chain.id, token_at) } else { EvmAsset::Ether(chain.id) };
                pays.push(Payee { to: payee(n), asset, amount: units });
            }
            if refuses {
                chain.put_code(payee(next), "0x60006000fd".parse().unwrap()).await;
                refusing.push(payee(next));
            }
            ready.push(port.sign_for(&trusted[lane], nonces[lane], &pays));
            nonces[lane] += 1;
            next += count;
        }
        // what was put there lies deeper than any block that is undone
        chain.ask("anvil_mine", json!([format!("0x{:x}", DEPTH + 2)])).await;
        let told = Told { jobs: ready.len(), ..Told::default() };
        Some(Self { port, chance, ready, refusing, told })
    }

    async fn block(&mut self) {
        self.port.mine().await;
        self.told.blocks += 1;
        tokio::time::sleep(Duration::from_millis(30 + self.chance.below(60))).await;
    }

    /// One bad thing, or none.
    async fn harm(&mut self) {
        let chain = &self.port.world.chain;
        match self.chance.below(12) {
            0 => {
                let depth = 1 + self.chance.below(DEPTH - 3);
                chain.ask("anvil_reorg", json!([depth, []])).await;
                self.told.reorgs += 1;
            }
            1..=4 => {
                let pool = chain.ask("txpool_content", json!([])).await;
                let own = self.port.world.party.executor();
                let mine = |(from, txs): (&String, &serde_json::Value)| {
                    let from: Address = from.parse().unwrap();
                    (from == own).then(|| txs.as_object().unwrap().values().cloned().collect::<Vec<_>>())
                };
                let txs: Vec<_> =
                    pool["pending"].as_object().unwrap().iter().filter_map(mine).flatten().collect();
                if !txs.is_empty() {
                    let one = &txs[usize::try_from(self.chance.below(txs.len() as u64)).unwrap()];
                    chain.ask("anvil_dropTransaction", json!([one["hash"]])).await;
                    self.told.dropped += 1;
                }
            }
            5 => {
                let at = usize::try_from(self.chance.below(self.ready.len() as u64)).unwrap();
                let lane = self.ready[at].submission.safe;
                let wallet = self.port.wallets.iter().find(|wallet| wallet.address() == lane).unwrap();
                let nonce = super::world::facts(chain, wallet).await.nonce;
                let now = self
                    .ready
                    .iter()
                    .find(|one| one.submission.safe == lane && U256::from(one.submission.nonce) == nonce);
                if let Some(now) = now {
                    self.port.stranger_sends(now).await;
                    self.told.strangers += 1;
                }
            }
            6 => {
                // gas becomes dear at once, and cheap again by itself
                let fee = 1_000_000_000 + self.chance.below(20_000_000_000);
                chain.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("0x{fee:x}")])).await;
            }
            _ => {}
        }
    }

    async fn torment(&mut self, seed: u64) -> Running {
        for proxy in &self.port.proxies {
            proxy.behave(Manner::Chaos(8));
        }
        let mut running = self.port.start("executor").await;
        let mut coming: std::collections::VecDeque<Ready> = self.ready.clone().into();
        let mut after = 0;
        while after < 20 {
            while let Some(next) = coming.front().filter(|_| self.chance.one_in(3)) {
                match running.desk.submit(next.submission.clone()).await {
                    Ok(view) => assert_eq!(view.hash, next.hash),
                    Err(no) => {
                        let known = [Code::ExecutorStandby, Code::ShuttingDown, Code::StoreUnavailable];
                        assert!(known.contains(&no.code()), "seed {seed}: {no}");
                        break;
                    }
                }
                coming.pop_front();
            }
            self.harm().await;
            self.block().await;
            if self.chance.one_in(8) {
                // killed wherever it was; it begins again from what is durable
                drop(running);
                running = self.port.start("executor").await;
                self.told.kills += 1;
            }
            after = if coming.is_empty() { after + 1 } else { 0 };
            assert!(self.told.blocks < 2_000, "seed {seed}: nothing is taken: {:?}", running.desk.standing());
        }
        for proxy in &self.port.proxies {
            proxy.behave(Manner::Honest);
        }
        running
    }

    async fn calm(&mut self, seed: u64, running: &Running) -> Duration {
        let begun = Instant::now();
        while begun.elapsed() < CALM {
            self.block().await;
            if self.port.is_calm(&running.desk, &self.ready).await {
                return begun.elapsed();
            }
        }
        panic!("seed {seed}: not calm after {CALM:?}: {:?} {:?}", running.desk.standing(), self.told);
    }

    async fn everybody_was_paid_once(&self, running: &Running) {
        let chain = &self.port.world.chain;
        for ready in &self.ready {
            let refuses = self.refusing.contains(&ready.payees[0].to);
            let effect = Port::final_effect(&running.desk, &ready.key()).await.unwrap();
            assert_eq!(effect, if refuses { Effect::Reverted } else { Effect::Paid }, "{}", ready.key());
            for payee in &ready.payees {
                let has = match payee.asset {
                    EvmAsset::Ether(_) => chain.balance(payee.to).await,
                    EvmAsset::Token(_, token) => held(chain, token, payee.to).await,
                };
                let due = if refuses { U256::ZERO } else { payee.amount.units() };
                assert_eq!(has, due, "{}", payee.to);
            }
        }
    }

    async fn no_gap_is_left(&self, running: &Running, had: U256) {
        let chain = &self.port.world.chain;
        let own = self.port.world.party.executor();
        let pool = chain.ask("txpool_content", json!([])).await;
        for part in ["pending", "queued"] {
            let froms = pool[part].as_object().unwrap().keys();
            assert!(!froms.map(|from| from.parse::<Address>().unwrap()).any(|from| from == own), "{pool}");
        }
        let mut paid = U256::ZERO;
        let (mut cursor, mut views) = (String::new(), std::collections::BTreeMap::new());
        loop {
            let page = running.desk.changes(&cursor, 50).await.unwrap();
            if page.jobs.is_empty() {
                break;
            }
            views.extend(page.jobs.into_iter().map(|view| (view.key, view)));
            cursor = page.cursor;
        }
        assert_eq!(views.len(), self.ready.len());
        views.values().for_each(|view| paid += U256::from(view.gas_paid));
        assert_eq!(had - chain.balance(own).await, paid, "gas");
        for wallet in &self.port.wallets {
            let jobs = self.ready.iter().filter(|one| one.submission.safe == wallet.address()).count();
            assert_eq!(super::world::facts(chain, wallet).await.nonce, U256::from(jobs));
        }
    }
}

async fn torture(seed: u64, payees: u64) {
    println!("torture: seed {seed}, {payees} payees (COUNTERSIGN_SEED sets another)");
    let Some(mut torture) = Torture::prepare(seed, payees).await else { return };
    let had = torture.port.world.chain.balance(torture.port.world.party.executor()).await;
    let begun = Instant::now();
    let running = torture.torment(seed).await;
    let stormed = begun.elapsed();
    let calmed = torture.calm(seed, &running).await;
    torture.everybody_was_paid_once(&running).await;
    torture.no_gap_is_left(&running, had).await;
    running.stop().await;
    let ends = torture.port.ends().await;
    let expected = ["cancelled", "consumed", "replaced"];
    assert!(ends.keys().all(|end| expected.contains(&end.as_str())), "{ends:?}");
    println!("torture: storm {stormed:?}, calm after {calmed:?}, {:?}, nonces {ends:?}", torture.told);
}

fn seed() -> u64 {
    std::env::var("COUNTERSIGN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_122)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_payees_are_each_paid_once_through_lost_transactions_reorganisations_strangers_and_kills() {
    torture(seed(), 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test ethereum a_thousand -- --ignored --nocapture"]
async fn a_thousand_payees_are_each_paid_once_through_lost_transactions_reorganisations_strangers_and_kills()
{
    torture(seed(), 1_000).await;
}
