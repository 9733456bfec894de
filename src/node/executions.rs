//! Who executed a Safe transaction: the logs in which a Safe names its hash, whoever sent the transaction around it.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;
use serde_json::{Value, json};

use super::abi::{ExecutionFailure, ExecutionSuccess};
use super::block::Block;
use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::number;
use super::nodes::Nodes;
use super::said::Agreed;
use super::transfers::RawLog;

/// Questions to one node, with all that were split.
const QUESTIONS_MAX: usize = 4096;
/// How many times the time of one call all questions to one node may take.
const CALLS_TIME: u32 = 32;

/// A transaction in which a Safe says that it executed a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Executed {
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// The transaction.
    pub transaction: B256,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub safe: Address,
    pub hash: B256,
}

impl Wanted {
    fn params(&self, first: u64, last: u64) -> Value {
        let events = [ExecutionSuccess::SIGNATURE_HASH, ExecutionFailure::SIGNATURE_HASH];
        json!([{
            "fromBlock": number(first), "toBlock": number(last), "address": self.safe.to_string(),
            "topics": [events.map(|event| event.to_string()), self.hash.to_string()],
        }])
    }

    /// Reads logs that were asked for; one that was not makes the whole answer worthless.
    pub(super) fn read(
        &self,
        logs: Vec<RawLog>,
        (first, last): (u64, u64),
    ) -> Result<Vec<Executed>, EndpointFault> {
        let read = |log: RawLog| {
            let place = log.place().ok_or(EndpointFault::Malformed("a log's number is out of bounds"))?;
            let (address, topics) = log.said();
            let known = |event: B256| topics == [event, self.hash];
            let told = known(ExecutionSuccess::SIGNATURE_HASH) || known(ExecutionFailure::SIGNATURE_HASH);
            if address != self.safe || !told || !(first..=last).contains(&place.block) {
                return Err(EndpointFault::Malformed("it holds a log that nobody asked for"));
            }
            Ok(place)
        };
        logs.into_iter().map(read).collect()
    }
}

impl Endpoint {
    /// In order, each transaction once. The node must have the last block before it is asked, and still have it after.
    async fn executions(
        &self,
        wanted: Wanted,
        (first, last): (u64, Block),
    ) -> Result<Vec<Executed>, EndpointFault> {
        self.stands_on(&last).await?;
        let step = self.bounds().log_blocks_max;
        let (mut found, mut from, mut width) = (Vec::new(), Some(first), step);
        for _ in 0..QUESTIONS_MAX {
            let Some(start) = from.filter(|start| *start <= last.number) else {
                self.stands_on(&last).await?;
                found.sort_unstable();
                found.dedup();
                return Ok(found);
            };
            let end = start.saturating_add(width.saturating_sub(1)).min(last.number);
            match self.ask::<Vec<RawLog>>("eth_getLogs", wanted.params(start, end)).await {
                Ok(logs) => {
                    found.extend(wanted.read(logs, (start, end))?);
                    from = end.checked_add(1);
                }
                Err(EndpointFault::TooLong | EndpointFault::Refused { .. }) if width > 1 => width /= 2,
                Err(fault) => return Err(fault),
            }
        }
        Err(EndpointFault::TooLong)
    }
}

impl Nodes {
    /// Every transaction in which this Safe says that it executed this hash, whether the payment went through or not, from
    /// the block of a number to an agreed one, both included.
    pub async fn executions(
        &self,
        (safe, hash): (Address, B256),
        first: u64,
        last: &Agreed<Block>,
    ) -> Result<Agreed<Vec<Executed>>, NotAgreed> {
        let (last, wanted) = (*last.value(), Wanted { safe, hash });
        let ask = |node: Arc<Endpoint>| async move {
            let time = node.bounds().time.saturating_mul(CALLS_TIME);
            let found = tokio::time::timeout(time, node.executions(wanted, (first, last)));
            found.await.unwrap_or(Err(EndpointFault::Late))
        };
        self.agree("the executions of a Safe transaction", ask).await
    }
}
