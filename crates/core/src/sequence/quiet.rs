//! Quiet hours: when customers are not written to.

use serde::{Deserialize, Serialize};

use crate::calendar::Hours;
use crate::time::Timestamp;
use jiff::tz::TimeZone;

/// What becomes of a message in quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietPolicy {
    /// It waits until they are over.
    #[default]
    Defer,
    /// It is left out, and the run goes on.
    Skip,
    /// The run ends.
    Abort,
}

/// When customers are not written to, on the clock of their own zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// Hours in the OpenStreetMap syntax, such as `Mo-Su 22:00-08:00; PH 00:00-24:00`.
    pub hours: String,
    /// What `PH` means, as `YYYY-MM-DD`.
    #[serde(default)]
    pub holidays: Vec<String>,
    /// What becomes of a message then.
    #[serde(default)]
    pub policy: QuietPolicy,
    /// A message that would have to wait longer is left out; microseconds.
    pub max_deferral: i64,
}

/// What to do with a message right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Send it.
    Send,
    /// Wait until then.
    Defer(Timestamp),
    /// Leave it out: the policy says so, or it would have to wait too long.
    Skip,
    /// End the run.
    Abort,
}

/// Quiet hours, ready to ask.
#[derive(Debug, Clone)]
pub struct Quiet {
    hours: Hours,
    policy: QuietPolicy,
    max_deferral: i64,
}

impl Quiet {
    /// From a specification and its hours.
    pub fn new(spec: &QuietHours, hours: Hours) -> Self {
        Self { hours, policy: spec.policy, max_deferral: spec.max_deferral }
    }

    /// What to do with a message for somebody in `zone` that first wanted to go at `since`.
    ///
    /// Hours are half-open: their end is the first instant that is not quiet. It is looked for on
    /// the wall clock with every condition together, so that a deferral over a change of the clock,
    /// a weekend or a holiday ends when all of them allow it.
    pub fn rule(&self, zone: &TimeZone, since: Timestamp, now: Timestamp) -> Ruling {
        match (self.hours.within(zone.clone()).next_closed(now), self.policy) {
            (Some(free), _) if free <= now => Ruling::Send,
            (_, QuietPolicy::Abort) => Ruling::Abort,
            (Some(free), QuietPolicy::Defer) if free.since(since) <= self.max_deferral => Ruling::Defer(free),
            (_, QuietPolicy::Skip | QuietPolicy::Defer) => Ruling::Skip,
        }
    }
}
