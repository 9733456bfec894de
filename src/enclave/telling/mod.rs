//! What follows a verification: reports and inquiries, written down as commands and told until they are heard.

pub(super) mod outbox;
pub(super) mod reports;
pub(super) mod round;
