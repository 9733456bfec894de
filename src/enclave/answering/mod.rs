//! The other side of a verification: what the relay brings is opened, the own backend is asked, and the verdict is signed.

pub(super) mod beneficiary;
mod draft;
pub(super) mod inbound;
mod judging;
pub(super) mod parcel;
mod told;
