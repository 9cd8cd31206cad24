//! The receiving side of a stream: batches, checked and gathered.

use std::time::Duration;

use futures_util::FutureExt;
use prost::Message;
use rekindle_proto::v1::{Event, StreamEventsRequest};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{MOST_EVENTS, check_size};
use crate::admission::Admission;
use crate::layers::foreign;
use crate::limits::STREAM_MESSAGE_LIMIT;
use crate::services::Desk;
use crate::status::ApiError;

/// Most bytes of batches that are stored together.
const MOST_BYTES: usize = 4 * STREAM_MESSAGE_LIMIT;

/// Batches that are stored together.
#[derive(Debug, PartialEq)]
pub struct Group {
    /// Parent of the first of them.
    pub parent: String,
    /// Sequence of the last of them.
    pub sequence: i64,
    /// Their events.
    pub events: Vec<Event>,
    /// For each event, the sequence of its batch and its place in it.
    pub places: Vec<(i64, usize)>,
    /// Their size on the wire.
    bytes: usize,
}

/// A stream of batches.
pub struct Inbox {
    stream: Streaming<StreamEventsRequest>,
    /// Sequence of the newest batch received.
    previous: i64,
    /// What was received and does not fit the group before it.
    held: Option<Received>,
    idle: Duration,
    admission: Admission,
    stopping: CancellationToken,
}

/// A batch; nothing when the client has sent its last; or why the stream ends.
type Received = Result<Option<StreamEventsRequest>, ApiError>;

impl Inbox {
    /// The batches of a stream, until the server stops.
    pub fn new(stream: Streaming<StreamEventsRequest>, desk: &Desk) -> Self {
        Self {
            stream,
            previous: 0,
            held: None,
            idle: desk.limits.stream_idle,
            admission: desk.admission.clone(),
            stopping: desk.stopping.clone(),
        }
    }

    /// Waits for the next batch, and takes along those that have arrived behind it, up to a
    /// thousand events or a megabyte; `None` when the client has sent its last.
    pub async fn next(&mut self) -> Result<Option<Group>, ApiError> {
        let first = match self.held.take() {
            Some(held) => held?,
            None => self.wait().await?,
        };
        let Some(first) = first else {
            return Ok(None);
        };
        let mut group = Group::of(first);
        while let Some(received) = self.arrived() {
            match received {
                Ok(Some(batch)) if group.has_room_for(&batch) => group.add(batch),
                other => {
                    self.held = Some(other);
                    break;
                }
            }
        }
        Ok(Some(group))
    }

    async fn wait(&mut self) -> Received {
        let message = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return Err(ApiError::Stopping),
            message = tokio::time::timeout(self.idle, self.stream.message()) => message,
        };
        let message = message.map_err(|_| ApiError::StreamIdle { committed: self.previous })?;
        self.check(message)
    }

    /// What has arrived already, if anything has.
    fn arrived(&mut self) -> Option<Received> {
        let message = self.stream.message().now_or_never()?;
        Some(self.check(message))
    }

    fn check(&mut self, message: Result<Option<StreamEventsRequest>, Status>) -> Received {
        let message = message.map_err(|status| {
            foreign::refusal(&status, STREAM_MESSAGE_LIMIT).unwrap_or(ApiError::Malformed)
        })?;
        let Some(batch) = message else {
            return Ok(None);
        };
        check_batch(&batch, self.previous)?;
        self.admission.admit(batch.events.len())?;
        self.previous = batch.sequence;
        Ok(Some(batch))
    }
}

fn check_batch(batch: &StreamEventsRequest, previous: i64) -> Result<(), ApiError> {
    if batch.sequence <= previous {
        return Err(ApiError::StreamSequence { sequence: batch.sequence, previous });
    }
    check_size(batch.events.len())
}

impl Group {
    fn of(batch: StreamEventsRequest) -> Self {
        let parent = batch.parent.clone();
        let mut group = Self { parent, sequence: 0, events: Vec::new(), places: Vec::new(), bytes: 0 };
        group.add(batch);
        group
    }

    fn has_room_for(&self, batch: &StreamEventsRequest) -> bool {
        self.events.len() + batch.events.len() <= MOST_EVENTS
            && self.bytes + batch.encoded_len() <= MOST_BYTES
    }

    fn add(&mut self, batch: StreamEventsRequest) {
        self.sequence = batch.sequence;
        self.bytes += batch.encoded_len();
        self.places.extend((0..batch.events.len()).map(|place| (batch.sequence, place)));
        self.events.extend(batch.events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: i64, events: usize) -> StreamEventsRequest {
        StreamEventsRequest { parent: String::new(), sequence, events: vec![Event::default(); events] }
    }

    #[test]
    fn a_group_knows_the_batch_and_the_place_of_every_event() {
        let mut group = Group::of(batch(3, 2));
        group.add(batch(7, 1));
        assert_eq!(group.places, [(3, 0), (3, 1), (7, 0)]);
        assert_eq!(group.sequence, 7);
        assert!(group.has_room_for(&batch(8, 997)) && !group.has_room_for(&batch(8, 998)));
    }

    #[test]
    fn batches_are_stored_together_up_to_a_size() {
        let mut large = batch(1, 1);
        large.events[0].text = "x".repeat(MOST_BYTES / 2);
        let group = Group::of(large.clone());
        assert!(group.has_room_for(&batch(2, 1)) && !group.has_room_for(&large));
    }

    #[test]
    fn a_batch_must_come_after_the_one_before_and_hold_events() {
        assert!(check_batch(&batch(1, 1), 0).is_ok());
        for sequence in [0, 4, 5] {
            let refused = check_batch(&batch(sequence, 1), 5);
            assert!(matches!(refused, Err(ApiError::StreamSequence { previous: 5, .. })), "{sequence}");
        }
        assert!(matches!(check_batch(&batch(6, 0), 5), Err(ApiError::Invalid { .. })));
    }
}
