//! What stands at a block: code, storage, nonces, ether, tokens.

use std::sync::Arc;

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolCall;
use serde_json::json;

use super::abi::{balanceOfCall, decimalsCall, read_return};
use super::block::Block;
use super::call::{Call, Outcome};
use super::endpoint::Endpoint;
use super::fault::{EndpointFault, NotAgreed};
use super::hex::{Data, Quantity, Word};
use super::nodes::Nodes;
use super::said::{Agreed, Said};
use super::settings::Name;
use crate::ethereum::{TokenPin, Units};

impl Nodes {
    /// The wei of an account.
    pub async fn balance(&self, at: &Agreed<Block>, account: Address) -> Result<Agreed<Units>, NotAgreed> {
        let params = json!([account.to_string(), at.value().named()]);
        let ask = |node: Arc<Endpoint>| {
            let params = params.clone();
            async move { node.ask::<Quantity>("eth_getBalance", params).await.map(|wei| Units::new(wei.0)) }
        };
        self.agree("a balance", ask).await
    }

    /// The Keccak-256 hash of the code at an address; where there is none, the hash of nothing.
    pub async fn code_hash(&self, at: &Agreed<Block>, address: Address) -> Result<Agreed<B256>, NotAgreed> {
        let params = json!([address.to_string(), at.value().named()]);
        let ask = |node: Arc<Endpoint>| {
            let params = params.clone();
            async move { node.ask::<Data>("eth_getCode", params).await.map(|code| keccak256(code.0)) }
        };
        self.agree("the code of a contract", ask).await
    }

    /// A slot of a contract's storage.
    pub async fn storage(
        &self,
        at: &Agreed<Block>,
        address: Address,
        slot: B256,
    ) -> Result<Agreed<B256>, NotAgreed> {
        let params = json!([address.to_string(), slot.to_string(), at.value().named()]);
        let ask = |node: Arc<Endpoint>| {
            let params = params.clone();
            async move { node.ask::<Word>("eth_getStorageAt", params).await.map(|word| word.0) }
        };
        self.agree("the storage of a contract", ask).await
    }

    /// An account's nonce at a block: how many transactions of its are in the chain.
    pub async fn nonce(&self, at: &Agreed<Block>, account: Address) -> Result<Agreed<u64>, NotAgreed> {
        let params = json!([account.to_string(), at.value().named()]);
        let ask = |node: Arc<Endpoint>| {
            let params = params.clone();
            async move { count(node.ask("eth_getTransactionCount", params).await?) }
        };
        self.agree("a nonce", ask).await
    }

    /// The nonce behind everything that waits. Each node has a pool of its own, so these are single words and no fact.
    pub async fn pending_nonces(&self, account: Address) -> (Vec<Said<u64>>, Vec<(Name, EndpointFault)>) {
        let params = json!([account.to_string(), "pending"]);
        let ask = |node: Arc<Endpoint>| {
            let params = params.clone();
            async move { count(node.ask("eth_getTransactionCount", params).await?) }
        };
        let (mut said, mut silent) = (Vec::new(), Vec::new());
        for (name, answer) in self.all(ask).await {
            match answer {
                Ok(nonce) => said.push(Said::new(name, nonce)),
                Err(fault) => silent.push((name, fault)),
            }
        }
        (said, silent)
    }

    /// What a holder has of a token; `None` where the contract does not answer as a token does.
    pub async fn token_balance(
        &self,
        at: &Agreed<Block>,
        token: Address,
        holder: Address,
    ) -> Result<Agreed<Option<Units>>, NotAgreed> {
        let question = Call::question(token, balanceOfCall { holder }.abi_encode());
        let answer = self.call(at, question).await?;
        Ok(answer.map(|outcome| match outcome {
            Outcome::Returned(bytes) if bytes.len() == 32 => {
                read_return::<balanceOfCall>(&bytes).map(Units::new)
            }
            Outcome::Returned(_) | Outcome::Reverted(_) => None,
        }))
    }

    /// What the token's contract says of its decimals; `None` where it does not answer as a token does.
    pub async fn token_decimals(
        &self,
        at: &Agreed<Block>,
        token: Address,
    ) -> Result<Agreed<Option<u8>>, NotAgreed> {
        let answer = self.call(at, Call::question(token, decimalsCall {}.abi_encode())).await?;
        Ok(answer.map(|outcome| match outcome {
            Outcome::Returned(bytes) => read_return::<decimalsCall>(&bytes),
            Outcome::Reverted(_) => None,
        }))
    }

    /// Whether the token's contract has exactly the pinned decimals. Silence is a no.
    pub async fn has_pinned_decimals(
        &self,
        at: &Agreed<Block>,
        pin: &TokenPin,
    ) -> Result<Agreed<bool>, NotAgreed> {
        let token = pin.asset().contract().unwrap_or_default();
        let answer = self.call(at, Call::question(token, decimalsCall {}.abi_encode())).await?;
        Ok(answer.map(|outcome| match outcome {
            Outcome::Returned(bytes) => pin.asset().chain() == self.chain() && pin.agrees_with(&bytes),
            Outcome::Reverted(_) => false,
        }))
    }
}

fn count(said: Quantity) -> Result<u64, EndpointFault> {
    said.u64().ok_or(EndpointFault::Malformed("a nonce is out of bounds"))
}
