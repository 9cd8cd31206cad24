//! Figures of attempts: reach, rates and times.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::facts::AttemptFact;
use super::positions::{Condition, Positions};
use super::{Distribution, Figure, Figures, Period, Ratio, Shape, StageFigures, TrendPoint, TrendSpec, Unit};
use crate::funnel::Goal;
use crate::time::Timestamp;

/// What is counted: a subject, one of its episodes, or one of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitKey {
    /// Key of the subject, or of the customer.
    pub subject: Uuid,
    /// Episode, or number of the attempt; 0 where the subject is the unit.
    pub part: usize,
}

/// A funnel's attempts, cut to a question.
#[derive(Debug, Clone)]
pub struct Analysis {
    shape: Shape,
    /// Attempts that count, with the unit they count for; those of a unit in start order.
    counted: Vec<(UnitKey, AttemptFact)>,
    /// For each unit, the place of its best attempt in `counted`.
    best: BTreeMap<UnitKey, usize>,
}

impl Analysis {
    /// Cuts attempts to a period and an instant, and finds the best of each unit: the
    /// deepest, and of equally deep ones the one that starts first.
    ///
    /// `episode_ends` gives the instant at which an episode was followed by the next;
    /// it is read for [`Unit::Episode`] only.
    pub fn new(
        shape: Shape,
        unit: Unit,
        period: &Period,
        as_of: Timestamp,
        attempts: Vec<AttemptFact>,
        episode_ends: &HashMap<(Uuid, u32), Timestamp>,
    ) -> Self {
        let counted: Vec<(UnitKey, AttemptFact)> = attempts
            .into_iter()
            .enumerate()
            .filter(|(_, attempt)| counts(attempt, unit, period, as_of))
            .map(|(place, mut attempt)| {
                attempt.cut_after(as_of);
                let end = episode_ends.get(&(attempt.subject, attempt.episode));
                if let (Unit::Episode, Some(end)) = (unit, end) {
                    attempt.cut_from(*end);
                }
                (unit_of(unit, place, &attempt), attempt)
            })
            .filter(|(_, attempt)| attempt.voided_at.is_none())
            .collect();
        let mut best: BTreeMap<UnitKey, usize> = BTreeMap::new();
        for (place, (unit, attempt)) in counted.iter().enumerate() {
            let better = |held: &usize| {
                let held = &counted[*held].1;
                (attempt.depth(), &held.start) > (held.depth(), &attempt.start)
            };
            match best.get_mut(unit) {
                None => {
                    best.insert(*unit, place);
                }
                Some(held) if better(held) => *held = place,
                Some(_) => {}
            }
        }
        Self { shape, counted, best }
    }

    /// The best attempt of each unit.
    pub fn best(&self) -> impl Iterator<Item = (&UnitKey, &AttemptFact)> {
        self.best.iter().map(|(unit, place)| (unit, &self.counted[*place].1))
    }

    /// Keeps the units whose best attempt passes.
    pub fn retain(&mut self, mut keep: impl FnMut(&AttemptFact) -> bool) {
        let counted = &self.counted;
        self.best.retain(|_, place| keep(&counted[*place].1));
    }

    /// Subjects with an attempt that counts.
    pub fn subjects(&self) -> HashSet<Uuid> {
        self.best().map(|(_, attempt)| attempt.subject).collect()
    }

    /// All figures.
    pub fn figures(&self, positions: &Positions) -> Figures {
        let best: Vec<&AttemptFact> = self.best().map(|(_, attempt)| attempt).collect();
        figures(&self.shape, &best, positions)
    }

    /// Figures of the units whose best attempt passes.
    pub fn figures_where(
        &self,
        positions: &Positions,
        mut keep: impl FnMut(&AttemptFact) -> bool,
    ) -> Figures {
        let best: Vec<&AttemptFact> = self.best().map(|(_, attempt)| attempt).filter(|a| keep(a)).collect();
        let subjects = best.iter().map(|attempt| attempt.subject).collect();
        figures(&self.shape, &best, &positions.of(&subjects))
    }

    /// Attempts behind a figure of reach, by unit.
    pub fn behind(&self, figure: Figure, place: usize) -> Vec<(&UnitKey, &AttemptFact)> {
        let before = self.shape.required_before(place);
        let found = self.best().filter(|(_, attempt)| match figure {
            Figure::Reached => reaches(&self.shape, attempt, place),
            Figure::Converted => reaches(&self.shape, attempt, place) && attempt.is_converted(),
            Figure::Dropped => {
                before.is_some_and(|before| reaches(&self.shape, attempt, before))
                    && !reaches(&self.shape, attempt, place)
            }
            _ => false,
        });
        found.collect()
    }

    /// Every unit once, in the bucket in which its best attempt starts.
    pub fn trend_best(&self, spec: &TrendSpec) -> Vec<TrendPoint> {
        let starts = self.best().map(|(_, attempt)| (spec.date_of(attempt.start.at), attempt.is_converted()));
        points(spec, starts)
    }

    /// Every unit once in each bucket in which an attempt of it starts; converted if one
    /// that starts there reaches the last stage.
    pub fn trend_attempts(&self, spec: &TrendSpec) -> Vec<TrendPoint> {
        let mut seen: HashMap<(UnitKey, jiff::civil::Date), bool> = HashMap::new();
        for (unit, attempt) in self.counted.iter().filter(|(unit, _)| self.best.contains_key(unit)) {
            *seen.entry((*unit, spec.date_of(attempt.start.at))).or_default() |= attempt.is_converted();
        }
        points(spec, seen.into_iter().map(|((_, date), converted)| (date, converted)))
    }
}

fn counts(attempt: &AttemptFact, unit: Unit, period: &Period, as_of: Timestamp) -> bool {
    attempt.start.at <= as_of
        && period.contains(attempt.start.at)
        && (unit != Unit::Attempt || attempt.chained)
}

fn unit_of(unit: Unit, place: usize, attempt: &AttemptFact) -> UnitKey {
    let (subject, part) = match unit {
        Unit::Subject => (attempt.subject, 0),
        Unit::Episode => (attempt.subject, attempt.episode as usize),
        Unit::Customer => (attempt.customer.unwrap_or(attempt.subject), 0),
        Unit::Attempt => (attempt.subject, place),
    };
    UnitKey { subject, part }
}

/// Whether an attempt counts for a stage: it went as deep, and through the stage itself
/// where that is optional.
fn reaches(shape: &Shape, attempt: &AttemptFact, place: usize) -> bool {
    if shape.stages[place].optional { attempt.entered[place].is_some() } else { attempt.depth() >= place }
}

fn figures(shape: &Shape, best: &[&AttemptFact], positions: &Positions) -> Figures {
    let reached: Vec<i64> = (0..shape.stages.len())
        .map(|place| best.iter().filter(|attempt| reaches(shape, attempt, place)).count() as i64)
        .collect();
    let first = reached[0];
    let last = shape.stages.len() - 1;
    let stages = (0..=last).map(|place| stage_figures(shape, best, positions, &reached, place)).collect();
    Figures {
        stages,
        known: positions.all.len() as i64,
        never_entered: positions.never_entered().count() as i64,
        converted: Ratio { numerator: reached[last], denominator: first },
        time_to_convert: Distribution::of(spans(best, 0, last)),
        goals: goals(shape, best, first),
    }
}

fn stage_figures(
    shape: &Shape,
    best: &[&AttemptFact],
    positions: &Positions,
    reached: &[i64],
    place: usize,
) -> StageFigures {
    let before = shape.required_before(place);
    let count = |condition| positions.in_stage(place, condition).count() as i64;
    StageFigures {
        reached: reached[place],
        of_first: Ratio { numerator: reached[place], denominator: reached[0] },
        of_previous: before.map_or_else(Ratio::default, |before| Ratio {
            numerator: reached[place],
            denominator: reached[before],
        }),
        dropped: before.map_or(0, |before| reached[before] - reached[place]),
        active: count(Condition::Active),
        stalled: count(Condition::Stalled),
        abandoned: count(Condition::Abandoned),
        ended: count(Condition::Ended),
        completed: count(Condition::Completed),
        recovered: positions.recovered_in(place).count() as i64,
        converted: best.iter().filter(|a| a.is_converted() && reaches(shape, a, place)).count() as i64,
        time_from_previous: before
            .map_or_else(Distribution::default, |before| Distribution::of(spans(best, before, place))),
    }
}

/// Time from one stage to another, for every attempt that entered both.
fn spans(best: &[&AttemptFact], from: usize, to: usize) -> Vec<i64> {
    best.iter().filter_map(|attempt| Some(attempt.entered[to]?.since(attempt.entered[from]?))).collect()
}

/// Completion by kind of goal: units that reached any stage of the kind, of those that entered.
fn goals(shape: &Shape, best: &[&AttemptFact], entered: i64) -> Vec<(Goal, Ratio)> {
    let mut places: BTreeMap<Goal, Vec<usize>> = BTreeMap::new();
    for (place, stage) in shape.stages.iter().enumerate() {
        if let Some(goal) = stage.goal {
            places.entry(goal).or_default().push(place);
        }
    }
    places
        .into_iter()
        .map(|(goal, places)| {
            let reached = best.iter().filter(|a| places.iter().any(|&place| reaches(shape, a, place)));
            (goal, Ratio { numerator: reached.count() as i64, denominator: entered })
        })
        .collect()
}

fn points(spec: &TrendSpec, starts: impl Iterator<Item = (jiff::civil::Date, bool)>) -> Vec<TrendPoint> {
    let mut buckets: BTreeMap<jiff::civil::Date, (i64, i64)> = BTreeMap::new();
    for (date, converted) in starts {
        let counts = buckets.entry(date).or_default();
        counts.0 += 1;
        counts.1 += i64::from(converted);
    }
    buckets
        .into_iter()
        .map(|(date, (entered, converted))| TrendPoint { bucket: spec.bucket(date), entered, converted })
        .collect()
}
