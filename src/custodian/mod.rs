//! The door to an outside custodian of key B: transactions go out to be signed, answers come in. By folders, by HTTPS, or
//! called in by the custodian.
//!
//! It carries bytes and believes none of them: what an answer is, and whether it holds, is judged above. It keeps nothing but
//! answers that were called in and are not judged yet; what was handed over may be handed over again, and is the same.

mod folder;
pub mod inbound;
mod inbox;
mod webhook;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

pub use folder::Folder;
pub use inbox::{Inbox, Taken};
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
pub enum Way {
    /// An outbox and an inbox, which the custodian's own software empties and fills.
    Folder(Folder),
    /// The custodian's HTTPS server, which is called and asked.
    Webhook(Webhook),
}

/// A custodian: how it is reached, and where its own calls end, if it calls.
pub struct Custodian {
    way: Way,
    inbox: Option<Arc<Inbox>>,
}

impl Custodian {
    /// A custodian who is reached this way. With an inbox it calls its answers in, and its server is not asked for them.
    pub fn new(way: Way, inbox: Option<Arc<Inbox>>) -> Self {
        Self { way, inbox }
    }

    /// Where its calls end.
    pub fn inbox(&self) -> Option<Arc<Inbox>> {
        self.inbox.clone()
    }

    /// What is waited for from now on; `is_certain` where the store behind that is believed.
    pub async fn expect(
        &self,
        awaited: HashSet<ReservationId>,
        is_certain: bool,
    ) -> Result<(), CustodianFault> {
        match &self.inbox {
            None => Ok(()),
            Some(inbox) => inbox::at(inbox, move |inbox| inbox.expect(awaited, is_certain)).await,
        }
    }

    /// Hands a transaction over, unless it lies there already. Safe to repeat.
    pub async fn hand_over(&self, errand: &Errand) -> Result<(), CustodianFault> {
        match &self.way {
            Way::Folder(folder) => folder.hand_over(errand).await,
            Way::Webhook(webhook) => webhook.hand_over(errand, self.inbox.is_some()).await,
        }
    }

    /// Whatever answers there are now, in the order in which they are judged; none is no fault.
    pub async fn answers(&self, reservation: ReservationId) -> Result<Vec<Answer>, CustodianFault> {
        let mut called_in = match &self.inbox {
            None => Vec::new(),
            Some(inbox) => inbox::at(inbox, move |inbox| inbox.answers(reservation)).await?,
        };
        match &self.way {
            Way::Folder(folder) => called_in.extend(folder.answers(reservation).await?),
            Way::Webhook(_) if self.inbox.is_some() => {}
            Way::Webhook(webhook) => called_in.extend(webhook.answers(reservation).await?),
        }
        Ok(called_in)
    }

    /// An answer does not hold, and that is written down: it need not lie in the inbox any longer.
    pub async fn refused(&self, reservation: ReservationId, answer: Answer) -> Result<(), CustodianFault> {
        match &self.inbox {
            None => Ok(()),
            Some(inbox) => inbox::at(inbox, move |inbox| inbox.refused(reservation, &answer.bytes)).await,
        }
    }

    /// The answer is durable: what was handed over and called in need not lie there any longer.
    pub async fn done(&self, reservation: ReservationId) -> Result<(), CustodianFault> {
        if let Some(inbox) = &self.inbox {
            inbox::at(inbox, move |inbox| inbox.done(reservation)).await?;
        }
        match &self.way {
            Way::Folder(folder) => folder.done(reservation).await,
            Way::Webhook(webhook) => {
                webhook.done(reservation);
                Ok(())
            }
        }
    }

    /// Ends when the custodian has called; never where it does not.
    pub async fn rung(&self) {
        match &self.inbox {
            Some(inbox) => inbox.rung().await,
            None => std::future::pending().await,
        }
    }
}
