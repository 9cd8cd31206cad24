//! What holds for everything in a workspace.

use rekindle_core::scope::Scope;
use rekindle_core::violation::Violations;
use rekindle_engine::workspace::{WorkspaceChange, workspace_etag};
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::workspace_service_server::WorkspaceService;
use tonic::{Request, Response, Status};

use super::{Desk, answer};
use crate::convert::workspace::{to_workspace, workspace};
use crate::mask::{Mask, take};
use crate::name::parse_workspace;
use crate::refusal::under;
use crate::status::ApiError;
use crate::together::Together;

/// The top-level fields of a workspace that an update can touch.
const FIELDS: [&str; 8] = [
    "display_name",
    "default_zone",
    "calendars",
    "sender",
    "reply_to",
    "unsubscribe",
    "contact_limits",
    "holdout",
];

/// `rekindle.v1.WorkspaceService`.
#[derive(Clone)]
pub struct Workspaces(pub Desk);

impl Workspaces {
    async fn get(&self, request: v1::GetWorkspaceRequest) -> Result<v1::GetWorkspaceResponse, ApiError> {
        let scope = parse_workspace(&request.name, "name")?;
        let row = self.0.engine.workspace(scope).await?;
        Ok(v1::GetWorkspaceResponse { workspace: Some(to_workspace(&row)) })
    }

    async fn update(
        &self,
        request: v1::UpdateWorkspaceRequest,
    ) -> Result<v1::UpdateWorkspaceResponse, ApiError> {
        let change = request.workspace.ok_or_else(|| ApiError::field("workspace", "is required"))?;
        let mut v = Violations::new();
        let mask = Mask::read(request.update_mask.as_ref(), &FIELDS, &mut v);
        let (scope, ()) =
            (parse_workspace(&change.name, "workspace.name"), v.into_result(()).map_err(ApiError::fields))
                .together()?;
        let merged = self.publish(scope, change, &mask).await;
        let updated = merged.map_err(as_settings).map_err(under("workspace", &[]))?;
        Ok(v1::UpdateWorkspaceResponse { workspace: Some(updated) })
    }

    async fn publish(
        &self,
        scope: Scope,
        change: v1::Workspace,
        mask: &Mask,
    ) -> Result<v1::Workspace, ApiError> {
        let current = self.0.engine.workspace(scope).await?;
        // Without an etag, what the mask left alone still has to be what it was read as.
        let etag = if change.etag.is_empty() { workspace_etag(&current) } else { change.etag.clone() };
        let merged = merge(to_workspace(&current), change, mask);
        let mut v = Violations::new();
        let body = workspace(merged, &mut v);
        let body = v.into_result(body).map_err(ApiError::fields)?;
        let row = self.0.engine.update_workspace(scope, WorkspaceChange { body, etag: Some(etag) }).await?;
        Ok(to_workspace(&row))
    }
}

#[tonic::async_trait]
impl WorkspaceService for Workspaces {
    async fn get_workspace(
        &self,
        request: Request<v1::GetWorkspaceRequest>,
    ) -> Result<Response<v1::GetWorkspaceResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn update_workspace(
        &self,
        request: Request<v1::UpdateWorkspaceRequest>,
    ) -> Result<Response<v1::UpdateWorkspaceResponse>, Status> {
        answer(request, |request| self.update(request)).await
    }
}

/// The present settings with the fields of the change that the mask covers.
fn merge(mut current: v1::Workspace, change: v1::Workspace, mask: &Mask) -> v1::Workspace {
    take!(mask, change => current {
        display_name, default_zone, calendars, sender, reply_to, unsubscribe, contact_limits, holdout,
    });
    current
}

/// Wrong settings are a wrong workspace.
fn as_settings(error: ApiError) -> ApiError {
    match error {
        ApiError::Invalid { violations, .. } => {
            ApiError::Invalid { reason: ErrorReason::WorkspaceInvalid, violations }
        }
        other => other,
    }
}
