//! Our side of a verification: taking an order, having a key and a uuid, asking the other VASP, and believing its answer.

pub(super) mod known;
pub(super) mod order;
pub(super) mod orders;
pub(super) mod originator;
pub(super) mod peer;
pub(super) mod places;
pub(super) mod round;
pub(super) mod screening;
pub(super) mod trying;
