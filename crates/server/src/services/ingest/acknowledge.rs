//! The answering side of a stream: every batch is stored, then acknowledged.
//!
//! The stream is driven by the connection and can be dropped at any point. What it awaits is
//! done by the engine in tasks of its own: a client that goes away loses the acknowledgement
//! and never the events.

use std::panic::AssertUnwindSafe;

use futures_util::{Stream, StreamExt, stream};
use rekindle_core::scope::Scope;
use rekindle_proto::v1::{StreamEventsRequest, StreamEventsResponse};
use tonic::{Status, Streaming};

use super::inbox::{Group, Inbox};
use super::store;
use crate::convert::event::to_rejection;
use crate::layers::call_id::CallId;
use crate::layers::faults::panicked;
use crate::name::parse_workspace;
use crate::services::Desk;
use crate::status::ApiError;

/// The acknowledgements of a stream; a refusal is its last item.
pub fn answers(
    desk: Desk,
    messages: Streaming<StreamEventsRequest>,
    id: CallId,
) -> impl Stream<Item = Result<StreamEventsResponse, Status>> + Send {
    let faults = desk.faults.clone();
    let inbox = Inbox::new(messages, &desk);
    let session = Session { desk, inbox, scope: None };
    let answers = stream::unfold(Some(session), |session| async move {
        let mut session = session?;
        match session.next().await {
            Ok(Some(answer)) => Some((Ok(answer), Some(session))),
            Ok(None) => None,
            Err(refusal) => Some((Err(refusal), None)),
        }
    });
    AssertUnwindSafe(answers).catch_unwind().map(move |answer| {
        let answer = answer.unwrap_or_else(|panic| Err(panicked(panic)));
        answer.map_err(|refusal| {
            let status = refusal.into_status(id.as_str());
            faults.note(&status);
            status
        })
    })
}

struct Session {
    desk: Desk,
    inbox: Inbox,
    /// The workspace that the first message named.
    scope: Option<Scope>,
}

impl Session {
    async fn next(&mut self) -> Result<Option<StreamEventsResponse>, ApiError> {
        let Some(group) = self.inbox.next().await? else {
            return Ok(None);
        };
        let scope = match self.scope {
            Some(scope) => scope,
            None => *self.scope.insert(parse_workspace(&group.parent, "parent")?),
        };
        let within = self.desk.limits.stream_acknowledged;
        let answer = tokio::time::timeout(within, self.commit(scope, group)).await;
        answer.map_err(|_| ApiError::DeadlineExceeded)?.map(Some)
    }

    async fn commit(&self, scope: Scope, group: Group) -> Result<StreamEventsResponse, ApiError> {
        let report = store(&self.desk.engine, scope, group.events).await?;
        let rejections = report.rejections.into_iter().map(|mut rejection| {
            let (sequence, place) = group.places[rejection.index];
            rejection.index = place;
            to_rejection(rejection, sequence)
        });
        Ok(StreamEventsResponse {
            committed_sequence: group.sequence,
            rejections: rejections.collect(),
            accepted_count: report.accepted as i64,
            duplicate_count: report.duplicates as i64,
            refold_pending_count: report.refold_pending as i64,
        })
    }
}
