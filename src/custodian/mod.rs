//! The door to an outside custodian of key B: transactions go out to be signed, answers come in. By folders or by HTTPS.
//!
//! It carries bytes and believes none of them: what an answer is, and whether it holds, is judged above. It keeps nothing;
//! what was handed over may be handed over again, and is the same.

mod folder;
mod webhook;

use std::path::PathBuf;

pub use folder::Folder;
pub use webhook::{Settings, Webhook};

use crate::withdrawal::ReservationId;

/// What is handed over: the same bytes for one transaction, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The reservation; it names everything about it.
    pub reservation: ReservationId,
    /// The id of its transaction, as nodes print it.
    pub txid: String,
    /// The PSBT (BIP-0174) without signatures.
    pub psbt: Vec<u8>,
    /// The `countersign custody-order v1` text.
    pub order: String,
    /// The co-signer's Ed25519 signature over it.
    pub signature: [u8; 64],
}

/// What a custodian handed back, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where it came from, for people.
    pub from: String,
    /// The bytes. Longer ones than any answer are cut one byte above the limit, so that they are refused as too long.
    pub bytes: Vec<u8>,
}

/// The custodian cannot be reached, or gives no usable answer. Nothing is known of what it has signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustodianFault {
    /// A folder cannot be used.
    #[error("`{path}`: {problem}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the file system said.
        problem: String,
    },
    /// The custodian's server does not answer, or not in time.
    #[error("the custodian's server gives no answer: {0}")]
    Silent(String),
    /// It answers with a status that means nothing here; a redirect too.
    #[error("the custodian's server answers with status {0}")]
    Status(u16),
}

/// The ways to a custodian.
pub enum Custodian {
    /// An outbox and an inbox, which the custodian's own software empties and fills.
    Folder(Folder),
    /// The custodian's HTTPS server, which is called and asked.
    Webhook(Webhook),
}

impl Custodian {
    /// Hands a transaction over, unless it lies there already. Safe to repeat.
    pub async fn hand_over(&self, errand: &Errand) -> Result<(), CustodianFault> {
        match self {
            Self::Folder(folder) => folder.hand_over(errand).await,
            Self::Webhook(webhook) => webhook.hand_over(errand).await,
        }
    }

    /// Whatever answers there are now; none is no fault.
    pub async fn answers(&self, reservation: ReservationId) -> Result<Vec<Answer>, CustodianFault> {
        match self {
            Self::Folder(folder) => folder.answers(reservation).await,
            Self::Webhook(webhook) => webhook.answers(reservation).await,
        }
    }

    /// The answer is durable: what was handed over need not lie there any longer.
    pub async fn done(&self, reservation: ReservationId) -> Result<(), CustodianFault> {
        match self {
            Self::Folder(folder) => folder.done(reservation).await,
            Self::Webhook(_) => Ok(()),
        }
    }
}
