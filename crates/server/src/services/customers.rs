//! Customers, over all their conversations.

use rekindle_core::event::OrderKey;
use rekindle_core::violation::Violations;
use rekindle_engine::subjects::CustomerList;
use rekindle_proto::v1;
use rekindle_proto::v1::customer_service_server::CustomerService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Desk, Place, answer};
use crate::convert::event::to_event;
use crate::convert::subject::{attributes, position, to_customer};
use crate::convert::timeline::to_entry;
use crate::name::{Collection, parse_workspace};
use crate::page::paged;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListCustomersRequest, ListCustomerEventsRequest, GetCustomerTimelineRequest);

/// `rekindle.v1.CustomerService`.
#[derive(Clone)]
pub struct Customers(pub Desk);

impl Customers {
    async fn get(&self, request: v1::GetCustomerRequest) -> Result<v1::GetCustomerResponse, ApiError> {
        let (scope, id) = Collection::Customers.parse(&request.name, "name")?;
        let view = self.0.engine.customer(scope, &id).await?;
        Ok(v1::GetCustomerResponse { customer: Some(to_customer(&view)) })
    }

    async fn list(&self, request: v1::ListCustomersRequest) -> Result<v1::ListCustomersResponse, ApiError> {
        let mut v = Violations::new();
        let position = request.position.as_ref().map(|it| position(it, &mut v));
        let (scope, page, position) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<Uuid>("ListCustomers", &request),
            v.into_result(position).map_err(ApiError::fields),
        )
            .together()?;
        let list = CustomerList { filter: request.filter, position, after: page.after, limit: page.size };
        let found = self.0.engine.customers(scope, list).await?;
        Ok(v1::ListCustomersResponse {
            customers: found.customers.iter().map(to_customer).collect(),
            next_page_token: page.next(found.next.as_ref()),
        })
    }

    async fn update(
        &self,
        request: v1::UpdateCustomerAttributesRequest,
    ) -> Result<v1::UpdateCustomerAttributesResponse, ApiError> {
        let mut v = Violations::new();
        let (given, at) = (request.attributes.as_ref(), request.effective_time.as_ref());
        let change = attributes(given, at, request.request_id, String::new(), &mut v);
        let ((scope, id), change) = (
            Collection::Customers.parse(&request.name, "name"),
            v.into_result(change).map_err(ApiError::fields),
        )
            .together()?;
        let updated = self.0.engine.update_customer_attributes(scope, &id, change).await?;
        Ok(v1::UpdateCustomerAttributesResponse {
            customer: Some(to_customer(&updated.view)),
            refold_pending_count: updated.refold_pending as i64,
        })
    }

    async fn events(
        &self,
        request: v1::ListCustomerEventsRequest,
    ) -> Result<v1::ListCustomerEventsResponse, ApiError> {
        let ((scope, id), page) = (
            Collection::Customers.parse(&request.parent, "parent"),
            self.0.pager.read::<OrderKey>("ListCustomerEvents", &request),
        )
            .together()?;
        let found = self.0.engine.customer_events(scope, &id, page.after.clone(), page.size).await?;
        Ok(v1::ListCustomerEventsResponse {
            events: found.events.iter().map(to_event).collect(),
            next_page_token: page.next(found.next.as_ref()),
        })
    }

    async fn timeline(
        &self,
        request: v1::GetCustomerTimelineRequest,
    ) -> Result<v1::GetCustomerTimelineResponse, ApiError> {
        let ((scope, id), page) = (
            Collection::Customers.parse(&request.name, "name"),
            self.0.pager.read::<Place>("GetCustomerTimeline", &request),
        )
            .together()?;
        let after = page.after.clone().map(Into::into);
        let found = self.0.engine.customer_timeline(scope, &id, after, page.size).await?;
        Ok(v1::GetCustomerTimelineResponse {
            entries: found.entries.iter().map(to_entry).collect(),
            next_page_token: page.next(found.next.map(Place::from).as_ref()),
        })
    }

    async fn erase(&self, request: v1::EraseCustomerRequest) -> Result<v1::EraseCustomerResponse, ApiError> {
        let (scope, id) = Collection::Customers.parse(&request.name, "name")?;
        let erased = self.0.engine.erase_customer(scope, &id).await?;
        Ok(v1::EraseCustomerResponse {
            erased_conversation_count: erased.conversations as i64,
            erased_event_count: erased.events as i64,
            cancelled_run_count: erased.runs as i64,
        })
    }
}

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn get_customer(
        &self,
        request: Request<v1::GetCustomerRequest>,
    ) -> Result<Response<v1::GetCustomerResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_customers(
        &self,
        request: Request<v1::ListCustomersRequest>,
    ) -> Result<Response<v1::ListCustomersResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn update_customer_attributes(
        &self,
        request: Request<v1::UpdateCustomerAttributesRequest>,
    ) -> Result<Response<v1::UpdateCustomerAttributesResponse>, Status> {
        answer(request, |request| self.update(request)).await
    }

    async fn list_customer_events(
        &self,
        request: Request<v1::ListCustomerEventsRequest>,
    ) -> Result<Response<v1::ListCustomerEventsResponse>, Status> {
        answer(request, |request| self.events(request)).await
    }

    async fn get_customer_timeline(
        &self,
        request: Request<v1::GetCustomerTimelineRequest>,
    ) -> Result<Response<v1::GetCustomerTimelineResponse>, Status> {
        answer(request, |request| self.timeline(request)).await
    }

    async fn erase_customer(
        &self,
        request: Request<v1::EraseCustomerRequest>,
    ) -> Result<Response<v1::EraseCustomerResponse>, Status> {
        answer(request, |request| self.erase(request)).await
    }
}
