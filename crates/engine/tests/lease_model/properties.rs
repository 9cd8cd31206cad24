//! What must hold in every state, and what must be possible in some.

use stateright::Property;

use crate::queue::Queue;
use crate::state::{Answer, Attempt, Ending, Job, Outcome, Policy, State, Step};

/// No attempt has two outcomes.
pub const ONE_OUTCOME: &str = "an attempt gets at most one outcome";
/// The fence holds.
pub const NO_STALE_WRITE: &str = "no write is accepted from a worker whose claim is over";
/// The lease excludes.
pub const ONE_LEASE: &str = "no two workers count on a lease of the same item at once";
/// Nothing leaves unannounced.
pub const STARTED_FIRST: &str = "nothing is sent before its attempt is committed";
/// An attempt is one send.
pub const SENT_ONCE: &str = "an attempt is sent at most once";
/// A lease is needed to begin.
pub const NOT_AFTER_TAKEOVER: &str = "nobody begins to send what another has taken over";
/// A repetition has a reason.
pub const REASON_TO_REPEAT: &str = "an item is sent again only after an unknown or a retryable outcome";
/// Parked means parked.
pub const PARKED: &str = "a parked item is taken by the outside world at most once";
/// The cancel wins.
pub const NOTHING_AFTER_CANCEL: &str = "no attempt is started once the end of the run is committed";
/// The ledger tells the truth.
pub const ENDINGS_TRUE: &str = "an item that ended has no open attempt, and was taken if it says delivered";

/// The invariants.
pub fn never() -> Vec<Property<Queue>> {
    vec![
        Property::always(ONE_OUTCOME, |_, state: &State| !state.harm.second_outcome),
        Property::always(NO_STALE_WRITE, |_, state: &State| !state.harm.stale_write),
        Property::always(ONE_LEASE, one_lease),
        Property::always(STARTED_FIRST, started_first),
        Property::always(SENT_ONCE, sent_once),
        Property::always(NOT_AFTER_TAKEOVER, |_, state: &State| !state.harm.sent_after_takeover),
        Property::always(REASON_TO_REPEAT, reason_to_repeat),
        Property::always(PARKED, parked),
        Property::always(NOTHING_AFTER_CANCEL, |_, state: &State| !state.harm.started_after_cancel),
        Property::always(ENDINGS_TRUE, endings_true),
    ]
}

/// What some run of a queue with both policies and every fault shows.
pub fn possible() -> Vec<Property<Queue>> {
    vec![
        Property::sometimes("every item ends delivered", |_, state: &State| {
            state.rows.iter().all(|row| row.ending() == Some(Ending::Delivered))
        }),
        Property::sometimes("an item ends failed", |_, state: &State| any_ends(state, Ending::Failed)),
        Property::sometimes("an item ends cancelled", |_, state: &State| any_ends(state, Ending::Cancelled)),
        Property::sometimes("an item ends unknown", |_, state: &State| any_ends(state, Ending::Unknown)),
        Property::sometimes("an item is sent again because nobody knows, and delivered", sent_again),
        Property::sometimes("a slow worker comes to write after another took its item", late_to_write),
        Property::sometimes("a worker is about to send when the end of the run commits", overtaken),
    ]
}

fn one_lease(_: &Queue, state: &State) -> bool {
    let held = |item: usize| {
        let live = |job: &&Job| job.item == item && job.lease_left > 0;
        state.jobs.iter().flatten().filter(live).count()
    };
    (0..state.rows.len()).all(|item| held(item) <= 1)
}

fn started_first(_: &Queue, state: &State) -> bool {
    let mut items = state.rows.iter().zip(&state.outside);
    items.all(|(row, sent)| sent.iter().all(|sent| sent.attempt < row.attempts.len()))
}

fn sent_once(_: &Queue, state: &State) -> bool {
    state.outside.iter().all(|sent| {
        let again = |place: usize| sent[..place].iter().any(|before| before.attempt == sent[place].attempt);
        !(0..sent.len()).any(again)
    })
}

fn reason_to_repeat(_: &Queue, state: &State) -> bool {
    state.rows.iter().zip(&state.outside).all(|(row, sent)| {
        let reasons = row.attempts.iter().filter(|attempt| attempt.allows_another()).count();
        let newest = row.attempts.len().saturating_sub(1);
        sent.len() <= reasons + 1 && row.attempts[..newest].iter().all(Attempt::allows_another)
    })
}

fn parked(model: &Queue, state: &State) -> bool {
    let items = model.items.iter().zip(&state.outside).zip(&state.rows);
    let mut parking = items.filter(|((policy, _), _)| **policy == Policy::Park);
    parking.all(|((_, sent), row)| {
        let newest = row.attempts.len().saturating_sub(1);
        let repeated = row.attempts[..newest].iter().any(|attempt| attempt.outcome == Some(Outcome::Unknown));
        !repeated && sent.iter().filter(|sent| sent.taken).count() <= 1
    })
}

fn endings_true(_: &Queue, state: &State) -> bool {
    state.rows.iter().zip(&state.outside).all(|(row, sent)| {
        let Some(ending) = row.ending() else { return true };
        let settled = row.attempts.iter().all(|attempt| attempt.outcome.is_some());
        let taken = |place: usize| sent.iter().any(|sent| sent.attempt == place && sent.taken);
        let delivered = (0..row.attempts.len())
            .any(|place| row.attempts[place].outcome == Some(Outcome::Delivered) && taken(place));
        settled && (ending != Ending::Delivered || delivered)
    })
}

fn any_ends(state: &State, ending: Ending) -> bool {
    state.rows.iter().any(|row| row.ending() == Some(ending))
}

fn sent_again(_: &Queue, state: &State) -> bool {
    state.rows.iter().zip(&state.outside).any(|(row, sent)| {
        let unknown = row.attempts.iter().any(|attempt| attempt.outcome == Some(Outcome::Unknown));
        unknown && row.ending() == Some(Ending::Delivered) && sent.len() == 2
    })
}

fn late_to_write(_: &Queue, state: &State) -> bool {
    state.jobs.iter().flatten().any(|job| {
        let answered = matches!(job.step, Step::Answered { answer: Answer::Taken, .. });
        answered && !state.holds(job) && !state.rows[job.item].run_ended
    })
}

fn overtaken(_: &Queue, state: &State) -> bool {
    let begun = |job: &Job| matches!(job.step, Step::Begun { .. });
    state.jobs.iter().flatten().any(|job| begun(job) && state.rows[job.item].run_ended)
}
