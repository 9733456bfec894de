//! What is known of the chain in one turn: everything at one agreed block, and the answers to the ledger's own questions.

use std::collections::BTreeMap;

use crate::ethereum::{Address, B256};
use crate::node::{Block, Fees, Settled};
use crate::withdrawal::Seconds;

use super::job::JobKey;

/// An amount of the chain's own coin that is paid for gas: 128 bits are 3 × 10²⁰ whole coins.
pub type Wei = u128;

/// A Safe's nonce at the latest and at the final block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafeNonces {
    /// At the latest one.
    pub head: u64,
    /// At the final one.
    pub last: u64,
}

/// A node's no to a transaction, where all said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complaint {
    /// Another one waits in its place and pays as much.
    Underpriced,
    /// Its fee is too low by itself.
    FeeTooLow,
    /// The account cannot pay for it.
    Funds,
    /// The nonce is used, or those before it are missing: what the chain says next decides.
    Nonce,
    /// Anything else.
    Other(String),
}

/// What became of sending a nonce's newest attempt, as far as nodes can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which attempt.
    pub attempt: usize,
    /// The height of the chain when it was sent.
    pub block: u64,
    /// Whether a node has it.
    pub arrived: bool,
    /// Why none has it, where each said no.
    pub complaint: Option<Complaint>,
}

/// What is known before the ledger's own questions are put.
#[derive(Debug, Clone)]
pub struct Basics {
    /// When, by the executor's own clock.
    pub now: Seconds,
    /// The latest block.
    pub head: Block,
    /// The final block.
    pub last: Block,
    /// The account's nonce at the latest block.
    pub nonce_head: u64,
    /// The account's nonce at the final block.
    pub nonce_last: u64,
    /// What the account has at the latest block.
    pub balance: Wei,
    /// What gas costs next.
    pub fees: Fees,
    /// The Safes that could be read.
    pub safes: BTreeMap<Address, SafeNonces>,
}

/// What is known in one turn. What is absent is not known, and nothing follows from it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What came first.
    pub basics: Basics,
    /// The chain's own hashes of blocks by their number.
    pub hashes: BTreeMap<u64, B256>,
    /// Where transactions stand.
    pub receipts: BTreeMap<B256, Settled>,
    /// Who executed a job: a transaction, or nobody.
    pub searches: BTreeMap<JobKey, Option<B256>>,
    /// What would happen if a job were sent now: nothing wrong, or the reason.
    pub trials: BTreeMap<JobKey, Result<(), String>>,
    /// Why a payee's own call fails, when it is asked again.
    pub reasons: BTreeMap<JobKey, String>,
    /// What became of sending.
    pub deliveries: BTreeMap<u64, Delivery>,
}

impl Facts {
    /// Facts without any answer yet.
    pub fn new(basics: Basics, deliveries: BTreeMap<u64, Delivery>) -> Self {
        let (hashes, receipts, searches) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (trials, reasons) = (BTreeMap::new(), BTreeMap::new());
        Self { basics, hashes, receipts, searches, trials, reasons, deliveries }
    }

    /// Whether a block is part of the chain; `None` where that is not known, and beyond the latest block.
    pub fn stands(&self, number: u64, hash: B256) -> Option<bool> {
        if number > self.basics.head.number {
            return None;
        }
        self.hashes.get(&number).map(|own| *own == hash)
    }

    /// A job's Safe.
    pub fn safe(&self, key: &JobKey) -> Option<SafeNonces> {
        self.basics.safes.get(&key.safe).copied()
    }
}
