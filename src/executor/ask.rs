//! Asking the nodes: everything at one agreed block. What is not agreed on is left out, and nothing follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::ethereum::{Address, B256, Operation};
use crate::node::{Agreed, Block, Call, FinalBlock, Nodes, NotAgreed, Outcome, SafeFault, Settled};
use crate::withdrawal::Seconds;

use super::facts::{Basics, Delivery, Facts, SafeNonces};
use super::job::{Job, JobKey};
use super::ledger::Ledger;
use super::question::{Question, questions};

/// Questions under way at once.
const AT_ONCE: usize = 8;

/// What is asked, on whose behalf.
pub struct Asking {
    /// The nodes.
    pub nodes: Arc<Nodes>,
    /// The account that pays gas.
    pub account: Address,
    /// The ledger as it stands.
    pub ledger: Ledger,
    /// The latest block of the last turn, where everything that was seen was found to stand.
    pub anchor: Option<Block>,
    /// What became of sending.
    pub deliveries: BTreeMap<u64, Delivery>,
    /// When.
    pub now: Seconds,
}

/// The blocks that everything is asked about.
struct At {
    head: Agreed<Block>,
    last: Agreed<FinalBlock>,
}

/// One answer.
enum Answer {
    Receipt(B256, Settled),
    Search(JobKey, Option<(B256, Option<Settled>)>),
    Trial(JobKey, Result<(), String>),
    Reason(JobKey, String),
}

impl Asking {
    /// Everything that is known now.
    pub async fn facts(self) -> Result<Facts, NotAgreed> {
        let (last, head) = (self.nodes.last_final().await?, self.nodes.latest().await?);
        let at = At { head, last };
        let mut facts = Facts::new(self.basics(&at).await?, self.deliveries.clone());
        facts.hashes = self.hashes(&at).await;
        let asked = questions(&self.ledger, &facts);
        let each = asked.into_iter().map(|question| self.answer(&at, question));
        let answers: Vec<Option<Answer>> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
        for answer in answers.into_iter().flatten() {
            facts.hear(answer);
        }
        Ok(facts)
    }

    async fn basics(&self, at: &At) -> Result<Basics, NotAgreed> {
        let (nodes, head, last) = (&self.nodes, &at.head, at.last.block());
        let (nonce_head, nonce_last, balance, fees) = tokio::try_join!(
            nodes.nonce(head, self.account),
            nodes.nonce(&last, self.account),
            nodes.balance(head, self.account),
            nodes.fees(head),
        )?;
        let mut safes = BTreeMap::new();
        for safe in self.ledger.safes() {
            if let Some(nonces) = self.safe(at, safe).await? {
                safes.insert(safe, nonces);
            }
        }
        Ok(Basics {
            now: self.now,
            head: *head.value(),
            last: *last.value(),
            nonce_head: nonce_head.into_value(),
            nonce_last: nonce_last.into_value(),
            balance: u128::try_from(balance.value().units()).unwrap_or(u128::MAX),
            fees,
            safes,
        })
    }

    /// The nonces of a Safe; a Safe that is younger than the final block has used none there.
    async fn safe(&self, at: &At, safe: Address) -> Result<Option<SafeNonces>, NotAgreed> {
        let head = match self.nodes.safe_nonce(&at.head, safe).await {
            Ok(nonce) => nonce.into_value(),
            Err(SafeFault::NotAgreed(no)) => return Err(no),
            Err(SafeFault::NoSafe(_)) => return Ok(None),
        };
        match self.nodes.safe_nonce(&at.last.block(), safe).await {
            Ok(last) => Ok(Some(SafeNonces { head, last: last.into_value() })),
            Err(SafeFault::NotAgreed(no)) => Err(no),
            Err(SafeFault::NoSafe(_)) => Ok(Some(SafeNonces { head, last: 0 })),
        }
    }

    /// The chain's own hashes of every block in which something was seen. What stood under the anchor stands while it does.
    async fn hashes(&self, at: &At) -> BTreeMap<u64, B256> {
        let head = at.head.value().number;
        let mut hashes = BTreeMap::new();
        let mut anchored = None;
        if let Some(anchor) = self.anchor.filter(|anchor| anchor.number <= head)
            && let Ok(found) = self.nodes.block_at(anchor.number).await
        {
            anchored = Some(anchor.number).filter(|_| found.value().hash == anchor.hash);
        }
        for (number, hash) in self.ledger.blocks().into_iter().filter(|(number, _)| *number <= head) {
            if anchored.is_some_and(|anchored| number <= anchored) {
                hashes.insert(number, hash);
            } else if !hashes.contains_key(&number)
                && let Ok(found) = self.nodes.block_at(number).await
            {
                hashes.insert(number, found.value().hash);
            }
        }
        hashes
    }

    async fn answer(&self, at: &At, question: Question) -> Option<Answer> {
        let job = |key: &JobKey| self.ledger.jobs.get(key);
        match question {
            Question::Receipt(txid) => Some(Answer::Receipt(txid, self.settled(at, txid).await?)),
            Question::Search(key) => self.search(at, job(&key)?).await,
            Question::Trial(key) => self.trial(at, job(&key)?).await,
            Question::Reason(key) => self.reason(at, job(&key)?).await,
        }
    }

    async fn settled(&self, at: &At, txid: B256) -> Option<Settled> {
        self.nodes.settled(txid, &at.head, &at.last).await.ok().map(Agreed::into_value)
    }

    async fn search(&self, at: &At, job: &Job) -> Option<Answer> {
        let what = (job.key.safe, job.hash());
        let first = job.since.min(at.head.value().number);
        let found = self.nodes.executions(what, first, &at.head).await.ok()?.into_value();
        let Some(one) = found.first() else { return Some(Answer::Search(job.key, None)) };
        let settled = self.settled(at, one.transaction).await;
        Some(Answer::Search(job.key, Some((one.transaction, settled))))
    }

    async fn trial(&self, at: &At, job: &Job) -> Option<Answer> {
        let call = Call { from: Some(self.account), ..Call::question(job.key.safe, job.tx.data().to_vec()) };
        let outcome = self.nodes.call(&at.head, call).await.ok()?.into_value();
        Some(Answer::Trial(
            job.key,
            match outcome {
                Outcome::Returned(_) => Ok(()),
                Outcome::Reverted(reason) => Err(reason.to_string()),
            },
        ))
    }

    /// The payee's own reason, as it would give it now. Of a batch only the whole is known to have failed.
    async fn reason(&self, at: &At, job: &Job) -> Option<Answer> {
        let call = job.tx.call();
        if call.operation == Operation::DelegateCall {
            let told = "one payment of the batch reverted, so none of it was made".to_owned();
            return Some(Answer::Reason(job.key, told));
        }
        let (from, value) = (Some(job.key.safe), call.value);
        let inner = Call { from, value, ..Call::question(call.to, call.data.to_vec()) };
        let outcome = self.nodes.call(&at.head, inner).await.ok()?.into_value();
        Some(Answer::Reason(
            job.key,
            match outcome {
                Outcome::Returned(_) => "asked again, the payee's contract gives no reason".to_owned(),
                Outcome::Reverted(reason) => format!("asked again, the payee says: {reason}"),
            },
        ))
    }
}

impl Facts {
    fn hear(&mut self, answer: Answer) {
        match answer {
            Answer::Receipt(txid, settled) => drop(self.receipts.insert(txid, settled)),
            Answer::Search(key, None) => drop(self.searches.insert(key, None)),
            Answer::Search(key, Some((txid, settled))) => {
                self.searches.insert(key, Some(txid));
                if let Some(settled) = settled {
                    self.receipts.insert(txid, settled);
                }
            }
            Answer::Trial(key, outcome) => drop(self.trials.insert(key, outcome)),
            Answer::Reason(key, reason) => drop(self.reasons.insert(key, reason)),
        }
    }

    /// Whether each block up to the latest one, in which something was seen, was looked at.
    pub fn is_complete(&self, ledger: &Ledger) -> bool {
        let head = self.basics.head.number;
        ledger.blocks().iter().all(|(number, _)| *number > head || self.hashes.contains_key(number))
    }
}
