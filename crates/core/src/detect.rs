//! Detection: has a silence become due, and when to look again.

use uuid::Uuid;

use crate::fold::Silence;
use crate::fold::silence::SilenceClock;
use crate::funnel::{OwedBy, SilenceRule, Stage, TimeBasis};
use crate::mark::MarkKind;
use crate::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};

/// A clock that ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<'a> {
    /// What it makes of the silence.
    pub kind: MarkKind,
    /// The clock.
    pub clock: &'a SilenceClock,
    /// Whether the instant had passed when the silence became known: such marks start nothing.
    pub is_history: bool,
}

/// What looking at a journey's open silence found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Clocks that have run out by `now`, in the order in which they did.
    pub due: Vec<Due<'a>>,
    /// When to look again, if ever.
    pub look_at: Option<Timestamp>,
}

/// Decides whether a silence has become a stall or an abandonment by `now`, or is about to.
///
/// `now` is a value, so the same inputs give the same verdict in a test, in a
/// preview and after a crash. What is due is reported however often it is asked
/// for: marks are unique, so noticing twice marks once.
pub fn detect(silence: &Silence, now: Timestamp) -> Verdict<'_> {
    let mut clocks: Vec<_> = silence.clocks().collect();
    clocks.sort_by_key(|(kind, clock)| (clock.due_at, *kind));
    let look_at = clocks.iter().map(|(_, clock)| clock.due_at).find(|due| *due > now);
    let due = clocks
        .into_iter()
        .filter(|(_, clock)| clock.due_at <= now)
        .map(|(kind, clock)| Due { kind, clock, is_history: clock.due_at <= silence.known_at })
        .collect();
    Verdict { due, look_at }
}

/// When the detector has to look at a silence next, seen from nothing marked yet.
pub fn first_look(silence: &Silence) -> Option<Timestamp> {
    silence.clocks().map(|(_, clock)| clock.due_at).min()
}

/// Says in words why a silence was marked, of a customer, or of a conversation where nobody knows
/// whose it is.
pub fn reason(stage: &Stage, kind: MarkKind, assigned: Uuid) -> String {
    let word = match kind {
        MarkKind::Warned => "about to stall",
        MarkKind::Stalled => "stalled",
        MarkKind::Abandoned => "abandoned",
    };
    let rule = stage.rule_of(kind, assigned);
    rule.map_or_else(|| word.to_owned(), |rule| format!("{word} after {}", describe(&rule)))
}

fn describe(rule: &SilenceRule) -> String {
    let whose = match rule.owed_by {
        OwedBy::Anyone => "silence",
        OwedBy::Agent => "a customer message without an answer",
        OwedBy::Customer => "customer silence",
    };
    let basis = match rule.basis {
        TimeBasis::Wall => "",
        TimeBasis::Business => ", in business time",
    };
    format!("{} of {whose}{basis}", human_span(rule.after))
}

/// A span for people: its two largest units, such as `2h 30m`.
pub fn human_span(span: i64) -> String {
    let mut left = span.max(0);
    let mut parts = Vec::new();
    for (unit, name) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")] {
        if left >= unit && parts.len() < 2 {
            parts.push(format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}
