//! Takes a run over into another revision of its sequence: a plain function of where it stands and
//! what both revisions say.

use std::collections::BTreeMap;
use std::mem;

use super::program::Op;
use super::progress::Awaits;
use super::{Action, Program, Progress};

/// For steps of the old revision: the step of the new one at which their runs go on; empty for
/// steps whose runs end.
pub type StepMap = BTreeMap<String, String>;

/// Where a run stands in its program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// It has not begun.
    Before,
    /// In this step: it waits there, or it comes next.
    In(String),
    /// Behind the last step.
    Behind,
}

impl Stand {
    /// Where a run stands at a place.
    pub fn of(place: usize, progress: &Progress, program: &Program) -> Self {
        if place == 0 && progress.steps.is_empty() && progress.awaits.is_none() {
            return Self::Before;
        }
        let awaited = progress.awaits.as_ref().map(Awaits::step);
        match awaited.or_else(|| program.step_at(place)) {
            Some(step) => Self::In(step.to_owned()),
            None => Self::Behind,
        }
    }
}

/// What becomes of the runs that stand somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// They go on in the step that has the same id.
    Same(&'a str),
    /// They go on at the beginning of this step.
    Enters(&'a str),
    /// They begin with the first step.
    Begins,
    /// Nothing is left for them to do.
    Completes,
    /// They end.
    Ends,
    /// Their step is gone, and nobody said what becomes of them.
    Nowhere,
}

impl<'a> Way<'a> {
    /// The way from where runs stand into a program.
    pub fn of(stand: &'a Stand, to: &Program, map: &'a StepMap) -> Self {
        let step = match stand {
            Stand::Before => return Self::Begins,
            Stand::Behind => return Self::Completes,
            Stand::In(step) => step.as_str(),
        };
        let has = |step: &str| to.place_of(step).is_some();
        match map.get(step).map(String::as_str) {
            Some("") => Self::Ends,
            Some(named) if has(named) => Self::Enters(named),
            None if has(step) => Self::Same(step),
            Some(_) | None => Self::Nowhere,
        }
    }
}

/// What becomes of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Moved {
    /// It goes on here.
    Goes {
        /// Place in the new program.
        place: usize,
        /// What it remembers from now on.
        progress: Progress,
    },
    /// It ends: its step was removed.
    Ends,
    /// It cannot go on: its step is gone, and nobody said what becomes of it.
    Nowhere,
}

/// Takes a run from one program over into another.
///
/// What it knows of the steps it came by stays, of those that are gone too: a step that comes back
/// one day is not to take an old message for its own.
pub fn moved(place: usize, progress: &Progress, from: &Program, to: &Program, map: &StepMap) -> Moved {
    let stand = Stand::of(place, progress, from);
    let mut progress = progress.clone();
    let place = match Way::of(&stand, to, map) {
        Way::Same(step) => stays(step, &mut progress, to),
        Way::Enters(step) => enters(step, &mut progress, to),
        Way::Begins => Some(0),
        Way::Completes => {
            progress.rounds.clear();
            Some(to.end())
        }
        Way::Ends => return Moved::Ends,
        Way::Nowhere => None,
    };
    place.map_or(Moved::Nowhere, |place| Moved::Goes { place, progress })
}

/// Goes on in a step: with what it waits for, as far as the step still waits for such a thing.
fn stays(step: &str, progress: &mut Progress, to: &Program) -> Option<usize> {
    let first = to.place_of(step)?;
    if matches!(progress.awaits, Some(Awaits::Delivery { .. })) {
        // The message is written: what comes next is behind it.
        let behind = to.behind(step)?;
        count_rounds(progress, to, behind, None);
        return Some(behind);
    }
    let op = to.ops.get(first)?;
    progress.awaits = progress.awaits.take().and_then(|awaits| refitted(awaits, op));
    let own = matches!(op, Op::Round { .. }).then_some(step);
    count_rounds(progress, to, first, own);
    Some(first)
}

/// Goes on at the beginning of a step; a message that is under way is awaited first.
fn enters(step: &str, progress: &mut Progress, to: &Program) -> Option<usize> {
    let first = to.place_of(step)?;
    progress.awaits = progress.awaits.take().filter(|awaits| matches!(awaits, Awaits::Delivery { .. }));
    count_rounds(progress, to, first, None);
    Some(first)
}

/// What a run waits for in a step as the new definition has it; `None` where the step is another
/// kind of step now, which the run then begins.
fn refitted(awaits: Awaits, op: &Op) -> Option<Awaits> {
    match (awaits, op) {
        (Awaits::Rule { step, since, heard, .. }, Op::Await { within, .. }) => {
            Some(Awaits::Rule { step, since, until: since.plus(*within), heard })
        }
        (awaits @ Awaits::Moment { .. }, Op::Do { step, .. })
            if matches!(step.action, Action::Wait(_) | Action::WaitUntil(_)) =>
        {
            Some(awaits)
        }
        (awaits @ Awaits::Leave { .. }, Op::Do { step, .. }) if step.action.destination().is_some() => {
            Some(awaits)
        }
        _ => None,
    }
}

/// Keeps the rounds of the repetitions around a place, and of the one that it stands at, if it
/// stands at `own`; one that it never began is in its first round.
fn count_rounds(progress: &mut Progress, to: &Program, place: usize, own: Option<&str>) {
    let mut known = mem::take(&mut progress.rounds);
    for step in to.rounds_around(place) {
        let round = known.remove(step).unwrap_or_else(|| {
            progress.visit(step);
            1
        });
        progress.rounds.insert(step.to_owned(), round);
    }
    if let Some((step, round)) = own.and_then(|step| known.remove_entry(step)) {
        progress.rounds.insert(step, round);
    }
}

#[cfg(test)]
mod tests;
