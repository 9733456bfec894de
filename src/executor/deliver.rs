//! Signing what is durable, and handing it to the nodes; what they say to it.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::node::{Reached, SendWord, Sending};

use super::account::AccountFault;
use super::facts::{Complaint, Delivery, Facts};
use super::run::Executor;

/// Transactions that are handed to the nodes at once, begun in the order of their nonces.
const SENDS_AT_ONCE: usize = 8;

impl Executor {
    /// Signs what is booked and durable; the same bytes after every start.
    pub(super) fn sign(&mut self) -> Result<(), AccountFault> {
        for slot in self.ledger.slots.values_mut() {
            let Some(job) = self.ledger.jobs.get(&slot.job) else { continue };
            for (at, attempt) in slot.attempts.iter_mut().enumerate() {
                if attempt.txid.is_none() {
                    let finished = self.account.sign(slot.nonce, job, attempt)?;
                    attempt.txid = Some(finished.hash());
                    self.signed.insert((slot.nonce, at), finished);
                }
            }
        }
        Ok(())
    }

    /// Hands every nonce's newest attempt to the nodes: at each new block, and as long as none has it.
    pub(super) async fn send(&mut self, facts: &Facts) {
        let (height, nonce_head) = (facts.height(), facts.basics.nonce_head);
        let mut due = Vec::new();
        for slot in self.ledger.slots.values().filter(|slot| slot.is_waiting() && slot.nonce >= nonce_head) {
            let Some((at, _)) = slot.newest() else { continue };
            let known = self.deliveries.get(&slot.nonce).filter(|word| word.attempt == at);
            let is_there = known.is_some_and(|word| word.arrived && word.block == height);
            if let Some(finished) = self.signed.get(&(slot.nonce, at)).filter(|_| !is_there) {
                due.push((slot.nonce, at, finished.clone()));
            }
        }
        let nodes = Arc::clone(&self.nodes);
        let each = due.into_iter().map(|(nonce, at, finished)| {
            let nodes = Arc::clone(&nodes);
            async move { (nonce, at, nodes.send(&finished).await) }
        });
        let sent: Vec<_> = self.attending(stream::iter(each).buffered(SENDS_AT_ONCE).collect()).await;
        for (nonce, attempt, sending) in sent {
            let (arrived, complaint) = (sending.reached() == Reached::Pool, complaint(&sending));
            self.deliveries.insert(nonce, Delivery { attempt, block: height, arrived, complaint });
        }
    }
}

/// Why no node has it, where every node was asked and said no.
fn complaint(sending: &Sending) -> Option<Complaint> {
    if sending.reached() != Reached::Nowhere || sending.words.is_empty() {
        return None;
    }
    let words: Vec<&SendWord> = sending.words.iter().map(|said| said.word()).collect();
    let told = |word: &SendWord| words.iter().any(|other| **other == *word);
    let other = words.iter().find_map(|word| match word {
        SendWord::Refused(text) => Some(Complaint::Other(text.clone())),
        _ => None,
    });
    let known = [
        (SendWord::InsufficientFunds, Complaint::Funds),
        (SendWord::ReplacementUnderpriced, Complaint::Underpriced),
        (SendWord::FeeTooLow, Complaint::FeeTooLow),
        (SendWord::NonceTooHigh, Complaint::Nonce),
    ];
    known.into_iter().find(|(word, _)| told(word)).map(|(_, complaint)| complaint).or(other)
}
