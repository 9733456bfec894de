//! Tokens that did not pay as asked, by this party's own knowledge. The first such end stops the token; what people have looked at
//! stops nothing. Why it paid otherwise is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lane::Ended;
use crate::evidence::Ending;
use crate::withdrawal::{Asset, Code, EvmAsset, Finding};

/// The state column of the rows.
pub const STATE: &str = "odd";

/// The highest end of a token that an observer stated as odd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OddRow {
    /// The token's CAIP-19 id.
    pub asset: String,
    /// Who stated it.
    pub observer: String,
    /// The transaction of the chain that executed ours.
    pub transaction: String,
    /// The height of its block.
    pub height: u64,
}

impl OddRow {
    /// The key of its row.
    pub fn key(&self) -> String {
        format!("odd/{}/{}", self.asset, self.observer)
    }
}

/// The odd ends of every token, and up to which height people have looked at them.
#[derive(Debug, Default)]
pub struct OddEnds {
    ends: BTreeMap<(Asset, String), OddRow>,
    reviewed: BTreeMap<Asset, u64>,
}

impl OddEnds {
    /// The trust file says that people have looked at every odd end of the token up to this height.
    pub fn review(&mut self, asset: Asset, height: u64) {
        self.reviewed.insert(asset, height);
    }

    /// Notes the end of a claim; gives the row to be kept, where the end is odd, a token's, and later than what its observer stated
    /// before. An emptying claims the chain's coin: which token refused in it is not told.
    pub fn note(&mut self, observer: &str, Ended { claim, fact }: &Ended) -> Option<OddRow> {
        match (fact.ending, claim.asset) {
            (Ending::Odd, Asset::Evm(EvmAsset::Token(..))) => {}
            (Ending::Paid | Ending::Reverted, _)
            | (Ending::Odd, Asset::Bitcoin(_) | Asset::Evm(EvmAsset::Ether(_))) => return None,
        }
        let row = OddRow {
            asset: claim.asset.to_string(),
            observer: observer.to_owned(),
            transaction: fact.transaction.to_string(),
            height: fact.height,
        };
        self.put(claim.asset, row.clone()).then_some(row)
    }

    /// Puts an end in, unless a higher one of the same observer is there; says whether it did.
    pub fn put(&mut self, asset: Asset, row: OddRow) -> bool {
        let key = (asset, row.observer.clone());
        let is_news = self.ends.get(&key).is_none_or(|known| row.height > known.height);
        if is_news {
            self.ends.insert(key, row);
        }
        is_news
    }

    /// Whether people have looked at every odd end of an asset; otherwise which one stops it, and the cure.
    pub fn are_reviewed(&self, asset: Asset) -> Result<(), Finding> {
        let of_asset = self.ends.iter().filter(|((of, _), _)| *of == asset).map(|(_, row)| row);
        let Some(last) = of_asset.max_by_key(|row| row.height) else { return Ok(()) };
        if self.reviewed.get(&asset).is_some_and(|height| last.height <= *height) {
            return Ok(());
        }
        let OddRow { transaction, height, observer, .. } = last;
        let detail = format!(
            "{asset} did not pay as asked in transaction {transaction} at height {height}, as `{observer}` states: it may take a \
             fee, or refuse without reverting; look at the receipt, and when it pays as asked write `reviewed_to = {height}` at \
             the token in the trust file"
        );
        Err(Finding::new(Code::TokenNotAsPinned, detail))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ethereum::B256;
    use crate::evidence::ExecutedFact;
    use crate::flow::ledger::lane::Claim;
    use crate::withdrawal::ReservationId;

    const TOKEN: &str = "eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7";

    fn ended(asset: &str, ending: Ending, height: u64) -> Ended {
        let claim = Claim {
            reservation: ReservationId::of_txid(&[7; 32]),
            hash: String::new(),
            asset: Asset::parse(asset).unwrap(),
            amount: 1,
            withdrawals: Vec::new(),
            errand: None,
        };
        let (safe_tx_hash, transaction) = (B256::ZERO, B256::repeat_byte(9));
        Ended { claim, fact: ExecutedFact { nonce: 0, safe_tx_hash, ending, transaction, height } }
    }

    #[test]
    fn only_an_odd_end_of_a_token_is_noted_and_the_highest_of_each_observer_is_kept() {
        let mut odd = OddEnds::default();
        let mut notes = |observer, asset, ending, height| {
            odd.note(observer, &ended(asset, ending, height)).map(|row| (row.key(), row.height))
        };
        assert_eq!(notes("one", "eip155:1/slip44:60", Ending::Odd, 5), None);
        assert_eq!(notes("one", TOKEN, Ending::Paid, 5), None);
        assert_eq!(notes("one", TOKEN, Ending::Reverted, 5), None);
        assert_eq!(notes("one", TOKEN, Ending::Odd, 5), Some((format!("odd/{TOKEN}/one"), 5)));
        assert_eq!(notes("one", TOKEN, Ending::Odd, 5), None);
        assert_eq!(notes("one", TOKEN, Ending::Odd, 4), None);
        assert_eq!(notes("two", TOKEN, Ending::Odd, 4), Some((format!("odd/{TOKEN}/two"), 4)));
        assert_eq!(notes("one", TOKEN, Ending::Odd, 6), Some((format!("odd/{TOKEN}/one"), 6)));
    }

    #[test]
    fn what_was_looked_at_up_to_a_height_stops_nothing_and_without_a_word_everything_does() {
        let asset = Asset::parse(TOKEN).unwrap();
        for (reviewed, height, is_free) in
            [(None, 0, false), (Some(0), 0, true), (Some(9), 9, true), (Some(9), 10, false), (None, 9, false)]
        {
            let mut odd = OddEnds::default();
            assert_eq!(odd.are_reviewed(asset), Ok(()));
            odd.note("one", &ended(TOKEN, Ending::Odd, height)).unwrap();
            if let Some(to) = reviewed {
                odd.review(asset, to);
            }
            assert_eq!(odd.are_reviewed(asset).is_ok(), is_free, "{reviewed:?} {height}");
        }
    }
}
