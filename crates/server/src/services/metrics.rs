//! The numbers, and who is behind them.

use rekindle_core::Timestamp;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::scope::Scope;
use rekindle_core::violation::Violations;
use rekindle_engine::metrics::{SubjectCursor, SubjectsQuestion};
use rekindle_proto::v1;
use rekindle_proto::v1::metrics_service_server::MetricsService;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::{Desk, answer};
use crate::convert::metrics::{collection_of, to_answer, to_subject};
use crate::convert::question::{Context, base, figures, group, needs_subject, stage};
use crate::convert::{choice, recovery, targets, time};
use crate::name::Collection;
use crate::page::paged;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListFunnelSubjectsRequest);

/// Most rows of one answer: stages times groups, over all breakdowns, and buckets.
const MOST_ROWS: usize = 10_000;
/// Most buckets of a trend.
const MOST_BUCKETS: usize = 5_000;

/// `rekindle.v1.MetricsService`.
#[derive(Clone)]
pub struct Metrics(pub Desk);

/// Where a page of subjects starts, and the instant that all pages hold for.
#[derive(Serialize, Deserialize)]
struct Cursor {
    #[serde(rename = "t")]
    as_of: Timestamp,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "p")]
    part: usize,
}

impl Metrics {
    async fn query(&self, request: v1::QueryFunnelRequest) -> Result<v1::QueryFunnelResponse, ApiError> {
        let (scope, funnel) = Collection::Funnels.parse(&request.funnel, "funnel")?;
        let zone = self.0.default_zone(scope).await?;
        let subject = self.subject_for(scope, &funnel, request.revision, request.unit).await?;
        let mut v = Violations::new();
        let question = figures(&request, Context { funnel, subject, default_zone: &zone }, &mut v);
        v.into_result(()).map_err(ApiError::fields)?;
        let specs = question.breakdowns.clone();
        let answer = self.0.engine.query_funnel(scope, question).await?;
        let stages = answer.figures.stages.len();
        let groups: usize = answer.breakdowns.iter().map(Vec::len).sum();
        let rows = stages * (1 + groups) + answer.trend_best.len() + answer.trend_attempts.len();
        if rows > MOST_ROWS {
            return Err(ApiError::ResultTooLarge { limit: MOST_ROWS });
        }
        if answer.trend_best.len().max(answer.trend_attempts.len()) > MOST_BUCKETS {
            return Err(ApiError::ResultTooLarge { limit: MOST_BUCKETS });
        }
        Ok(to_answer(&answer, &specs))
    }

    async fn subjects(
        &self,
        request: v1::ListFunnelSubjectsRequest,
    ) -> Result<v1::ListFunnelSubjectsResponse, ApiError> {
        let ((scope, funnel), page) = (
            Collection::Funnels.parse(&request.funnel, "funnel"),
            self.0.pager.read::<Cursor>("ListFunnelSubjects", &request),
        )
            .together()?;
        let subject = self.subject_for(scope, &funnel, request.revision, request.unit).await?;
        let mut question = read_question(&request, Context { funnel, subject, default_zone: "UTC" })?;
        question.limit = page.size;
        if let Some(cursor) = &page.after {
            question.base.as_of = Some(cursor.as_of);
            question.after = Some(SubjectCursor { name: cursor.name.clone(), part: cursor.part });
        }
        let answer = self.0.engine.funnel_subjects(scope, question).await?;
        let collection = collection_of(answer.unit, answer.subject);
        let as_of = answer.as_of;
        let next = answer.next.map(|next| Cursor { as_of, name: next.name, part: next.part });
        Ok(v1::ListFunnelSubjectsResponse {
            subjects: answer.subjects.iter().map(|line| to_subject(line, collection)).collect(),
            next_page_token: page.next(next.as_ref()),
            as_of_time: Some(time::to_instant(as_of)),
            complete: answer.complete,
        })
    }

    async fn recovery(
        &self,
        request: v1::QueryRecoveryRequest,
    ) -> Result<v1::QueryRecoveryResponse, ApiError> {
        let mut v = Violations::new();
        let named = Collection::Sequences.parse(&request.sequence, "sequence");
        let id = named.as_ref().map(|(_, id)| id.clone()).unwrap_or_default();
        let question = recovery::question(&request, id, &mut v);
        let ((scope, _), ()) = (named, v.into_result(()).map_err(ApiError::fields)).together()?;
        let answer = self.0.engine.query_recovery(scope, question.clone()).await?;
        Ok(recovery::to_answer(&question, &answer))
    }

    async fn target_experiment(
        &self,
        request: v1::QueryTargetExperimentRequest,
    ) -> Result<v1::QueryTargetExperimentResponse, ApiError> {
        let mut v = Violations::new();
        let named = Collection::Funnels.parse(&request.funnel, "funnel");
        let id = named.as_ref().map(|(_, id)| id.clone()).unwrap_or_default();
        let question = targets::question(&request, id, &mut v);
        let ((scope, _), ()) = (named, v.into_result(()).map_err(ApiError::fields)).together()?;
        let answer = self.0.engine.query_target_experiment(scope, question).await?;
        Ok(targets::to_answer(&answer))
    }

    /// Whose events the funnel follows, where the unit can only be read with it.
    async fn subject_for(
        &self,
        scope: Scope,
        funnel: &str,
        revision: i32,
        unit: i32,
    ) -> Result<Option<SubjectKind>, ApiError> {
        if !needs_subject(unit) {
            return Ok(None);
        }
        let view = self.0.engine.funnel(scope, funnel, (revision > 0).then_some(revision)).await?;
        Ok(Some(view.revision.body.subject))
    }
}

#[tonic::async_trait]
impl MetricsService for Metrics {
    async fn query_funnel(
        &self,
        request: Request<v1::QueryFunnelRequest>,
    ) -> Result<Response<v1::QueryFunnelResponse>, Status> {
        answer(request, |request| self.query(request)).await
    }

    async fn list_funnel_subjects(
        &self,
        request: Request<v1::ListFunnelSubjectsRequest>,
    ) -> Result<Response<v1::ListFunnelSubjectsResponse>, Status> {
        answer(request, |request| self.subjects(request)).await
    }

    async fn query_recovery(
        &self,
        request: Request<v1::QueryRecoveryRequest>,
    ) -> Result<Response<v1::QueryRecoveryResponse>, Status> {
        answer(request, |request| self.recovery(request)).await
    }

    async fn query_target_experiment(
        &self,
        request: Request<v1::QueryTargetExperimentRequest>,
    ) -> Result<Response<v1::QueryTargetExperimentResponse>, Status> {
        answer(request, |request| self.target_experiment(request)).await
    }
}

/// Reads the question for subjects, for its first page.
fn read_question(
    request: &v1::ListFunnelSubjectsRequest,
    context: Context<'_>,
) -> Result<SubjectsQuestion, ApiError> {
    let mut v = Violations::new();
    let base = base(request, context, &mut v);
    let figure = choice::figure(request.figure, "figure", &mut v);
    let stage = stage(request, figure, &mut v);
    let group = request.breakdown.as_ref().map(|message| group(message, &mut v));
    let bucket = request.bucket.as_ref().map(|message| time::period(message, "bucket", &mut v));
    let figure = v.into_result(figure).map_err(ApiError::fields)?;
    // An absent figure is a violation, so that there is one here.
    let figure = figure.ok_or_else(|| ApiError::field("figure", "is required"))?;
    Ok(SubjectsQuestion { base, stage, figure, group, bucket, after: None, limit: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(request: &v1::ListFunnelSubjectsRequest) -> Vec<String> {
        let context = Context { funnel: "support".into(), subject: None, default_zone: "UTC" };
        match read_question(request, context) {
            Ok(_) => Vec::new(),
            Err(ApiError::Invalid { violations, .. }) => violations.into_iter().map(|it| it.field).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_question_for_subjects_needs_a_figure_and_its_stage() {
        let mut request = v1::ListFunnelSubjectsRequest::default();
        assert_eq!(fields(&request), ["figure", "stage"]);
        request.set_figure(v1::FunnelFigure::Stalled);
        request.stage = "waiting".into();
        assert_eq!(fields(&request), Vec::<String>::new());
    }
}
