//! Whether what came of a game keeps every promise.

use jiff::tz::TimeZone;

use super::Outcome;
use crate::sequence::arm::Arm;
use crate::sequence::contact::room_at;
use crate::time::{DAY, Timestamp};

/// Every run has ended by then: definitions are drawn that small.
const HORIZON: i64 = 400 * DAY;

impl Outcome {
    /// Looks at every promise.
    pub(super) fn check(&self, seed: u64) {
        for (run, stored) in &self.runs {
            let (_, at) = stored.ended.unwrap_or_else(|| panic!("seed {seed}: run {run} never ends"));
            assert!(at.since(stored.since) < HORIZON, "seed {seed}: run {run} takes for ever");
        }
        for ((run, key), (at, _)) in &self.sent {
            let stored = &self.runs[run];
            let word = format!("seed {seed}: run {run}, {key} at {}", at.to_rfc3339());
            let replied =
                self.returns.iter().any(|(of, back)| of == run && *back <= *at && *back >= stored.since);
            assert!(!replied, "{word}: after a reply");
            assert_ne!(stored.arm, Arm::HeldOut, "{word}: to somebody who is held out");
            let suppressed = self.suppressed.get(&stored.person).is_some_and(|since| since <= at);
            assert!(!suppressed, "{word}: to somebody who is suppressed");
        }
        for key in self.wire.keys() {
            // What went out and was never recorded was overtaken by nothing: it is sent again and recorded.
            assert!(self.sent.contains_key(key), "seed {seed}: {key:?} left no trace");
        }
        for (person, sent) in self.contacts.iter().enumerate() {
            self.check_limits(seed, person, sent);
        }
    }

    fn check_limits(&self, seed: u64, person: usize, sent: &[Timestamp]) {
        let zone: &TimeZone = &self.zones[person].zone;
        for (place, at) in sent.iter().enumerate() {
            let room = room_at(&self.limits, zone, &sent[..place], *at);
            assert_eq!(room, *at, "seed {seed}: one message too many to customer {person}");
        }
    }
}
