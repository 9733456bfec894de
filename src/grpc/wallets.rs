//! `WalletService`: to and from the desk of customers' own wallets.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller;
use crate::desk::WalletDesk;
use crate::wire::field::{page, required};
use crate::wire::v1;
use crate::wire::v1::wallet_service_server::WalletService;
use crate::withdrawal::Organisation;

/// The service before a desk.
pub struct Wallets(pub Arc<dyn WalletDesk>);

#[tonic::async_trait]
impl WalletService for Wallets {
    async fn create_wallet_challenge(
        &self,
        request: Request<v1::CreateWalletChallengeRequest>,
    ) -> Result<Response<v1::WalletChallenge>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.0.challenge(&caller, order).await?.into()))
    }

    async fn create_wallet_registration(
        &self,
        request: Request<v1::CreateWalletRegistrationRequest>,
    ) -> Result<Response<v1::WalletRegistration>, Status> {
        let caller = caller(&request)?;
        let evidence = request.into_inner().try_into()?;
        Ok(Response::new(self.0.register(&caller, evidence).await?.into()))
    }

    async fn get_wallet_registration(
        &self,
        request: Request<v1::GetWalletRegistrationRequest>,
    ) -> Result<Response<v1::WalletRegistration>, Status> {
        let caller = caller(&request)?;
        let name = request.into_inner().name;
        Ok(Response::new(self.0.registered(&caller, &name).await?.into()))
    }

    async fn list_wallet_registrations(
        &self,
        request: Request<v1::ListWalletRegistrationsRequest>,
    ) -> Result<Response<v1::ListWalletRegistrationsResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let organisation = match asked.organisation.as_str() {
            "" => None,
            name => Some(Organisation::parse(name)?),
        };
        let page = page(asked.page_size, asked.page_token)?;
        let page = self.0.registrations(&caller, organisation, page).await?;
        Ok(Response::new(v1::ListWalletRegistrationsResponse {
            wallet_registrations: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn delete_wallet_registration(
        &self,
        request: Request<v1::DeleteWalletRegistrationRequest>,
    ) -> Result<Response<v1::WalletRegistration>, Status> {
        let caller = caller(&request)?;
        let removal = required(request.into_inner().removal, "removal")?.try_into()?;
        Ok(Response::new(self.0.remove(&caller, removal).await?.into()))
    }
}
