//! The order to sign: which reservation, which keys, which digests. Its one door vouches for the digests.

use crate::withdrawal::ReservationId;

/// A branch of the wallet's keys (BIP-0389: `<0;1>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Branch {
    /// Branch 0: deposit addresses.
    Deposit,
    /// Branch 1: change, refill and consolidation.
    Change,
}

impl Branch {
    /// Reads the number used in paths.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Deposit),
            1 => Some(Self::Change),
            _ => None,
        }
    }

    /// The number used in paths.
    pub const fn number(self) -> u32 {
        match self {
            Self::Deposit => 0,
            Self::Change => 1,
        }
    }
}

/// The number of a key on its branch: below 2^31, so never hardened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildIndex(u32);

impl ChildIndex {
    /// Reads a number; `None` from 2^31 on.
    pub const fn new(number: u32) -> Option<Self> {
        if number < 1 << 31 { Some(Self(number)) } else { None }
    }

    /// The number used in paths.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// One signature of an order: a key and a digest, and the public key the signature must hold under.
pub struct OrderItem {
    pub(super) branch: Branch,
    pub(super) index: ChildIndex,
    pub(super) digest: [u8; 32],
    pub(super) public_key: Option<[u8; 33]>,
}

impl OrderItem {
    /// Names a key and a digest. Worth nothing until [`SigningOrder::danger_vouch_for`] takes it.
    pub const fn new(branch: Branch, index: ChildIndex, digest: [u8; 32]) -> Self {
        Self { branch, index, digest, public_key: None }
    }

    /// Names the public key that the script to be satisfied names; another one is an error, and no signature leaves.
    ///
    /// Also faster: the key need not be computed from the private key again.
    pub const fn expecting(mut self, public_key: [u8; 33]) -> Self {
        self.public_key = Some(public_key);
        self
    }
}

/// An order to sign the transaction of one reservation. Evidence: it cannot be copied, printed or made another way.
pub struct SigningOrder {
    reservation: ReservationId,
    items: Vec<OrderItem>,
}

impl SigningOrder {
    /// Vouches that every digest was computed by the caller itself, from the transaction of this reservation, after
    /// the reservation was made durable. No digest that came from outside the process may pass here.
    ///
    /// The one door: only `flow` calls it, and a search for its name lists every place that vouches.
    pub const fn danger_vouch_for(reservation: ReservationId, items: Vec<OrderItem>) -> Self {
        Self { reservation, items }
    }

    /// The reservation it is for.
    pub const fn reservation(&self) -> ReservationId {
        self.reservation
    }

    pub(super) fn items(&self) -> &[OrderItem] {
        &self.items
    }
}
