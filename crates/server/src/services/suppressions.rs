//! Who is not written to.

use rekindle_core::violation::Violations;
use rekindle_engine::suppressions::SuppressionQuery;
use rekindle_ports::resources::SuppressionKind;
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::suppression_service_server::SuppressionService;
use tonic::{Request, Response, Status};

use super::{Desk, answer};
use crate::convert::suppression::{id, parse_id, reason, suppression, to_suppression};
use crate::name::{Collection, parse_workspace};
use crate::page::paged;
use crate::refusal::under;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListSuppressionsRequest);

/// `rekindle.v1.SuppressionService`.
#[derive(Clone)]
pub struct Suppressions(pub Desk);

impl Suppressions {
    async fn add(&self, request: v1::AddSuppressionRequest) -> Result<v1::AddSuppressionResponse, ApiError> {
        let message = request.suppression.ok_or_else(|| ApiError::field("suppression", "is required"))?;
        let mut v = Violations::new();
        let new = suppression(message, &mut v);
        let new = v.into_result(new).map_err(ApiError::fields).map_err(under("suppression", &[]));
        let (scope, new) = (parse_workspace(&request.parent, "parent"), new).together()?;
        let added = self.0.engine.add_suppression(scope, new).await;
        let row = added.map_err(ApiError::from).map_err(under("suppression", &[]))?;
        Ok(v1::AddSuppressionResponse { suppression: Some(to_suppression(&row)) })
    }

    async fn remove(
        &self,
        request: v1::RemoveSuppressionRequest,
    ) -> Result<v1::RemoveSuppressionResponse, ApiError> {
        let (scope, id) = Collection::Suppressions.parse(&request.name, "name")?;
        let missing =
            || ApiError::NotFound { reason: ErrorReason::SuppressionNotFound, name: request.name.clone() };
        let (kind, value) = parse_id(&id).ok_or_else(missing)?;
        let removed = self.0.engine.remove_suppression(scope, kind, &value).await;
        match removed.map_err(ApiError::from) {
            Ok(()) => Ok(v1::RemoveSuppressionResponse {}),
            Err(ApiError::NotFound { .. }) => Err(missing()),
            Err(other) => Err(other),
        }
    }

    async fn list(
        &self,
        request: v1::ListSuppressionsRequest,
    ) -> Result<v1::ListSuppressionsResponse, ApiError> {
        let mut v = Violations::new();
        let reason = reason(request.reason, "reason", &mut v);
        let (scope, page, reason) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<String>("ListSuppressions", &request),
            v.into_result(reason).map_err(ApiError::fields),
        )
            .together()?;
        let after: Option<(SuppressionKind, String)> = page.after.as_deref().and_then(parse_id);
        let address = (!request.address.is_empty()).then(|| request.address.clone());
        let query = SuppressionQuery { reason, address, after };
        let mut rows = self.0.engine.suppressions(scope, query, page.size + 1).await?;
        let next_page_token = page.cut(&mut rows, |last| id(last.kind, &last.value));
        Ok(v1::ListSuppressionsResponse {
            suppressions: rows.iter().map(to_suppression).collect(),
            next_page_token,
        })
    }
}

#[tonic::async_trait]
impl SuppressionService for Suppressions {
    async fn add_suppression(
        &self,
        request: Request<v1::AddSuppressionRequest>,
    ) -> Result<Response<v1::AddSuppressionResponse>, Status> {
        answer(request, |request| self.add(request)).await
    }

    async fn remove_suppression(
        &self,
        request: Request<v1::RemoveSuppressionRequest>,
    ) -> Result<Response<v1::RemoveSuppressionResponse>, Status> {
        answer(request, |request| self.remove(request)).await
    }

    async fn list_suppressions(
        &self,
        request: Request<v1::ListSuppressionsRequest>,
    ) -> Result<Response<v1::ListSuppressionsResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }
}
