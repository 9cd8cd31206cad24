//! Funnel figures from facts.
//!
//! Counts follow the formulas M1 to M3: reach, rates as numerator and
//! denominator, times as whole distributions. Nothing here reads a database or a
//! clock: the facts, the instant of the question and the shape of the funnel are
//! arguments.

use self::proportion::Difference;
use crate::funnel::{Funnel, Goal, Property, StageOrder, SubjectKind};
use crate::time::Timestamp;

pub mod analysis;
pub mod bucket;
pub mod distribution;
pub mod facts;
pub mod fit;
pub mod groups;
pub mod positions;
pub mod proportion;
pub mod recovery;
pub mod targets;

pub use analysis::Analysis;
pub use bucket::{Bucket, Granularity, TrendSpec};
pub use distribution::Distribution;
pub use facts::{AttemptFact, SilenceFact, StandingFact};

/// What is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The funnel's own subject: a conversation, or a customer.
    Subject,
    /// Every episode of a conversation.
    Episode,
    /// Every customer, over all their conversations.
    Customer,
    /// Every attempt that does not overlap the one before.
    Attempt,
}

/// A part of a whole; callers can add numerators and denominators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ratio {
    /// The part.
    pub numerator: i64,
    /// The whole; 0 means the rate is undefined.
    pub denominator: i64,
}

/// Half-open stretch of time; an absent end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// First instant inside.
    pub from: Option<Timestamp>,
    /// First instant no longer inside.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Whether an instant lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// The stretch of the same length just before, when both ends are given.
    pub fn previous(&self) -> Option<Self> {
        let (from, until) = (self.from?, self.until?);
        Some(Self { from: Some(from.plus(-until.since(from))), until: Some(from) })
    }
}

/// What figures need to know of a funnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Order of stages.
    pub order: StageOrder,
    /// Stages in their places.
    pub stages: Vec<StageShape>,
    /// Conversion window, in microseconds.
    pub window: Option<i64>,
    /// Whose stream it follows.
    pub subject: SubjectKind,
}

/// What figures need to know of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageShape {
    /// Whether the way may lead past it.
    pub optional: bool,
    /// What reaching it means.
    pub goal: Option<Goal>,
}

impl Shape {
    /// The shape of a funnel.
    pub fn of(funnel: &Funnel) -> Self {
        let stages = funnel.stages.iter();
        Self {
            order: funnel.order,
            stages: stages.map(|stage| StageShape { optional: stage.optional, goal: stage.goal }).collect(),
            window: funnel.conversion_window,
            subject: funnel.subject,
        }
    }

    /// Place of the required stage before `place`, if any.
    pub fn required_before(&self, place: usize) -> Option<usize> {
        (0..place).rev().find(|&at| !self.stages[at].optional)
    }

    /// When everybody who entered in the period has had the whole window: a cohort is
    /// mature from then on. `None` when that never comes.
    pub fn mature_at(&self, period: &Period) -> Option<Timestamp> {
        Some(period.until?.plus(self.window?))
    }
}

/// Figures of one stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageFigures {
    /// Units that reached it.
    pub reached: i64,
    /// Of those that reached the first stage.
    pub of_first: Ratio,
    /// Of those that reached the previous required stage.
    pub of_previous: Ratio,
    /// Units that reached the previous required stage and not this one.
    pub dropped: i64,
    /// Journeys in this stage that are neither quiet nor closed nor through.
    pub active: i64,
    /// Journeys in this stage that are stalled.
    pub stalled: i64,
    /// Journeys in this stage that are abandoned.
    pub abandoned: i64,
    /// Journeys in this stage that are closed.
    pub ended: i64,
    /// Journeys in this stage that are through the funnel.
    pub completed: i64,
    /// Journeys that were quiet in this stage and came back or moved on.
    pub recovered: i64,
    /// Units that reached it and the last stage.
    pub converted: i64,
    /// Time since the previous required stage.
    pub time_from_previous: Distribution,
}

/// Figures of a funnel for one period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// By place.
    pub stages: Vec<StageFigures>,
    /// Journeys known.
    pub known: i64,
    /// Journeys that never entered the first stage.
    pub never_entered: i64,
    /// Units that reached the last stage, of those that entered.
    pub converted: Ratio,
    /// Time from the first stage to the last.
    pub time_to_convert: Distribution,
    /// Completion by kind of goal.
    pub goals: Vec<(Goal, Ratio)>,
}

/// Which subjects stand behind a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Figure {
    /// [`StageFigures::reached`].
    Reached,
    /// [`StageFigures::dropped`].
    Dropped,
    /// [`StageFigures::converted`].
    Converted,
    /// [`StageFigures::active`].
    Active,
    /// [`StageFigures::stalled`].
    Stalled,
    /// [`StageFigures::abandoned`].
    Abandoned,
    /// [`StageFigures::ended`].
    Ended,
    /// [`StageFigures::recovered`].
    Recovered,
    /// [`Figures::never_entered`].
    NeverEntered,
}

/// A property to break down by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakdownSpec {
    /// Which.
    pub property: Property,
    /// Number of groups named; the rest is `$other`.
    pub top: usize,
    /// For attributes: as they were when the attempt started, rather than now.
    pub at_entry: bool,
}

/// Units per step of a trend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendPoint {
    /// The step.
    pub bucket: Bucket,
    /// Units that entered in it.
    pub entered: i64,
    /// Of those, units that reached the last stage.
    pub converted: i64,
}

/// One group of a breakdown.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Value of the property; empty when missing.
    pub value: String,
    /// Whether it stands for all values that are not named.
    pub is_other: bool,
    /// Its figures.
    pub figures: Figures,
    /// Share of its units that reached the last stage less that of all other groups together;
    /// absent where one of the two has no units.
    pub converted_difference: Option<Difference>,
}
