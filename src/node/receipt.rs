//! Receipts: whether a transaction is in the chain, what it did there, and whether that is final.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use serde::Deserialize;
use serde_json::json;

use super::block::{Block, FinalBlock};
use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Account, Quantity, Word};
use super::json::Rest;
use super::nodes::Nodes;
use super::said::Agreed;
use super::transfers::RawLog;
use crate::ethereum::{Receipt, U256};

/// A transaction in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// What it did.
    pub receipt: Receipt,
    /// Who sent it.
    pub from: Address,
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// The gas it used.
    pub gas_used: u64,
    /// What a unit of gas cost, in wei.
    pub gas_price: u128,
}

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is not in the chain that ends with the head that was named. It may still come, and its nonce may be used.
    Absent,
    /// It is in the chain, and may be undone.
    Mined(Inclusion),
    /// It is in the chain for good.
    Final(Inclusion),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawReceipt {
    transaction_hash: Word,
    block_hash: Word,
    block_number: Quantity,
    from: Account,
    status: Quantity,
    gas_used: Quantity,
    effective_gas_price: Quantity,
    logs: Vec<RawLog>,
    #[serde(flatten)]
    _rest: Rest,
}

impl RawReceipt {
    pub(super) fn read(self, wanted: B256) -> Result<Inclusion, EndpointFault> {
        let no = EndpointFault::Malformed;
        if self.transaction_hash.0 != wanted {
            return Err(no("it is another transaction's receipt"));
        }
        let number = self.block_number.u64().ok_or(no("a receipt's block is out of bounds"))?;
        let block = (number, self.block_hash.0);
        let logs = self.logs.into_iter().map(|log| log.within(block, wanted)).collect::<Option<Vec<_>>>();
        let succeeded = match self.status.0 {
            U256::ONE => true,
            U256::ZERO => false,
            _ => return Err(no("a receipt's status is neither 0 nor 1")),
        };
        let logs = logs.ok_or(no("a receipt holds another transaction's log"))?;
        Ok(Inclusion {
            receipt: Receipt { succeeded, logs },
            from: self.from.0,
            block: block.0,
            block_hash: block.1,
            gas_used: self.gas_used.u64().ok_or(no("a receipt's gas is out of bounds"))?,
            gas_price: self.effective_gas_price.u128().ok_or(no("a receipt's price is out of bounds"))?,
        })
    }
}

impl Endpoint {
    /// A node that does not have the head yet cannot say that something is absent.
    async fn inclusion(&self, hash: B256, head: Block) -> Result<Option<Inclusion>, EndpointFault> {
        self.stands_on(&head).await?;
        let asked = self.ask_or_none("eth_getTransactionReceipt", json!([hash.to_string()]));
        let raw: Option<RawReceipt> = asked.await?;
        raw.map(|raw| raw.read(hash)).transpose()
    }
}

impl Nodes {
    /// Where a transaction stands in the chain that ends with this head or goes on from it.
    pub async fn settled(
        &self,
        hash: B256,
        head: &Agreed<Block>,
        last_final: &Agreed<FinalBlock>,
    ) -> Result<Agreed<Settled>, NotAgreed> {
        let end = *head.value();
        let ask = |node: Arc<Endpoint>| async move { node.inclusion(hash, end).await };
        let agreed = self.agree("a receipt", ask).await?;
        let Some(found) = agreed.value() else { return Ok(agreed.map(|_| Settled::Absent)) };
        let (number, block_hash) = (found.block, found.block_hash);
        if self.block_at(number).await?.value().hash != block_hash {
            // the chain moved between the two questions
            return Err(NotAgreed {
                what: "the block of a receipt",
                wanted: self.quorum,
                voices: Vec::new(),
            });
        }
        let is_final = number <= last_final.value().block().number;
        Ok(agreed.map(|found| match found {
            Some(found) if is_final => Settled::Final(found),
            Some(found) => Settled::Mined(found),
            None => Settled::Absent,
        }))
    }
}
