//! Signing a statement and sending it to the signer, over the public wire.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use tonic::{Request, Status};

use crate::evidence::{Body, Statement, ed25519, sign_statement};
use crate::grpc::{Client, explain};
use crate::wire::status::stable_code;
use crate::wire::v1;
use crate::withdrawal::{ChainId, Code, Invalid, Kind, Seconds};

/// How long one call may take.
const CALL_TIME: Duration = Duration::from_secs(20);

/// Who states, and to whom.
pub struct Speaker {
    client: Client,
    observer: String,
    key: SigningKey,
}

/// A statement was not taken, or nobody knows whether it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeakFault {
    /// What would be stated cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Invalid),
    /// The signer's own no.
    #[error("{code}: {text}")]
    Refused {
        /// Its code.
        code: Code,
        /// Its words, with the cure.
        text: String,
    },
    /// No answer, or one without a code: it may have been taken.
    #[error("{0}")]
    Unheard(String),
}

impl SpeakFault {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unwritable(invalid) => invalid.code,
            Self::Refused { code, .. } => *code,
            Self::Unheard(_) => Code::Internal,
        }
    }

    /// Whether it would be the same for ever: somebody must change something first.
    pub fn is_lasting(&self) -> bool {
        match self {
            // The next one has another number and another time.
            Self::Refused { code: Code::StatementOutOfOrder | Code::StatementTimeOutOfRange, .. } => false,
            Self::Refused { code: Code::RoleNotAllowed, .. } => true,
            Self::Refused { code, .. } => !matches!(code.kind(), Kind::Hold | Kind::Fault),
            Self::Unwritable(_) | Self::Unheard(_) => false,
        }
    }
}

impl Speaker {
    /// An observer by its name in the trust file, with its statement key.
    pub const fn new(client: Client, observer: String, key: SigningKey) -> Self {
        Self { client, observer, key }
    }

    /// States a body as true at that time; answers with the index of its entry in the signer's log.
    pub async fn state(
        &self,
        body: Body,
        (number, after): (u64, u64),
        at: Seconds,
    ) -> Result<u64, SpeakFault> {
        let statement = Statement { observer: self.observer.clone(), number, after, at, body };
        let signed = sign_statement(&statement, ed25519(&self.key))?;
        let statement = v1::SignedText {
            text: signed.text,
            key_id: self.observer.clone(),
            signature: signed.signature.to_vec(),
        };
        let mut request = Request::new(v1::SubmitStatementRequest { statement: Some(statement) });
        request.set_timeout(CALL_TIME);
        let answer = self.client.statements().submit_statement(request).await;
        answer.map(|answer| answer.into_inner().log_index).map_err(|status| fault(&status))
    }

    /// How many deposit addresses of a chain customers have, as the signer says. It decides where is looked, and nothing else.
    pub async fn deposit_addresses(&self, chain: ChainId) -> Result<u32, SpeakFault> {
        let mut request = Request::new(v1::CountDepositAddressesRequest { network: chain.to_string() });
        request.set_timeout(CALL_TIME);
        let answer = self.client.statements().count_deposit_addresses(request).await;
        answer.map(|answer| answer.into_inner().count).map_err(|status| fault(&status))
    }
}

fn fault(status: &Status) -> SpeakFault {
    let text = explain(status).replace('\n', "; ");
    match stable_code(status) {
        Some(code) => SpeakFault::Refused { code, text },
        None => SpeakFault::Unheard(text),
    }
}
