//! What is handed over about refills from cold (law L13).

use super::{Caller, DeskError, SignedText};
use crate::withdrawal::{Amount, Asset, Seconds, WithdrawalId};

/// The most held withdrawals that one refill is made for: the log names them in one field.
pub const EARMARKS_MAX: usize = 100;
/// The most refills that the co-signer is told of at once that were given up.
pub const ENDED_MAX: usize = 1_000;

/// How far a refill has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefillState {
    /// Booked; its PSBTs can be exported once the co-signer has attested it.
    Requested,
    /// Its PSBTs were handed out to be signed.
    Exported,
    /// Every signed copy was handed back; the transactions are to be broadcast.
    Signed,
    /// Its coins have come.
    Seen,
    /// Its coins have come, and the stated cold balance is without them.
    Settled,
    /// It waited too long for its signatures.
    Expired,
    /// It was taken back, or the co-signer said no.
    Cancelled,
}

impl RefillState {
    /// Every state in order.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::Exported,
        Self::Signed,
        Self::Seen,
        Self::Settled,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The stable spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Exported => "exported",
            Self::Signed => "signed",
            Self::Seen => "seen",
            Self::Settled => "settled",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it may still bring something, as far as is known here.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::Exported | Self::Signed)
    }
}

/// A coin of the cold wallet with the transaction that made it (law L18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdCoinOrder {
    /// The raw transaction, as the network takes it.
    pub raw_transaction: Vec<u8>,
    /// Which of its outputs.
    pub vout: u32,
    /// The branch of the cold wallet that the output pays.
    pub branch: u32,
    /// The index on that branch.
    pub index: u32,
}

/// A refill asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillOrder {
    /// Of what.
    pub asset: Asset,
    /// How much; `None` asks for what is wanted, as far as the share allows.
    pub amount: Option<Amount>,
    /// Coins of the cold wallet that are not known here yet.
    pub coins: Vec<ColdCoinOrder>,
}

/// One transaction of a refill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillPart {
    /// Its id.
    pub txid: String,
    /// What it pays to the hot address.
    pub amount: Amount,
    /// Its fee.
    pub fee: Amount,
    /// How many cold coins it spends.
    pub inputs: u32,
    /// The PSBT to be signed; empty before the co-signer has attested the refill.
    pub psbt: Vec<u8>,
    /// The finished transaction, to be broadcast; empty before the signed copy was handed back.
    pub raw_transaction: Vec<u8>,
    /// Whether its coin has come.
    pub seen: bool,
}

/// A refill as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillView {
    /// Its id.
    pub id: String,
    /// How far it has come.
    pub state: RefillState,
    /// Of what.
    pub asset: Asset,
    /// The hot address that it pays.
    pub address: String,
    /// Its index on branch 1.
    pub index: u32,
    /// The transactions.
    pub parts: Vec<RefillPart>,
    /// The held withdrawals it was made for, and what they ask for.
    pub earmarks: Vec<(WithdrawalId, Amount)>,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: Seconds,
    /// Until when it waits for its signatures.
    pub expires_at: Seconds,
    /// The co-signer's `countersign refill-attestation v1` text.
    pub attestation: Option<SignedText>,
}

/// What the co-signer is told of a refill. It believes none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillAttestOrder {
    /// Its id at the signer.
    pub refill: String,
    /// The index of the hot address on branch 1.
    pub index: u32,
    /// The transactions: id, output, satoshi to the hot address, fee in satoshi.
    pub parts: Vec<RefillAttestPart>,
    /// The requests of the held withdrawals it is made for.
    pub requests: Vec<SignedText>,
    /// Attested refills that were given up since.
    pub ended: Vec<String>,
}

/// One transaction that is to be attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillAttestPart {
    /// Its id.
    pub txid: String,
    /// Which output pays the hot address.
    pub vout: u32,
    /// Satoshi to the hot address.
    pub amount_sat: u64,
    /// The fee in satoshi.
    pub fee_sat: u64,
}

/// The counter for refills.
#[tonic::async_trait]
pub trait RefillDesk: Send + Sync + 'static {
    /// Books a refill and has the co-signer attest it.
    async fn request(&self, caller: &Caller, order: RefillOrder) -> Result<RefillView, DeskError>;

    /// Every refill, oldest first; those that have ended without their transactions.
    async fn refills(&self, caller: &Caller) -> Result<Vec<RefillView>, DeskError>;

    /// One refill.
    async fn refill(&self, caller: &Caller, id: &str) -> Result<RefillView, DeskError>;

    /// Hands its PSBTs out to be signed; asks the co-signer first where its word is missing.
    async fn export(&self, caller: &Caller, id: &str) -> Result<RefillView, DeskError>;

    /// Takes a signed copy back.
    async fn import(&self, caller: &Caller, id: &str, psbt: Vec<u8>) -> Result<RefillView, DeskError>;

    /// Takes a refill back whose signed copies were not all handed back.
    async fn take_back(&self, caller: &Caller, id: &str, reason: &str) -> Result<RefillView, DeskError>;
}
