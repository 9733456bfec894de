//! The chain's part in the token mode: an observer that states what was released as paid, in the order of the nonces. No node.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign::ethereum::B256;
use countersign::evidence::{Body, ChainFact, Ending, ExecutedFact, SafeFact};
use countersign::withdrawal::{Amount, FeeRate, Krw};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::exchange::Observer;
use crate::world::*;

/// How often it looks at the chain.
const BLOCK: Duration = Duration::from_millis(500);
/// The most executions of one statement.
const EXECUTED_MAX: usize = 500;

/// Where a released withdrawal is told: the nonce, the hash, and what it pays.
pub type Told = UnboundedSender<(u64, String, u128)>;

/// The Safe as it stands on the chain.
pub struct Chain {
    observer: Observer,
    nonce: u64,
    height: u64,
    tokens: u128,
    ahead: BTreeMap<u64, (String, u128)>,
}

impl Chain {
    pub fn new(observer: Observer) -> Self {
        Self { observer, nonce: 0, height: 100, tokens: TOKENS, ahead: BTreeMap::new() }
    }

    /// Price, fee rate, a cold balance that leaves the hot share far below its limit, and the Safe.
    pub async fn state_facts(&mut self) {
        let prices = vec![(ASSET, Krw(PRICE)), (ether(), Krw(4_000_000)), (token(), Krw(1_300))];
        self.observer.state(Body::Price(prices)).await;
        let bitcoin = ChainFact {
            chain: countersign::withdrawal::Chain::Bitcoin(NETWORK),
            height: 200,
            fee_rate: FeeRate(2_000),
        };
        let chain = ChainFact { chain: token().chain(), height: 100, fee_rate: FeeRate(GAS_RATE) };
        self.observer.state(Body::Chain(vec![bitcoin, chain])).await;
        let cold = vec![
            (ASSET, Amount::from_sat(1)),
            (ether(), Amount::from_units(1)),
            (token(), Amount::from_units(10 * TOKENS)),
        ];
        self.observer.state(Body::Position { cold, swept: Vec::new() }).await;
        self.state_safe(Vec::new()).await;
    }

    async fn state_safe(&mut self, executed: Vec<ExecutedFact>) {
        self.height += 1;
        let fact = SafeFact { executed, ..safe_fact(self.height, self.nonce, &[(token(), self.tokens)]) };
        self.observer.state(Body::Safe(Box::new(fact))).await;
    }

    /// States what is released until it is told to stop; only hears of it where the chain stands still.
    pub async fn play(
        mut self,
        mut heard: UnboundedReceiver<(u64, String, u128)>,
        stop: CancellationToken,
        moves: bool,
    ) {
        let mut clock = tokio::time::interval(BLOCK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = clock.tick() => {}
            }
            while let Ok((nonce, hash, units)) = heard.try_recv() {
                let (_, sum) = self.ahead.entry(nonce).or_insert((hash, 0));
                *sum += units;
            }
            if moves {
                self.mine().await;
            }
        }
    }

    /// Executes what is ahead, but the newest: who is paid by it may still be told.
    async fn mine(&mut self) {
        let mut executed = Vec::new();
        while executed.len() < EXECUTED_MAX && self.ahead.len() > 4 && self.ahead.contains_key(&self.nonce) {
            let (hash, units) = self.ahead.remove(&self.nonce).unwrap();
            let height = self.height + 1;
            let transaction = B256::with_last_byte(7);
            let safe_tx_hash = hash.parse().unwrap();
            executed.push(ExecutedFact {
                nonce: self.nonce,
                safe_tx_hash,
                ending: Ending::Paid,
                transaction,
                height,
            });
            (self.nonce, self.tokens) = (self.nonce + 1, self.tokens - units);
        }
        if !executed.is_empty() {
            self.state_safe(executed).await;
        }
    }
}
