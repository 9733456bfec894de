//! An owner's seat is given to another key (`swapOwner` of the Safe): read and signed by two owners, each on its own machine, outside the
//! story of withdrawals. What the parties have booked meanwhile has nonces of its own, so both stand still while it is done (ADR 48).

use crate::ethereum::{
    Address, B256, BuildError, CheckError, CheckedSafeTx, Expectations, FinishedSafeTx, SignatureError, Task,
    TrustedSafe, Unsigned, UnsignedPlan, VerifiedSignature, check_proposal, swap_of,
};
use crate::keys::{Seat, SeatKeys, SeatOrder};
use crate::withdrawal::{Code, Finding, KeyRole, ReservationId};

/// What is kept for it: `swapOwner` writes four slots of the Safe.
const SAFE_TX_GAS: u64 = 100_000;

/// Whose seat goes to whom, as the person before the machine says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The seat.
    pub seat: KeyRole,
    /// Its next owner.
    pub to: Address,
}

/// What an owner has signed.
#[derive(Debug)]
pub enum SignedRotation {
    /// One signature is there: the proposal for the second owner.
    Once(Vec<u8>),
    /// Both are: anybody may carry it.
    Done(FinishedSafeTx),
}

/// The proposal, without a signature, for the next nonce of the Safe.
pub fn propose(safe: &TrustedSafe, rotation: Rotation) -> Result<Vec<u8>, BuildError> {
    let swap = swap_of(safe, rotation.seat, rotation.to).ok_or(BuildError::Rotation)?;
    let plan = UnsignedPlan { nonce: safe.nonce(), safe_tx_gas: SAFE_TX_GAS, task: Task::Rotate(swap) };
    Unsigned::build(safe, &plan).map(|unsigned| unsigned.proposal())
}

/// Reads a proposal that gives away exactly this seat of this Safe and does nothing else; it carries the signature of that owner, or none.
pub fn check(
    proposal: &[u8],
    safe: &TrustedSafe,
    rotation: Rotation,
    signed_by: Option<KeyRole>,
) -> Result<CheckedSafeTx, CheckError> {
    let expect = Expectations {
        signed_by,
        rotation: Some((rotation.seat, rotation.to)),
        ..Expectations::nothing(safe.nonce(), SAFE_TX_GAS)
    };
    check_proposal(proposal, safe, &expect)
}

/// Adds an owner's signature; with the second one it is done.
pub fn sign(checked: &CheckedSafeTx, role: KeyRole, keys: &SeatKeys) -> Result<SignedRotation, Finding> {
    let no = |detail: String| Finding::new(Code::Internal, detail);
    let public_key = keys.public_key(Seat::Owner).map_err(|e| no(e.to_string()))?;
    let order = SeatOrder::danger_vouch_for(name(checked.hash()), Seat::Owner, checked.hash().0);
    let made = keys.sign(&order.expecting(public_key)).map_err(|e| no(e.to_string()))?;
    let own = checked.verify(role, made.compact(), made.recovery_id()).map_err(|e| no(e.to_string()))?;
    with(checked, &own).map_err(|e| no(e.to_string()))
}

fn with(checked: &CheckedSafeTx, own: &VerifiedSignature) -> Result<SignedRotation, SignatureError> {
    match checked.signature() {
        Some(first) => checked.finish(first, own).map(SignedRotation::Done),
        None => checked.proposal_with(own).map(SignedRotation::Once),
    }
}

/// No reservation stands behind it: the hash names it.
fn name(hash: B256) -> ReservationId {
    ReservationId::of_txid(&hash.0)
}
