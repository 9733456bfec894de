//! Calls that change nothing: what a contract returns at a block, or why it reverts; and how much gas a call takes.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use serde_json::{Value, json};

use super::block::Block;
use super::endpoint::{Endpoint, Reply};
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Data, Quantity, bytes};
use super::json::RpcError;
use super::nodes::Nodes;
use super::said::{Agreed, Tally};
use crate::ethereum::Revert;

/// The code of geth, and of all that follow it, for a call that reverted.
const REVERTED: i64 = 3;

/// A call as it would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls; nobody in particular where it is absent.
    pub from: Option<Address>,
    /// Who is called.
    pub to: Address,
    /// The wei sent along.
    pub value: U256,
    /// The data.
    pub data: Vec<u8>,
}

impl Call {
    /// A question to a contract.
    pub const fn question(to: Address, data: Vec<u8>) -> Self {
        Self { from: None, to, value: U256::ZERO, data }
    }

    fn params(&self, at: &Block) -> Value {
        let mut call = json!({"to": self.to.to_string(), "data": bytes(&self.data)});
        if let Some(members) = call.as_object_mut() {
            if let Some(from) = self.from {
                members.insert("from".to_owned(), json!(from.to_string()));
            }
            if !self.value.is_zero() {
                members.insert("value".to_owned(), json!(format!("0x{:x}", self.value)));
            }
        }
        json!([call, at.named()])
    }
}

/// What a call comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returns these bytes.
    Returned(Vec<u8>),
    /// It reverts.
    Reverted(Revert),
}

/// How much gas a call takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Estimate {
    /// So much: the middle of what the nodes say, of two the larger. An estimate; the caller adds a margin and has a cap.
    Gas(u64),
    /// The quorum says that it reverts.
    Reverts(Revert),
}

/// The reason, if the no is the contract's and not the node's.
pub(super) fn revert(error: &RpcError) -> Option<Revert> {
    let said = error.message.to_ascii_lowercase().contains("revert");
    (error.code == REVERTED || said).then(|| Revert::read(error.data.as_deref().unwrap_or_default()))
}

impl Endpoint {
    async fn call_at(&self, call: &Call, at: &Block) -> Result<Outcome, EndpointFault> {
        let reply: Reply<Data> = self.ask_freely("eth_call", call.params(at)).await?;
        match reply {
            Ok(Some(data)) => Ok(Outcome::Returned(data.0)),
            Ok(None) => Err(EndpointFault::Elsewhere),
            Err(error) => revert(&error).map(Outcome::Reverted).ok_or_else(|| error.into()),
        }
    }

    async fn gas_at(&self, call: &Call, at: &Block) -> Result<Estimate, EndpointFault> {
        let reply: Reply<Quantity> = self.ask_freely("eth_estimateGas", call.params(at)).await?;
        match reply {
            Ok(said) => said
                .and_then(Quantity::u64)
                .map(Estimate::Gas)
                .ok_or(EndpointFault::Malformed("an estimate is out of bounds")),
            Err(error) => revert(&error).map(Estimate::Reverts).ok_or_else(|| error.into()),
        }
    }
}

impl Nodes {
    /// What a call comes to at a block.
    pub async fn call(&self, at: &Agreed<Block>, call: Call) -> Result<Agreed<Outcome>, NotAgreed> {
        let (at, call) = (*at.value(), Arc::new(call));
        let ask = |node: Arc<Endpoint>| {
            let call = Arc::clone(&call);
            async move { node.call_at(&call, &at).await }
        };
        self.agree("what a call returns", ask).await
    }

    /// How much gas a call takes at a block. Nodes compute it differently, so the middle one is taken: while an honest
    /// majority answers, one that lies moves it no further than to what an honest one said. The caller's cap holds always.
    pub async fn gas(&self, at: &Agreed<Block>, call: Call) -> Result<Estimate, NotAgreed> {
        let (at, call) = (*at.value(), Arc::new(call));
        let ask = |node: Arc<Endpoint>| {
            let call = Arc::clone(&call);
            async move { node.gas_at(&call, &at).await }
        };
        let heard = self.all(ask).await;
        let gas = |answer: &Result<Estimate, EndpointFault>| match answer {
            Ok(Estimate::Gas(gas)) => Some(*gas),
            _ => None,
        };
        let estimates: Vec<u64> = heard.iter().filter_map(|(_, answer)| gas(answer)).collect();
        if let Some(middle) = middle(estimates, self.quorum) {
            return Ok(Estimate::Gas(middle));
        }
        let mut tally = Tally::new("the gas of a call", self.quorum);
        for (name, answer) in heard {
            tally.hear(name, answer);
        }
        tally.close().map(Agreed::into_value)
    }
}

/// The middle of what at least the quorum said; of two middle ones the larger.
pub(super) fn middle<T: Ord + Copy>(mut said: Vec<T>, quorum: usize) -> Option<T> {
    said.sort_unstable();
    if said.len() < quorum { None } else { said.get(said.len() / 2).copied() }
}
