//! Refills from cold as a party knows them: what was asked for, what has come of it, and what is earmarked (L13). Signer and
//! co-signer keep the same rows; the co-signer's hold no PSBT.

use std::collections::{BTreeMap, BTreeSet};

use ::bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

use super::rows::Signed;
use crate::desk::RefillState;
use crate::withdrawal::Seconds;

/// One refill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefillRow {
    /// The index of the hot address on branch 1.
    pub index: u32,
    /// That address.
    pub address: String,
    /// The transactions it takes.
    pub parts: Vec<PartRow>,
    /// The held withdrawals it was made for.
    pub earmarks: Vec<EarmarkRow>,
    /// How far it has come.
    pub state: String,
    /// Who asked for it, by the name of the certificate; empty at the co-signer.
    pub requested_by: String,
    /// When.
    pub requested_at: u64,
    /// Until when it waits for its signatures.
    pub expires_at: u64,
    /// When the last of its signed copies was handed back; nothing at the co-signer.
    #[serde(default)]
    pub signed_at: Option<u64>,
    /// The co-signer's word that the address is ours and the share allows it.
    pub attestation: Option<Signed>,
}

/// One transaction of a refill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRow {
    /// Its id, fixed from here on.
    pub txid: String,
    /// Which output pays the hot address.
    pub vout: u32,
    /// Satoshi to the hot address.
    pub amount_sat: u64,
    /// The fee, in satoshi; the cold side pays it.
    pub fee_sat: u64,
    /// The cold coins it spends.
    pub inputs: Vec<ColdCoinRow>,
    /// The cold change: satoshi, and index on the cold wallet's branch 1.
    pub change: Option<(u64, u32)>,
    /// The PSBT that is exported, hex.
    pub psbt: String,
    /// The finished transaction, hex, once the signed copy was handed back.
    pub tx_hex: Option<String>,
    /// Whether its coin has come.
    pub seen: bool,
    /// Whether a position statement counts it already.
    pub counted: bool,
}

/// A coin of the cold wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdCoinRow {
    /// `txid:vout`.
    pub outpoint: String,
    /// Satoshi, proved by the raw transaction.
    pub amount_sat: u64,
    /// Branch of the cold wallet.
    pub branch: u32,
    /// Index on the branch.
    pub index: u32,
    /// The raw transaction, hex.
    pub raw: String,
}

/// A held withdrawal that a refill was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarmarkRow {
    /// The withdrawal.
    pub withdrawal: String,
    /// Satoshi.
    pub amount_sat: u64,
    /// After this it is no longer held.
    pub until: u64,
}

impl RefillRow {
    /// How far it has come; what this version does not know waits for nothing.
    pub fn state(&self) -> RefillState {
        RefillState::parse(&self.state).unwrap_or(RefillState::Cancelled)
    }

    /// Moves it on.
    pub fn set_state(&mut self, state: RefillState) {
        self.state = state.as_str().to_owned();
    }

    /// What it brings, in satoshi.
    pub fn amount_sat(&self) -> u64 {
        self.parts.iter().map(|part| part.amount_sat).sum()
    }

    fn came_sat(&self) -> u64 {
        self.parts.iter().filter(|part| part.seen).map(|part| part.amount_sat).sum()
    }

    /// What it may still bring, in satoshi: nothing once it was given up.
    pub fn coming_sat(&self) -> u64 {
        if self.state().is_open() { self.amount_sat().saturating_sub(self.came_sat()) } else { 0 }
    }

    /// Its earmarks that still hold.
    pub fn earmarked_sat(&self, now: Seconds, is_held: &dyn Fn(&str) -> bool) -> u64 {
        let held = self.earmarks.iter().filter(|e| now.0 <= e.until && is_held(&e.withdrawal));
        held.map(|earmark| earmark.amount_sat).sum()
    }
}

/// Every refill a party knows of, by id.
#[derive(Debug, Clone, Default)]
pub struct Refills {
    all: BTreeMap<String, RefillRow>,
    /// Those that people were told of because their coins do not come.
    told: BTreeSet<String>,
}

impl Refills {
    /// Puts one in, or a newer view of it.
    pub fn put(&mut self, id: String, row: RefillRow) {
        self.all.insert(id, row);
    }

    /// One by its id.
    pub fn named(&self, id: &str) -> Option<&RefillRow> {
        self.all.get(id)
    }

    /// All of them, oldest id first.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &RefillRow)> {
        self.all.iter()
    }

    /// All of them, newest id first.
    pub fn newest_first(&self) -> impl Iterator<Item = (&String, &RefillRow)> {
        self.all.iter().rev()
    }

    /// Those that may still bring something.
    pub fn open(&self) -> impl Iterator<Item = (&String, &RefillRow)> {
        self.iter().filter(|(_, row)| row.state().is_open())
    }

    /// What rests hot for held withdrawals: of each refill no more than has come (L11, L13).
    pub fn earmarked_sat(&self, now: Seconds, is_held: &dyn Fn(&str) -> bool) -> u64 {
        self.all.values().map(|row| row.earmarked_sat(now, is_held).min(row.came_sat())).sum()
    }

    /// Earmarks that still hold, whether anything has come for them or not.
    pub fn promised_sat(&self, now: Seconds, is_held: &dyn Fn(&str) -> bool) -> u64 {
        let ended = [RefillState::Expired, RefillState::Cancelled];
        let live = self.all.values().filter(|row| !ended.contains(&row.state()));
        live.map(|row| row.earmarked_sat(now, is_held)).sum()
    }

    /// What came and is still in the stated cold balance, in satoshi.
    pub fn uncounted_sat(&self) -> u64 {
        let parts = self.all.values().flat_map(|row| &row.parts);
        parts.filter(|part| part.seen && !part.counted).map(|part| part.amount_sat + part.fee_sat).sum()
    }

    /// What carries the cold side's signatures and has not come, in satoshi.
    pub fn in_flight_sat(&self) -> u64 {
        let parts = self.open().flat_map(|(_, row)| &row.parts);
        parts.filter(|part| part.tx_hex.is_some() && !part.seen).map(|part| part.amount_sat).sum()
    }

    /// Those that were signed before then and have not come, each given once.
    pub fn unseen_since(&mut self, before: Seconds) -> Vec<String> {
        let waits = |row: &RefillRow| {
            row.state() == RefillState::Signed && row.signed_at.is_some_and(|at| at < before.0)
        };
        let all = self.all.iter().filter(|(id, row)| waits(row) && !self.told.contains(*id));
        let found: Vec<String> = all.map(|(id, _)| id.clone()).collect();
        self.told.extend(found.iter().cloned());
        found
    }

    /// Whether a refill is made for this withdrawal.
    pub fn is_for(&self, withdrawal: &str) -> bool {
        self.open().any(|(_, row)| row.earmarks.iter().any(|e| e.withdrawal == withdrawal))
    }

    /// A coin was recorded: gives the refill whose it is, with the part marked as seen.
    pub fn came(&mut self, coin: &OutPoint) -> Option<(String, RefillRow)> {
        let (txid, vout) = (coin.txid.to_string(), coin.vout);
        self.mark(|part| {
            let is_new = part.txid == txid && part.vout == vout && !part.seen;
            part.seen |= is_new;
            is_new
        })
    }

    /// A position statement counts a transaction: gives the refill whose it is, with the part marked so.
    pub fn counted(&mut self, txid: &str) -> Option<(String, RefillRow)> {
        self.mark(|part| {
            let is_new = part.txid == txid && !part.counted;
            part.counted |= is_new;
            is_new
        })
    }

    fn mark(&mut self, mut by: impl FnMut(&mut PartRow) -> bool) -> Option<(String, RefillRow)> {
        for (id, row) in &mut self.all {
            if !row.parts.iter_mut().any(&mut by) {
                continue;
            }
            let all = |of: fn(&PartRow) -> bool| row.parts.iter().all(of);
            if all(|part| part.seen && part.counted) {
                row.set_state(RefillState::Settled);
            } else if all(|part| part.seen) {
                row.set_state(RefillState::Seen);
            }
            return Some((id.clone(), row.clone()));
        }
        None
    }

    /// A refill was given up: gives it, if it was open. Its coin may come all the same, and is then counted.
    pub fn end(&mut self, id: &str) -> Option<(String, RefillRow)> {
        let row = self.all.get_mut(id).filter(|row| row.state().is_open())?;
        row.set_state(RefillState::Cancelled);
        Some((id.to_owned(), row.clone()))
    }

    /// A withdrawal has left: takes its earmarks out, and gives the refills that had one.
    pub fn left(&mut self, withdrawal: &str) -> Vec<(String, RefillRow)> {
        let mut changed = Vec::new();
        for (id, row) in &mut self.all {
            let before = row.earmarks.len();
            row.earmarks.retain(|earmark| earmark.withdrawal != withdrawal);
            if row.earmarks.len() != before {
                changed.push((id.clone(), row.clone()));
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use ::bitcoin::hashes::Hash;

    use super::*;

    fn part(n: u8, amount_sat: u64) -> PartRow {
        PartRow {
            txid: ::bitcoin::Txid::from_byte_array([n; 32]).to_string(),
            vout: 1,
            amount_sat,
            fee_sat: 5,
            inputs: Vec::new(),
            change: None,
            psbt: String::new(),
            tx_hex: None,
            seen: false,
            counted: false,
        }
    }

    fn refill() -> RefillRow {
        RefillRow {
            index: 3,
            address: "a".into(),
            parts: vec![part(1, 60), part(2, 40)],
            earmarks: vec![
                EarmarkRow { withdrawal: "w1".into(), amount_sat: 50, until: 10 },
                EarmarkRow { withdrawal: "w2".into(), amount_sat: 30, until: 20 },
            ],
            state: "signed".into(),
            requested_by: "kim".into(),
            requested_at: 1,
            expires_at: 9,
            signed_at: None,
            attestation: None,
        }
    }

    fn coin(n: u8) -> OutPoint {
        OutPoint { txid: ::bitcoin::Txid::from_byte_array([n; 32]), vout: 1 }
    }

    #[test]
    fn no_more_is_earmarked_than_has_come_and_only_while_it_is_held() {
        let mut refills = Refills::default();
        refills.put("rf_1".into(), refill());
        let earmarked = |refills: &Refills, now, held: &'static str| {
            refills.earmarked_sat(Seconds(now), &|withdrawal| held.contains(withdrawal))
        };
        assert_eq!(earmarked(&refills, 5, "w1 w2"), 0, "nothing has come");
        assert!(refills.came(&OutPoint { vout: 0, ..coin(1) }).is_none(), "another output");
        assert!(refills.came(&coin(1)).is_some());
        assert_eq!(earmarked(&refills, 5, "w1 w2"), 60);
        assert_eq!(earmarked(&refills, 5, "w2"), 30);
        assert_eq!(earmarked(&refills, 15, "w1 w2"), 30, "w1 is held no longer");
        assert_eq!(refills.left("w2").len(), 1);
        assert_eq!(earmarked(&refills, 5, "w1 w2"), 50);
    }

    #[test]
    fn what_was_signed_and_never_came_is_given_once() {
        let mut refills = Refills::default();
        refills.put("rf_1".into(), RefillRow { signed_at: Some(100), ..refill() });
        assert!(refills.unseen_since(Seconds(100)).is_empty(), "not yet");
        assert_eq!(refills.unseen_since(Seconds(101)), ["rf_1"]);
        assert!(refills.unseen_since(Seconds(200)).is_empty(), "told once");
        let mut came = Refills::default();
        came.put("rf_2".into(), RefillRow { signed_at: Some(100), ..refill() });
        assert!(came.came(&coin(1)).is_some() && came.came(&coin(2)).is_some());
        assert!(came.unseen_since(Seconds(200)).is_empty(), "it has come");
    }

    #[test]
    fn what_came_is_not_cold_any_more_until_a_statement_counts_it() {
        let mut refills = Refills::default();
        refills.put("rf_1".into(), refill());
        let state = |refills: &Refills| refills.named("rf_1").map(RefillRow::state);
        assert!(refills.came(&coin(1)).is_some() && refills.came(&coin(1)).is_none(), "seen once");
        assert_eq!((refills.uncounted_sat(), state(&refills)), (65, Some(RefillState::Signed)));
        assert!(refills.came(&coin(2)).is_some());
        assert_eq!((refills.uncounted_sat(), state(&refills)), (110, Some(RefillState::Seen)));
        assert!(refills.counted(&coin(1).txid.to_string()).is_some());
        assert_eq!(refills.uncounted_sat(), 45);
        assert!(refills.counted(&coin(2).txid.to_string()).is_some());
        assert_eq!((refills.uncounted_sat(), state(&refills)), (0, Some(RefillState::Settled)));
        // counted before it was seen: in neither balance meanwhile
        let mut early = Refills::default();
        early.put("rf_2".into(), refill());
        assert!(early.counted(&coin(1).txid.to_string()).is_some());
        assert!(early.came(&coin(1)).is_some());
        assert_eq!(early.uncounted_sat(), 0);
    }
}
