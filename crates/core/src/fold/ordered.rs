//! Attempts through stages in order, strict or not.

use super::attempt::{Attempt, AttemptRules, Start, Step, within_stage_window, within_window};
use crate::event::Event;
use crate::funnel::StageOrder;
use crate::funnel::compile::{CompiledFunnel, Mask, Meaning};

/// Stages in order: each is entered by the earliest match after the one before.
pub struct Ordered;

impl AttemptRules for Ordered {
    fn starts(&self, _: &CompiledFunnel, meaning: Meaning) -> bool {
        meaning.stages & 1 != 0
    }

    fn start(&self, funnel: &CompiledFunnel, event: &Event, _: Meaning, start: Start) -> Attempt {
        let mut attempt = Attempt {
            start: event.order(),
            entered: vec![None; funnel.len()],
            voided_at: None,
            episode: start.episode,
            chained: start.chained,
            values: start.values,
            progress: super::attempt::Progress::default(),
        };
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
        let entered = next_stage(funnel, attempt, event, meaning);
        if let Some(place) = entered {
            attempt.enter(place, event);
            settle_exclusions(funnel, attempt, place);
        } else if funnel.order() == StageOrder::Strict {
            attempt.progress.broken = true;
        }
        let excluded = note_exclusions(funnel, attempt, event, meaning.exclusions);
        Step { changed: entered.is_some() || excluded, open: can_change(funnel, attempt, event) }
    }
}

/// The stage that the event enters in this attempt: of those open to it, the earliest.
fn next_stage(funnel: &CompiledFunnel, attempt: &Attempt, event: &Event, meaning: Meaning) -> Option<usize> {
    if attempt.progress.broken || !within_window(funnel, attempt, event.effective_at) {
        return None;
    }
    let last = attempt.last();
    let previous = attempt.entered_at(last)?;
    let mut open = funnel.candidates(last, attempt.mask()) & meaning.stages;
    while open != 0 {
        let place = open.trailing_zeros() as usize;
        if within_stage_window(funnel, place, previous, event.effective_at) {
            return Some(place);
        }
        open &= open - 1;
    }
    None
}

/// A closing stage entered at the very instant of an excluded event takes the void back.
fn settle_exclusions(funnel: &CompiledFunnel, attempt: &mut Attempt, reached: usize) {
    let exclusions = funnel.exclusions();
    attempt.progress.voids.retain(|(which, _)| exclusions[*which].to > reached);
    attempt.voided_at = attempt.progress.voids.iter().map(|(_, at)| *at).min();
}

/// Notes the exclusions that the event triggers: strictly after the opening stage,
/// before the closing one, and within the conversion window of the opening one.
fn note_exclusions(
    funnel: &CompiledFunnel,
    attempt: &mut Attempt,
    event: &Event,
    mut triggered: Mask,
) -> bool {
    let at = event.effective_at;
    let mut noted = false;
    while triggered != 0 {
        let which = triggered.trailing_zeros() as usize;
        triggered &= triggered - 1;
        let exclusion = &funnel.exclusions()[which];
        let Some(opened) = attempt.entered_at(exclusion.from) else {
            continue;
        };
        let window = funnel.funnel.conversion_window;
        let counts = attempt.last() < exclusion.to
            && at > opened
            && window.is_none_or(|window| at < opened.plus(window));
        if counts {
            attempt.progress.voids.push((which, at));
            attempt.voided_at.get_or_insert(at);
            noted = true;
        }
    }
    noted
}

/// Whether an event at or after this one could still enter a stage or void the attempt.
fn can_change(funnel: &CompiledFunnel, attempt: &Attempt, event: &Event) -> bool {
    if attempt.is_converted() {
        return false;
    }
    let at = event.effective_at;
    let advances = !attempt.progress.broken && within_window(funnel, attempt, at);
    advances
        || funnel.exclusions().iter().any(|exclusion| {
            let window = funnel.funnel.conversion_window;
            attempt.last() < exclusion.to
                && attempt
                    .entered_at(exclusion.from)
                    .is_some_and(|opened| window.is_none_or(|window| at < opened.plus(window)))
        })
}
