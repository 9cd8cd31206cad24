//! D3: attempts, levels and voids, by trying everything.

use std::collections::BTreeSet;

use rekindle_core::Timestamp;
use rekindle_core::funnel::{Funnel, Stage, StageOrder};

use super::seen::Seen;

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAttempt {
    /// Id of the event that started it.
    pub start: String,
    /// Its instant.
    pub start_at: Timestamp,
    /// When each stage (in any order: each level) was entered.
    pub entered: Vec<Option<Timestamp>>,
    /// The first instant at which it was void, if it is.
    pub voided_at: Option<Timestamp>,
    /// Whether it counts when attempts may not overlap.
    pub chained: bool,
    /// Values of the declared breakdowns at its start.
    pub values: Vec<String>,
}

impl ModelAttempt {
    /// Place of the deepest stage or level.
    pub fn depth(&self) -> usize {
        self.entered.iter().rposition(Option::is_some).unwrap_or(0)
    }

    /// Whether it counts for a stage.
    pub fn reaches(&self, funnel: &Funnel, place: usize) -> bool {
        if funnel.stages[place].optional { self.entered[place].is_some() } else { self.depth() >= place }
    }
}

/// The events by which an attempt entered its stages or levels: place and index.
type Chain = Vec<(usize, usize)>;

/// Every attempt of a stream, in order of their starts.
pub fn all(funnel: &Funnel, seen: &[Seen<'_>]) -> Vec<ModelAttempt> {
    let mut attempts: Vec<ModelAttempt> = Vec::new();
    let mut newest_chained: Option<(usize, Chain)> = None;
    for start in 0..seen.len() {
        let chain = match funnel.order {
            StageOrder::Any => in_any_order(funnel, seen, start),
            StageOrder::Ordered | StageOrder::Strict => in_order(funnel, seen, start),
        };
        if chain.is_empty() {
            continue;
        }
        let chained =
            newest_chained.as_ref().is_none_or(|(first, chain)| is_over(funnel, seen, *first, chain, start));
        if chained {
            newest_chained = Some((start, chain.clone()));
        }
        let mut entered = vec![None; funnel.stages.len()];
        for (place, which) in &chain {
            entered[*place] = Some(seen[*which].at());
        }
        attempts.push(ModelAttempt {
            start: seen[start].fact.event.id.clone(),
            start_at: seen[start].at(),
            entered,
            voided_at: voided_at(funnel, seen, &chain),
            chained,
            values: seen[start].values.clone(),
        });
    }
    attempts
}

/// Whether an attempt has converted, run out of its window, or been voided before an event.
fn is_over(funnel: &Funnel, seen: &[Seen<'_>], start: usize, chain: &Chain, event: usize) -> bool {
    let converted = chain.iter().any(|(place, which)| place + 1 == funnel.stages.len() && *which < event);
    let expired =
        funnel.conversion_window.is_some_and(|window| seen[event].at() > seen[start].at().plus(window));
    let void = voided_at(funnel, seen, chain).is_some_and(|at| at < seen[event].at());
    converted || expired || void
}

fn requirements(funnel: &Funnel, stage: &Stage) -> BTreeSet<usize> {
    stage.requires.iter().filter_map(|id| funnel.stage_index(id)).collect()
}

/// Stages that may come next: optional ones, up to and with the next required one (or the last).
fn open_after(funnel: &Funnel, last: usize) -> Vec<usize> {
    let mut open = Vec::new();
    for place in last + 1..funnel.stages.len() {
        open.push(place);
        if !funnel.stages[place].optional {
            break;
        }
    }
    open
}

fn in_order(funnel: &Funnel, seen: &[Seen<'_>], start: usize) -> Chain {
    if !seen[start].stages.contains(&0) {
        return Vec::new();
    }
    let mut chain = vec![(0, start)];
    // One event after the other is tried for the next stage; the first that fits enters it.
    while let Some((place, which)) = next_entry(funnel, seen, &chain) {
        chain.push((place, which));
    }
    chain
}

fn next_entry(funnel: &Funnel, seen: &[Seen<'_>], chain: &Chain) -> Option<(usize, usize)> {
    let (first, last) = (chain.first()?, chain.last()?);
    let entered: BTreeSet<usize> = chain.iter().map(|(place, _)| *place).collect();
    let (t1, before) = (seen[first.1].at(), seen[last.1].at());
    let fits = |place: usize, which: usize| {
        let stage = &funnel.stages[place];
        seen[which].stages.contains(&place)
            && requirements(funnel, stage).is_subset(&entered)
            && funnel.conversion_window.is_none_or(|window| seen[which].at() <= t1.plus(window))
            && stage.window.is_none_or(|window| seen[which].at() <= before.plus(window))
    };
    let later = last.1 + 1..seen.len();
    let tried = match funnel.order {
        StageOrder::Strict => later.take(1).collect::<Vec<_>>(),
        StageOrder::Ordered | StageOrder::Any => later.collect(),
    };
    for which in tried {
        for place in open_after(funnel, last.0) {
            if fits(place, which) {
                return Some((place, which));
            }
        }
    }
    None
}

/// In any order: which sets of stages different events can stand for, event by event.
fn in_any_order(funnel: &Funnel, seen: &[Seen<'_>], start: usize) -> Chain {
    let t1 = seen[start].at();
    let mut sets: BTreeSet<BTreeSet<usize>> = [BTreeSet::new()].into();
    let mut chain: Chain = Vec::new();
    for which in start..seen.len() {
        let at = seen[which].at();
        if funnel.conversion_window.is_some_and(|window| at > t1.plus(window)) {
            break;
        }
        let before = chain.last().map_or(t1, |(_, last)| seen[*last].at());
        let mut more = sets.clone();
        for set in &sets {
            for place in seen[which].stages.iter().filter(|place| !set.contains(place)) {
                let stage = &funnel.stages[*place];
                let in_time = stage.window.is_none_or(|window| at <= before.plus(window));
                if in_time && requirements(funnel, stage).is_subset(set) {
                    more.insert(set.iter().chain([place]).copied().collect());
                }
            }
        }
        let most = more.iter().map(BTreeSet::len).max().unwrap_or(0);
        if most > chain.len() {
            chain.push((chain.len(), which));
        } else if which == start {
            return Vec::new();
        }
        // With windows of stages only the way that took every event in time is the attempt.
        more.retain(|set| funnel.stages.iter().all(|stage| stage.window.is_none()) || set.len() == most);
        sets = more;
    }
    chain
}

/// The first instant at which an exclusion holds against the attempt.
fn voided_at(funnel: &Funnel, seen: &[Seen<'_>], chain: &Chain) -> Option<Timestamp> {
    if funnel.order == StageOrder::Any {
        return None;
    }
    let mut voids = Vec::new();
    for (number, exclusion) in funnel.exclusions.iter().enumerate() {
        let from = funnel.stage_index(&exclusion.from_stage).expect("the funnel is valid");
        let to = funnel.stage_index(&exclusion.to_stage).expect("the funnel is valid");
        let Some((_, opened)) = chain.iter().find(|(place, _)| *place == from) else {
            continue;
        };
        let opened = seen[*opened].at();
        // A closing stage that is optional counts as reached when a later one is.
        let closed = chain.iter().find(|(place, _)| *place >= to).map(|(_, which)| seen[*which].at());
        for event in seen.iter().filter(|event| event.excludes.contains(&number) && event.at() > opened) {
            let counts = match (closed, funnel.conversion_window) {
                (Some(closed), _) => event.at() < closed,
                (None, Some(window)) => event.at() < opened.plus(window),
                (None, None) => true,
            };
            if counts {
                voids.push(event.at());
            }
        }
    }
    voids.into_iter().min()
}
