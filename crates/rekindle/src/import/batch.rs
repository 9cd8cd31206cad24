//! Events on their way, in batches that a stream takes.

use prost::Message;
use rekindle_proto::v1;
use serde::Serialize;
use serde_json::{Map, Value};

/// The most events in a batch (`StreamEventsRequest.events`).
pub const MAX_EVENTS: usize = 1000;
/// The most bytes in a batch: below 256 KB, with room for what stands around the events.
const MAX_BYTES: usize = 250 * 1024;

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Place of its file among those imported, from 0.
    pub file: usize,
    /// Its line, from 1.
    pub line: u64,
    /// The row as it was read, if rejected rows are kept.
    pub fields: Option<Map<String, Value>>,
}

/// Events in the order of their rows, with where each comes from.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The events.
    pub events: Vec<v1::Event>,
    /// For each event, where it comes from.
    pub origins: Vec<Origin>,
    bytes: usize,
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rejected {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// Every wrong field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// The row as it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Map<String, Value>>,
}

/// A wrong field of a rejected row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Batch {
    /// Whether one more event goes in.
    pub fn takes(&self, event: &v1::Event, most: usize) -> bool {
        self.events.len() < most.clamp(1, MAX_EVENTS)
            && (self.events.is_empty() || self.bytes + size(event) <= MAX_BYTES)
    }

    /// Adds an event.
    pub fn add(&mut self, event: v1::Event, origin: Origin) {
        self.bytes += size(&event);
        self.events.push(event);
        self.origins.push(origin);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// Bytes of an event inside a batch, with its tag and its length.
fn size(event: &v1::Event) -> usize {
    event.encoded_len() + 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize) -> v1::Event {
        v1::Event { text: "x".repeat(bytes), ..Default::default() }
    }

    fn origin(line: u64) -> Origin {
        Origin { file: 0, line, fields: None }
    }

    #[test]
    fn a_batch_is_full_by_number_or_by_size() {
        let mut batch = Batch::default();
        assert!(batch.takes(&event(MAX_BYTES * 2), 500));
        for line in 0..3 {
            batch.add(event(80 * 1024), origin(line));
        }
        assert!(batch.takes(&event(1024), 500));
        assert!(!batch.takes(&event(1024), 3));
        assert!(!batch.takes(&event(20 * 1024), 500));
        let request = v1::StreamEventsRequest { events: batch.events, ..Default::default() };
        assert!(request.encoded_len() <= 256 * 1024);
    }
}
