//! `CosignerService`: the co-signer's own face. Only the signer gets past the gate to it.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::{AttestationOrder, CosignDesk, SignedText};
use crate::wire::cosign::{recalled_to_wire, reservations, statement_answer_to_wire};
use crate::wire::field::{batch, required, time_to_wire};
use crate::wire::v1;
use crate::wire::v1::cosigner_service_server::CosignerService;

/// The service before a desk.
pub struct Cosign(pub Arc<dyn CosignDesk>);

#[tonic::async_trait]
impl CosignerService for Cosign {
    async fn get_cosigner_status(
        &self,
        request: Request<v1::GetCosignerStatusRequest>,
    ) -> Result<Response<v1::CosignerStatus>, Status> {
        caller(&request)?;
        Ok(Response::new(self.0.status().await?.into()))
    }

    async fn submit_statements(
        &self,
        request: Request<v1::SubmitStatementsRequest>,
    ) -> Result<Response<v1::SubmitStatementsResponse>, Status> {
        caller(&request)?;
        let statements = batch(request.into_inner().statements, "statements")?;
        let statements =
            statements.into_iter().map(TryInto::try_into).collect::<Result<Vec<SignedText>, _>>()?;
        let answers = self.0.submit_statements(statements).await?;
        let answers = answers.into_iter().map(statement_answer_to_wire).collect();
        Ok(Response::new(v1::SubmitStatementsResponse { answers }))
    }

    async fn attest_addresses(
        &self,
        request: Request<v1::AttestAddressesRequest>,
    ) -> Result<Response<v1::AttestAddressesResponse>, Status> {
        caller(&request)?;
        let orders = batch(request.into_inner().addresses, "addresses")?;
        let orders =
            orders.into_iter().map(TryInto::try_into).collect::<Result<Vec<AttestationOrder>, _>>()?;
        let attestations = self.0.attest_addresses(orders).await?;
        let attestations = attestations.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::AttestAddressesResponse { attestations }))
    }

    async fn attest_refill(
        &self,
        request: Request<v1::AttestRefillRequest>,
    ) -> Result<Response<v1::AttestRefillResponse>, Status> {
        caller(&request)?;
        let order = request.into_inner().try_into()?;
        let attestation = Some(self.0.attest_refill(order).await?.into());
        Ok(Response::new(v1::AttestRefillResponse { attestation }))
    }

    async fn issue_wallet_challenge(
        &self,
        request: Request<v1::IssueWalletChallengeRequest>,
    ) -> Result<Response<v1::IssueWalletChallengeResponse>, Status> {
        caller(&request)?;
        let order = required(request.into_inner().wallet, "wallet")?.try_into()?;
        let challenge = Some(self.0.challenge(order).await?.into());
        Ok(Response::new(v1::IssueWalletChallengeResponse { challenge }))
    }

    async fn register_wallet(
        &self,
        request: Request<v1::RegisterWalletRequest>,
    ) -> Result<Response<v1::RegisterWalletResponse>, Status> {
        caller(&request)?;
        let evidence = required(request.into_inner().wallet, "wallet")?.try_into()?;
        let receipt = self.0.register(evidence).await?;
        let effective_time = Some(time_to_wire(receipt.effective_at));
        Ok(Response::new(v1::RegisterWalletResponse { effective_time, log_index: receipt.log_index }))
    }

    async fn remove_wallet(
        &self,
        request: Request<v1::RemoveWalletRequest>,
    ) -> Result<Response<v1::RemoveWalletResponse>, Status> {
        caller(&request)?;
        let removal = required(request.into_inner().removal, "removal")?.try_into()?;
        self.0.remove(removal).await?;
        Ok(Response::new(v1::RemoveWalletResponse {}))
    }

    async fn void_withdrawal(
        &self,
        request: Request<v1::VoidWithdrawalRequest>,
    ) -> Result<Response<v1::VoidWithdrawalResponse>, Status> {
        caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.void(order).await?.into()))
    }

    async fn countersign(
        &self,
        request: Request<v1::CountersignRequest>,
    ) -> Result<Response<v1::CountersignResponse>, Status> {
        caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.countersign(order).await?.into()))
    }

    async fn recall_reservations(
        &self,
        request: Request<v1::RecallReservationsRequest>,
    ) -> Result<Response<v1::RecallReservationsResponse>, Status> {
        caller(&request)?;
        let asked = reservations(request.into_inner().reservations)?;
        let states = self.0.recall(asked.clone()).await?;
        let answers = asked.into_iter().zip(states).map(|(id, state)| recalled_to_wire(id, state));
        Ok(Response::new(v1::RecallReservationsResponse { reservations: answers.collect() }))
    }
}
