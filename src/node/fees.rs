//! What gas costs now: the next block's base fee, and the tip that was usual. Whole numbers of wei.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::block::Block;
use super::call::middle;
use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Quantity, number};
use super::json::Rest;
use super::nodes::Nodes;
use super::said::{Agreed, Tally};

/// How many blocks are looked at.
const BLOCKS: u64 = 10;

/// What gas costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// The base fee of the block after the one asked about, as the quorum says, in wei for a unit of gas.
    pub base_fee_next: u128,
    /// The middle tip of the last blocks, and of that the middle of what the nodes say. An estimate; the caller has a cap.
    pub tip: u128,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawHistory {
    oldest_block: Quantity,
    base_fee_per_gas: Vec<Quantity>,
    reward: Vec<Vec<Quantity>>,
    #[serde(flatten)]
    _rest: Rest,
}

impl RawHistory {
    /// The next base fee and the middle tip, of a history that ends with this block.
    pub(super) fn read(self, last: u64) -> Result<(u128, u128), EndpointFault> {
        let no = EndpointFault::Malformed("it is no history of fees up to that block");
        let blocks = u64::try_from(self.reward.len()).unwrap_or(u64::MAX);
        let ends = self.oldest_block.u64().and_then(|oldest| oldest.checked_add(blocks));
        let whole = self.base_fee_per_gas.len() == self.reward.len().saturating_add(1);
        if blocks == 0 || blocks > BLOCKS || ends != last.checked_add(1) || !whole {
            return Err(no);
        }
        let tip = |block: &Vec<Quantity>| match block.as_slice() {
            [tip] => tip.u128(),
            _ => None,
        };
        let tips: Option<Vec<u128>> = self.reward.iter().map(tip).collect();
        let base = self.base_fee_per_gas.last().and_then(|fee| fee.u128());
        base.zip(tips.and_then(|tips| middle(tips, 1))).ok_or(no)
    }
}

impl Endpoint {
    async fn fees(&self, at: Block) -> Result<(u128, u128), EndpointFault> {
        self.stands_on(&at).await?;
        let params = json!([number(BLOCKS), number(at.number), [50]]);
        self.ask::<RawHistory>("eth_feeHistory", params).await?.read(at.number)
    }
}

impl Nodes {
    /// What gas costs after this block.
    pub async fn fees(&self, at: &Agreed<Block>) -> Result<Fees, NotAgreed> {
        let at = *at.value();
        let heard = self.all(|node: Arc<Endpoint>| async move { node.fees(at).await }).await;
        let mut base = Tally::new("the base fee", self.quorum);
        let mut tips = Vec::new();
        for (name, answer) in heard {
            tips.extend(answer.as_ref().ok().map(|(_, tip)| *tip));
            base.hear(name, answer.map(|(base, _)| base));
        }
        let base_fee_next = base.close()?.into_value();
        // the count above closed, so at least the quorum gave a tip as well
        let tip = middle(tips, self.quorum).unwrap_or_default();
        Ok(Fees { base_fee_next, tip })
    }
}
