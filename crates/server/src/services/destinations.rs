//! Mail servers and webhooks. Secrets go in and never come out.

use rekindle_core::violation::{Violation, Violations};
use rekindle_engine::Creation;
use rekindle_engine::destinations::{DestinationChange, DestinationDraft, Trial};
use rekindle_ports::resources::DestinationRow;
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::destination_service_server::DestinationService;
use tonic::{Request, Response, Status};

use super::{Desk, answer, read_request_id};
use crate::convert::delivery::to_attempt;
use crate::convert::destination::{destination, to_destination};
use crate::convert::suppression::to_suppression;
use crate::name::{Collection, parse_user_id, parse_workspace};
use crate::page::paged;
use crate::refusal::under;
use crate::status::ApiError;
use crate::together::Together;

mod merge;

paged!(ListDestinationsRequest);

/// `rekindle.v1.DestinationService`.
#[derive(Clone)]
pub struct Destinations(pub Desk);

impl Destinations {
    async fn create(
        &self,
        request: v1::CreateDestinationRequest,
    ) -> Result<v1::CreateDestinationResponse, ApiError> {
        let (scope, (), request_id, draft) = (
            parse_workspace(&request.parent, "parent"),
            parse_user_id(&request.destination_id, "destinationId"),
            read_request_id(&request.request_id),
            draft(request.destination.as_ref(), &request.destination_id),
        )
            .together()?;
        let how = Creation { request_id, ..Creation::default() };
        let created = self.0.engine.create_destination(scope, &request.destination_id, draft, how).await;
        let row = created.map_err(ApiError::from).map_err(under("destination", &["destinationId"]))?;
        Ok(v1::CreateDestinationResponse { destination: Some(self.shown(&row).await) })
    }

    async fn get(&self, request: v1::GetDestinationRequest) -> Result<v1::GetDestinationResponse, ApiError> {
        let (scope, id) = Collection::Destinations.parse(&request.name, "name")?;
        let row = self.0.engine.destination(scope, &id).await?;
        Ok(v1::GetDestinationResponse { destination: Some(self.shown(&row).await) })
    }

    async fn list(
        &self,
        request: v1::ListDestinationsRequest,
    ) -> Result<v1::ListDestinationsResponse, ApiError> {
        let (scope, page) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<String>("ListDestinations", &request),
        )
            .together()?;
        let after = page.after.as_deref().unwrap_or_default();
        let mut rows = self.0.engine.destinations(scope, after, page.size + 1).await?;
        let next_page_token = page.cut(&mut rows, |last| last.id.clone());
        let now = self.0.engine.now().await;
        let destinations = rows.iter().map(|row| to_destination(row, now)).collect();
        Ok(v1::ListDestinationsResponse { destinations, next_page_token })
    }

    async fn update(
        &self,
        request: v1::UpdateDestinationRequest,
    ) -> Result<v1::UpdateDestinationResponse, ApiError> {
        let change = request.destination.ok_or_else(|| ApiError::field("destination", "is required"))?;
        let mut v = Violations::new();
        let mask = merge::read(request.update_mask.as_ref(), &mut v);
        let ((scope, id), ()) = (
            Collection::Destinations.parse(&change.name, "destination.name"),
            v.into_result(()).map_err(ApiError::fields),
        )
            .together()?;
        let current = self.0.engine.destination(scope, &id).await?;
        // Without an etag, what the mask left alone still has to be what it was read as.
        let etag = if change.etag.is_empty() { current.etag.clone() } else { change.etag.clone() };
        let no_password = merge::takes_password_away(&mask, &change);
        let merged = merge::merge(self.shown(&current).await, change, &mask);
        let mut draft = draft(Some(&merged), &id)?;
        if no_password {
            draft.secrets = Some(Vec::new());
        }
        let updated =
            self.0.engine.update_destination(scope, &id, DestinationChange { draft, etag: Some(etag) }).await;
        let row = updated.map_err(ApiError::from).map_err(under("destination", &[]))?;
        Ok(v1::UpdateDestinationResponse { destination: Some(self.shown(&row).await) })
    }

    async fn delete(
        &self,
        request: v1::DeleteDestinationRequest,
    ) -> Result<v1::DeleteDestinationResponse, ApiError> {
        let (scope, id) = Collection::Destinations.parse(&request.name, "name")?;
        let etag = (!request.etag.is_empty()).then_some(request.etag.as_str());
        self.0.engine.delete_destination(scope, &id, etag).await?;
        Ok(v1::DeleteDestinationResponse {})
    }

    async fn test(
        &self,
        request: v1::TestDestinationRequest,
    ) -> Result<v1::TestDestinationResponse, ApiError> {
        let (scope, id) = Collection::Destinations.parse(&request.name, "name")?;
        match self.0.engine.test_destination(scope, &id, &request.recipient).await? {
            Trial::Attempted(attempt) => {
                Ok(v1::TestDestinationResponse { attempt: Some(to_attempt(&attempt)) })
            }
            Trial::NotAllowed => Err(ApiError::Precondition {
                reason: ErrorReason::RecipientNotAllowed,
                message: "the recipient is not on the server's list of allowed recipients".into(),
                metadata: Vec::new(),
            }),
            Trial::Suppressed(entry) => Err(ApiError::Precondition {
                reason: ErrorReason::RecipientSuppressed,
                message: "the recipient is suppressed".into(),
                metadata: vec![("suppressionReason".into(), word(&to_suppression(&entry)))],
            }),
        }
    }

    async fn rotate(
        &self,
        request: v1::RotateWebhookSecretRequest,
    ) -> Result<v1::RotateWebhookSecretResponse, ApiError> {
        let (scope, id) = Collection::Destinations.parse(&request.name, "name")?;
        let row = self.0.engine.rotate_webhook_secret(scope, &id, &request.secret).await?;
        Ok(v1::RotateWebhookSecretResponse { destination: Some(self.shown(&row).await) })
    }

    async fn enable(
        &self,
        request: v1::EnableDestinationRequest,
    ) -> Result<v1::EnableDestinationResponse, ApiError> {
        let (scope, id) = Collection::Destinations.parse(&request.name, "name")?;
        let row = self.0.engine.enable_destination(scope, &id).await?;
        Ok(v1::EnableDestinationResponse { destination: Some(self.shown(&row).await) })
    }

    async fn disable(
        &self,
        request: v1::DisableDestinationRequest,
    ) -> Result<v1::DisableDestinationResponse, ApiError> {
        let (scope, id) = Collection::Destinations.parse(&request.name, "name")?;
        let row = self.0.engine.disable_destination(scope, &id).await?;
        Ok(v1::DisableDestinationResponse { destination: Some(self.shown(&row).await) })
    }

    /// A destination as it is now.
    async fn shown(&self, row: &DestinationRow) -> v1::Destination {
        to_destination(row, self.0.engine.now().await)
    }
}

#[tonic::async_trait]
impl DestinationService for Destinations {
    async fn create_destination(
        &self,
        request: Request<v1::CreateDestinationRequest>,
    ) -> Result<Response<v1::CreateDestinationResponse>, Status> {
        answer(request, |request| self.create(request)).await
    }

    async fn get_destination(
        &self,
        request: Request<v1::GetDestinationRequest>,
    ) -> Result<Response<v1::GetDestinationResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_destinations(
        &self,
        request: Request<v1::ListDestinationsRequest>,
    ) -> Result<Response<v1::ListDestinationsResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn update_destination(
        &self,
        request: Request<v1::UpdateDestinationRequest>,
    ) -> Result<Response<v1::UpdateDestinationResponse>, Status> {
        answer(request, |request| self.update(request)).await
    }

    async fn delete_destination(
        &self,
        request: Request<v1::DeleteDestinationRequest>,
    ) -> Result<Response<v1::DeleteDestinationResponse>, Status> {
        answer(request, |request| self.delete(request)).await
    }

    async fn test_destination(
        &self,
        request: Request<v1::TestDestinationRequest>,
    ) -> Result<Response<v1::TestDestinationResponse>, Status> {
        answer(request, |request| self.test(request)).await
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<v1::RotateWebhookSecretRequest>,
    ) -> Result<Response<v1::RotateWebhookSecretResponse>, Status> {
        answer(request, |request| self.rotate(request)).await
    }

    async fn enable_destination(
        &self,
        request: Request<v1::EnableDestinationRequest>,
    ) -> Result<Response<v1::EnableDestinationResponse>, Status> {
        answer(request, |request| self.enable(request)).await
    }

    async fn disable_destination(
        &self,
        request: Request<v1::DisableDestinationRequest>,
    ) -> Result<Response<v1::DisableDestinationResponse>, Status> {
        answer(request, |request| self.disable(request)).await
    }
}

/// Reads a destination in the request's field `destination`.
fn draft(message: Option<&v1::Destination>, id: &str) -> Result<DestinationDraft, ApiError> {
    let message = message.ok_or_else(|| ApiError::field("destination", "is required"))?;
    let invalid = |violations: Vec<Violation>| ApiError::Invalid {
        reason: ErrorReason::DestinationInvalid,
        violations,
    };
    destination(message, id).map_err(invalid).map_err(under("destination", &[]))
}

/// A suppression's reason as metadata has it.
fn word(entry: &v1::Suppression) -> String {
    let name = entry.reason().as_str_name();
    name.strip_prefix("SUPPRESSION_REASON_").unwrap_or(name).to_owned()
}
