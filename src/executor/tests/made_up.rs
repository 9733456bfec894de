//! A chain that is made up: blocks, a pool, reorganisations, strangers. What it is asked, it answers from its blocks alone.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use alloy_sol_types::{SolEvent, sol};

use super::super::change::Change;
use super::super::facts::{Basics, Delivery, Facts, SafeNonces, Wei};
use super::super::job::{Job, JobKey};
use super::super::ledger::Ledger;
use super::super::question::{Question, questions};
use super::super::rules::Rules;
use super::super::turn::{Decided, Troubles, decide};
use crate::ethereum::fixture::{CHAIN, ether_to, finished, wallet};
use crate::ethereum::receipt::Log;
use crate::ethereum::{B256, Receipt, SafeWallet, SignedSafeTx};
use crate::node::{Block, Fees, Inclusion, Settled};
use crate::withdrawal::Seconds;

sol! {
    event ExecutionSuccess(bytes32 indexed txHash, uint256 payment);
    event ExecutionFailure(bytes32 indexed txHash, uint256 payment);
}

/// How many blocks lie on top of a final one.
pub const DEPTH: u64 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tx {
    pub txid: B256,
    /// The nonce of the executor's account; a stranger's transaction has none.
    pub nonce: Option<u64>,
    pub runs: Option<JobKey>,
    pub fee: u128,
}

#[derive(Debug, Clone)]
pub struct MadeBlock {
    pub block: Block,
    pub txs: Vec<Tx>,
}

pub struct MadeUp {
    pub blocks: Vec<MadeBlock>,
    pub pool: BTreeMap<u64, Tx>,
    pub jobs: BTreeMap<JobKey, Job>,
    /// Payees that refuse.
    pub refusing: Vec<JobKey>,
    pub base_fee: u128,
    pub balance: Wei,
    forks: u64,
}

impl MadeUp {
    pub fn new() -> Self {
        let mut made = Self {
            blocks: Vec::new(),
            pool: BTreeMap::new(),
            jobs: BTreeMap::new(),
            refusing: Vec::new(),
            base_fee: 1_000,
            balance: 1_000_000_000_000,
            forks: 0,
        };
        (0..=DEPTH).for_each(|_| made.add(Vec::new()));
        made
    }

    pub fn height(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    fn add(&mut self, txs: Vec<Tx>) {
        let number = self.blocks.len() as u64;
        let hash = keccak256(format!("{number} of fork {}", self.forks));
        let parent = self.blocks.last().map_or(B256::ZERO, |last| last.block.hash);
        let block = Block { number, hash, parent, time_s: number, base_fee: Some(self.base_fee) };
        self.blocks.push(MadeBlock { block, txs });
    }

    /// A block with everything from the pool that pays and is next in line, behind what a stranger brings.
    pub fn mine(&mut self, strangers: Vec<Tx>) {
        let mut txs = strangers;
        let mut next = self.nonce(self.height());
        while let Some(tx) = self.pool.get(&next).filter(|tx| tx.fee >= self.base_fee).copied() {
            self.pool.remove(&next);
            txs.push(tx);
            next += 1;
        }
        self.add(txs);
    }

    /// Takes blocks back; what was in them is lost, or waits in the pool again.
    pub fn reorg(&mut self, depth: u64, into_pool: bool) {
        self.forks += 1;
        for _ in 0..depth {
            let Some(MadeBlock { txs, .. }) = self.blocks.pop() else { return };
            for tx in txs.into_iter().filter(|_| into_pool) {
                if let Some(nonce) = tx.nonce {
                    self.pool.entry(nonce).or_insert(tx);
                }
            }
        }
        // the other branch is longer
        (0..=depth).for_each(|_| self.add(Vec::new()));
    }

    fn until(&self, height: u64) -> impl Iterator<Item = (&Block, &Tx)> {
        let blocks = self.blocks.iter().filter(move |made| made.block.number <= height);
        blocks.flat_map(|made| made.txs.iter().map(|tx| (&made.block, tx)))
    }

    pub fn nonce(&self, height: u64) -> u64 {
        self.until(height).filter(|(_, tx)| tx.nonce.is_some()).count() as u64
    }

    /// Every execution in order: the job, where, and by which transaction.
    pub fn executions(&self, height: u64) -> Vec<(JobKey, Block, B256)> {
        let mut done: Vec<(JobKey, Block, B256)> = Vec::new();
        for (block, tx) in self.until(height) {
            let Some(key) = tx.runs else { continue };
            let at = done.iter().filter(|(other, _, _)| other.safe == key.safe).count() as u64;
            if at == key.nonce {
                done.push((key, *block, tx.txid));
            }
        }
        done
    }

    pub fn safe_nonce(&self, safe: crate::ethereum::Address, height: u64) -> u64 {
        self.executions(height).iter().filter(|(key, _, _)| key.safe == safe).count() as u64
    }

    fn basics(&self) -> Basics {
        let (height, last) = (self.height(), self.height() - DEPTH);
        let at = |height: u64| self.blocks[usize::try_from(height).unwrap()].block;
        let mut safes = BTreeMap::new();
        for key in self.jobs.keys() {
            let nonces =
                SafeNonces { head: self.safe_nonce(key.safe, height), last: self.safe_nonce(key.safe, last) };
            safes.insert(key.safe, nonces);
        }
        Basics {
            now: Seconds(height * 12),
            head: at(height),
            last: at(last),
            nonce_head: self.nonce(height),
            nonce_last: self.nonce(last),
            balance: self.balance,
            fees: Fees { base_fee_next: self.base_fee, tip: 10 },
            safes,
        }
    }

    pub fn settled(&self, txid: B256) -> Settled {
        let Some((block, tx)) = self.until(self.height()).find(|(_, tx)| tx.txid == txid) else {
            return Settled::Absent;
        };
        let done = self.executions(self.height());
        let ran = tx.runs.filter(|_| done.iter().any(|(_, _, by)| *by == txid));
        let log = ran.map(|key| {
            let event = if self.refusing.contains(&key) {
                ExecutionFailure::SIGNATURE_HASH
            } else {
                ExecutionSuccess::SIGNATURE_HASH
            };
            Log { address: key.safe, topics: vec![event, self.jobs[&key].hash()], data: vec![0; 32] }
        });
        let succeeded = tx.runs.is_none() || ran.is_some();
        let found = Inclusion {
            receipt: Receipt { succeeded, logs: log.into_iter().collect() },
            from: crate::ethereum::Address::ZERO,
            block: block.number,
            block_hash: block.hash,
            gas_used: 21_000,
            gas_price: self.base_fee,
        };
        if block.number <= self.height() - DEPTH { Settled::Final(found) } else { Settled::Mined(found) }
    }

    /// What the executor would learn; `hears` says which answers come.
    pub fn facts(
        &self,
        ledger: &Ledger,
        deliveries: &BTreeMap<u64, Delivery>,
        mut hears: impl FnMut() -> bool,
    ) -> Facts {
        let mut facts = Facts::new(self.basics(), deliveries.clone());
        for (number, _) in ledger.blocks().into_iter().filter(|(number, _)| *number <= self.height()) {
            if hears() {
                facts.hashes.insert(number, self.blocks[usize::try_from(number).unwrap()].block.hash);
            }
        }
        for question in questions(ledger, &facts) {
            if hears() {
                self.answer(&mut facts, question);
            }
        }
        facts
    }

    fn answer(&self, facts: &mut Facts, question: Question) {
        match question {
            Question::Receipt(txid) => drop(facts.receipts.insert(txid, self.settled(txid))),
            Question::Search(key) => {
                let done = self.executions(self.height());
                let found = done.iter().find(|(other, _, _)| *other == key).map(|(_, _, txid)| *txid);
                facts.searches.insert(key, found);
                if let Some(txid) = found {
                    facts.receipts.insert(txid, self.settled(txid));
                }
            }
            Question::Trial(key) => {
                let fits = self.safe_nonce(key.safe, self.height()) == key.nonce;
                let trial = if fits { Ok(()) } else { Err("GS026".to_owned()) };
                facts.trials.insert(key, trial);
            }
            Question::Reason(key) => drop(facts.reasons.insert(key, "because".to_owned())),
        }
    }
}

/// The hash of an attempt.
pub fn txid(nonce: u64, attempt: usize) -> B256 {
    keccak256(format!("nonce {nonce}, attempt {attempt}"))
}

/// One of the hot Safes.
pub fn safe(n: u64) -> SafeWallet {
    wallet(n)
}

pub fn job(wallet: &SafeWallet, nonce: u64) -> Job {
    assert_eq!(wallet.chain(), CHAIN);
    let data = finished(wallet, nonce, &[ether_to(1, 900 + nonce)]);
    let tx = SignedSafeTx::read(&data, nonce, wallet).unwrap();
    let gas_limit = tx.gas_limit(0).unwrap();
    Job::new(tx, gas_limit, Seconds(0), 0)
}

pub fn rules() -> Rules {
    Rules {
        window: 8,
        fee_per_gas_cap: 100_000,
        fee_job_cap: 1_000_000_000_000,
        balance_low: 1,
        balance_target: 1,
        stuck_blocks: 3,
        alarm_after_s: 600,
        ..Rules::default()
    }
}

/// An executor on the made-up chain, as the loop would have it.
pub struct Played {
    pub chain: MadeUp,
    pub ledger: Ledger,
    pub rules: Rules,
    pub troubles: Troubles,
    pub deliveries: BTreeMap<u64, Delivery>,
    pub history: Vec<Change>,
}

impl Played {
    pub fn new() -> Self {
        let (ledger, troubles, deliveries) = (Ledger::default(), Troubles::new(), BTreeMap::new());
        Self { chain: MadeUp::new(), ledger, rules: rules(), troubles, deliveries, history: Vec::new() }
    }

    pub fn take(&mut self, job: Job) {
        self.chain.jobs.insert(job.key, job.clone());
        let change = Change::Taken(Box::new(job));
        self.ledger.apply(&change);
        self.history.push(change);
    }

    /// One turn in which every answer comes, and everything that is sent arrives.
    pub fn turn(&mut self) -> Vec<Change> {
        let changes = self.turn_with(|| true);
        self.send(|| true);
        changes
    }

    pub fn turn_with(&mut self, hears: impl FnMut() -> bool) -> Vec<Change> {
        let facts = self.chain.facts(&self.ledger, &self.deliveries, hears);
        let Decided { ledger, changes, troubles } = decide(&self.ledger, &facts, &self.rules, &self.troubles);
        let mut replayed = self.ledger.clone();
        changes.iter().for_each(|change| replayed.apply(change));
        assert_eq!(replayed, ledger, "the ledger is what its changes make of it");
        (self.ledger, self.troubles) = (ledger, troubles);
        self.ledger.sweep();
        for slot in self.ledger.slots.values_mut() {
            for (at, attempt) in slot.attempts.iter_mut().enumerate() {
                attempt.txid = Some(txid(slot.nonce, at));
            }
        }
        self.history.extend(changes.iter().cloned());
        changes
    }

    /// Hands what waits to the pool; `arrives` says which of it comes there.
    pub fn send(&mut self, mut arrives: impl FnMut() -> bool) {
        let (height, used) = (self.chain.height(), self.chain.nonce(self.chain.height()));
        for slot in self.ledger.slots.values().filter(|slot| slot.is_waiting() && slot.nonce >= used) {
            let (at, newest) = slot.newest().unwrap();
            let arrived = arrives();
            let fee = newest.gas.fee_per_gas_max;
            let runs = newest.runs.then_some(slot.job);
            let tx = Tx { txid: txid(slot.nonce, at), nonce: Some(slot.nonce), runs, fee };
            if arrived {
                self.chain.pool.insert(slot.nonce, tx);
            }
            let delivery = Delivery { attempt: at, block: height, arrived, complaint: None };
            self.deliveries.insert(slot.nonce, delivery);
        }
    }

    /// Turns and blocks, one after the other.
    pub fn go_on(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.turn();
            self.chain.mine(Vec::new());
        }
        self.turn();
    }

    /// A stranger's transaction that executes a job.
    pub fn stranger(key: JobKey) -> Tx {
        Tx { txid: keccak256(format!("a stranger with {key}")), nonce: None, runs: Some(key), fee: u128::MAX }
    }
}
