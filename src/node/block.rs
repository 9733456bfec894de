//! Blocks: the latest and the final one that enough nodes have, and any by its number.

use std::sync::Arc;

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Quantity, Word, number};
use super::json::Rest;
use super::nodes::Nodes;
use super::said::{Agreed, Tally};
use super::settings::Finality;

/// A block's place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent: B256,
    /// When it was made, as its maker says, in seconds since 1970.
    pub time_s: u64,
    /// The base fee in wei for a unit of gas, where the chain has one.
    pub base_fee: Option<u128>,
}

impl Block {
    /// The block as a question names it: by hash, and only while it is part of the chain (EIP-1898).
    pub(super) fn named(&self) -> Value {
        json!({"blockHash": self.hash.to_string(), "requireCanonical": true})
    }
}

/// A block that is final by the settings. Only the door makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalBlock(Block);

impl FinalBlock {
    /// The block.
    pub const fn block(&self) -> &Block {
        &self.0
    }
}

impl Agreed<FinalBlock> {
    /// The block, still agreed on.
    pub fn block(&self) -> Agreed<Block> {
        self.implies(|last| last.0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawBlock {
    number: Quantity,
    hash: Word,
    parent_hash: Word,
    timestamp: Quantity,
    #[serde(default)]
    base_fee_per_gas: Option<Quantity>,
    #[serde(flatten)]
    _rest: Rest,
}

impl RawBlock {
    pub(super) fn read(self) -> Result<Block, EndpointFault> {
        let bound = EndpointFault::Malformed("a block's number, time or fee is out of bounds");
        let base_fee = match self.base_fee_per_gas {
            Some(fee) => Some(fee.u128().ok_or_else(|| bound.clone())?),
            None => None,
        };
        Ok(Block {
            number: self.number.u64().ok_or_else(|| bound.clone())?,
            hash: self.hash.0,
            parent: self.parent_hash.0,
            time_s: self.timestamp.u64().ok_or(bound)?,
            base_fee,
        })
    }
}

impl Endpoint {
    /// Its block of that number; [`EndpointFault::Elsewhere`] where it has none.
    pub(super) async fn block_at(&self, wanted: u64) -> Result<Block, EndpointFault> {
        let raw: RawBlock = self.ask("eth_getBlockByNumber", json!([number(wanted), false])).await?;
        let block = raw.read()?;
        let same = block.number == wanted;
        if same { Ok(block) } else { Err(EndpointFault::Malformed("it is another block")) }
    }

    /// Fails unless this block is part of the endpoint's own chain.
    pub(super) async fn stands_on(&self, block: &Block) -> Result<(), EndpointFault> {
        let own = self.block_at(block.number).await?;
        if own.hash == block.hash { Ok(()) } else { Err(EndpointFault::Elsewhere) }
    }

    async fn tagged(&self, tag: &str) -> Result<Option<Block>, EndpointFault> {
        let raw: Option<RawBlock> = self.ask_or_none("eth_getBlockByNumber", json!([tag, false])).await?;
        raw.map(RawBlock::read).transpose()
    }

    /// The height of the latest block that it calls final.
    async fn final_height(&self, finality: Finality) -> Result<u64, EndpointFault> {
        if let Some(tag) = finality.tag {
            match self.tagged(tag.as_str()).await {
                Ok(Some(block)) => return Ok(block.number),
                // it does not know the tag, or nothing is final yet by it
                Ok(None) => {}
                Err(fault) if fault.is_no_such_tag() => {}
                Err(fault) => return Err(fault),
            }
        }
        let latest = self.tagged("latest").await?.ok_or(EndpointFault::Elsewhere)?;
        latest.number.checked_sub(finality.depth).ok_or(EndpointFault::Elsewhere)
    }
}

impl Nodes {
    /// The latest block that the quorum has reached. One node alone cannot move it forward.
    pub async fn latest(&self) -> Result<Agreed<Block>, NotAgreed> {
        let height = self.height("the latest block", None).await?;
        self.block_at(height).await
    }

    /// The latest block that the quorum calls final.
    pub async fn last_final(&self) -> Result<Agreed<FinalBlock>, NotAgreed> {
        let height = self.height("the final block", Some(self.finality)).await?;
        Ok(self.block_at(height).await?.map(FinalBlock))
    }

    /// The block of that number.
    pub async fn block_at(&self, number: u64) -> Result<Agreed<Block>, NotAgreed> {
        self.agree("a block", |node| async move { node.block_at(number).await }).await
    }

    /// The height that at least the quorum says it has reached.
    async fn height(&self, what: &'static str, finality: Option<Finality>) -> Result<u64, NotAgreed> {
        let ask = |node: Arc<Endpoint>| async move {
            match finality {
                Some(finality) => node.final_height(finality).await,
                None => {
                    node.tagged("latest").await?.map(|block| block.number).ok_or(EndpointFault::Elsewhere)
                }
            }
        };
        let heard = self.all(ask).await;
        let mut heights: Vec<u64> = heard.iter().filter_map(|(_, height)| height.clone().ok()).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(height) = heights.get(self.quorum.saturating_sub(1)) {
            return Ok(*height);
        }
        let mut tally = Tally::new(what, self.quorum);
        heard.into_iter().for_each(|(name, height)| {
            tally.hear(name, height);
        });
        tally.close().map(Agreed::into_value)
    }
}
