//! Position: where a journey is, and every move that led there.

use serde::{Deserialize, Serialize};

use crate::event::{Event, OrderKey};
use crate::funnel::compile::{CompiledFunnel, Mask, Meaning};
use crate::funnel::{Reentry, StageOrder};
use crate::time::Timestamp;

/// A stage was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Place of the stage.
    #[serde(rename = "s")]
    pub place: usize,
    /// The event that entered it.
    #[serde(rename = "e")]
    pub by: OrderKey,
}

/// A subject was closed, and perhaps opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When it was closed.
    #[serde(rename = "e")]
    pub ended_at: Timestamp,
    /// When it was opened again.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "r")]
    pub reopened_at: Option<Timestamp>,
}

/// Matches of a stage that lay behind the position: they move nothing and are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revisit {
    /// Where the journey was.
    pub from: usize,
    /// The earlier (or same) stage that was matched again.
    pub to: usize,
    /// How often.
    pub count: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// One way through the funnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The event that opened it: its key.
    #[serde(rename = "o")]
    pub opened: OrderKey,
    /// Stages entered, in time order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "m")]
    pub moves: Vec<Move>,
    /// Closings.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "e")]
    pub endings: Vec<Ending>,
    /// Backward moves, counted by pair of stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "v")]
    pub revisits: Vec<Revisit>,
}

/// The passages of a journey, oldest first; the last one is in progress.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Passages(pub Vec<Passage>);

/// Where a journey stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The stage it is in, if it entered the first.
    pub place: Option<usize>,
    /// When it entered the first stage.
    pub entered_at: Option<Timestamp>,
    /// When it entered the stage it is in.
    pub moved_at: Option<Timestamp>,
    /// Whether it went through the last stage (in any order: through all).
    pub completed: bool,
    /// Whether it is closed.
    pub ended: bool,
}

impl Standing {
    /// Whether a silence can mean something: in a stage, neither through nor closed.
    pub fn can_go_quiet(&self) -> bool {
        self.place.is_some() && !self.completed && !self.ended
    }
}

impl Passage {
    fn new(event: &Event) -> Self {
        Self { opened: event.order(), moves: Vec::new(), endings: Vec::new(), revisits: Vec::new() }
    }

    fn mask_at(&self, at: Timestamp) -> Mask {
        let seen = self.moves.iter().filter(|step| step.by.at <= at);
        seen.fold(0, |mask, step| mask | 1 << step.place)
    }

    fn standing_at(&self, order: StageOrder, stages: usize, at: Timestamp) -> Standing {
        let mut seen = self.moves.iter().filter(|step| step.by.at <= at);
        let first = seen.next();
        let last = seen.next_back().or(first);
        let completed = match order {
            StageOrder::Any => self.mask_at(at).count_ones() as usize == stages,
            StageOrder::Ordered | StageOrder::Strict => last.is_some_and(|step| step.place + 1 == stages),
        };
        let closing = self.endings.iter().rev().find(|ending| ending.ended_at <= at);
        Standing {
            place: last.map(|step| step.place),
            entered_at: first.map(|step| step.by.at),
            moved_at: last.map(|step| step.by.at),
            completed,
            ended: closing.is_some_and(|ending| ending.reopened_at.is_none_or(|again| again > at)),
        }
    }
}

impl Passages {
    /// Takes in the next event that exists for the funnel. `reopened`: it begins a new episode.
    pub fn step(&mut self, funnel: &CompiledFunnel, event: &Event, meaning: Meaning, reopened: bool) {
        if self.opens_another(funnel, meaning, reopened) {
            self.0.push(Passage::new(event));
        }
        let Some(passage) = self.0.last_mut() else {
            return;
        };
        close_or_reopen(passage, event, meaning);
        match entered_stage(funnel, passage, meaning.stages) {
            Some(place) => passage.moves.push(Move { place, by: event.order() }),
            None => note_revisit(passage, event, meaning.stages),
        }
    }

    /// Where the journey stands after everything folded.
    pub fn now(&self, funnel: &CompiledFunnel) -> Standing {
        self.at(funnel, Timestamp(i64::MAX))
    }

    /// Where the journey stood at an instant, events at that very instant included.
    pub fn at(&self, funnel: &CompiledFunnel, at: Timestamp) -> Standing {
        self.standing(funnel.order(), funnel.len(), at)
    }

    /// [`Passages::at`] for readers that know only the order and number of stages.
    pub fn standing(&self, order: StageOrder, stages: usize, at: Timestamp) -> Standing {
        let passage = self.0.iter().rev().find(|passage| passage.opened.at <= at);
        passage.map_or_else(Standing::default, |passage| passage.standing_at(order, stages, at))
    }

    /// The event that entered the stage the journey is in.
    pub fn stage_entry(&self) -> Option<&OrderKey> {
        self.0.last()?.moves.last().map(|step| &step.by)
    }

    fn opens_another(&self, funnel: &CompiledFunnel, meaning: Meaning, reopened: bool) -> bool {
        if self.0.is_empty() {
            return true;
        }
        match funnel.funnel.reentry {
            Reentry::Never => false,
            Reentry::OnReopen => reopened,
            Reentry::AfterEnd => {
                let standing = self.now(funnel);
                meaning.stages & 1 != 0 && (standing.completed || standing.ended)
            }
        }
    }
}

/// The stage that the event enters: by one step, never back.
fn entered_stage(funnel: &CompiledFunnel, passage: &Passage, stages: Mask) -> Option<usize> {
    let entered = passage.mask_at(Timestamp(i64::MAX));
    let open = match (funnel.order(), passage.moves.last()) {
        (StageOrder::Any, _) => (0..funnel.len())
            .filter(|&place| entered & 1 << place == 0 && funnel.is_open(place, entered))
            .fold(0, |mask, place| mask | 1 << place),
        (StageOrder::Ordered | StageOrder::Strict, None) => 1,
        (StageOrder::Ordered | StageOrder::Strict, Some(last)) => funnel.candidates(last.place, entered),
    };
    let matched = open & stages;
    (matched != 0).then(|| matched.trailing_zeros() as usize)
}

fn note_revisit(passage: &mut Passage, event: &Event, stages: Mask) {
    let entered = passage.mask_at(Timestamp(i64::MAX)) & stages;
    let (Some(last), true) = (passage.moves.last(), entered != 0) else {
        return;
    };
    let (from, to) = (last.place, (Mask::BITS - 1 - entered.leading_zeros()) as usize);
    let at = event.effective_at;
    match passage.revisits.iter_mut().find(|seen| (seen.from, seen.to) == (from, to)) {
        Some(seen) => {
            seen.count += 1;
            seen.last_at = at;
        }
        None => passage.revisits.push(Revisit { from, to, count: 1, last_at: at }),
    }
}

fn close_or_reopen(passage: &mut Passage, event: &Event, meaning: Meaning) {
    let at = event.effective_at;
    let closed = passage.endings.last_mut().filter(|ending| ending.reopened_at.is_none());
    match closed {
        None if meaning.ends => passage.endings.push(Ending { ended_at: at, reopened_at: None }),
        Some(ending) if meaning.reopens && !meaning.ends => ending.reopened_at = Some(at),
        _ => {}
    }
}
