//! The account that pays gas: its one key, and the transactions that are made with it. It moves nobody's money.

use crate::ethereum::execution::{ExecutionError, FinishedExecution};
use crate::ethereum::{Address, B256, ChainId, Execution, ExecutionPlan, SignatureError, address_of};
use crate::keys::{ChildIndex, HdError, Seat, SeatKeys, SeatOrder, SignError};
use crate::withdrawal::ReservationId;

use super::job::Job;
use super::slot::Attempt;

/// The account or a transaction of it cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountFault {
    /// The keystore has no such key.
    #[error(transparent)]
    Key(#[from] HdError),
    /// Its public key is no account's.
    #[error("the executor's key has no account")]
    NoAccount,
    /// The transaction cannot be built.
    #[error(transparent)]
    Build(#[from] ExecutionError),
    /// It was not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The signature does not lead back to the account.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// The account on one chain.
pub struct Account {
    chain: ChainId,
    address: Address,
    keys: SeatKeys,
    seat: Seat,
    public_key: [u8; 33],
}

impl Account {
    /// The account of this executor's key.
    pub fn new(chain: ChainId, keys: SeatKeys, index: ChildIndex) -> Result<Self, AccountFault> {
        let seat = Seat::Executor(index);
        let public_key = keys.public_key(seat)?;
        let address = address_of(&public_key).ok_or(AccountFault::NoAccount)?;
        Ok(Self { chain, address, keys, seat, public_key })
    }

    /// The account's address: where a refuel goes.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Its chain.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    fn build(&self, nonce: u64, job: &Job, attempt: &Attempt) -> Result<Execution, ExecutionError> {
        let (to, data) =
            if attempt.runs { (job.key.safe, job.tx.data().to_vec()) } else { (self.address, Vec::new()) };
        Execution::build(ExecutionPlan { chain: self.chain, nonce, to, data, gas: attempt.gas })
    }

    /// What is signed for an attempt; `None` where it cannot be built.
    pub fn digest(&self, nonce: u64, job: &Job, attempt: &Attempt) -> Option<B256> {
        self.build(nonce, job, attempt).ok().map(|built| built.hash())
    }

    /// Signs an attempt that is booked: the same bytes each time (RFC 6979).
    pub fn sign(&self, nonce: u64, job: &Job, attempt: &Attempt) -> Result<FinishedExecution, AccountFault> {
        let built = self.build(nonce, job, attempt)?;
        let reservation = ReservationId::of_txid(&job.hash().0);
        let order = SeatOrder::danger_vouch_for(reservation, self.seat, built.hash().0);
        let signed = self.keys.sign(&order.expecting(self.public_key))?;
        Ok(built.finish(self.address, signed.compact(), signed.recovery_id())?)
    }
}
