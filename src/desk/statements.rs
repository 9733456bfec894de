//! What is handed over about facts: observers' statements, and the position that follows from them.

use alloy_primitives::Address;

use super::{Caller, DeskError, SignedText};
use crate::withdrawal::{Amount, Asset, ChainId, Code, FeeRate, Krw, Seconds};

/// That a statement was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementReceipt {
    /// Its number.
    pub number: u64,
    /// The log entry that says so.
    pub log_index: u64,
}

/// The counter for observers.
#[tonic::async_trait]
pub trait StatementDesk: Send + Sync + 'static {
    /// Takes a `countersign statement v1` text. A bad signature or an old number is `Refused`.
    async fn submit(&self, caller: &Caller, statement: SignedText) -> Result<StatementReceipt, DeskError>;

    /// How many indices of deposit addresses of a chain customers have: all are below it.
    async fn deposit_addresses(&self, caller: &Caller, chain: ChainId) -> Result<u32, DeskError>;
}

/// Where one asset stands. Every sum is in base units and rounded as law L11 says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPosition {
    /// The asset.
    pub asset: Asset,
    /// What counts as hot.
    pub hot: Amount,
    /// What counts as cold, sweeps on their way included.
    pub cold: Amount,
    /// Of the cold, what is still on its way.
    pub cold_in_transit: Amount,
    /// Refills that carry the cold side's signatures and have not arrived yet; still counted as cold.
    pub refill_in_flight: Amount,
    /// What lies at deposit addresses of an EVM chain by the last statement of each; neither hot nor cold before it is emptied.
    pub deposited: Amount,
    /// Coins that can be reserved now.
    pub spendable: Amount,
    /// Coins set aside for transactions that are not final.
    pub reserved: Amount,
    /// Set aside for held withdrawals that a refill was made for.
    pub earmarked: Amount,
    /// What the held withdrawals of this asset add up to.
    pub held: Amount,
    /// How many withdrawals are held.
    pub held_count: u64,
    /// What has to be swept to cold before any withdrawal is released.
    pub surplus: Amount,
    /// What is asked of the cold side for waiting withdrawals.
    pub refill_wanted: Amount,
    /// The most that may rest hot, as a fraction: numerator and denominator.
    pub hot_share_max: (u32, u32),
    /// What the hot part is worth at that price, rounded up.
    pub hot_value: Option<Krw>,
    /// What the cold part is worth at that price, rounded down.
    pub cold_value: Option<Krw>,
    /// The price of a whole coin.
    pub price: Option<Krw>,
    /// When the price was stated.
    pub price_at: Option<Seconds>,
    /// When the cold balance was stated.
    pub position_at: Option<Seconds>,
    /// The network's fee rate as last stated.
    pub fee_rate: Option<FeeRate>,
    /// The height of the chain's tip as last stated.
    pub tip_height: Option<u32>,
    /// When fee rate and tip were stated.
    pub chain_at: Option<Seconds>,
    /// Sweeps that both parties have signed and no position statement has counted yet: to be broadcast.
    pub sweeps: Vec<SweepInTransit>,
    /// The hot Safes of an EVM chain, in the order of the trust file.
    pub hot_safes: Vec<HotSafe>,
}

/// What one hot Safe has of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotSafe {
    /// The Safe.
    pub safe: Address,
    /// What of the asset can be reserved now.
    pub spendable: Amount,
    /// How many of its nonces are taken and not known to be used up for good.
    pub in_flight: u64,
    /// Why nothing is signed for it, and then for none of them.
    pub code: Option<Code>,
}

/// A sweep on its way to cold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepInTransit {
    /// The transaction's id in display order.
    pub txid: String,
    /// How much goes to cold.
    pub amount: Amount,
    /// The finished transaction.
    pub raw_transaction: Vec<u8>,
    /// When both signatures were in.
    pub signed_at: Seconds,
}

/// All assets together, by their value in won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalPosition {
    /// What the hot parts are worth, each rounded up.
    pub hot: Krw,
    /// What the cold parts are worth, each rounded down.
    pub cold: Krw,
    /// The most that may rest hot, where the total is judged: numerator and denominator.
    pub hot_share_max: Option<(u32, u32)>,
    /// What has to go to cold by that share.
    pub surplus: Krw,
    /// When the oldest of the prices was stated.
    pub price_at: Seconds,
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionView {
    /// One for each enabled asset.
    pub assets: Vec<AssetPosition>,
    /// All of them together; `None` while the price of one was never stated.
    pub total: Option<TotalPosition>,
    /// Whether signing is frozen.
    pub frozen: bool,
    /// When this was computed, by the party's own clock.
    pub at: Seconds,
}

/// The close of a day, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyStatement {
    /// The log's name.
    pub origin: String,
    /// The index of the entry that closed the day.
    pub log_index: u64,
    /// The entry's own bytes.
    pub leaf: Vec<u8>,
    /// The size of the log right after it.
    pub tree_size: u64,
    /// The root of the log at that size.
    pub root: [u8; 32],
}

/// The counter for the position.
#[tonic::async_trait]
pub trait PositionDesk: Send + Sync + 'static {
    /// Where one asset stands, or all of them.
    async fn position(&self, caller: &Caller, asset: Option<Asset>) -> Result<PositionView, DeskError>;

    /// The close of a day such as `2026-11-21`, Korea's time.
    async fn daily(&self, caller: &Caller, date: &str) -> Result<DailyStatement, DeskError>;
}
