//! D10, Q1 and Q16: who is quiet at an instant, and who came back.

use std::collections::BTreeSet;

use rekindle_core::Timestamp;
use rekindle_core::event::Author;
use rekindle_core::funnel::{Funnel, OwedBy, SilenceRule, Stage};
use uuid::Uuid;

use super::Mood;
use super::passages;
use super::seen::Seen;

/// The clocks that run after some events: the stage, and when each runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clocks {
    place: usize,
    /// Index of the event it runs from, and the instant it is due.
    stall: Option<(usize, Timestamp)>,
    abandon: Option<(usize, Timestamp)>,
}

/// What a subject in a stage, neither through nor closed, is at an instant.
pub fn mood(funnel: &Funnel, seen: &[Seen<'_>], assigned: Uuid, by: Timestamp) -> Mood {
    let clocks = clocks(funnel, seen, assigned);
    let out = |clock: Option<(usize, Timestamp)>| clock.is_some_and(|(_, due)| due <= by);
    match clocks {
        Some(clocks) if out(clocks.abandon) => Mood::Abandoned,
        Some(clocks) if out(clocks.stall) => Mood::Stalled,
        _ => Mood::Active,
    }
}

/// Stages in which a silence was due before it ended, by the customer or by moving on.
pub fn recovered(funnel: &Funnel, seen: &[Seen<'_>], assigned: Uuid) -> BTreeSet<usize> {
    let mut recovered = BTreeSet::new();
    let mut ended = BTreeSet::new();
    for which in 1..seen.len() {
        let clocks = |seen| clocks(funnel, seen, assigned);
        let (before, after) = (clocks(&seen[..which]), clocks(&seen[..=which]));
        let Some(before) = before.filter(|before| Some(before) != after.as_ref()) else {
            continue;
        };
        let due = before.stall.into_iter().chain(before.abandon).map(|(_, due)| due).min();
        let passage = passages::current(funnel, &seen[..=which]);
        let moved = passage.moves.last().is_some_and(|(place, _)| *place != before.place);
        let went_on = moved || passage.is_completed(funnel);
        let came_back = seen[which].fact.is_return();
        // A silence that a pause interrupts ends once at an instant: by the first that ends it.
        let anchor = before.stall.into_iter().chain(before.abandon).map(|(anchor, _)| anchor).max();
        if !ended.insert((before.place, anchor, seen[which].at())) {
            continue;
        }
        if due.is_some_and(|due| due < seen[which].at()) && (came_back || went_on) {
            recovered.insert(before.place);
        }
    }
    recovered
}

fn clocks(funnel: &Funnel, seen: &[Seen<'_>], assigned: Uuid) -> Option<Clocks> {
    let passage = passages::current(funnel, seen);
    let (place, entry) = *passage.moves.last()?;
    if passage.is_completed(funnel) || passage.is_ended(seen) {
        return None;
    }
    let clock = |rule: Option<SilenceRule>| {
        let rule = rule?;
        let anchor = anchor(seen, rule.owed_by)?.max(entry);
        Some((anchor, seen[anchor].at().plus(rule.after)))
    };
    let stage = &funnel.stages[place];
    let (stall, abandon) = (clock(stall_rule(stage, assigned)), clock(stage.abandon));
    (stall.is_some() || abandon.is_some()).then_some(Clocks { place, stall, abandon })
}

/// The stall rule of somebody: the target of their arm stands in the place of its length. Who is in
/// which arm is for chance to say, and no definition.
fn stall_rule(stage: &Stage, assigned: Uuid) -> Option<SilenceRule> {
    let mut rule = stage.stall?;
    if let Some(experiment) = &stage.target_experiment {
        let place = experiment.place_of(&stage.id, assigned).expect("arms weigh something");
        rule.after = experiment.arms[place].after;
    }
    Some(rule)
}

/// The event from which a party's silence runs, since the exchange was last closed.
fn anchor(seen: &[Seen<'_>], owed_by: OwedBy) -> Option<usize> {
    let cleared = seen.iter().rposition(|event| event.fact.clears()).map_or(0, |at| at + 1);
    let open = cleared..seen.len();
    let said_by = |author, range: std::ops::Range<usize>| {
        range.filter(move |which| seen[*which].fact.is_word_of(author)).collect::<Vec<_>>()
    };
    match owed_by {
        OwedBy::Anyone => open.rev().find(|which| !seen[*which].fact.carries_attributes()),
        OwedBy::Agent => {
            let answered = said_by(Author::Agent, open).last().map_or(cleared, |at| at + 1);
            said_by(Author::Customer, answered..seen.len()).first().copied()
        }
        OwedBy::Customer => {
            let answer = *said_by(Author::Agent, open).last()?;
            said_by(Author::Customer, answer..seen.len()).is_empty().then_some(answer)
        }
    }
}
