//! Batches that were sent and are not yet known to be stored.

use std::collections::VecDeque;

use rekindle_proto::v1;

use super::batch::{Batch, Rejected, Violation};

/// How far the import is, as the server has said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events stored by this import.
    pub accepted: u64,
    /// Events that were stored already.
    pub duplicates: u64,
    /// Rows that were not taken, by us or by the server.
    pub rejected: u64,
    /// Subjects whose figures will follow in the background.
    pub refold_pending: u64,
    /// How often the connection was lost and opened again.
    pub reconnects: u64,
}

/// Batches in flight, oldest first, and the names of the files they come from.
#[derive(Debug)]
pub struct Window {
    files: Vec<String>,
    in_flight: VecDeque<(i64, Batch)>,
    last: i64,
}

impl Window {
    /// Nothing in flight yet.
    pub fn new(files: Vec<String>) -> Self {
        Self { files, in_flight: VecDeque::new(), last: 0 }
    }

    /// How many batches are in flight.
    pub fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Takes a batch in, and gives the request that sends it.
    pub fn push(&mut self, parent: &str, batch: Batch) -> v1::StreamEventsRequest {
        self.last += 1;
        let request = request(parent, self.last, &batch);
        self.in_flight.push_back((self.last, batch));
        request
    }

    /// The requests to send again on a new stream: all that was not acknowledged.
    pub fn again(&self, parent: &str) -> Vec<v1::StreamEventsRequest> {
        self.in_flight.iter().map(|(sequence, batch)| request(parent, *sequence, batch)).collect()
    }

    /// Takes an acknowledgement in: lets go of what is durable and counts. Returns the events
    /// that the server did not take.
    pub fn acknowledge(&mut self, answer: v1::StreamEventsResponse, tally: &mut Tally) -> Vec<Rejected> {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        tally.accepted += count(answer.accepted_count);
        tally.duplicates += count(answer.duplicate_count);
        tally.refold_pending += count(answer.refold_pending_count);
        let rejected: Vec<Rejected> =
            answer.rejections.into_iter().map(|rejection| self.rejected(rejection)).collect();
        tally.rejected += rejected.len() as u64;
        while self.in_flight.front().is_some_and(|(sequence, _)| *sequence <= answer.committed_sequence) {
            self.in_flight.pop_front();
        }
        rejected
    }

    /// The row behind a rejection.
    fn rejected(&mut self, rejection: v1::EventRejection) -> Rejected {
        let origin =
            self.in_flight.iter_mut().find(|(sequence, _)| *sequence == rejection.batch_sequence).and_then(
                |(_, batch)| {
                    let at = usize::try_from(rejection.index).ok()?;
                    batch.origins.get_mut(at)
                },
            );
        let (file, line, fields) = origin.map_or((None, 0, None), |origin| {
            (self.files.get(origin.file), origin.line, origin.fields.clone())
        });
        let reason = rejection.reason().as_str_name();
        let word = reason.strip_prefix("ERROR_REASON_").unwrap_or(reason);
        Rejected {
            file: file.cloned().unwrap_or_default(),
            line,
            reason: format!("{} ({word})", rejection.message),
            violations: rejection
                .field_violations
                .into_iter()
                .map(|violation| Violation { field: violation.field, description: violation.description })
                .collect(),
            fields,
        }
    }
}

fn request(parent: &str, sequence: i64, batch: &Batch) -> v1::StreamEventsRequest {
    v1::StreamEventsRequest { parent: parent.to_owned(), sequence, events: batch.events.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::batch::Origin;

    fn batch(lines: &[u64]) -> Batch {
        let mut batch = Batch::default();
        for &line in lines {
            let event = v1::Event { id: line.to_string(), ..Default::default() };
            let origin = Origin { file: 0, line, fields: None };
            batch.add(event, origin);
        }
        batch
    }

    fn window() -> Window {
        let mut window = Window::new(vec!["a.csv".to_owned()]);
        for lines in [[1, 2], [3, 4], [5, 6]] {
            window.push("workspaces/default", batch(&lines));
        }
        window
    }

    #[test]
    fn an_acknowledgement_covers_every_batch_up_to_its_sequence() {
        let mut window = window();
        let mut tally = Tally::default();
        let answer = v1::StreamEventsResponse {
            committed_sequence: 2,
            accepted_count: 3,
            duplicate_count: 1,
            ..Default::default()
        };
        assert!(window.acknowledge(answer, &mut tally).is_empty());
        assert_eq!((tally.accepted, tally.duplicates), (3, 1));
        let again = window.again("workspaces/default");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].sequence, 3);
        assert_eq!(again[0].events[0].id, "5");
    }

    #[test]
    fn sequences_go_on_after_everything_was_acknowledged() {
        let mut window = window();
        let answer = v1::StreamEventsResponse { committed_sequence: 3, ..Default::default() };
        window.acknowledge(answer, &mut Tally::default());
        assert!(window.is_empty());
        assert_eq!(window.push("workspaces/default", batch(&[7])).sequence, 4);
    }

    #[test]
    fn a_rejection_leads_back_to_its_line() {
        let mut window = window();
        let mut tally = Tally::default();
        let answer = v1::StreamEventsResponse {
            committed_sequence: 2,
            rejections: vec![v1::EventRejection {
                index: 1,
                batch_sequence: 2,
                reason: v1::ErrorReason::EventIdReused.into(),
                message: "the id stands for another event".to_owned(),
                field_violations: vec![v1::FieldViolation {
                    field: "id".to_owned(),
                    description: "is taken".to_owned(),
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let rejected = window.acknowledge(answer, &mut tally);
        assert_eq!(rejected.len(), 1);
        assert_eq!((rejected[0].file.as_str(), rejected[0].line), ("a.csv", 4));
        assert_eq!(rejected[0].reason, "the id stands for another event (EVENT_ID_REUSED)");
        assert_eq!(rejected[0].violations[0].field, "id");
        assert_eq!(tally.rejected, 1);
    }
}
