//! `AddressService`: to and from the address desk, one by one or batch by batch.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use tonic::{Request, Response, Status, Streaming};

use super::{caller, errors};
use crate::desk::{AddressDesk, AddressOrder, Caller};
use crate::wire::field::batch;
use crate::wire::v1;
use crate::wire::v1::address_service_server::AddressService;

/// The service before a desk.
pub struct Addresses {
    /// The desk.
    pub desk: Arc<dyn AddressDesk>,
    /// The largest message, in bytes, for the answer to one that is larger.
    pub message_bytes_max: usize,
}

async fn answer_batch(
    desk: &dyn AddressDesk,
    caller: &Caller,
    asked: v1::BatchCreateAddressesRequest,
) -> Result<v1::BatchCreateAddressesResponse, Status> {
    let orders = batch(asked.requests, "requests")?;
    let orders = orders.into_iter().map(TryInto::try_into).collect::<Result<Vec<AddressOrder>, _>>()?;
    let views = desk.create_batch(caller, orders).await?;
    Ok(v1::BatchCreateAddressesResponse { addresses: views.into_iter().map(Into::into).collect() })
}

#[tonic::async_trait]
impl AddressService for Addresses {
    type BatchCreateAddressesStream = BoxStream<'static, Result<v1::BatchCreateAddressesResponse, Status>>;

    async fn create_address(
        &self,
        request: Request<v1::CreateAddressRequest>,
    ) -> Result<Response<v1::Address>, Status> {
        let caller = caller(&request)?;
        let order = request.into_inner().try_into()?;
        Ok(Response::new(self.desk.create(&caller, order).await?.into()))
    }

    async fn batch_create_addresses(
        &self,
        request: Request<Streaming<v1::BatchCreateAddressesRequest>>,
    ) -> Result<Response<Self::BatchCreateAddressesStream>, Status> {
        let (caller, limit) = (caller(&request)?, self.message_bytes_max);
        let start = (request.into_inner(), Arc::clone(&self.desk), caller);
        // One batch at a time: the next is read when the last is answered, so a fast sender waits.
        let answers = try_unfold(start, move |(mut asked, desk, caller)| async move {
            let next = asked.message().await.map_err(|status| errors::ours_or_same(status, limit))?;
            let Some(next) = next else { return Ok::<_, Status>(None) };
            let answer = answer_batch(desk.as_ref(), &caller, next).await?;
            Ok(Some((answer, (asked, desk, caller))))
        });
        Ok(Response::new(answers.boxed()))
    }
}
