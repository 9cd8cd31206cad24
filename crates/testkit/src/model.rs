//! The definitions once more, as naively as they can be written.
//!
//! Everything is computed from the whole visible history, again for every instant
//! that is asked about: no checkpoints, no pruning, no sharing with the fold. Slow
//! and obvious, so that where it and the fold differ one of them has misread a page.

use std::collections::BTreeSet;

use rekindle_core::Timestamp;
use rekindle_core::funnel::{Funnel, SubjectKind};

pub mod attempts;
pub mod figures;
pub mod passages;
pub mod seen;
pub mod silences;
pub mod world;

pub use attempts::ModelAttempt;
pub use figures::ModelFigures;
pub use seen::{Reader, Seen};
pub use world::{Fact, World};

/// What a subject that is in a stage is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mood {
    /// Neither quiet nor closed nor through.
    Active,
    /// Silent past the stall rule.
    Stalled,
    /// Silent past the abandonment rule.
    Abandoned,
    /// Closed.
    Ended,
    /// Through.
    Completed,
}

/// What the definitions say of one subject at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its first event that exists for the funnel.
    pub first_at: Timestamp,
    /// Every attempt that started, in order.
    pub attempts: Vec<ModelAttempt>,
    /// Where the current passage is.
    pub place: Option<usize>,
    /// When that passage entered the first stage.
    pub entered_at: Option<Timestamp>,
    /// What it is there.
    pub mood: Option<Mood>,
    /// Stages in which it was quiet and came back or moved on.
    pub recovered: BTreeSet<usize>,
}

impl Told {
    /// What is known of a subject by an instant; `None` before its first event.
    pub fn of(reader: &Reader<'_>, subject: &str, by: Timestamp) -> Option<Self> {
        let seen = reader.seen(subject, by);
        let funnel = reader.funnel;
        let first_at = seen.first()?.at();
        let passage = passages::current(funnel, &seen);
        let assigned = reader.assigned(subject);
        let place = passage.moves.last().map(|(place, _)| *place);
        let mood = place.map(|_| {
            if passage.is_completed(funnel) {
                Mood::Completed
            } else if passage.is_ended(&seen) {
                Mood::Ended
            } else {
                silences::mood(funnel, &seen, assigned, by)
            }
        });
        Some(Self {
            first_at,
            attempts: attempts::all(funnel, &seen),
            place,
            entered_at: passage.moves.first().map(|(_, which)| seen[*which].at()),
            mood,
            recovered: silences::recovered(funnel, &seen, assigned),
        })
    }

    /// The best attempt: the deepest that is not void, of equally deep ones the first.
    pub fn best(&self) -> Option<&ModelAttempt> {
        let valid = self.attempts.iter().filter(|attempt| attempt.voided_at.is_none());
        // The last of equals wins in `max_by_key`, so look from the end.
        valid.rev().max_by_key(|attempt| attempt.depth())
    }
}

/// Everything told of every subject at an instant, by name.
pub fn told(world: &World, funnel: &Funnel, by: Timestamp) -> Vec<(String, Told)> {
    let reader = Reader::new(world, funnel);
    let subjects = world.subjects(funnel.subject);
    subjects.into_iter().filter_map(|name| Some((name.clone(), Told::of(&reader, &name, by)?))).collect()
}

/// Whether the customer is the subject.
pub(crate) fn follows_customers(funnel: &Funnel) -> bool {
    funnel.subject == SubjectKind::Customer
}
