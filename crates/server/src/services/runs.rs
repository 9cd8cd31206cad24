//! Runs of sequences, and what happened in them.

use futures_util::FutureExt;
use rekindle_core::scope::Scope;
use rekindle_core::violation::Violations;
use rekindle_engine::Creation;
use rekindle_engine::runs::{LedgerQuery, RunChange, RunView, Subject, Whom};
use rekindle_ports::ledger::EndReason;
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::run::State;
use rekindle_proto::v1::run_service_server::RunService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::ledger::{Newest, gather};
use super::{Desk, answer, read_request_id};
use crate::convert::choice;
use crate::convert::run::{state_of, states, to_run, to_run_event, to_statement};
use crate::name::{Collection, parse_workspace};
use crate::page::paged;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListRunsRequest, ListRunEventsRequest);

/// `rekindle.v1.RunService`.
#[derive(Clone)]
pub struct Runs(pub Desk);

impl Runs {
    async fn get(&self, request: v1::GetRunRequest) -> Result<v1::GetRunResponse, ApiError> {
        let (scope, id) = parse_run(&request.name, "name")?;
        let view = self.0.engine.run(scope, id).await?;
        Ok(v1::GetRunResponse { run: Some(to_run(&view)) })
    }

    async fn list(&self, request: v1::ListRunsRequest) -> Result<v1::ListRunsResponse, ApiError> {
        let (scope, page, (query, state)) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<Newest>("ListRuns", &request),
            read_query(&request),
        )
            .together()?;
        let engine = self.0.engine.clone();
        let fetch = |before, limit| {
            let (engine, query) = (engine.clone(), LedgerQuery { before, ..query.clone() });
            async move { Ok(engine.runs(scope, query, limit).await?) }.boxed()
        };
        let passes = |view: &RunView| state == State::Unspecified || state_of(&view.run) == state;
        let mut views = gather(page.size + 1, page.after.clone(), fetch, place, passes).await?;
        let next_page_token = page.cut(&mut views, place);
        Ok(v1::ListRunsResponse { runs: views.iter().map(to_run).collect(), next_page_token })
    }

    async fn cancel(&self, request: v1::CancelRunRequest) -> Result<v1::CancelRunResponse, ApiError> {
        let (scope, id) = parse_run(&request.name, "name")?;
        let view = self.0.engine.cancel_run(scope, id).await?;
        Ok(v1::CancelRunResponse { run: Some(to_run(&view)) })
    }

    async fn start(&self, request: v1::StartRunRequest) -> Result<v1::StartRunResponse, ApiError> {
        let ((scope, sequence), whom, request_id) = (
            Collection::Sequences.parse(&request.sequence, "sequence"),
            whom(request.subject.as_ref()),
            read_request_id(&request.request_id),
        )
            .together()?;
        let how = Creation { request_id, ..Creation::default() };
        let view = self.0.engine.start_run(scope, &sequence, whom, how).await?;
        Ok(v1::StartRunResponse { run: Some(to_run(&view)) })
    }

    async fn pause(&self, request: v1::PauseRunRequest) -> Result<v1::PauseRunResponse, ApiError> {
        let (scope, id) = parse_run(&request.name, "name")?;
        let view = self.0.engine.change_run(scope, id, RunChange::Pause).await?;
        Ok(v1::PauseRunResponse { run: Some(to_run(&view)) })
    }

    async fn resume(&self, request: v1::ResumeRunRequest) -> Result<v1::ResumeRunResponse, ApiError> {
        let (scope, id) = parse_run(&request.name, "name")?;
        let view = self.0.engine.change_run(scope, id, RunChange::Resume).await?;
        Ok(v1::ResumeRunResponse { run: Some(to_run(&view)) })
    }

    async fn change(&self, request: v1::ChangeRunsRequest) -> Result<v1::ChangeRunsResponse, ApiError> {
        let (scope, (query, change)) =
            (parse_workspace(&request.parent, "parent"), read_change(&request)).together()?;
        let changed = self.0.engine.change_runs(scope, query, change).await?;
        // Far from the end of the type.
        Ok(v1::ChangeRunsResponse { changed_count: changed as i64 })
    }

    async fn events(&self, request: v1::ListRunEventsRequest) -> Result<v1::ListRunEventsResponse, ApiError> {
        let ((scope, id), page) =
            (parse_run(&request.parent, "parent"), self.0.pager.read::<i64>("ListRunEvents", &request))
                .together()?;
        let lines = self.0.engine.run_events(scope, id).await?;
        let mut events: Vec<v1::RunEvent> =
            (1..).zip(&lines).map(|(index, line)| to_run_event(line, index)).collect();
        events.retain(|event| page.after.is_none_or(|after| event.index > after));
        let next_page_token = page.cut(&mut events, |last| last.index);
        Ok(v1::ListRunEventsResponse { events, next_page_token })
    }
}

impl Runs {
    async fn story(&self, request: v1::ExplainRequest) -> Result<v1::ExplainResponse, ApiError> {
        let (scope, subject) = parse_subject(&request.name)?;
        let statements = self.0.engine.explain(scope, subject).await?;
        Ok(v1::ExplainResponse { statements: statements.iter().map(to_statement).collect() })
    }
}

#[tonic::async_trait]
impl RunService for Runs {
    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::GetRunResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        answer(request, |request| self.cancel(request)).await
    }

    async fn start_run(
        &self,
        request: Request<v1::StartRunRequest>,
    ) -> Result<Response<v1::StartRunResponse>, Status> {
        answer(request, |request| self.start(request)).await
    }

    async fn pause_run(
        &self,
        request: Request<v1::PauseRunRequest>,
    ) -> Result<Response<v1::PauseRunResponse>, Status> {
        answer(request, |request| self.pause(request)).await
    }

    async fn resume_run(
        &self,
        request: Request<v1::ResumeRunRequest>,
    ) -> Result<Response<v1::ResumeRunResponse>, Status> {
        answer(request, |request| self.resume(request)).await
    }

    async fn change_runs(
        &self,
        request: Request<v1::ChangeRunsRequest>,
    ) -> Result<Response<v1::ChangeRunsResponse>, Status> {
        answer(request, |request| self.change(request)).await
    }

    async fn list_run_events(
        &self,
        request: Request<v1::ListRunEventsRequest>,
    ) -> Result<Response<v1::ListRunEventsResponse>, Status> {
        answer(request, |request| self.events(request)).await
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        answer(request, |request| self.story(request)).await
    }
}

/// Reads the name of what is to be explained.
fn parse_subject(name: &str) -> Result<(Scope, Subject), ApiError> {
    let of_word = |collection: Collection| name.split('/').nth(2) == Some(collection.word());
    if of_word(Collection::Runs) {
        return parse_run(name, "name").map(|(scope, id)| (scope, Subject::Run(id)));
    }
    if of_word(Collection::Deliveries) {
        return Collection::Deliveries.parse(name, "name").map(|(scope, id)| (scope, Subject::Delivery(id)));
    }
    if of_word(Collection::Conversations) {
        let (scope, id) = Collection::Conversations.parse(name, "name")?;
        return Ok((scope, Subject::Conversation(id)));
    }
    Err(ApiError::field("name", "takes the name of a conversation, a run or a delivery"))
}

/// Reads a run's name. What is no id of ours names no run.
pub(super) fn parse_run(name: &str, field: &str) -> Result<(Scope, Uuid), ApiError> {
    let (scope, id) = Collection::Runs.parse(name, field)?;
    let missing = || ApiError::NotFound { reason: ErrorReason::RunNotFound, name: name.to_owned() };
    Ok((scope, id.parse().map_err(|_| missing())?))
}

/// Reads an optional run's name in a filter.
pub(super) fn parse_optional_run(name: &str, field: &str) -> Result<Option<Uuid>, ApiError> {
    if name.is_empty() { Ok(None) } else { parse_run(name, field).map(|(_, id)| Some(id)) }
}

/// Reads whom a run is to be about.
fn whom(subject: Option<&v1::start_run_request::Subject>) -> Result<Whom, ApiError> {
    use v1::start_run_request::Subject;
    match subject {
        Some(Subject::Conversation(name)) => {
            Collection::Conversations.parse(name, "conversation").map(|(_, id)| Whom::Conversation(id))
        }
        Some(Subject::Customer(name)) => {
            Collection::Customers.parse(name, "customer").map(|(_, id)| Whom::Customer(id))
        }
        None => Err(ApiError::field("conversation", "a conversation or a customer is required")),
    }
}

/// Reads which runs to change, and how.
fn read_change(request: &v1::ChangeRunsRequest) -> Result<(LedgerQuery, RunChange), ApiError> {
    use v1::change_runs_request::Change;
    let mut v = Violations::new();
    let change = match choice::known(request.change, "change", &mut v) {
        Change::Unspecified if v.is_empty() => {
            v.add("change", "is required");
            RunChange::Pause
        }
        Change::Unspecified | Change::Pause => RunChange::Pause,
        Change::Cancel => RunChange::End(EndReason::Cancelled),
        Change::Resume => RunChange::Resume,
    };
    let names = [&request.sequence, &request.conversation, &request.customer];
    if names.iter().all(|name| name.is_empty()) {
        v.add("sequence", "a sequence, a conversation or a customer is required");
    }
    let (sequence, conversation, customer, ()) = (
        Collection::Sequences.parse_optional(&request.sequence, "sequence"),
        Collection::Conversations.parse_optional(&request.conversation, "conversation"),
        Collection::Customers.parse_optional(&request.customer, "customer"),
        v.into_result(()).map_err(ApiError::fields),
    )
        .together()?;
    Ok((LedgerQuery { sequence, conversation, customer, ..LedgerQuery::default() }, change))
}

/// Reads which runs to list. A state of the API can be one part of a state of the ledger.
fn read_query(request: &v1::ListRunsRequest) -> Result<(LedgerQuery, State), ApiError> {
    let mut v = Violations::new();
    let state = choice::known(request.state, "state", &mut v);
    let (sequence, conversation, customer, ()) = (
        Collection::Sequences.parse_optional(&request.sequence, "sequence"),
        Collection::Conversations.parse_optional(&request.conversation, "conversation"),
        Collection::Customers.parse_optional(&request.customer, "customer"),
        v.into_result(()).map_err(ApiError::fields),
    )
        .together()?;
    let query =
        LedgerQuery { sequence, conversation, customer, run_states: states(state), ..LedgerQuery::default() };
    Ok((query, state))
}

/// Where the list goes on after a run.
fn place(view: &RunView) -> Newest {
    (view.run.created_at, view.run.id.to_string())
}
