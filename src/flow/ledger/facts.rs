//! The latest facts observers stated. A party keeps its own and lets the policy judge their age.

use std::collections::HashMap;

use wallet_policy::price::{Band, PriceTrack, Quote};
use wallet_policy::{Krw as PolicyKrw, Seconds as PolicySeconds};

use crate::bitcoin::fee::{RATE_BELIEVED_MAX, RATE_FLOOR};
use crate::evidence::statement::{Body, ChainFact, Statement, StatementKind};
use crate::withdrawal::{Amount, Asset, Chain, FeeRate, Krw, Seconds};

/// The time of what was said, as it counts here: the older of the speaker's own time and the time of receipt. A speaker
/// whose clock is ahead is believed, but nothing is younger for it.
pub fn heard_at(said: Seconds, received: Seconds) -> Seconds {
    said.min(received)
}

/// The most for 1,000 units of gas that is believed, in wei: 10,000 gwei for each.
const GAS_RATE_BELIEVED_MAX: FeeRate = FeeRate(10_000_000_000_000_000);

fn is_believed(fact: &ChainFact) -> bool {
    match fact.chain {
        Chain::Bitcoin(_) => fact.fee_rate <= RATE_BELIEVED_MAX,
        Chain::Evm(_) => fact.fee_rate <= GAS_RATE_BELIEVED_MAX,
    }
}

/// Below its floor Bitcoin's network relays nothing, however empty its blocks are.
fn floored(fact: &ChainFact) -> FeeRate {
    match fact.chain {
        Chain::Bitcoin(_) => fact.fee_rate.max(RATE_FLOOR),
        Chain::Evm(_) => fact.fee_rate,
    }
}

/// A fact and when it was stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated<T> {
    /// The fact.
    pub value: T,
    /// When the observer says it was so, but never later than it was heard.
    pub at: Seconds,
}

/// Who spoke of what, and when.
#[derive(Debug, Default)]
pub struct Heard {
    numbers: HashMap<(String, StatementKind), u64>,
    coins: HashMap<String, Seconds>,
}

impl Heard {
    /// The number of the last statement of this observer and kind.
    pub fn last_number(&self, observer: &str, kind: StatementKind) -> Option<u64> {
        self.numbers.get(&(observer.to_owned(), kind)).copied()
    }

    /// Takes note of a verified statement. `at` is what [`heard_at`] says.
    pub fn take(&mut self, statement: &Statement, at: Seconds) {
        let key = (statement.observer.clone(), statement.body.kind());
        let last = self.numbers.entry(key).or_insert(0);
        *last = (*last).max(statement.number);
        if matches!(statement.body, Body::Coins { .. }) {
            let known = self.coins.entry(statement.observer.clone()).or_insert(at);
            *known = at.max(*known);
        }
    }

    /// When the coins were last stated by whoever is longest silent of these observers; nothing, if one never spoke.
    pub fn coins_at<'a>(&self, observers: impl Iterator<Item = &'a str>) -> Option<Seconds> {
        let each = observers.map(|observer| self.coins.get(observer).copied());
        each.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

/// What a party was told of one asset.
#[derive(Debug, Default)]
pub struct Facts {
    /// What rests cold.
    pub cold: Option<Dated<Amount>>,
    /// The price of a whole coin.
    pub price: PriceTrack,
    /// Tip and fee rate.
    pub chain: Option<Dated<ChainFact>>,
}

impl Facts {
    /// Takes what a verified statement says of the asset. Coins are the caller's to record. `at` is what [`heard_at`] says.
    /// Returns whether a price was accepted as the price that stands.
    pub fn take(&mut self, body: &Body, at: Seconds, asset: Asset, band: Band) -> bool {
        match body {
            Body::Coins { .. } => {}
            Body::Position { cold, .. } => {
                // Another observer's word on an earlier moment is no news, however late it comes.
                let is_news = self.cold.is_none_or(|known| at >= known.at);
                if let Some((_, value)) = cold.iter().find(|(a, _)| *a == asset && is_news) {
                    self.cold = Some(Dated { value: *value, at });
                }
            }
            Body::Chain(chains) => {
                let is_news = self.chain.is_none_or(|known| at >= known.at);
                // A rate that nobody believes is no fact: the one before stands until it is out of date.
                let is_fact = |c: &&ChainFact| c.chain == asset.chain() && is_believed(c);
                if let Some(chain) = chains.iter().find(is_fact).filter(|_| is_news) {
                    self.chain = Some(Dated { value: ChainFact { fee_rate: floored(chain), ..*chain }, at });
                }
            }
            Body::Safe(_) | Body::Deposits(_) | Body::Ownership(_) => {}
            Body::Price(prices) => {
                if let Some((_, price)) = prices.iter().find(|(a, _)| *a == asset) {
                    let quote = Quote { price: PolicyKrw(price.0), at: PolicySeconds(at.0) };
                    // A price of nothing, or one that is not later than the last, changes nothing.
                    return self.price.observe(quote, band).is_ok() && !self.price.is_moved();
                }
            }
        }
        false
    }

    /// The price that stands.
    pub fn price(&self) -> Option<Dated<Krw>> {
        self.price.accepted().map(|q| Dated { value: Krw(q.price.0), at: Seconds(q.at.0) })
    }
}
