//! Recovery sequences: drafts, verbs, previews, simulations.

use rekindle_core::sequence::Sequence;
use rekindle_core::violation::{Violation, Violations};
use rekindle_engine::Creation;
use rekindle_engine::sequences::{Published, RunImpact, SequenceChange, Simulated, SimulationQuestion};
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::sequence_service_server::SequenceService;
use tonic::{Request, Response, Status};

use super::{Desk, answer, read_request_id};
use crate::convert::choice;
use crate::convert::preview::{data, to_previewed};
use crate::convert::sequence::{sequence, to_definition, to_sequence};
use crate::convert::simulation;
use crate::mask::{Mask, take};
use crate::name::{Collection, parse_user_id, parse_workspace};
use crate::page::paged;
use crate::refusal::{state_refused_as, under};
use crate::status::ApiError;
use crate::together::Together;

paged!(ListSequencesRequest);

/// The top-level fields of a sequence that an update can touch.
const FIELDS: [&str; 12] = [
    "display_name",
    "trigger",
    "steps",
    "max_delay",
    "message_class",
    "quiet_hours",
    "holdout",
    "entry_filter",
    "reentry",
    "limit_policy",
    "priority",
    "outlasts_return",
];

/// `rekindle.v1.SequenceService`.
#[derive(Clone)]
pub struct Sequences(pub Desk);

impl Sequences {
    async fn create(
        &self,
        request: v1::CreateSequenceRequest,
    ) -> Result<v1::CreateSequenceResponse, ApiError> {
        let (scope, (), request_id, definition) = (
            parse_workspace(&request.parent, "parent"),
            parse_user_id(&request.sequence_id, "sequenceId"),
            read_request_id(&request.request_id),
            definition(request.sequence.as_ref(), &request.sequence_id),
        )
            .together()?;
        let how = Creation { request_id, validate_only: request.validate_only };
        let created = self.0.engine.create_sequence(scope, &request.sequence_id, definition, how).await;
        let row = created.map_err(ApiError::from).map_err(under("sequence", &["sequenceId"]))?;
        Ok(v1::CreateSequenceResponse { sequence: Some(to_sequence(&row)) })
    }

    async fn get(&self, request: v1::GetSequenceRequest) -> Result<v1::GetSequenceResponse, ApiError> {
        let (scope, id) = Collection::Sequences.parse(&request.name, "name")?;
        let row = self.0.engine.sequence(scope, &id).await?;
        Ok(v1::GetSequenceResponse { sequence: Some(to_sequence(&row)) })
    }

    async fn list(&self, request: v1::ListSequencesRequest) -> Result<v1::ListSequencesResponse, ApiError> {
        let (scope, page) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<String>("ListSequences", &request),
        )
            .together()?;
        let after = page.after.as_deref().unwrap_or_default();
        let mut rows = self.0.engine.sequences(scope, after, page.size + 1).await?;
        let next_page_token = page.cut(&mut rows, |last| last.id.clone());
        Ok(v1::ListSequencesResponse { sequences: rows.iter().map(to_sequence).collect(), next_page_token })
    }

    async fn update(
        &self,
        request: v1::UpdateSequenceRequest,
    ) -> Result<v1::UpdateSequenceResponse, ApiError> {
        let change = request.sequence.ok_or_else(|| ApiError::field("sequence", "is required"))?;
        let mut v = Violations::new();
        let mask = Mask::read(request.update_mask.as_ref(), &FIELDS, &mut v);
        let run_policy = choice::run_policy(request.run_policy, "runPolicy", &mut v);
        let ((scope, id), ()) = (
            Collection::Sequences.parse(&change.name, "sequence.name"),
            v.into_result(()).map_err(ApiError::fields),
        )
            .together()?;
        let current = self.0.engine.sequence(scope, &id).await?;
        // Without an etag, what the mask left alone still has to be what it was read as.
        let etag = if change.etag.is_empty() { current.etag.clone() } else { change.etag.clone() };
        let merged = merge(to_definition(&current.body), change, &mask);
        let change = SequenceChange {
            sequence: definition(Some(&merged), &id)?,
            etag: Some(etag),
            run_policy,
            step_map: request.step_map.into_iter().collect(),
            validate_only: request.validate_only,
        };
        let updated = self.0.engine.update_sequence(scope, &id, change).await;
        let refused = state_refused_as(ErrorReason::SequenceNotUpdatable);
        let updated = updated.map_err(ApiError::from).map_err(refused);
        let Published { sequence, impact } = updated.map_err(under("sequence", &["stepMap"]))?;
        Ok(v1::UpdateSequenceResponse {
            sequence: Some(to_sequence(&sequence)),
            impact: Some(to_impact(impact)),
        })
    }

    async fn delete(
        &self,
        request: v1::DeleteSequenceRequest,
    ) -> Result<v1::DeleteSequenceResponse, ApiError> {
        let (scope, id) = Collection::Sequences.parse(&request.name, "name")?;
        let etag = (!request.etag.is_empty()).then_some(request.etag.as_str());
        let deleted = self.0.engine.delete_sequence(scope, &id, etag).await;
        deleted.map_err(ApiError::from).map_err(state_refused_as(ErrorReason::SequenceNotDeletable))?;
        Ok(v1::DeleteSequenceResponse {})
    }

    async fn start(&self, request: v1::StartSequenceRequest) -> Result<v1::StartSequenceResponse, ApiError> {
        let (scope, id) = Collection::Sequences.parse(&request.name, "name")?;
        let etag = (!request.etag.is_empty()).then_some(request.etag.as_str());
        let row = self.0.engine.start_sequence(scope, &id, etag).await?;
        Ok(v1::StartSequenceResponse { sequence: Some(to_sequence(&row)) })
    }

    async fn pause(&self, request: v1::PauseSequenceRequest) -> Result<v1::PauseSequenceResponse, ApiError> {
        let (scope, id) = Collection::Sequences.parse(&request.name, "name")?;
        let paused = self.0.engine.pause_sequence(scope, &id).await;
        let row =
            paused.map_err(ApiError::from).map_err(state_refused_as(ErrorReason::SequenceNotPausable))?;
        Ok(v1::PauseSequenceResponse { sequence: Some(to_sequence(&row)) })
    }

    async fn resume(
        &self,
        request: v1::ResumeSequenceRequest,
    ) -> Result<v1::ResumeSequenceResponse, ApiError> {
        let (scope, id) = Collection::Sequences.parse(&request.name, "name")?;
        let resumed = self.0.engine.resume_sequence(scope, &id).await;
        let row =
            resumed.map_err(ApiError::from).map_err(state_refused_as(ErrorReason::SequenceNotResumable))?;
        Ok(v1::ResumeSequenceResponse { sequence: Some(to_sequence(&row)) })
    }

    async fn archive(
        &self,
        request: v1::ArchiveSequenceRequest,
    ) -> Result<v1::ArchiveSequenceResponse, ApiError> {
        let (scope, id) = Collection::Sequences.parse(&request.name, "name")?;
        let archived = self.0.engine.archive_sequence(scope, &id).await?;
        Ok(v1::ArchiveSequenceResponse {
            sequence: Some(to_sequence(&archived.sequence)),
            cancelled_run_count: archived.ended_runs as i64,
        })
    }

    async fn preview(
        &self,
        request: v1::PreviewSequenceRequest,
    ) -> Result<v1::PreviewSequenceResponse, ApiError> {
        let mut v = Violations::new();
        let data = data(request.data.as_ref(), &mut v);
        let ((scope, id), data) = (
            Collection::Sequences.parse(&request.name, "name"),
            v.into_result(data).map_err(ApiError::fields),
        )
            .together()?;
        let messages = self.0.engine.preview_sequence(scope, &id, data).await?;
        Ok(v1::PreviewSequenceResponse { messages: messages.into_iter().map(to_previewed).collect() })
    }

    async fn simulate(
        &self,
        request: v1::SimulateSequenceRequest,
    ) -> Result<v1::SimulateSequenceResponse, ApiError> {
        let mut v = Violations::new();
        let bounds = simulation::bounds(&request, &mut v);
        let (scope, simulated, (period, samples)) = (
            parse_workspace(&request.parent, "parent"),
            simulated(request.simulated.as_ref()),
            v.into_result(bounds).map_err(ApiError::fields),
        )
            .together()?;
        let field = match &simulated {
            Simulated::Draft { .. } => "draft",
            Simulated::Stored(_) => "sequence",
        };
        let question = SimulationQuestion { simulated, period, samples };
        let answer = self.0.engine.simulate_sequence(scope, question).await;
        let answer = answer.map_err(ApiError::from).map_err(under(field, &["period"]))?;
        Ok(simulation::to_answer(&period, answer))
    }
}

#[tonic::async_trait]
impl SequenceService for Sequences {
    async fn create_sequence(
        &self,
        request: Request<v1::CreateSequenceRequest>,
    ) -> Result<Response<v1::CreateSequenceResponse>, Status> {
        answer(request, |request| self.create(request)).await
    }

    async fn get_sequence(
        &self,
        request: Request<v1::GetSequenceRequest>,
    ) -> Result<Response<v1::GetSequenceResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_sequences(
        &self,
        request: Request<v1::ListSequencesRequest>,
    ) -> Result<Response<v1::ListSequencesResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn update_sequence(
        &self,
        request: Request<v1::UpdateSequenceRequest>,
    ) -> Result<Response<v1::UpdateSequenceResponse>, Status> {
        answer(request, |request| self.update(request)).await
    }

    async fn delete_sequence(
        &self,
        request: Request<v1::DeleteSequenceRequest>,
    ) -> Result<Response<v1::DeleteSequenceResponse>, Status> {
        answer(request, |request| self.delete(request)).await
    }

    async fn start_sequence(
        &self,
        request: Request<v1::StartSequenceRequest>,
    ) -> Result<Response<v1::StartSequenceResponse>, Status> {
        answer(request, |request| self.start(request)).await
    }

    async fn pause_sequence(
        &self,
        request: Request<v1::PauseSequenceRequest>,
    ) -> Result<Response<v1::PauseSequenceResponse>, Status> {
        answer(request, |request| self.pause(request)).await
    }

    async fn resume_sequence(
        &self,
        request: Request<v1::ResumeSequenceRequest>,
    ) -> Result<Response<v1::ResumeSequenceResponse>, Status> {
        answer(request, |request| self.resume(request)).await
    }

    async fn archive_sequence(
        &self,
        request: Request<v1::ArchiveSequenceRequest>,
    ) -> Result<Response<v1::ArchiveSequenceResponse>, Status> {
        answer(request, |request| self.archive(request)).await
    }

    async fn preview_sequence(
        &self,
        request: Request<v1::PreviewSequenceRequest>,
    ) -> Result<Response<v1::PreviewSequenceResponse>, Status> {
        answer(request, |request| self.preview(request)).await
    }

    async fn simulate_sequence(
        &self,
        request: Request<v1::SimulateSequenceRequest>,
    ) -> Result<Response<v1::SimulateSequenceResponse>, Status> {
        answer(request, |request| self.simulate(request)).await
    }
}

/// Reads a definition in the request's field `sequence`.
fn definition(message: Option<&v1::Sequence>, id: &str) -> Result<Sequence, ApiError> {
    let message = message.ok_or_else(|| ApiError::field("sequence", "is required"))?;
    definition_in("sequence", message, id)
}

/// Reads a definition in a field of the request.
fn definition_in(field: &str, message: &v1::Sequence, id: &str) -> Result<Sequence, ApiError> {
    let invalid =
        |violations: Vec<Violation>| ApiError::Invalid { reason: ErrorReason::SequenceInvalid, violations };
    sequence(message, id).map_err(invalid).map_err(under(field, &[]))
}

/// Reads which sequence to simulate.
fn simulated(message: Option<&v1::simulate_sequence_request::Simulated>) -> Result<Simulated, ApiError> {
    use v1::simulate_sequence_request::Simulated as Which;
    match message {
        None => Err(ApiError::field("draft", "is required, unless `sequence` names one")),
        Some(Which::Sequence(name)) => {
            Collection::Sequences.parse(name, "sequence").map(|(_, id)| Simulated::Stored(id))
        }
        Some(Which::Draft(draft)) => {
            let id = Collection::Sequences.parse_optional(&draft.name, "draft.name")?.unwrap_or_default();
            let body = Box::new(definition_in("draft", draft, &id)?);
            Ok(Simulated::Draft { id, body })
        }
    }
}

fn to_impact(impact: RunImpact) -> v1::RunImpact {
    let RunImpact { staying, moving, ending } = impact;
    v1::RunImpact { staying, moving, ending }
}

/// The present definition with the fields of the change that the mask covers.
fn merge(mut current: v1::Sequence, change: v1::Sequence, mask: &Mask) -> v1::Sequence {
    take!(mask, change => current {
        display_name, trigger, steps, max_delay, message_class, quiet_hours, holdout, entry_filter, reentry,
        limit_policy, priority,
    });
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_mask_can_be_changed() {
        let everything = Mask::Named(FIELDS.iter().map(|field| (*field).to_owned()).collect());
        let current = v1::Sequence {
            display_name: "Nudge".into(),
            trigger: Some(v1::SequenceTrigger::default()),
            steps: vec![v1::Step::default()],
            max_delay: Some(pbjson_types::Duration { seconds: 1, nanos: 0 }),
            message_class: 2,
            quiet_hours: Some(v1::QuietHours::default()),
            holdout: 0.1,
            entry_filter: "customer.vip".into(),
            reentry: Some(v1::ReentryRule::default()),
            limit_policy: 2,
            priority: 3,
            ..Default::default()
        };
        assert_eq!(merge(current.clone(), v1::Sequence::default(), &everything), v1::Sequence::default());
        assert_eq!(merge(current.clone(), v1::Sequence::default(), &Mask::Populated), current);
    }
}
