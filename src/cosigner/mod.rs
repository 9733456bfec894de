//! The door to the co-signer on another machine: the same desk as an embedded one, over the wire.
//!
//! It asks and checks that the answers are to what was asked. It does not verify signatures and never retries.

use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::desk::{
    AttestationOrder, ChallengeOrder, CosignDesk, CosignOrder, CosignOutcome, CosignStatus, DeskError,
    HeadAnswer, Recalled, RefillAttestOrder, SignedText, StatementReceipt, VoidOrder, Voided, WalletEvidence,
    WalletReceipt,
};
use crate::wire::channel::{ChannelFault, ChannelOrder, channel};
use crate::wire::field::{required, time};
use crate::wire::v1::cosigner_service_client::CosignerServiceClient;
use crate::wire::{BATCH_LEN_MAX, cosign, refills, status, v1};
use crate::withdrawal::{Code, Finding, Invalid, ReservationId};

/// What the answer may take longer than the deadline that the co-signer is told, before we stop listening.
const SLACK: Duration = Duration::from_millis(500);

/// How long to wait and how much to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteLimits {
    /// The deadline of each call.
    pub deadline: Duration,
    /// The largest message, either way, in bytes.
    pub message_bytes_max: usize,
}

impl Default for RemoteLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), message_bytes_max: 16 * 1024 * 1024 }
    }
}

/// A co-signer reached over mutual TLS. Connects when first asked, and again whenever the line broke.
#[derive(Debug, Clone)]
pub struct RemoteCosigner {
    client: CosignerServiceClient<Channel>,
    deadline: Duration,
}

impl RemoteCosigner {
    /// A door to this address. Nothing is connected yet.
    pub fn new(order: &ChannelOrder, limits: RemoteLimits) -> Result<Self, ChannelFault> {
        let client = CosignerServiceClient::new(channel(order)?)
            .max_decoding_message_size(limits.message_bytes_max)
            .max_encoding_message_size(limits.message_bytes_max);
        Ok(Self { client, deadline: limits.deadline })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, DeskError> {
        match timeout(self.deadline + SLACK, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(no)) => Err(status::desk_error(&no, Code::CosignerUnreachable)),
            Err(_) => Err(DeskError::may_have_happened(
                Code::DeadlineExceeded,
                "the co-signer does not answer in time",
            )),
        }
    }
}

/// An answer that cannot be read, or that is to something else: what was asked may have been done.
fn nonsense(what: impl std::fmt::Display) -> DeskError {
    DeskError::may_have_happened(Code::Internal, format!("the co-signer's answer cannot be used: {what}"))
}

fn read<T>(answer: Result<T, Invalid>) -> Result<T, DeskError> {
    answer.map_err(nonsense)
}

fn as_many<T>(answers: Vec<T>, asked: usize) -> Result<Vec<T>, DeskError> {
    if answers.len() == asked {
        Ok(answers)
    } else {
        Err(nonsense(format!("{} answers to {asked} questions", answers.len())))
    }
}

#[tonic::async_trait]
impl CosignDesk for RemoteCosigner {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        let mut client = self.client.clone();
        let request = self.request(v1::GetCosignerStatusRequest {});
        read(self.answer(client.get_cosigner_status(request)).await?.try_into())
    }

    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let mut client = self.client.clone();
        let mut answers = Vec::with_capacity(statements.len());
        for batch in statements.chunks(BATCH_LEN_MAX) {
            let message =
                v1::SubmitStatementsRequest { statements: batch.iter().cloned().map(Into::into).collect() };
            let response = self.answer(client.submit_statements(self.request(message))).await?;
            for answer in as_many(response.answers, batch.len())? {
                answers.push(read(cosign::statement_answer(answer))?);
            }
        }
        Ok(answers)
    }

    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        let mut client = self.client.clone();
        let mut attestations = Vec::with_capacity(orders.len());
        for batch in orders.chunks(BATCH_LEN_MAX) {
            let message =
                v1::AttestAddressesRequest { addresses: batch.iter().cloned().map(Into::into).collect() };
            let response = self.answer(client.attest_addresses(self.request(message))).await?;
            for attestation in as_many(response.attestations, batch.len())? {
                attestations.push(read(attestation.try_into())?);
            }
        }
        Ok(attestations)
    }

    async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError> {
        let mut client = self.client.clone();
        let request = self.request(v1::AttestRefillRequest::from(order));
        read(refills::attested(self.answer(client.attest_refill(request)).await?))
    }

    async fn challenge(&self, order: ChallengeOrder) -> Result<SignedText, DeskError> {
        let mut client = self.client.clone();
        let request = self.request(v1::IssueWalletChallengeRequest { wallet: Some(order.into()) });
        let answer = self.answer(client.issue_wallet_challenge(request)).await?;
        read(required(answer.challenge, "challenge").and_then(TryInto::try_into))
    }

    async fn register(&self, evidence: WalletEvidence) -> Result<WalletReceipt, DeskError> {
        let mut client = self.client.clone();
        let request = self.request(v1::RegisterWalletRequest { wallet: Some(evidence.into()) });
        let answer = self.answer(client.register_wallet(request)).await?;
        let effective_at = read(time(answer.effective_time, "effective_time"))?;
        Ok(WalletReceipt { effective_at, log_index: answer.log_index })
    }

    async fn remove(&self, removal: SignedText) -> Result<(), DeskError> {
        let mut client = self.client.clone();
        let request = self.request(v1::RemoveWalletRequest { removal: Some(removal.into()) });
        self.answer(client.remove_wallet(request)).await.map(|_| ())
    }

    async fn void(&self, order: VoidOrder) -> Result<Voided, DeskError> {
        let mut client = self.client.clone();
        let request = self.request(v1::VoidWithdrawalRequest::from(order));
        read(self.answer(client.void_withdrawal(request)).await?.try_into())
    }

    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        let mut client = self.client.clone();
        let asked: Vec<ReservationId> = order.items.iter().map(|item| item.reservation).collect();
        let request = self.request(v1::CountersignRequest::from(order));
        let outcome: CosignOutcome = read(self.answer(client.countersign(request)).await?.try_into())?;
        let answered = outcome.verdicts.iter().map(|(reservation, _)| *reservation);
        match outcome.head {
            HeadAnswer::Cosigned(_) if answered.eq(asked.iter().copied()) => Ok(outcome),
            HeadAnswer::KnownSize(_) if outcome.verdicts.is_empty() => Ok(outcome),
            _ => Err(nonsense("it is not about the reservations asked")),
        }
    }

    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let mut client = self.client.clone();
        let mut states = Vec::with_capacity(reservations.len());
        for batch in reservations.chunks(BATCH_LEN_MAX) {
            let message = v1::RecallReservationsRequest {
                reservations: batch.iter().map(ToString::to_string).collect(),
            };
            let response = self.answer(client.recall_reservations(self.request(message))).await?;
            for (answer, asked) in as_many(response.reservations, batch.len())?.into_iter().zip(batch) {
                match read(cosign::recalled(answer))? {
                    (reservation, state) if reservation == *asked => states.push(state),
                    (reservation, _) => return Err(nonsense(format!("{reservation} was not asked"))),
                }
            }
        }
        Ok(states)
    }
}
