//! Attempts through stages in any order.
//!
//! The level is the largest number of different stages that different events
//! can stand for: a matching of events to stages, kept largest by augmenting
//! paths as events arrive.

use super::attempt::{Attempt, AttemptRules, Progress, Start, Step, within_stage_window, within_window};
use crate::event::Event;
use crate::funnel::compile::{CompiledFunnel, Mask, Meaning};

/// Stages in any order.
pub struct AnyOrder;

impl AttemptRules for AnyOrder {
    fn starts(&self, funnel: &CompiledFunnel, meaning: Meaning) -> bool {
        unlocked(funnel, meaning.stages, 0) != 0
    }

    fn start(&self, funnel: &CompiledFunnel, event: &Event, meaning: Meaning, start: Start) -> Attempt {
        let mut attempt = Attempt {
            start: event.order(),
            entered: vec![None; funnel.len()],
            voided_at: None,
            episode: start.episode,
            chained: start.chained,
            values: start.values,
            progress: Progress::default(),
        };
        let open = unlocked(funnel, meaning.stages, 0);
        attempt.progress.matched.push((open, open.trailing_zeros() as usize));
        attempt.enter(0, event);
        attempt
    }

    fn advance(
        &self,
        funnel: &CompiledFunnel,
        attempt: &mut Attempt,
        event: &Event,
        meaning: Meaning,
    ) -> Step {
        let at = event.effective_at;
        if !within_window(funnel, attempt, at) {
            return Step { changed: false, open: false };
        }
        let level = attempt.last();
        let previous = attempt.entered_at(level).unwrap_or(attempt.start.at);
        let matched = &mut attempt.progress.matched;
        let stages = unlocked(funnel, meaning.stages, taken(matched));
        let usable = places(stages)
            .filter(|&place| within_stage_window(funnel, place, previous, at))
            .fold(0, |mask, place| mask | 1 << place);
        let grew = usable != 0 && augment(matched, usable);
        if grew {
            attempt.enter(level + 1, event);
        }
        Step { changed: grew, open: !attempt.is_converted() }
    }
}

/// Stages whose prerequisites are among those already taken.
fn unlocked(funnel: &CompiledFunnel, stages: Mask, taken: Mask) -> Mask {
    places(stages).filter(|&place| funnel.is_open(place, taken)).fold(0, |mask, place| mask | 1 << place)
}

/// Stages that some event stands for.
fn taken(matched: &[(Mask, usize)]) -> Mask {
    matched.iter().fold(0, |mask, (_, place)| mask | 1 << place)
}

/// Gives a new event, which may stand for any of `stages`, a place of its own,
/// moving earlier events to other stages they match where that makes room.
fn augment(matched: &mut Vec<(Mask, usize)>, stages: Mask) -> bool {
    matched.push((stages, usize::MAX));
    let newest = matched.len() - 1;
    let mut visited = 0;
    let found = find_place(matched, newest, &mut visited);
    if !found {
        matched.pop();
    }
    found
}

fn find_place(matched: &mut [(Mask, usize)], event: usize, visited: &mut Mask) -> bool {
    for place in places(matched[event].0) {
        if *visited & 1 << place != 0 {
            continue;
        }
        *visited |= 1 << place;
        let holder = matched.iter().position(|(_, held)| *held == place);
        if holder.is_none_or(|holder| find_place(matched, holder, visited)) {
            matched[event].1 = place;
            return true;
        }
    }
    false
}

fn places(mask: Mask) -> impl Iterator<Item = usize> {
    (0..Mask::BITS as usize).filter(move |place| mask & 1 << place != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_event_moves_aside_for_a_new_one() {
        // The first event fits stages 0 and 1 and took 0; the second fits only 0.
        let mut matched = vec![(0b11, 0)];
        assert!(augment(&mut matched, 0b01));
        assert_eq!(taken(&matched), 0b11);
        assert!(!augment(&mut matched, 0b11));
    }
}
