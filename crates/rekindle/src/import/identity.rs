//! Ids for events that have none: the same file gives the same ids, so that importing it again
//! changes nothing.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use rekindle_proto::v1;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cli::canonical::sorted;

/// Counts how often each content stood in a file so far.
///
/// Contents are known by 8 bytes of their digest, to keep memory small: should two share them,
/// their ids still differ, since ids are made of the whole digest.
#[derive(Debug, Default)]
pub struct Identities {
    once: HashSet<u64>,
    /// Contents that stood more than once, with how often.
    more: HashMap<u64, u64>,
}

impl Identities {
    /// The id of an event without one: the SHA-256, in hex, of its content and of how many events
    /// of the same content stood before it in the file. `sequence` is part of the content unless
    /// it only numbers the lines.
    pub fn assign(&mut self, event: &v1::Event, numbered: bool) -> String {
        let content = content(event, numbered);
        let digest = Sha256::digest(&content);
        let occurrence = self.count(u64::from_be_bytes(first_eight(&digest)));
        let mut hash = Sha256::new();
        hash.update(digest);
        hash.update(occurrence.to_string());
        hex(&hash.finalize())
    }

    /// How often this content stood before, and that it stands once more.
    fn count(&mut self, content: u64) -> u64 {
        if self.once.insert(content) {
            return 0;
        }
        let times = self.more.entry(content).or_insert(1);
        *times += 1;
        *times - 1
    }
}

/// The content of an event as bytes: its proto JSON with keys in order.
fn content(event: &v1::Event, numbered: bool) -> Vec<u8> {
    let mut plain = event.clone();
    plain.id.clear();
    if numbered {
        plain.sequence = 0;
    }
    // An event made of a row has finite numbers and times in range, so it has a JSON.
    let value = serde_json::to_value(&plain).unwrap_or(Value::Null);
    sorted(value).to_string().into_bytes()
}

fn first_eight(digest: &[u8]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str, sequence: i64) -> v1::Event {
        let properties = [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)];
        v1::Event {
            text: text.to_owned(),
            sequence,
            properties: Some(
                properties
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), pbjson_types::Value::from(value)))
                    .collect(),
            ),
            ..Default::default()
        }
    }

    fn ids(texts: &[&str]) -> Vec<String> {
        let mut identities = Identities::default();
        texts.iter().map(|text| identities.assign(&event(text, 0), false)).collect()
    }

    #[test]
    fn the_same_file_gives_the_same_ids_and_equal_rows_differ() {
        let first = ids(&["a", "b", "a", "a"]);
        assert_eq!(first, ids(&["a", "b", "a", "a"]));
        let different: HashSet<&String> = first.iter().collect();
        assert_eq!(different.len(), 4);
        assert!(first.iter().all(|id| id.len() == 64));
    }

    #[test]
    fn the_order_of_different_rows_does_not_matter() {
        let mut one = ids(&["a", "b", "a"]);
        let mut other = ids(&["a", "a", "b"]);
        one.sort();
        other.sort();
        assert_eq!(one, other);
    }

    #[test]
    fn a_sequence_is_content_unless_it_only_numbers_lines() {
        let id = |sequence, numbered| Identities::default().assign(&event("a", sequence), numbered);
        assert_ne!(id(1, false), id(2, false));
        assert_eq!(id(1, true), id(2, true));
    }

    #[test]
    fn an_id_that_was_given_once_is_given_for_ever() {
        // A change of this value would store every earlier import a second time. It is
        // SHA-256(SHA-256(content) ++ "0") of
        // {"occurTime":"2026-01-01T00:00:00.500+00:00","properties":{"a":1.0,"b":2.0,"c":3.0,"d":4.0},"text":"a"}
        let mut event = event("a", 0);
        event.occur_time = Some(pbjson_types::Timestamp { seconds: 1_767_225_600, nanos: 500_000_000 });
        let id = Identities::default().assign(&event, false);
        assert_eq!(id, "8f05e830ffc9107fc3ea2a650fc43fe30821363568213d8af6526f9fe16604fa");
    }
}
