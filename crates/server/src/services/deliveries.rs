//! What was sent, or is about to be.

use futures_util::FutureExt;
use rekindle_core::violation::Violations;
use rekindle_engine::runs::{DeliveryView, LedgerQuery, Resolution};
use rekindle_proto::v1;
use rekindle_proto::v1::delivery_service_server::DeliveryService;
use tonic::{Request, Response, Status};

use super::ledger::{Newest, gather};
use super::runs::parse_optional_run;
use super::{Desk, answer};
use crate::convert::choice;
use crate::convert::delivery::{states, to_delivery};
use crate::name::{Collection, parse_workspace};
use crate::page::paged;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListDeliveriesRequest);

/// `rekindle.v1.DeliveryService`.
#[derive(Clone)]
pub struct Deliveries(pub Desk);

/// Which deliveries to list, and what the ledger cannot look for itself.
struct Asked {
    query: LedgerQuery,
    destination: Option<String>,
}

impl Deliveries {
    async fn get(&self, request: v1::GetDeliveryRequest) -> Result<v1::GetDeliveryResponse, ApiError> {
        let (scope, id) = Collection::Deliveries.parse(&request.name, "name")?;
        let view = self.0.engine.delivery(scope, &id).await?;
        Ok(v1::GetDeliveryResponse { delivery: Some(to_delivery(&view)) })
    }

    async fn list(&self, request: v1::ListDeliveriesRequest) -> Result<v1::ListDeliveriesResponse, ApiError> {
        let (scope, page, asked) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<Newest>("ListDeliveries", &request),
            read_query(&request),
        )
            .together()?;
        let engine = self.0.engine.clone();
        let fetch = |before, limit| {
            let (engine, query) = (engine.clone(), LedgerQuery { before, ..asked.query.clone() });
            async move { Ok(engine.deliveries(scope, query, limit).await?) }.boxed()
        };
        let passes = |view: &DeliveryView| {
            asked.destination.as_ref().is_none_or(|id| *id == view.delivery.destination)
        };
        let mut views = gather(page.size + 1, page.after.clone(), fetch, place, passes).await?;
        let next_page_token = page.cut(&mut views, place);
        Ok(v1::ListDeliveriesResponse {
            deliveries: views.iter().map(to_delivery).collect(),
            next_page_token,
        })
    }

    async fn cancel(
        &self,
        request: v1::CancelDeliveryRequest,
    ) -> Result<v1::CancelDeliveryResponse, ApiError> {
        let (scope, id) = Collection::Deliveries.parse(&request.name, "name")?;
        let view = self.0.engine.cancel_delivery(scope, &id).await?;
        Ok(v1::CancelDeliveryResponse { delivery: Some(to_delivery(&view)) })
    }

    async fn resolve(
        &self,
        request: v1::ResolveDeliveryRequest,
    ) -> Result<v1::ResolveDeliveryResponse, ApiError> {
        let ((scope, id), resolution) =
            (Collection::Deliveries.parse(&request.name, "name"), read_resolution(request.resolution))
                .together()?;
        let view = self.0.engine.resolve_delivery(scope, &id, resolution, &request.note).await?;
        Ok(v1::ResolveDeliveryResponse { delivery: Some(to_delivery(&view)) })
    }
}

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn get_delivery(
        &self,
        request: Request<v1::GetDeliveryRequest>,
    ) -> Result<Response<v1::GetDeliveryResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn cancel_delivery(
        &self,
        request: Request<v1::CancelDeliveryRequest>,
    ) -> Result<Response<v1::CancelDeliveryResponse>, Status> {
        answer(request, |request| self.cancel(request)).await
    }

    async fn resolve_delivery(
        &self,
        request: Request<v1::ResolveDeliveryRequest>,
    ) -> Result<Response<v1::ResolveDeliveryResponse>, Status> {
        answer(request, |request| self.resolve(request)).await
    }
}

fn read_query(request: &v1::ListDeliveriesRequest) -> Result<Asked, ApiError> {
    let mut v = Violations::new();
    let state = choice::known(request.state, "state", &mut v);
    let (conversation, customer, (run, destination), ()) = (
        Collection::Conversations.parse_optional(&request.conversation, "conversation"),
        Collection::Customers.parse_optional(&request.customer, "customer"),
        (
            parse_optional_run(&request.run, "run"),
            Collection::Destinations.parse_optional(&request.destination, "destination"),
        )
            .together(),
        v.into_result(()).map_err(ApiError::fields),
    )
        .together()?;
    let query =
        LedgerQuery { run, conversation, customer, delivery_states: states(state), ..LedgerQuery::default() };
    Ok(Asked { query, destination })
}

fn read_resolution(number: i32) -> Result<Resolution, ApiError> {
    use v1::resolve_delivery_request::Resolution as Message;
    let mut v = Violations::new();
    let read = match choice::known(number, "resolution", &mut v) {
        Message::Unspecified => None,
        Message::Delivered => Some(Resolution::Delivered),
        Message::Resend => Some(Resolution::Resend),
    };
    read.ok_or_else(|| ApiError::field("resolution", "takes DELIVERED or RESEND"))
}

/// Where the list goes on after a delivery.
fn place(view: &DeliveryView) -> Newest {
    (view.delivery.created_at, view.delivery.id.clone())
}
