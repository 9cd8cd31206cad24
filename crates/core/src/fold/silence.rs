//! Silences: stretches of a stage in which nobody said what was awaited.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::passage::{Passages, Standing};
use crate::event::{Event, OrderKey};
use crate::funnel::OwedBy;
use crate::funnel::compile::CompiledFunnel;
use crate::mark::MarkKind;
use crate::time::Timestamp;
use crate::turn::Turn;

/// What ended a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The customer came back: an event by the customer that no machine made.
    CustomerReturned,
    /// The journey moved to another stage without the customer.
    Advanced,
    /// The subject was closed.
    Closed,
    /// Our side spoke.
    AgentActed,
    /// Anything else.
    Other,
}

/// Identity of a silence within its journey.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SilenceKey {
    /// Place of the stage.
    pub place: usize,
    /// The event at which it began.
    pub anchor: OrderKey,
}

/// One clock of a silence: where it runs from and when it runs out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceClock {
    /// The event from which it runs.
    #[serde(rename = "a")]
    pub anchor: OrderKey,
    /// When it runs out.
    #[serde(rename = "d")]
    pub due_at: Timestamp,
}

/// A silence: open while `until` is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Identity.
    #[serde(rename = "k")]
    pub key: SilenceKey,
    /// The stall clock, if the stage has one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "s")]
    pub stall: Option<SilenceClock>,
    /// The clock of the warning before the stall, if the stage has one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "w")]
    pub warn: Option<SilenceClock>,
    /// The abandonment clock, if the stage has one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "b")]
    pub abandon: Option<SilenceClock>,
    /// Instant of the event that ended it; an event at a due instant prevents it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "u")]
    pub until: Option<Timestamp>,
    /// What ended it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "e")]
    pub ended_by: Option<EndedBy>,
    /// Whose turn it was.
    #[serde(rename = "o")]
    pub owed_by: OwedBy,
    /// Newest receipt among the events that produced it: what was due by then is history.
    #[serde(rename = "r")]
    pub known_at: Timestamp,
}

impl Silence {
    /// When it began: where its earlier clock started.
    pub fn since(&self) -> Timestamp {
        let stall = self.stall.as_ref().map(|clock| clock.anchor.at);
        let abandon = self.abandon.as_ref().map(|clock| clock.anchor.at);
        stall.or(abandon).unwrap_or(self.key.anchor.at)
    }

    /// When it is a stall.
    pub fn stall_at(&self) -> Option<Timestamp> {
        self.stall.as_ref().map(|clock| clock.due_at)
    }

    /// When it is an abandonment.
    pub fn abandon_at(&self) -> Option<Timestamp> {
        self.abandon.as_ref().map(|clock| clock.due_at)
    }

    /// Its clocks, each with what it makes of the silence.
    pub fn clocks(&self) -> impl Iterator<Item = (MarkKind, &SilenceClock)> {
        let all = [
            (MarkKind::Warned, &self.warn),
            (MarkKind::Stalled, &self.stall),
            (MarkKind::Abandoned, &self.abandon),
        ];
        all.into_iter().filter_map(|(kind, clock)| Some((kind, clock.as_ref()?)))
    }

    /// Whether it became due before it ended (an open one may still).
    pub fn became_due(&self) -> bool {
        let ended_before = |due: Timestamp| self.until.is_none_or(|until| due < until);
        self.stall_at().is_some_and(ended_before) || self.abandon_at().is_some_and(ended_before)
    }

    /// Whether any of its clocks ran out before it ended: whoever looked noticed it.
    pub fn was_noticed(&self) -> bool {
        self.clocks().any(|(_, clock)| self.until.is_none_or(|until| clock.due_at < until))
    }

    /// Whether it is a stall at `at`: due, not yet over, not yet an abandonment.
    pub fn is_stalled_at(&self, at: Timestamp) -> bool {
        self.covers(at) && self.stall_at().is_some_and(|due| due <= at) && !self.is_abandoned_at(at)
    }

    /// Whether it is an abandonment at `at`.
    pub fn is_abandoned_at(&self, at: Timestamp) -> bool {
        self.covers(at) && self.abandon_at().is_some_and(|due| due <= at)
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

/// What a journey has come to: all that its silences hang on.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// Its way so far.
    pub passages: &'a Passages,
    /// Whose turn it is.
    pub turn: &'a Turn,
    /// For whom targets are drawn: the customer, or the conversation where nobody knows whose it is.
    pub assigned: Uuid,
    /// Newest receipt among the events folded.
    pub received_through: Timestamp,
}

/// Watches for silences along a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceWatch {
    /// The silence in progress.
    pub open: Option<Silence>,
}

impl SilenceWatch {
    /// Takes in the event that led here; silences that became due and ended go to `ended`.
    pub fn step(
        &mut self,
        funnel: &CompiledFunnel,
        event: &Event,
        course: Course<'_>,
        ended: &mut Vec<Silence>,
    ) {
        let standing = course.passages.now(funnel);
        let next = silence_after(funnel, standing, course);
        if let Some(open) = &self.open
            && let Some(next) = &next
            && (&open.key, &open.stall, &open.abandon) == (&next.key, &next.stall, &next.abandon)
        {
            return;
        }
        if let Some(mut open) = self.open.take() {
            open.until = Some(event.effective_at);
            open.ended_by = Some(ended_by(event, &open, standing));
            if open.was_noticed() {
                note(ended, open);
            }
        }
        self.open = next;
    }
}

/// A subject that is closed and opened again goes on with the silence it had: the same
/// key, told apart by the end. Of those that end at one instant the first stands.
fn note(ended: &mut Vec<Silence>, silence: Silence) {
    if !ended.iter().any(|known| (&known.key, known.until) == (&silence.key, silence.until)) {
        ended.push(silence);
    }
}

fn ended_by(event: &Event, silence: &Silence, standing: Standing) -> EndedBy {
    if event.is_return() {
        EndedBy::CustomerReturned
    } else if standing.place.is_some_and(|place| place != silence.key.place) || standing.completed {
        EndedBy::Advanced
    } else if standing.ended || event.kind == "resolution" || event.closing {
        EndedBy::Closed
    } else if event.author == crate::event::Author::Agent {
        EndedBy::AgentActed
    } else {
        EndedBy::Other
    }
}

/// The silence that begins (or goes on) after an event.
fn silence_after(funnel: &CompiledFunnel, standing: Standing, course: Course<'_>) -> Option<Silence> {
    if !standing.can_go_quiet() {
        return None;
    }
    let place = standing.place?;
    let entry = course.passages.stage_entry()?;
    let stage = &funnel.funnel.stages[place];
    let clock = |kind: MarkKind| {
        let rule = stage.rule_of(kind, course.assigned)?;
        let anchor = course.turn.anchor(rule.owed_by)?.max(entry).clone();
        let due_at = funnel.due(&rule, anchor.at)?;
        Some(SilenceClock { anchor, due_at })
    };
    let stall = clock(MarkKind::Stalled);
    let abandon = clock(MarkKind::Abandoned);
    let warn = clock(MarkKind::Warned);
    let anchors = [stall.as_ref(), abandon.as_ref()];
    let anchor = anchors.into_iter().flatten().map(|clock| &clock.anchor).max()?.clone();
    Some(Silence {
        key: SilenceKey { place, anchor },
        stall,
        warn,
        abandon,
        until: None,
        ended_by: None,
        owed_by: course.turn.owed_by(),
        known_at: course.received_through,
    })
}
