//! Handing a signed transaction to every node, and what each says to it. A node's no is its own; only the chain decides.

use std::sync::Arc;

use alloy_primitives::B256;
use serde_json::json;

use super::endpoint::{Endpoint, Reply};
use super::fault::EndpointFault;
use super::hex::{Word, bytes};
use super::json::RpcError;
use super::nodes::Nodes;
use super::said::Said;
use super::settings::Name;
use crate::ethereum::execution::FinishedExecution;

/// What a node says to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendWord {
    /// It has taken it.
    Taken,
    /// It has had it before.
    AlreadyKnown,
    /// The nonce is used: by this very transaction, or by another. The receipt tells.
    NonceTooLow,
    /// Transactions before it are missing.
    NonceTooHigh,
    /// It waits in another's place, and does not pay enough more.
    ReplacementUnderpriced,
    /// Its fee is below what the node or the block takes.
    FeeTooLow,
    /// The account cannot pay for it.
    InsufficientFunds,
    /// Any other no, in the node's words.
    Refused(String),
}

/// Texts that nodes say, in small letters: geth, Erigon, Nethermind, Besu, reth, anvil. The first that fits is meant.
const TEXTS: &[(&str, SendWord)] = &[
    ("already known", SendWord::AlreadyKnown),
    ("alreadyknown", SendWord::AlreadyKnown),
    ("known transaction", SendWord::AlreadyKnown),
    ("already imported", SendWord::AlreadyKnown),
    ("already exists", SendWord::AlreadyKnown),
    ("existing tx with same hash", SendWord::AlreadyKnown),
    ("replacement transaction underpriced", SendWord::ReplacementUnderpriced),
    ("could not replace existing", SendWord::ReplacementUnderpriced),
    ("replacementnotallowed", SendWord::ReplacementUnderpriced),
    ("replacement not allowed", SendWord::ReplacementUnderpriced),
    ("nonce too low", SendWord::NonceTooLow),
    ("oldnonce", SendWord::NonceTooLow),
    ("nonce too high", SendWord::NonceTooHigh),
    ("noncegap", SendWord::NonceTooHigh),
    ("nonce gap", SendWord::NonceTooHigh),
    ("nonce too distant", SendWord::NonceTooHigh),
    ("insufficient funds", SendWord::InsufficientFunds),
    ("insufficientfunds", SendWord::InsufficientFunds),
    ("upfront cost exceeds", SendWord::InsufficientFunds),
    ("transaction underpriced", SendWord::FeeTooLow),
    ("less than block base fee", SendWord::FeeTooLow),
    ("feetoolow", SendWord::FeeTooLow),
    ("gas price below", SendWord::FeeTooLow),
    ("gas price too low", SendWord::FeeTooLow),
];

impl SendWord {
    pub(super) fn of(error: &RpcError) -> Self {
        let text = error.message.to_ascii_lowercase();
        let known = TEXTS.iter().find(|(part, _)| text.contains(part));
        known.map_or_else(|| Self::Refused(error.message.clone()), |(_, word)| word.clone())
    }
}

/// What all nodes said.
#[derive(Debug)]
pub struct Sending {
    /// Those that answered.
    pub words: Vec<Said<SendWord>>,
    /// Those that did not; each may have taken it all the same.
    pub silent: Vec<(Name, EndpointFault)>,
}

/// How far a transaction has come, as far as nodes can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// At least one node says it has it.
    Pool,
    /// Every node of the chain answered, and each said no, none of them for a nonce that is used.
    Nowhere,
    /// No node says it has it, but one did not answer, or says that its nonce is used: it may be under way, or mined.
    Unknown,
}

impl Sending {
    /// How far it has come.
    pub fn reached(&self) -> Reached {
        let any = |is: fn(&SendWord) -> bool| self.words.iter().any(|said| is(said.word()));
        if any(|word| matches!(word, SendWord::Taken | SendWord::AlreadyKnown)) {
            return Reached::Pool;
        }
        // an endpoint of another chain has taken nothing; one that rests may have taken it before it broke
        let silent = self.silent.iter().any(|(_, fault)| *fault != EndpointFault::WrongChain);
        let used = any(|word| *word == SendWord::NonceTooLow);
        if silent || used { Reached::Unknown } else { Reached::Nowhere }
    }
}

impl Endpoint {
    async fn send(&self, raw: &[u8], hash: B256) -> Result<SendWord, EndpointFault> {
        let reply: Reply<Word> = self.ask_freely("eth_sendRawTransaction", json!([bytes(raw)])).await?;
        match reply {
            Ok(Some(said)) if said.0 == hash => Ok(SendWord::Taken),
            Ok(_) => Err(EndpointFault::Malformed("it took another transaction")),
            Err(error) => Ok(SendWord::of(&error)),
        }
    }
}

impl Nodes {
    /// Hands a transaction to every node. Safe to repeat: the same bytes are the same transaction.
    pub async fn send(&self, transaction: &FinishedExecution) -> Sending {
        let (raw, hash) = (Arc::<[u8]>::from(transaction.bytes()), transaction.hash());
        let ask = |node: Arc<Endpoint>| {
            let raw = Arc::clone(&raw);
            async move { node.send(&raw, hash).await }
        };
        let mut sending = Sending { words: Vec::new(), silent: Vec::new() };
        for (name, answer) in self.all(ask).await {
            match answer {
                Ok(word) => sending.words.push(Said::new(name, word)),
                Err(fault) => sending.silent.push((name, fault)),
            }
        }
        sending
    }
}
