//! Attempts: every way a subject may have gone through the stages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{any, ordered};
use crate::event::{Event, OrderKey};
use crate::funnel::StageOrder;
use crate::funnel::compile::{CompiledFunnel, Mask, Meaning};
use crate::time::Timestamp;

/// Identity of an attempt within its journey: the place of the event that started it.
pub type StartKey = OrderKey;

/// How an attempt entered a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry(
    /// When.
    pub Timestamp,
    /// By which event.
    pub String,
);

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Where it started.
    #[serde(rename = "s")]
    pub start: StartKey,
    /// Entry of each stage by place; for any order, of each level.
    #[serde(rename = "e")]
    pub entered: Vec<Option<Entry>>,
    /// When an excluded event voided it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "v")]
    pub voided_at: Option<Timestamp>,
    /// Episode in which it started.
    #[serde(rename = "n")]
    pub episode: u32,
    /// Whether it counts when attempts may not overlap.
    #[serde(rename = "c")]
    pub chained: bool,
    /// Values of the declared breakdowns at its start, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "b")]
    pub values: Vec<String>,
    /// What the fold needs while it is open.
    #[serde(default, skip_serializing_if = "Progress::is_plain", rename = "w")]
    pub progress: Progress,
}

/// Working state of an open attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// In strict order: another event came between.
    #[serde(default, rename = "x")]
    pub broken: bool,
    /// Exclusions triggered and not yet overtaken by their closing stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "v")]
    pub voids: Vec<(usize, Timestamp)>,
    /// In any order: the stages each counted event matched, and the one it stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "m")]
    pub matched: Vec<(Mask, usize)>,
}

impl Progress {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Attempt {
    /// Places entered.
    pub fn mask(&self) -> Mask {
        let entered = self.entered.iter().enumerate().filter(|(_, entry)| entry.is_some());
        entered.fold(0, |mask, (place, _)| mask | 1 << place)
    }

    /// Place of the deepest stage (or level) entered.
    pub fn last(&self) -> usize {
        self.entered.iter().rposition(Option::is_some).unwrap_or(0)
    }

    /// Whether the last stage (or level) is entered.
    pub fn is_converted(&self) -> bool {
        self.entered.last().is_some_and(Option::is_some)
    }

    /// Instant at which the stage (or level) at `place` was entered.
    pub fn entered_at(&self, place: usize) -> Option<Timestamp> {
        self.entered.get(place)?.as_ref().map(|entry| entry.0)
    }

    /// Notes an entry.
    pub fn enter(&mut self, place: usize, event: &Event) {
        self.entered[place] = Some(Entry(event.effective_at, event.id.clone()));
    }
}

/// The open attempts of a journey and what decides whether the next one is chained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Attempts {
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "o")]
    open: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "h")]
    head: Option<Head>,
}

/// The newest chained attempt: while it runs, no other begins for the unit "attempt".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    start: StartKey,
    converted: bool,
    voided_at: Option<Timestamp>,
}

impl Attempts {
    /// When the newest attempt started, of those that do not overlap (the unit "attempt").
    pub fn newest(&self) -> Option<Timestamp> {
        self.head.as_ref().map(|head| head.start.at)
    }

    /// Takes in the next event that exists for the funnel.
    pub fn step(
        &mut self,
        funnel: &CompiledFunnel,
        event: &Event,
        meaning: Meaning,
        episode: u32,
        values: impl FnOnce() -> Vec<String>,
        changed: &mut BTreeMap<StartKey, Attempt>,
    ) {
        let chains = self.head.as_ref().is_none_or(|head| head.is_over(funnel, event));
        let rules: &dyn AttemptRules = match funnel.order() {
            StageOrder::Ordered | StageOrder::Strict => &ordered::Ordered,
            StageOrder::Any => &any::AnyOrder,
        };
        let head = &mut self.head;
        self.open.retain_mut(|attempt| {
            let step = if attempt.voided_at.is_some_and(|at| event.effective_at > at) {
                Step { changed: false, open: false }
            } else {
                rules.advance(funnel, attempt, event, meaning)
            };
            if step.changed {
                follow(head, attempt);
                changed.insert(attempt.start.clone(), attempt.clone());
            }
            step.open
        });
        if rules.starts(funnel, meaning) {
            let attempt =
                rules.start(funnel, event, meaning, Start { episode, chained: chains, values: values() });
            if chains {
                self.head = Some(Head { start: attempt.start.clone(), converted: false, voided_at: None });
            }
            changed.insert(attempt.start.clone(), attempt.clone());
            self.open.push(attempt);
        }
    }

    /// Number of attempts that a future event could still change.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }
}

/// What an event did to an attempt.
pub struct Step {
    /// Its row differs.
    pub changed: bool,
    /// A later event could still change it.
    pub open: bool,
}

/// What a new attempt takes from its surroundings.
pub struct Start {
    /// Episode in progress.
    pub episode: u32,
    /// Whether it is chained.
    pub chained: bool,
    /// Values of the declared breakdowns.
    pub values: Vec<String>,
}

/// How attempts start and advance under one stage order.
pub trait AttemptRules {
    /// Whether an event of this meaning starts an attempt.
    fn starts(&self, funnel: &CompiledFunnel, meaning: Meaning) -> bool;
    /// The attempt that the event starts.
    fn start(&self, funnel: &CompiledFunnel, event: &Event, meaning: Meaning, start: Start) -> Attempt;
    /// Takes the event into an open attempt.
    fn advance(
        &self,
        funnel: &CompiledFunnel,
        attempt: &mut Attempt,
        event: &Event,
        meaning: Meaning,
    ) -> Step;
}

impl Head {
    /// Whether it has converted, run out of its window or been voided before `event`.
    fn is_over(&self, funnel: &CompiledFunnel, event: &Event) -> bool {
        let window = funnel.funnel.conversion_window;
        self.converted
            || self.voided_at.is_some_and(|at| event.effective_at > at)
            || window.is_some_and(|window| event.effective_at > self.start.at.plus(window))
    }
}

fn follow(head: &mut Option<Head>, attempt: &Attempt) {
    if let Some(head) = head.as_mut().filter(|head| head.start == attempt.start) {
        head.converted = attempt.is_converted();
        head.voided_at = attempt.voided_at;
    }
}

/// Whether the conversion window of an attempt still holds `at`, its end included.
pub fn within_window(funnel: &CompiledFunnel, attempt: &Attempt, at: Timestamp) -> bool {
    funnel.funnel.conversion_window.is_none_or(|window| at <= attempt.start.at.plus(window))
}

/// Whether the window of the stage at `place` still holds `at`, measured from `previous`.
pub fn within_stage_window(
    funnel: &CompiledFunnel,
    place: usize,
    previous: Timestamp,
    at: Timestamp,
) -> bool {
    funnel.funnel.stages[place].window.is_none_or(|window| at <= previous.plus(window))
}
