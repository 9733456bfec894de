//! What a Safe executed within a range of blocks, whoever sent it, and what was said in the transactions that did it.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;
use serde::Deserialize;
use serde_json::{Value, json};

use super::abi::{ExecutionFailure, ExecutionSuccess};
use super::block::Block;
use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Data, Word, number};
use super::json::Rest;
use super::nodes::Nodes;
use super::said::Agreed;
use super::transfers::RawLog;

/// Questions to one node, with all that were split.
const QUESTIONS_MAX: usize = 4096;
/// How many times the time of one call all questions to one node may take.
const CALLS_TIME: u32 = 32;
/// Executions in all; more are more than any Safe does between two looks.
const LOGS_MAX: usize = 10_000;

/// One word of a Safe's own: that it executed a hash, and whether that went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafeLog {
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// Its place among all logs of the block.
    pub log_index: u64,
    /// The transaction in which it was said.
    pub transaction: B256,
    /// The hash of the Safe transaction.
    pub safe_tx_hash: B256,
    /// Whether what it does went through.
    pub succeeded: bool,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub safe: Address,
    pub first: u64,
    pub last: u64,
}

impl Wanted {
    fn params(&self) -> Value {
        let events = [ExecutionSuccess::SIGNATURE_HASH, ExecutionFailure::SIGNATURE_HASH];
        json!([{
            "fromBlock": number(self.first), "toBlock": number(self.last), "address": self.safe.to_string(),
            "topics": [events.map(|event| event.to_string())],
        }])
    }

    /// Reads logs that were asked for; one that was not makes the whole answer worthless.
    pub(super) fn read(&self, logs: Vec<RawLog>) -> Result<Vec<SafeLog>, EndpointFault> {
        let unasked = EndpointFault::Malformed("it holds a log that nobody asked for");
        logs.iter().map(|log| self.read_one(log).ok_or_else(|| unasked.clone())).collect()
    }

    fn read_one(&self, log: &RawLog) -> Option<SafeLog> {
        let (block, log_index) = log.numbers()?;
        let (address, topics) = log.said();
        let (safe_tx_hash, succeeded) = match topics.as_slice() {
            [ExecutionSuccess::SIGNATURE_HASH, hash] => (*hash, true),
            [ExecutionFailure::SIGNATURE_HASH, hash] => (*hash, false),
            _ => return None,
        };
        let asked = address == self.safe && (self.first..=self.last).contains(&block);
        let (block_hash, transaction) = log.within_what();
        asked.then_some(SafeLog { block, block_hash, log_index, transaction, safe_tx_hash, succeeded })
    }
}

/// Sorts them. The same log twice, or two blocks of one number, are no chain's.
pub(super) fn in_order(mut found: Vec<SafeLog>, last: &Block) -> Result<Vec<SafeLog>, EndpointFault> {
    found.sort_unstable_by_key(|log| (log.block, log.log_index));
    let contradict = found.iter().zip(found.iter().skip(1)).any(|(one, next)| {
        (one.block, one.log_index) == (next.block, next.log_index)
            || (one.block == next.block && one.block_hash != next.block_hash)
    });
    let elsewhere = found.iter().any(|log| log.block == last.number && log.block_hash != last.hash);
    match (contradict, elsewhere) {
        (true, _) => Err(EndpointFault::Malformed("its logs contradict each other")),
        (_, true) => Err(EndpointFault::Elsewhere),
        _ => Ok(found),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawTransaction {
    hash: Word,
    input: Data,
    #[serde(flatten)]
    _rest: Rest,
}

impl RawTransaction {
    pub(super) fn read(self, wanted: B256) -> Result<Vec<u8>, EndpointFault> {
        let same = self.hash.0 == wanted;
        if same { Ok(self.input.0) } else { Err(EndpointFault::Malformed("it is another transaction")) }
    }
}

impl Endpoint {
    /// In order. The node must have the last block before it is asked, and still have it after.
    async fn history(&self, safe: Address, first: u64, last: Block) -> Result<Vec<SafeLog>, EndpointFault> {
        self.stands_on(&last).await?;
        let (mut found, mut from, mut width) = (Vec::new(), first, self.bounds().log_blocks_max);
        for _ in 0..QUESTIONS_MAX {
            if from > last.number {
                self.stands_on(&last).await?;
                return in_order(found, &last);
            }
            let end = from.saturating_add(width.saturating_sub(1)).min(last.number);
            let wanted = Wanted { safe, first: from, last: end };
            match self.ask::<Vec<RawLog>>("eth_getLogs", wanted.params()).await {
                Ok(logs) => {
                    found.extend(wanted.read(logs)?);
                    from = end.saturating_add(1);
                }
                Err(EndpointFault::TooLong | EndpointFault::Refused { .. }) if width > 1 => width /= 2,
                Err(fault) => return Err(fault),
            }
            if found.len() > LOGS_MAX {
                break;
            }
        }
        Err(EndpointFault::TooLong)
    }
}

impl Nodes {
    /// Every execution of a Safe, in the order in which it happened, from the block of a number to an agreed one, both included.
    pub async fn history(
        &self,
        safe: Address,
        first: u64,
        last: &Agreed<Block>,
    ) -> Result<Agreed<Vec<SafeLog>>, NotAgreed> {
        let last = *last.value();
        let ask = |node: Arc<Endpoint>| async move {
            let time = node.bounds().time.saturating_mul(CALLS_TIME);
            let found = tokio::time::timeout(time, node.history(safe, first, last));
            found.await.unwrap_or(Err(EndpointFault::Late))
        };
        self.agree("what a Safe executed", ask).await
    }

    /// The data that was sent with a transaction.
    pub async fn input(&self, transaction: B256) -> Result<Agreed<Vec<u8>>, NotAgreed> {
        let ask = |node: Arc<Endpoint>| async move {
            let raw =
                node.ask::<RawTransaction>("eth_getTransactionByHash", json!([transaction.to_string()]));
            raw.await?.read(transaction)
        };
        self.agree("the data of a transaction", ask).await
    }
}
