//! Where journeys stand at an instant, and which of them are quiet.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::facts::{SilenceFact, StandingFact};
use super::{Figure, Period, Shape};
use crate::fold::passage::Standing;
use crate::time::Timestamp;

/// What a journey in a stage is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Neither quiet nor closed nor through.
    Active,
    /// Quiet for longer than the stall rule allows.
    Stalled,
    /// Quiet for longer than the abandonment rule allows.
    Abandoned,
    /// Closed.
    Ended,
    /// Through the last stage.
    Completed,
}

/// One journey at the instant of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Key of the subject.
    pub subject: Uuid,
    /// Customer of the subject.
    pub customer: Option<Uuid>,
    /// Instant of its first event.
    pub first_at: Timestamp,
    /// Where it stands.
    pub standing: Standing,
    /// What it is there; `None` when it never entered.
    pub condition: Option<Condition>,
    /// When the silence that counts began.
    pub quiet_since: Option<Timestamp>,
}

/// All journeys of a question.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    /// The journeys.
    pub all: Vec<Position>,
    recovered: HashSet<(usize, Uuid)>,
}

impl Positions {
    /// Places journeys at `as_of`; a period keeps those that entered inside it, and of
    /// those that never entered the ones first seen inside it.
    pub fn new(
        shape: &Shape,
        facts: Vec<StandingFact>,
        silences: &[SilenceFact],
        period: &Period,
        as_of: Timestamp,
    ) -> Self {
        // Where stall and abandonment await different parties, a silence may count from before
        // the one that it followed ended. The one in progress is the one that ended first.
        let mut quiet: HashMap<Uuid, &SilenceFact> = HashMap::new();
        for silence in silences.iter().filter(|s| s.is_stalled_at(as_of) || s.is_abandoned_at(as_of)) {
            let held = quiet.entry(silence.subject).or_insert(silence);
            if silence.until.is_some_and(|until| held.until.is_none_or(|held| until < held)) {
                *held = silence;
            }
        }
        let all: Vec<Position> = facts
            .into_iter()
            .filter(|fact| fact.first_at <= as_of)
            .map(|fact| place(shape, &fact, &quiet, as_of))
            .filter(|position| period.contains(position.standing.entered_at.unwrap_or(position.first_at)))
            .collect();
        let kept: HashSet<Uuid> = all.iter().map(|position| position.subject).collect();
        let recovered = silences
            .iter()
            .filter(|silence| silence.is_recovered_by(as_of) && kept.contains(&silence.subject))
            .map(|silence| (silence.place, silence.subject))
            .collect();
        Self { all, recovered }
    }

    /// The positions of some subjects only.
    #[must_use]
    pub fn of(&self, subjects: &HashSet<Uuid>) -> Self {
        Self {
            all: self.all.iter().filter(|position| subjects.contains(&position.subject)).copied().collect(),
            recovered: self
                .recovered
                .iter()
                .filter(|(_, subject)| subjects.contains(subject))
                .copied()
                .collect(),
        }
    }

    /// Journeys that never entered the first stage.
    pub fn never_entered(&self) -> impl Iterator<Item = &Position> {
        self.all.iter().filter(|position| position.standing.place.is_none())
    }

    /// Journeys in a stage under a condition.
    pub fn in_stage(&self, place: usize, condition: Condition) -> impl Iterator<Item = &Position> {
        self.all.iter().filter(move |position| {
            position.standing.place == Some(place) && position.condition == Some(condition)
        })
    }

    /// Journeys that were quiet in a stage and came back or moved on.
    pub fn recovered_in(&self, place: usize) -> impl Iterator<Item = &Position> {
        self.all.iter().filter(move |position| self.recovered.contains(&(place, position.subject)))
    }

    /// Journeys behind a positional figure; `None` for figures that attempts answer.
    pub fn behind(&self, figure: Figure, place: usize) -> Option<Vec<&Position>> {
        let condition = match figure {
            Figure::NeverEntered => return Some(self.never_entered().collect()),
            Figure::Recovered => return Some(self.recovered_in(place).collect()),
            Figure::Active => Condition::Active,
            Figure::Stalled => Condition::Stalled,
            Figure::Abandoned => Condition::Abandoned,
            Figure::Ended => Condition::Ended,
            Figure::Reached | Figure::Dropped | Figure::Converted => return None,
        };
        Some(self.in_stage(place, condition).collect())
    }
}

fn place(
    shape: &Shape,
    fact: &StandingFact,
    quiet: &HashMap<Uuid, &SilenceFact>,
    as_of: Timestamp,
) -> Position {
    let standing = fact
        .passages
        .as_ref()
        .map_or(fact.standing, |passages| passages.standing(shape.order, shape.stages.len(), as_of));
    let silence = quiet.get(&fact.subject).filter(|silence| standing.place == Some(silence.place));
    let condition = standing.place.map(|_| match (standing.completed, standing.ended, silence) {
        (true, _, _) => Condition::Completed,
        (_, true, _) => Condition::Ended,
        (_, _, Some(silence)) if silence.is_abandoned_at(as_of) => Condition::Abandoned,
        (_, _, Some(_)) => Condition::Stalled,
        (_, _, None) => Condition::Active,
    });
    Position {
        subject: fact.subject,
        customer: fact.customer,
        first_at: fact.first_at,
        standing,
        condition,
        quiet_since: silence.map(|silence| silence.since),
    }
}
