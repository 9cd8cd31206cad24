//! Failures that are done again.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::violation::Violations;
use rekindle_engine::Creation;
use rekindle_ports::store::replays::{Covers, Failures};
use rekindle_proto::v1;
use rekindle_proto::v1::ErrorReason;
use rekindle_proto::v1::replay::What;
use rekindle_proto::v1::replay_service_server::ReplayService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::runs::parse_run;
use super::{Desk, answer, read_request_id};
use crate::convert::replay::to_replay;
use crate::convert::time;
use crate::name::{Collection, parse_workspace};
use crate::page::paged;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListReplaysRequest);

/// Where a request says when failures ended.
const PERIOD: &str = "replay.failures.period";

/// `rekindle.v1.ReplayService`.
#[derive(Clone)]
pub struct Replays(pub Desk);

impl Replays {
    async fn create(&self, request: v1::CreateReplayRequest) -> Result<v1::CreateReplayResponse, ApiError> {
        let (scope, covers, request_id) = (
            parse_workspace(&request.parent, "parent"),
            covers(request.replay.as_ref()),
            read_request_id(&request.request_id),
        )
            .together()?;
        let validate_only = request.validate_only;
        let how = Creation { request_id, validate_only };
        let row = self.0.engine.create_replay(scope, covers, how).await?;
        let mut replay = to_replay(&row);
        if validate_only {
            replay.name.clear();
        }
        Ok(v1::CreateReplayResponse { replay: Some(replay) })
    }

    async fn get(&self, request: v1::GetReplayRequest) -> Result<v1::GetReplayResponse, ApiError> {
        let (scope, id) = parse_replay(&request.name, "name")?;
        let row = self.0.engine.replay(scope, id).await?;
        Ok(v1::GetReplayResponse { replay: Some(to_replay(&row)) })
    }

    async fn list(&self, request: v1::ListReplaysRequest) -> Result<v1::ListReplaysResponse, ApiError> {
        let (scope, page) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<(Timestamp, Uuid)>("ListReplays", &request),
        )
            .together()?;
        let mut rows = self.0.engine.replays(scope, page.after, page.size + 1).await?;
        let next_page_token = page.cut(&mut rows, |last| (last.created_at, last.id));
        Ok(v1::ListReplaysResponse { replays: rows.iter().map(to_replay).collect(), next_page_token })
    }

    async fn cancel(&self, request: v1::CancelReplayRequest) -> Result<v1::CancelReplayResponse, ApiError> {
        let (scope, id) = parse_replay(&request.name, "name")?;
        let row = self.0.engine.cancel_replay(scope, id).await?;
        Ok(v1::CancelReplayResponse { replay: Some(to_replay(&row)) })
    }
}

#[tonic::async_trait]
impl ReplayService for Replays {
    async fn create_replay(
        &self,
        request: Request<v1::CreateReplayRequest>,
    ) -> Result<Response<v1::CreateReplayResponse>, Status> {
        answer(request, |request| self.create(request)).await
    }

    async fn get_replay(
        &self,
        request: Request<v1::GetReplayRequest>,
    ) -> Result<Response<v1::GetReplayResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_replays(
        &self,
        request: Request<v1::ListReplaysRequest>,
    ) -> Result<Response<v1::ListReplaysResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn cancel_replay(
        &self,
        request: Request<v1::CancelReplayRequest>,
    ) -> Result<Response<v1::CancelReplayResponse>, Status> {
        answer(request, |request| self.cancel(request)).await
    }
}

/// Reads a replay's name. What is no id of ours names no replay.
fn parse_replay(name: &str, field: &str) -> Result<(Scope, Uuid), ApiError> {
    let (scope, id) = Collection::Replays.parse(name, field)?;
    let missing = || ApiError::NotFound { reason: ErrorReason::ReplayNotFound, name: name.to_owned() };
    Ok((scope, id.parse().map_err(|_| missing())?))
}

/// Reads what a replay is to be about; fields are named as the request has them.
fn covers(replay: Option<&v1::Replay>) -> Result<Covers, ApiError> {
    let replay = replay.ok_or_else(|| ApiError::field("replay", "is required"))?;
    match &replay.what {
        Some(What::Delivery(name)) => {
            Collection::Deliveries.parse(name, "replay.delivery").map(|(_, id)| Covers::Delivery(id))
        }
        Some(What::Run(name)) => parse_run(name, "replay.run").map(|(_, id)| Covers::Run(id)),
        Some(What::Failures(of)) => failures(of).map(Covers::Failures),
        None => Err(ApiError::field("replay.delivery", "a delivery, a run or failures are required")),
    }
}

fn failures(of: &v1::ReplayPeriod) -> Result<Failures, ApiError> {
    let mut v = Violations::new();
    let period = of.period.as_ref().map(|period| time::period(period, PERIOD, &mut v)).unwrap_or_default();
    let begins = of.period.as_ref().is_some_and(|period| period.start_time.is_some());
    v.require(begins, &format!("{PERIOD}.startTime"), "is required");
    let (period, sequence, destination) = (
        v.into_result(period).map_err(ApiError::fields),
        Collection::Sequences.parse_optional(&of.sequence, "replay.failures.sequence"),
        Collection::Destinations.parse_optional(&of.destination, "replay.failures.destination"),
    )
        .together()?;
    Ok(Failures { from: period.from, until: period.until, sequence, destination })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::replay::to_what;

    fn asking(what: Option<What>) -> Result<Covers, ApiError> {
        covers(Some(&v1::Replay { what, ..v1::Replay::default() }))
    }

    fn wrong(what: Option<What>) -> Vec<String> {
        let Err(ApiError::Invalid { violations, .. }) = asking(what) else {
            panic!("nothing was refused");
        };
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn what_a_replay_is_about_survives_its_message() {
        let of_period = Failures {
            from: Some(Timestamp::EARLIEST),
            until: Some(Timestamp::EARLIEST.plus(1)),
            sequence: Some("nudge".into()),
            destination: Some("relay".into()),
        };
        let delivery = Covers::Delivery("a-b-1".into());
        for covers in [delivery, Covers::Run(Uuid::from_u128(7)), Covers::Failures(of_period)] {
            assert_eq!(asking(Some(to_what(&covers))).expect("our own message"), covers);
        }
    }

    #[test]
    fn wrong_fields_are_named_by_their_paths() {
        assert_eq!(wrong(None), ["replay.delivery"]);
        assert_eq!(wrong(Some(What::Run("x".into()))), ["replay.run"]);
        let of = v1::ReplayPeriod { sequence: "x".into(), destination: "y".into(), period: None };
        let fields =
            ["replay.failures.period.startTime", "replay.failures.sequence", "replay.failures.destination"];
        assert_eq!(wrong(Some(What::Failures(of))), fields);
    }
}
