//! Owns the messages by which the exchange's own backend orders verifications, and what it gets back at once.

use std::fmt;

use zeroize::Zeroizing;

use crate::enclave::answer::{Decision, Reason};
use crate::enclave::asset_info::AssetInfo;
use crate::enclave::wire::key::KeyType;
use crate::withdrawal::{Seconds, VaspId};

/// An order to verify a person; the outcome comes later, by callback or by asking for the record.
pub struct UserOrder {
    /// How the keys of this verification are chosen.
    pub key_type: KeyType,
    /// Who is asked.
    pub beneficiary_vasp: VaspId,
    /// What is sent, and what it is worth.
    pub asset_info: AssetInfo,
    /// Which parts of the beneficiary are needed, by the codes of [`crate::enclave::ivms::REQUIRED_CODES`].
    pub required: Vec<String>,
    /// IVMS101 JSON with originator and beneficiary.
    pub payload: Zeroizing<Vec<u8>>,
}

/// An order to verify an address alone.
pub struct AccountOrder {
    /// How the keys of this verification are chosen.
    pub key_type: KeyType,
    /// Who is asked.
    pub beneficiary_vasp: VaspId,
    /// The asset's ticker.
    pub symbol: String,
    /// The network's name, where the ticker alone does not say.
    pub network: Option<String>,
    /// IVMS101 JSON with the beneficiary's account. A name in it is not sent.
    pub payload: Zeroizing<Vec<u8>>,
}

/// Shows what is asked, never about whom.
impl fmt::Debug for UserOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserOrder")
            .field("beneficiary_vasp", &self.beneficiary_vasp)
            .field("asset_info", &self.asset_info)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

/// Shows what is asked, never about whom.
impl fmt::Debug for AccountOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountOrder")
            .field("beneficiary_vasp", &self.beneficiary_vasp)
            .field("symbol", &self.symbol)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// An order that was taken and written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The verification's uuid, for ever and on both sides.
    pub uuid: String,
    /// When it was written down.
    pub created_at: Seconds,
}

/// What the other VASP says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountReply {
    /// Whether the address is one of its own.
    pub verified: bool,
    /// Why not.
    pub reason: Option<Reason>,
    /// When that was settled.
    pub verified_at: Seconds,
}

/// That a verified transfer will not happen after all.
#[derive(Clone)]
pub struct ErrorReport {
    /// What the other side's backend is told as the result.
    pub result: Decision,
    /// A code, such as `USER-CANCELED`.
    pub reason: String,
    /// More about it, in plain words.
    pub message: Option<String>,
}

/// Does not show the message: it is free text.
impl fmt::Debug for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorReport")
            .field("result", &self.result)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Whether a VASP's enclave can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaspHealth {
    /// It answered the relay's last call.
    Up,
    /// It did not, or nobody knows.
    Down,
}

/// A VASP that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaspListed {
    /// Its id.
    pub vasp: VaspId,
    /// Whether its enclave can be reached.
    pub health: VaspHealth,
}
