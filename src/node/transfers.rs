//! Logs of tokens that came in: every `Transfer` to a set of accounts within a range of blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy_primitives::{Address, B256, LogData};
use alloy_sol_types::SolEvent;
use serde::Deserialize;
use serde_json::{Value, json};

use super::abi::Transfer;
use super::block::Block;
use super::endpoint::Endpoint;
use super::executions::Executed;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Account, Data, Quantity, Word, number};
use super::json::Rest;
use super::nodes::Nodes;
use super::said::Agreed;
use crate::ethereum::Units;
use crate::ethereum::receipt::Log;
use crate::withdrawal::Code;

/// Accounts in one question to one node.
const ACCOUNTS_AT_ONCE: usize = 500;
/// Accounts, and tokens, in all.
const ACCOUNTS_MAX: usize = 10_000;
const TOKENS_MAX: usize = 100;
/// Blocks in all.
const BLOCKS_MAX: u64 = 100_000;
/// Questions to one node, with all that were split.
const QUESTIONS_MAX: usize = 4096;
/// How many times the time of one call all questions to one node may take.
const CALLS_TIME: u32 = 32;
/// Logs in all.
const LOGS_MAX: usize = 100_000;

/// A token that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// The token's contract.
    pub token: Address,
    /// Who sent it.
    pub from: Address,
    /// Who has it.
    pub to: Address,
    /// How much, as the token itself says.
    pub amount: Units,
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// The transaction.
    pub transaction: B256,
    /// Its place among all logs of the block.
    pub log_index: u64,
}

/// There are no logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransfersFault {
    /// Nothing is known.
    #[error(transparent)]
    NotAgreed(#[from] NotAgreed),
    /// Nobody was asked.
    #[error("the question cannot be asked: {0}")]
    Question(&'static str),
}

impl TransfersFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotAgreed(no) => no.code(),
            Self::Question(_) => Code::FieldMalformed,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawLog {
    address: Account,
    topics: Vec<Word>,
    data: Data,
    block_number: Quantity,
    block_hash: Word,
    transaction_hash: Word,
    log_index: Quantity,
    #[serde(default)]
    removed: bool,
    #[serde(flatten)]
    _rest: Rest,
}

impl RawLog {
    /// The log as `ethereum` reads it, if it stands in this transaction of this block.
    pub(super) fn within(self, block: (u64, B256), transaction: B256) -> Option<Log> {
        let here = self.block_number.u64() == Some(block.0) && self.block_hash.0 == block.1;
        let same = here && self.transaction_hash.0 == transaction && !self.removed;
        let topics: Vec<B256> = self.topics.into_iter().map(|topic| topic.0).collect();
        let fits = same && topics.len() <= 4;
        fits.then_some(Log { address: self.address.0, topics, data: self.data.0 })
    }

    /// Where it stands; `None` where it was taken back or its number is out of bounds.
    pub(super) fn place(&self) -> Option<Executed> {
        let block = self.block_number.u64().filter(|_| !self.removed)?;
        Some(Executed { block, block_hash: self.block_hash.0, transaction: self.transaction_hash.0 })
    }

    /// The number of its block, and its place there; `None` where it was taken back or a number is out of bounds.
    pub(super) fn numbers(&self) -> Option<(u64, u64)> {
        self.block_number.u64().zip(self.log_index.u64()).filter(|_| !self.removed)
    }

    /// The hash of its block, and the transaction.
    pub(super) const fn within_what(&self) -> (B256, B256) {
        (self.block_hash.0, self.transaction_hash.0)
    }

    /// Which contract said it, and under which topics.
    pub(super) fn said(&self) -> (Address, Vec<B256>) {
        (self.address.0, self.topics.iter().map(|topic| topic.0).collect())
    }

    /// Reads one that was asked for; `None` is another kind of `Transfer` (ERC-721 has the same first topic).
    fn incoming(self, part: &Part) -> Result<Option<Incoming>, EndpointFault> {
        let (Some(block), Some(log_index)) = (self.block_number.u64(), self.log_index.u64()) else {
            return Err(EndpointFault::Malformed("a log's number is out of bounds"));
        };
        let topics: Vec<B256> = self.topics.iter().map(|topic| topic.0).collect();
        let to = topics.get(2).copied().unwrap_or_default();
        let asked = topics.first() == Some(&Transfer::SIGNATURE_HASH)
            && part.tokens.contains(&self.address.0)
            && part.accounts.iter().any(|account| account.into_word() == to)
            && (part.first..=part.last).contains(&block);
        if !asked || self.removed {
            return Err(EndpointFault::Malformed("it holds a log that nobody asked for"));
        }
        if topics.len() != 3 || self.data.0.len() != 32 {
            return Ok(None);
        }
        let data = LogData::new(topics, self.data.0.into());
        let event = data.and_then(|data| Transfer::decode_log_data_validate(&data).ok());
        Ok(event.map(|event| Incoming {
            token: self.address.0,
            from: event.from,
            to: event.to,
            amount: Units::new(event.value),
            block,
            block_hash: self.block_hash.0,
            transaction: self.transaction_hash.0,
            log_index,
        }))
    }
}

/// One question.
#[derive(Clone)]
pub(super) struct Part {
    pub tokens: Arc<[Address]>,
    pub accounts: Vec<Address>,
    pub first: u64,
    pub last: u64,
}

impl Part {
    fn params(&self) -> Value {
        let tokens: Vec<String> = self.tokens.iter().map(Address::to_string).collect();
        let accounts: Vec<String> = self.accounts.iter().map(|it| it.into_word().to_string()).collect();
        json!([{
            "fromBlock": number(self.first), "toBlock": number(self.last), "address": tokens,
            "topics": [Transfer::SIGNATURE_HASH.to_string(), null, accounts],
        }])
    }

    /// Two smaller questions: fewer blocks first, then fewer accounts; `None` for the smallest.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        let (mut left, mut right) = (self.clone(), self.clone());
        if self.first < self.last {
            left.last = self.first.midpoint(self.last);
            right.first = left.last.checked_add(1)?;
            return Some((left, right));
        }
        if self.accounts.len() < 2 {
            return None;
        }
        right.accounts = left.accounts.split_off(self.accounts.len() / 2);
        Some((left, right))
    }

    pub(super) fn read(&self, logs: Vec<RawLog>) -> Result<Vec<Incoming>, EndpointFault> {
        logs.into_iter().filter_map(|log| log.incoming(self).transpose()).collect()
    }
}

impl Endpoint {
    /// Every log, in order. The node must have the last block before it is asked, and still have it after.
    async fn transfers(&self, parts: Vec<Part>, last: Block) -> Result<Vec<Incoming>, EndpointFault> {
        self.stands_on(&last).await?;
        let (mut waiting, mut found, mut questions) = (parts, Vec::new(), 0_usize);
        while let Some(part) = waiting.pop() {
            questions = questions.saturating_add(1);
            if questions > QUESTIONS_MAX || found.len() > LOGS_MAX {
                return Err(EndpointFault::TooLong);
            }
            match self.ask::<Vec<RawLog>>("eth_getLogs", part.params()).await {
                Ok(logs) => found.extend(part.read(logs)?),
                Err(fault @ (EndpointFault::TooLong | EndpointFault::Refused { .. })) => {
                    let (left, right) = part.halves().ok_or(fault)?;
                    waiting.extend([left, right]);
                }
                Err(fault) => return Err(fault),
            }
        }
        self.stands_on(&last).await?;
        in_order(found, &last)
    }
}

/// Sorts them. The same log twice, or two blocks of one number, are no chain's.
pub(super) fn in_order(mut found: Vec<Incoming>, last: &Block) -> Result<Vec<Incoming>, EndpointFault> {
    found.sort_unstable_by_key(|log| (log.block, log.log_index));
    let twice = found.iter().zip(found.iter().skip(1)).any(|(one, next)| {
        (one.block, one.log_index) == (next.block, next.log_index)
            || (one.block == next.block && one.block_hash != next.block_hash)
    });
    let elsewhere = found.iter().any(|log| log.block == last.number && log.block_hash != last.hash);
    match (twice, elsewhere) {
        (true, _) => Err(EndpointFault::Malformed("its logs contradict each other")),
        (_, true) => Err(EndpointFault::Elsewhere),
        _ => Ok(found),
    }
}

impl Nodes {
    /// Every transfer of these tokens to these accounts, from the block of a number to an agreed one, both included.
    pub async fn transfers(
        &self,
        first: u64,
        last: &Agreed<Block>,
        tokens: &[Address],
        accounts: &[Address],
    ) -> Result<Agreed<Vec<Incoming>>, TransfersFault> {
        let last = *last.value();
        let step = self.log_blocks_max();
        let parts = parts((first, last.number), step, tokens, accounts).map_err(TransfersFault::Question)?;
        let ask = |node: Arc<Endpoint>| {
            let parts = parts.clone();
            async move {
                let time = node.bounds().time.saturating_mul(CALLS_TIME);
                let found = tokio::time::timeout(time, node.transfers(parts, last));
                found.await.unwrap_or(Err(EndpointFault::Late))
            }
        };
        Ok(self.agree("the transfers of tokens", ask).await?)
    }
}

/// The questions to begin with. An empty list would mean everything to a node, and is refused.
fn parts(
    (first, last): (u64, u64),
    step: u64,
    tokens: &[Address],
    accounts: &[Address],
) -> Result<Vec<Part>, &'static str> {
    if tokens.is_empty() || tokens.len() > TOKENS_MAX {
        return Err("it names no token, or too many");
    }
    if accounts.is_empty() || accounts.len() > ACCOUNTS_MAX {
        return Err("it names no account, or too many");
    }
    if first > last || last - first >= BLOCKS_MAX {
        return Err("it names no block, or too many");
    }
    let tokens: Arc<[Address]> = tokens.into();
    // a question twice would be answered twice
    let accounts: BTreeSet<Address> = accounts.iter().copied().collect();
    let accounts: Vec<Address> = accounts.into_iter().collect();
    let mut parts = Vec::new();
    let mut from = Some(first);
    while let Some(first) = from.filter(|from| *from <= last) {
        let end = first.saturating_add(step.saturating_sub(1)).min(last);
        for accounts in accounts.chunks(ACCOUNTS_AT_ONCE) {
            let part = Part { tokens: Arc::clone(&tokens), accounts: accounts.to_vec(), first, last: end };
            parts.push(part);
        }
        from = end.checked_add(1);
    }
    if parts.len() > QUESTIONS_MAX { Err("it takes too many questions") } else { Ok(parts) }
}
