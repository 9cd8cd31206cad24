//! Rows that cannot be worked on, and how they are kept from taking others with them.
//!
//! A row whose claim ran out, because its worker died, hung or failed, is claimed alone from
//! then on, and every such claim is counted until one of them ends well. It is set aside, with the
//! reason where people look, after a few that ended with an error of the row's own, or after more
//! that nobody ended: processes die for reasons of their own as well, and then again and again. Each
//! of those claims holds longer than the one before, so that the row cannot take a replica down at
//! every turn either.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rekindle_ports::StoreError;

use super::BATCH;
use crate::error::EngineError;

/// How long lost rows may wait behind others that are due; well below a lease.
const LOOK: Duration = Duration::from_secs(1);

/// When lost rows of a queue were last looked for. To find them costs a walk over all that is due,
/// so that it is not done after every batch of a long queue.
#[derive(Debug, Default)]
pub(super) struct LostLook(Mutex<Option<Instant>>);

impl LostLook {
    /// Whether to look now, after a claim of so many others.
    pub fn is_due(&self, claimed: usize) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = claimed < BATCH as usize || last.is_none_or(|last| last.elapsed() >= LOOK);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// Claims of a row alone after which an error of its own sets it aside.
pub(super) const MOST_FAILURES: i32 = 3;

/// Claims of a row alone that may vanish before it is set aside.
pub(super) const MOST_VANISHED: i32 = 8;

/// Why a row was set aside of which no worker ever said anything.
pub(super) const VANISHED: &str = "whoever worked on it died or hung, 8 times";

/// Whether the row that was worked on is to blame, and not the database or others at work.
pub(crate) fn is_its_fault(error: &EngineError) -> bool {
    !matches!(
        error,
        EngineError::Store(StoreError::Unavailable(_) | StoreError::Conflict(_))
            | EngineError::Stopping
            | EngineError::Busy { .. }
    )
}

/// An error with everything that caused it.
pub(crate) fn causes(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_rows_are_looked_for_when_nothing_else_is_left_and_now_and_then() {
        let look = LostLook::default();
        assert!(look.is_due(BATCH as usize), "nobody ever looked");
        assert!(!look.is_due(BATCH as usize), "somebody just looked, and more is due");
        assert!(look.is_due(BATCH as usize - 1), "nothing else is left");
    }

    #[test]
    fn the_reason_says_how_often() {
        assert!(VANISHED.contains(&MOST_VANISHED.to_string()));
    }

    #[test]
    fn a_row_is_not_blamed_for_the_database_or_for_others() {
        let conflict = StoreError::Conflict("deadlock".into());
        for theirs in [EngineError::Stopping, conflict.into(), StoreError::Unavailable("away".into()).into()]
        {
            assert!(!is_its_fault(&theirs), "{theirs:?}");
        }
        let corrupt = StoreError::Corrupt { table: "journeys", column: "state", row: "7".into() };
        for its in [EngineError::Panicked("index".into()), corrupt.into()] {
            assert!(is_its_fault(&its), "{its:?}");
        }
    }

    #[test]
    fn the_reason_names_every_cause() {
        let refused = StoreError::Refused("no such column".into());
        let expected = "the store failed: the database refused a statement: no such column";
        assert_eq!(causes(&refused.into()), expected);
    }
}
