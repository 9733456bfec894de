//! The rows of coins, before and after they are spent.

use std::str::FromStr;

use ::bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

use super::BadRow;
use crate::bitcoin::{Branch, OwnCoin, WalletDescriptor};
use crate::flow::ledger::coins::{Coin, CoinState};
use crate::withdrawal::ReservationId;

/// One coin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoinRow {
    /// Satoshi.
    pub amount_sat: u64,
    /// Branch of the wallet.
    pub branch: u32,
    /// Index on the branch.
    pub index: u32,
    /// Depth the observer last saw.
    pub confirmations: u32,
    /// Own unconfirmed ancestors.
    pub chain_depth: u8,
    /// Whether a block made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coinbase: bool,
    /// `free`, `spent` (with the reservation that spends it).
    pub spent_by: Option<String>,
}

impl CoinRow {
    /// The row of a coin. A reserved coin's row says free: the reservation's own row holds the claim.
    pub fn of(coin: &Coin) -> Self {
        let spent_by = match coin.state {
            CoinState::Spent(by) => Some(by.to_string()),
            CoinState::Free | CoinState::Reserved(_) => None,
        };
        Self {
            amount_sat: coin.amount_sat,
            branch: coin.branch,
            index: coin.index,
            confirmations: coin.confirmations,
            chain_depth: coin.chain_depth,
            coinbase: coin.coinbase,
            spent_by,
        }
    }

    /// The state column.
    pub const fn state(&self) -> &'static str {
        if self.spent_by.is_some() { "spent" } else { "unspent" }
    }

    /// The coin of a row.
    pub fn coin(&self, key: &str) -> Result<Coin, BadRow> {
        let bad = |problem: &str| BadRow { key: key.to_owned(), problem: problem.to_owned() };
        let outpoint = OutPoint::from_str(key).map_err(|_| bad("the key is no outpoint"))?;
        let state = match &self.spent_by {
            None => CoinState::Free,
            Some(by) => CoinState::Spent(
                ReservationId::parse(by).map_err(|_| bad("`spent_by` names no reservation"))?,
            ),
        };
        Ok(Coin {
            outpoint,
            amount_sat: self.amount_sat,
            branch: self.branch,
            index: self.index,
            confirmations: self.confirmations,
            chain_depth: self.chain_depth,
            coinbase: self.coinbase,
            state,
        })
    }
}

/// A coin that a signed transaction spends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpentRow {
    /// `txid:vout`.
    pub outpoint: String,
    /// Satoshi.
    pub amount_sat: u64,
    /// Branch of the wallet.
    pub branch: u32,
    /// Index on the branch.
    pub index: u32,
}

impl SpentRow {
    /// The row of a coin.
    pub fn of(coin: &OwnCoin) -> Self {
        Self {
            outpoint: coin.outpoint.to_string(),
            amount_sat: coin.amount_sat,
            branch: coin.script.branch().number(),
            index: coin.script.index(),
        }
    }

    /// The coin of the row, its script derived anew.
    pub fn own_coin(&self, wallet: &WalletDescriptor) -> Option<OwnCoin> {
        let script = wallet.script(Branch::of_number(self.branch)?, self.index).ok()?;
        let outpoint = self.outpoint.parse().ok()?;
        Some(OwnCoin { outpoint, amount_sat: self.amount_sat, script: std::sync::Arc::new(script) })
    }
}
