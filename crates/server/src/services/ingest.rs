//! Takes events in: one batch in a call, or batches over a stream.

use std::pin::Pin;

use futures_util::Stream;
use rekindle_core::ingest::{IngestReport, NewEvent, Rejection, RejectionReason};
use rekindle_core::scope::Scope;
use rekindle_engine::Engine;
use rekindle_proto::v1;
use rekindle_proto::v1::ingest_service_server::IngestService;
use tonic::{Request, Response, Status, Streaming};

use super::{Desk, answer};
use crate::convert::event::{event, to_rejection};
use crate::layers::call_id::CallId;
use crate::name::parse_workspace;
use crate::status::ApiError;
use crate::together::Together;

mod acknowledge;
mod inbox;
mod sizes;

pub use sizes::Sizes;

/// Most events of one batch.
const MOST_EVENTS: usize = 1_000;

/// `rekindle.v1.IngestService`.
#[derive(Clone)]
pub struct Ingest(pub Desk);

impl Ingest {
    async fn ingest(&self, request: v1::IngestEventsRequest) -> Result<v1::IngestEventsResponse, ApiError> {
        let (scope, ()) =
            (parse_workspace(&request.parent, "parent"), check_size(request.events.len())).together()?;
        self.0.admission.admit(request.events.len())?;
        let report = store(&self.0.engine, scope, request.events).await?;
        Ok(v1::IngestEventsResponse {
            accepted_count: report.accepted as i64,
            duplicate_count: report.duplicates as i64,
            rejections: report.rejections.into_iter().map(|it| to_rejection(it, 0)).collect(),
            refold_pending_count: report.refold_pending as i64,
        })
    }
}

#[tonic::async_trait]
impl IngestService for Ingest {
    async fn ingest_events(
        &self,
        request: Request<v1::IngestEventsRequest>,
    ) -> Result<Response<v1::IngestEventsResponse>, Status> {
        answer(request, |request| self.ingest(request)).await
    }

    type StreamEventsStream = Pin<Box<dyn Stream<Item = Result<v1::StreamEventsResponse, Status>> + Send>>;

    /// Answers at once: what is wrong with the first message ends the stream, not the call.
    async fn stream_events(
        &self,
        request: Request<Streaming<v1::StreamEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let id = CallId::of(request.extensions());
        let answers = acknowledge::answers(self.0.clone(), request.into_inner(), id);
        Ok(Response::new(Box::pin(answers)))
    }
}

fn check_size(events: usize) -> Result<(), ApiError> {
    if (1..=MOST_EVENTS).contains(&events) {
        return Ok(());
    }
    Err(ApiError::field("events", format!("has {events} events; takes 1 to {MOST_EVENTS}")))
}

/// Stores the events that can be read and reports on all of them, by their place in the batch.
async fn store(engine: &Engine, scope: Scope, messages: Vec<v1::Event>) -> Result<IngestReport, ApiError> {
    let Reading { events, places, rejections } = read(messages);
    let mut report = engine.ingest(scope, events).await?;
    for rejection in &mut report.rejections {
        // The engine counts the events it was given.
        rejection.index = places[rejection.index];
    }
    report.rejections.extend(rejections);
    report.rejections.sort_by_key(|rejection| rejection.index);
    Ok(report)
}

/// A batch after conversion.
struct Reading {
    /// Events that could be read.
    events: Vec<NewEvent>,
    /// The place in the batch of each of them.
    places: Vec<usize>,
    /// Events that could not.
    rejections: Vec<Rejection>,
}

fn read(messages: Vec<v1::Event>) -> Reading {
    let mut reading =
        Reading { events: Vec::with_capacity(messages.len()), places: Vec::new(), rejections: Vec::new() };
    for (index, message) in messages.into_iter().enumerate() {
        let id = message.id.clone();
        match event(message) {
            Ok(event) => {
                reading.events.push(event);
                reading.places.push(index);
            }
            Err(violations) => {
                reading.rejections.push(Rejection {
                    index,
                    id,
                    reason: RejectionReason::Invalid,
                    violations,
                });
            }
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use rekindle_core::Timestamp;

    use super::*;
    use crate::convert::time::to_instant;

    #[test]
    fn events_that_cannot_be_read_are_rejected_by_their_place_and_the_others_stay() {
        let fine = v1::Event {
            id: "e".into(),
            occur_time: Some(to_instant(Timestamp::EARLIEST)),
            ..Default::default()
        };
        let wrong = v1::Event { id: "w".into(), occur_time: None, ..Default::default() };
        let reading = read(vec![wrong.clone(), fine.clone(), wrong, fine]);
        assert_eq!(reading.places, [1, 3]);
        let rejected: Vec<_> = reading.rejections.iter().map(|it| (it.index, it.id.as_str())).collect();
        assert_eq!(rejected, [(0, "w"), (2, "w")]);
    }

    #[test]
    fn a_batch_has_one_to_a_thousand_events() {
        assert!(check_size(0).is_err() && check_size(1_001).is_err());
        assert!(check_size(1).is_ok() && check_size(1_000).is_ok());
    }
}
