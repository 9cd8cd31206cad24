//! The rows that figures are computed from.

use uuid::Uuid;

use crate::event::OrderKey;
use crate::fold::passage::{Passages, Standing};
use crate::fold::silence::EndedBy;
use crate::time::Timestamp;

/// An attempt as figures read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFact {
    /// Key of the subject.
    pub subject: Uuid,
    /// Customer of the subject.
    pub customer: Option<Uuid>,
    /// Where it started.
    pub start: OrderKey,
    /// Entry instants by stage (or level).
    pub entered: Vec<Option<Timestamp>>,
    /// When it was voided.
    pub voided_at: Option<Timestamp>,
    /// Episode it started in.
    pub episode: u32,
    /// Whether it counts when attempts may not overlap.
    pub chained: bool,
    /// Values of the breakdowns asked for, in their order.
    pub values: Vec<String>,
}

impl AttemptFact {
    /// Place of the deepest stage (or level) entered.
    pub fn depth(&self) -> usize {
        self.entered.iter().rposition(Option::is_some).unwrap_or(0)
    }

    /// Whether the last stage (or level) is entered.
    pub fn is_converted(&self) -> bool {
        self.entered.last().is_some_and(Option::is_some)
    }

    /// Forgets what happened after `at`.
    pub fn cut_after(&mut self, at: Timestamp) {
        for entry in &mut self.entered {
            *entry = entry.filter(|entered| *entered <= at);
        }
        self.voided_at = self.voided_at.filter(|voided| *voided <= at);
    }

    /// Forgets what happened at `at` or later.
    pub fn cut_from(&mut self, at: Timestamp) {
        self.cut_after(at.plus(-1));
    }
}

/// A journey as figures read it.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingFact {
    /// Key of the subject.
    pub subject: Uuid,
    /// Customer of the subject.
    pub customer: Option<Uuid>,
    /// Instant of its first event.
    pub first_at: Timestamp,
    /// Where it stands after its newest event.
    pub standing: Standing,
    /// Its passages, when its newest event is later than the question's instant.
    pub passages: Option<Passages>,
}

/// A silence as figures read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilenceFact {
    /// Key of the subject.
    pub subject: Uuid,
    /// Place of the stage.
    pub place: usize,
    /// When it began.
    pub since: Timestamp,
    /// When it is a stall.
    pub stall_at: Option<Timestamp>,
    /// When it is an abandonment.
    pub abandon_at: Option<Timestamp>,
    /// When it ended.
    pub until: Option<Timestamp>,
    /// What ended it.
    pub ended_by: Option<EndedBy>,
}

impl SilenceFact {
    /// Whether it was a stall or an abandonment before it ended, and had ended by `at`
    /// because the customer came back or the journey moved on.
    pub fn is_recovered_by(&self, at: Timestamp) -> bool {
        let Some(until) = self.until.filter(|until| *until <= at) else {
            return false;
        };
        let due = self.stall_at.into_iter().chain(self.abandon_at).min();
        due.is_some_and(|due| due < until)
            && matches!(self.ended_by, Some(EndedBy::CustomerReturned | EndedBy::Advanced))
    }

    /// Whether it came to be a stall by `at`, whatever became of it.
    pub fn ran_out_by(&self, at: Timestamp) -> bool {
        let due = self.stall_at.filter(|due| *due <= at);
        due.is_some_and(|due| self.until.is_none_or(|until| due < until))
    }

    /// Whether it is a stall at `at`.
    pub fn is_stalled_at(&self, at: Timestamp) -> bool {
        self.covers(at) && self.stall_at.is_some_and(|due| due <= at) && !self.is_abandoned_at(at)
    }

    /// Whether it is an abandonment at `at`.
    pub fn is_abandoned_at(&self, at: Timestamp) -> bool {
        self.covers(at) && self.abandon_at.is_some_and(|due| due <= at)
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }
}
