//! Funnels, their revisions, templates, and the filling of a revision.

use std::collections::HashMap;

use rekindle_core::funnel::{Funnel, templates};
use rekindle_core::scope::Scope;
use rekindle_core::violation::{Violation, Violations};
use rekindle_engine::Creation;
use rekindle_engine::funnels::{FunnelChange, FunnelView};
use rekindle_ports::rows::LivePolicy;
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::funnel_service_server::FunnelService;
use tonic::{Request, Response, Status};

use super::{Desk, answer, read_request_id};
use crate::convert::choice;
use crate::convert::funnel::{funnel, to_definition, to_fill, to_funnel, to_live_impact, to_revision};
use crate::mask::{Mask, take};
use crate::name::{Collection, parse_revision, parse_user_id, parse_workspace};
use crate::page::{Page, paged};
use crate::refusal::{out_of, under};
use crate::status::ApiError;
use crate::together::Together;

paged!(ListFunnelsRequest, ListFunnelRevisionsRequest, ListFunnelTemplatesRequest);

/// The top-level fields of a funnel that an update can touch.
const FIELDS: [&str; 19] = [
    "display_name",
    "description",
    "subject",
    "order",
    "stages",
    "conversion_window",
    "exclusions",
    "where",
    "ended",
    "reopened",
    "reentry",
    "episode_rules",
    "breakdowns",
    "calendar",
    "starts_time",
    "goals",
    "personas",
    "resources",
    "notes",
];

/// `rekindle.v1.FunnelService`.
#[derive(Clone)]
pub struct Funnels(pub Desk);

impl Funnels {
    async fn create(&self, request: v1::CreateFunnelRequest) -> Result<v1::CreateFunnelResponse, ApiError> {
        let (scope, (), request_id, definition) = (
            parse_workspace(&request.parent, "parent"),
            parse_user_id(&request.funnel_id, "funnelId"),
            read_request_id(&request.request_id),
            definition(request.funnel.as_ref(), &request.funnel_id),
        )
            .together()?;
        let how = Creation { request_id, validate_only: request.validate_only };
        let view = self.publish_first(scope, &request.funnel_id, definition, how).await?;
        Ok(v1::CreateFunnelResponse { funnel: Some(to_funnel(&view)) })
    }

    async fn create_from_template(
        &self,
        request: v1::CreateFunnelFromTemplateRequest,
    ) -> Result<v1::CreateFunnelFromTemplateResponse, ApiError> {
        let (scope, (), request_id) = (
            parse_workspace(&request.parent, "parent"),
            parse_user_id(&request.funnel_id, "funnelId"),
            read_request_id(&request.request_id),
        )
            .together()?;
        let template = templates::find(&request.template);
        let mut definition =
            template.ok_or(ApiError::TemplateNotFound { template: request.template })?.funnel;
        if !request.display_name.is_empty() {
            definition.display_name = request.display_name;
        }
        let how = Creation { request_id, validate_only: request.validate_only };
        let view = self.publish_first(scope, &request.funnel_id, definition, how).await;
        // All of the definition but its name for people is ours.
        let view = view.map_err(out_of("funnel"))?;
        Ok(v1::CreateFunnelFromTemplateResponse { funnel: Some(to_funnel(&view)) })
    }

    async fn publish_first(
        &self,
        scope: Scope,
        id: &str,
        definition: Funnel,
        how: Creation,
    ) -> Result<FunnelView, ApiError> {
        let created = self.0.engine.create_funnel(scope, id, definition, how).await;
        created.map_err(ApiError::from).map_err(under("funnel", &["funnelId"]))
    }

    async fn get(&self, request: v1::GetFunnelRequest) -> Result<v1::GetFunnelResponse, ApiError> {
        let (scope, id) = Collection::Funnels.parse(&request.name, "name")?;
        let view = self.0.engine.funnel(scope, &id, None).await?;
        Ok(v1::GetFunnelResponse { funnel: Some(to_funnel(&view)) })
    }

    async fn list(&self, request: v1::ListFunnelsRequest) -> Result<v1::ListFunnelsResponse, ApiError> {
        let (scope, page) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<String>("ListFunnels", &request),
        )
            .together()?;
        let after = page.after.as_deref().unwrap_or_default();
        let mut views = self.0.engine.funnels(scope, after, page.size + 1).await?;
        let next_page_token = page.cut(&mut views, |last| last.row.id.clone());
        Ok(v1::ListFunnelsResponse { funnels: views.iter().map(to_funnel).collect(), next_page_token })
    }

    async fn update(&self, request: v1::UpdateFunnelRequest) -> Result<v1::UpdateFunnelResponse, ApiError> {
        let change = request.funnel.ok_or_else(|| ApiError::field("funnel", "is required"))?;
        let mut v = Violations::new();
        let mask = Mask::read(request.update_mask.as_ref(), &FIELDS, &mut v);
        let policy = choice::live_policy(request.live_policy, "livePolicy", &mut v);
        let ((scope, id), ()) = (
            Collection::Funnels.parse(&change.name, "funnel.name"),
            v.into_result(()).map_err(ApiError::fields),
        )
            .together()?;
        let current = self.0.engine.funnel(scope, &id, None).await?;
        let etag = change.etag.clone();
        // Without an etag, what the mask left alone still has to be what it was read as.
        let etag = Some(if etag.is_empty() { current.row.etag.clone() } else { etag });
        let merged = merge(to_definition(&current.revision.body), change, &mask);
        let change = change_to(
            definition(Some(&merged), &id)?,
            policy,
            request.stage_map,
            etag,
            request.validate_only,
        );
        let updated = self.0.engine.update_funnel(scope, &id, change).await;
        let view = updated.map_err(ApiError::from).map_err(under("funnel", &["stageMap", "livePolicy"]))?;
        Ok(v1::UpdateFunnelResponse { funnel: Some(to_funnel(&view)), live_impact: to_live_impact(&view) })
    }

    async fn delete(&self, request: v1::DeleteFunnelRequest) -> Result<v1::DeleteFunnelResponse, ApiError> {
        let (scope, id) = Collection::Funnels.parse(&request.name, "name")?;
        let etag = (!request.etag.is_empty()).then_some(request.etag.as_str());
        self.0.engine.delete_funnel(scope, &id, etag).await?;
        Ok(v1::DeleteFunnelResponse {})
    }

    async fn get_revision(
        &self,
        request: v1::GetFunnelRevisionRequest,
    ) -> Result<v1::GetFunnelRevisionResponse, ApiError> {
        let (scope, id, revision) = parse_revision(&request.name, "name")?;
        let view = self.0.engine.funnel(scope, &id, Some(revision)).await?;
        Ok(v1::GetFunnelRevisionResponse { revision: Some(to_revision(&view)) })
    }

    async fn list_revisions(
        &self,
        request: v1::ListFunnelRevisionsRequest,
    ) -> Result<v1::ListFunnelRevisionsResponse, ApiError> {
        let ((scope, id), page) = (
            Collection::Funnels.parse(&request.parent, "parent"),
            self.0.pager.read::<i32>("ListFunnelRevisions", &request),
        )
            .together()?;
        let mut views = self.0.engine.funnel_revisions(scope, &id).await?;
        views.retain(|view| page.after.is_none_or(|after| view.revision.head.revision < after));
        let next_page_token = page.cut(&mut views, |last| last.revision.head.revision);
        Ok(v1::ListFunnelRevisionsResponse {
            revisions: views.iter().map(to_revision).collect(),
            next_page_token,
        })
    }

    fn list_templates(
        &self,
        request: &v1::ListFunnelTemplatesRequest,
    ) -> Result<v1::ListFunnelTemplatesResponse, ApiError> {
        let (_, page): (_, Page<String>) =
            (parse_workspace(&request.parent, "parent"), self.0.pager.read("ListFunnelTemplates", request))
                .together()?;
        let mut found = templates::list();
        found.retain(|template| page.after.as_deref().is_none_or(|after| template.id > after));
        let next_page_token = page.cut(&mut found, |last| last.id.to_owned());
        Ok(v1::ListFunnelTemplatesResponse {
            templates: found.iter().map(to_template).collect(),
            next_page_token,
        })
    }

    async fn fill(&self, request: v1::GetFunnelFillRequest) -> Result<v1::GetFunnelFillResponse, ApiError> {
        let ((scope, id), revision) =
            (Collection::Funnels.parse(&request.funnel, "funnel"), numbered(request.revision)).together()?;
        let fill = self.0.engine.funnel_fill(scope, &id, revision).await?;
        Ok(v1::GetFunnelFillResponse { fill: Some(to_fill(&fill)) })
    }

    async fn cancel_fill(
        &self,
        request: v1::CancelFunnelFillRequest,
    ) -> Result<v1::CancelFunnelFillResponse, ApiError> {
        let ((scope, id), revision) =
            (Collection::Funnels.parse(&request.funnel, "funnel"), numbered(request.revision)).together()?;
        let fill = self.0.engine.cancel_fill(scope, &id, revision).await?;
        Ok(v1::CancelFunnelFillResponse { fill: Some(to_fill(&fill)) })
    }
}

#[tonic::async_trait]
impl FunnelService for Funnels {
    async fn create_funnel(
        &self,
        request: Request<v1::CreateFunnelRequest>,
    ) -> Result<Response<v1::CreateFunnelResponse>, Status> {
        answer(request, |request| self.create(request)).await
    }

    async fn get_funnel(
        &self,
        request: Request<v1::GetFunnelRequest>,
    ) -> Result<Response<v1::GetFunnelResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_funnels(
        &self,
        request: Request<v1::ListFunnelsRequest>,
    ) -> Result<Response<v1::ListFunnelsResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn update_funnel(
        &self,
        request: Request<v1::UpdateFunnelRequest>,
    ) -> Result<Response<v1::UpdateFunnelResponse>, Status> {
        answer(request, |request| self.update(request)).await
    }

    async fn delete_funnel(
        &self,
        request: Request<v1::DeleteFunnelRequest>,
    ) -> Result<Response<v1::DeleteFunnelResponse>, Status> {
        answer(request, |request| self.delete(request)).await
    }

    async fn get_funnel_revision(
        &self,
        request: Request<v1::GetFunnelRevisionRequest>,
    ) -> Result<Response<v1::GetFunnelRevisionResponse>, Status> {
        answer(request, |request| self.get_revision(request)).await
    }

    async fn list_funnel_revisions(
        &self,
        request: Request<v1::ListFunnelRevisionsRequest>,
    ) -> Result<Response<v1::ListFunnelRevisionsResponse>, Status> {
        answer(request, |request| self.list_revisions(request)).await
    }

    async fn create_funnel_from_template(
        &self,
        request: Request<v1::CreateFunnelFromTemplateRequest>,
    ) -> Result<Response<v1::CreateFunnelFromTemplateResponse>, Status> {
        answer(request, |request| self.create_from_template(request)).await
    }

    async fn list_funnel_templates(
        &self,
        request: Request<v1::ListFunnelTemplatesRequest>,
    ) -> Result<Response<v1::ListFunnelTemplatesResponse>, Status> {
        answer(request, async |request| self.list_templates(&request)).await
    }

    async fn get_funnel_fill(
        &self,
        request: Request<v1::GetFunnelFillRequest>,
    ) -> Result<Response<v1::GetFunnelFillResponse>, Status> {
        answer(request, |request| self.fill(request)).await
    }

    async fn cancel_funnel_fill(
        &self,
        request: Request<v1::CancelFunnelFillRequest>,
    ) -> Result<Response<v1::CancelFunnelFillResponse>, Status> {
        answer(request, |request| self.cancel_fill(request)).await
    }
}

/// Reads a definition in the request's field `funnel`.
fn definition(message: Option<&v1::Funnel>, id: &str) -> Result<Funnel, ApiError> {
    let message = message.ok_or_else(|| ApiError::field("funnel", "is required"))?;
    let read = funnel(message, id);
    let invalid =
        |violations: Vec<Violation>| ApiError::Invalid { reason: ErrorReason::FunnelInvalid, violations };
    read.map_err(invalid).map_err(under("funnel", &[]))
}

/// The present definition with the fields of the change that the mask covers.
fn merge(mut current: v1::Funnel, change: v1::Funnel, mask: &Mask) -> v1::Funnel {
    take!(mask, change => current {
        display_name,
        description,
        subject,
        order,
        stages,
        conversion_window,
        exclusions,
        r#where,
        ended,
        reopened,
        reentry,
        episode_rules,
        breakdowns,
        calendar,
        starts_time,
        goals,
        personas,
        resources,
        notes,
    });
    current
}

fn change_to(
    funnel: Funnel,
    policy: LivePolicy,
    stage_map: HashMap<String, String>,
    etag: Option<String>,
    validate_only: bool,
) -> FunnelChange {
    FunnelChange { funnel, etag, policy, stage_map: stage_map.into_iter().collect(), validate_only }
}

/// A revision's number; 0 is the latest.
fn numbered(revision: i32) -> Result<Option<i32>, ApiError> {
    match revision {
        0 => Ok(None),
        1.. => Ok(Some(revision)),
        _ => Err(ApiError::field("revision", "cannot be negative")),
    }
}

fn to_template(template: &templates::Template) -> v1::FunnelTemplate {
    v1::FunnelTemplate {
        template: template.id.to_owned(),
        display_name: template.funnel.display_name.clone(),
        description: template.funnel.description.clone(),
        funnel: Some(to_definition(&template.funnel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(mask: &Mask, change: v1::Funnel) -> v1::Funnel {
        let support = templates::find("support").expect("a template of this version");
        merge(to_definition(&support.funnel), change, mask)
    }

    #[test]
    fn every_field_of_the_mask_can_be_changed_and_no_other() {
        let everything = Mask::Named(FIELDS.iter().map(|field| (*field).to_owned()).collect());
        let blank = v1::Funnel { etag: "e".into(), revision: 9, ..v1::Funnel::default() };
        assert_eq!(change(&everything, blank.clone()), v1::Funnel::default());
        assert_eq!(change(&Mask::All, blank), v1::Funnel::default());
    }

    #[test]
    fn without_a_mask_what_is_populated_changes_and_the_rest_stays() {
        let before = change(&Mask::Populated, v1::Funnel::default());
        let after = change(&Mask::Populated, v1::Funnel { notes: "new".into(), ..v1::Funnel::default() });
        assert_eq!(after, v1::Funnel { notes: "new".into(), ..before });
    }

    #[test]
    fn an_unreadable_definition_names_its_fields_under_the_request() {
        let message = v1::Funnel { order: 99, ..v1::Funnel::default() };
        let Err(ApiError::Invalid { reason, violations }) = definition(Some(&message), "support") else {
            panic!("it was taken");
        };
        assert_eq!(reason, ErrorReason::FunnelInvalid);
        assert!(violations.iter().any(|it| it.field == "funnel.order"));
        assert!(violations.iter().any(|it| it.field == "funnel.stages"));
    }
}
