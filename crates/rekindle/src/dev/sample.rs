//! The bundled sample: one hour of people asking for help on an IRC channel.
//!
//! Source, licence and changes are in `assets/README.md`.

use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use rekindle_core::Timestamp;
use rekindle_core::ingest::NewEvent;
use rekindle_core::value::Properties;
use serde::Deserialize;

const SAMPLE: &[u8] = include_bytes!("../../assets/ubuntu-irc-sample.jsonl.gz");

/// The sample, in order of arrival.
pub struct Sample {
    /// The events.
    pub events: Vec<NewEvent>,
    /// Instant of the first one.
    pub starts_at: Timestamp,
    /// Instant of the last one.
    pub ends_at: Timestamp,
}

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    seq: i64,
    conversation: Option<String>,
    customer: Option<String>,
    event: String,
    ts: String,
    props: Properties,
}

/// Reads the sample.
///
/// # Errors
/// When the bundled file is broken, which a test rules out.
pub fn events() -> Result<Sample, String> {
    let mut events = Vec::new();
    for line in BufReader::new(GzDecoder::new(SAMPLE)).lines() {
        let line = line.map_err(|error| format!("the sample: {error}"))?;
        let line: Line = serde_json::from_str(&line).map_err(|error| format!("the sample: {error}"))?;
        events.push(line.event()?);
    }
    events.sort_by_key(|event| event.occurred_at);
    let (first, last) = events.first().zip(events.last()).ok_or("the sample is empty")?;
    let (starts_at, ends_at) = (first.occurred_at, last.occurred_at);
    Ok(Sample { events, starts_at, ends_at })
}

impl Line {
    fn event(mut self) -> Result<NewEvent, String> {
        let text = self.props.remove("text").map(|text| text.as_text_key());
        Ok(NewEvent {
            occurred_at: Timestamp::parse(&self.ts)
                .ok_or_else(|| format!("the sample: no instant: {}", self.ts))?,
            id: self.id,
            conversation: self.conversation,
            customer: self.customer,
            kind: self.event,
            sequence: self.seq,
            author: None,
            public: None,
            automated: None,
            closing: false,
            text,
            properties: self.props,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_sample_is_whole() {
        let sample = events().expect("a readable sample");
        assert_eq!(sample.events.len(), 935);
        assert!(sample.events.iter().all(|event| event.check().is_empty()));
    }
}
