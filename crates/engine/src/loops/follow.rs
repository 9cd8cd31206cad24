//! Takes runs along when a new revision of their sequence says what becomes of them.
//!
//! All of them right after it was published, page by page; and each, should nobody have come by
//! because a process died, when it is woken.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::sequence::migrate::{Moved, moved};
use rekindle_core::sequence::progress::Awaits;
use rekindle_core::sequence::{Program, Progress};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, LedgerFilter, RunEvent, RunRow, RunState};
use rekindle_ports::resources::RunPolicy;
use uuid::Uuid;

use super::locks::lock_subjects;
use super::shelf::Shelf;
use crate::error::EngineResult;
use crate::runs::ending;
use crate::sequences::programs::Programs;

/// Runs moved in one transaction: their subjects are locked meanwhile.
const BATCH: u32 = 200;

/// The place in a list of runs after which it goes on.
pub(crate) type Cursor = (Timestamp, String);

/// What becomes of a run.
pub(crate) enum Fate {
    /// It stays where it is.
    Stays,
    /// It goes on in a later revision, as its ledger is to say.
    Goes(RunEvent),
    /// It ends.
    Ends(EndReason),
}

/// Where runs stand in their sequence.
#[derive(Debug, Clone)]
pub(crate) struct Stood {
    /// Revision that they walk.
    pub revision: i32,
    /// Place of what comes next in its program.
    pub place: usize,
    /// What they remember of their way.
    pub progress: Progress,
}

/// What becomes of runs that stand somewhere.
pub(crate) enum Led {
    /// They stay there.
    Stays,
    /// They go on elsewhere, in this program.
    Goes(Arc<Program>),
    /// They end.
    Ends(EndReason),
}

/// Takes a run along to where later revisions of its sequence say. Nothing is written.
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    programs: &Programs,
    shelf: &mut Shelf,
    run: &mut RunRow,
    now: Timestamp,
) -> EngineResult<Fate> {
    let revision = run.sequence_revision;
    let standing = shelf.standing(tx, run).await?;
    if standing.is_none_or(|standing| standing.changed_by <= revision) {
        return Ok(Fate::Stays);
    }
    let place = usize::try_from(run.step).unwrap_or_default();
    let mut at = Stood { revision, place, progress: run.progress.clone() };
    Ok(match lead(tx, programs, shelf, &run.sequence, &mut at).await? {
        Led::Stays => Fate::Stays,
        Led::Ends(reason) => Fate::Ends(reason),
        Led::Goes(to) => {
            if waits_for_time(run) {
                // Until when is told anew.
                run.next_at = Some(now);
            }
            run.sequence_revision = at.revision;
            run.step = i32::try_from(at.place).unwrap_or(i32::MAX);
            run.progress = at.progress;
            Fate::Goes(line(run, to.step_at(at.place), now))
        }
    })
}

/// Takes where runs stand along to where later revisions of their sequence say, one after the other.
///
/// Who came to a step which a later revision lacks, while that was published, stays in its own until
/// it comes to a step that both have.
pub(crate) async fn lead(
    tx: &mut dyn Tx,
    programs: &Programs,
    shelf: &mut Shelf,
    sequence: &str,
    at: &mut Stood,
) -> EngineResult<Led> {
    let began = at.revision;
    let mut led = Led::Stays;
    let changes = shelf.changes(tx, sequence).await?;
    for change in changes.iter().filter(|change| change.revision > began) {
        match change.policy {
            RunPolicy::Drain => continue,
            RunPolicy::Cancel => return Ok(Led::Ends(EndReason::SequenceChanged)),
            RunPolicy::Migrate => {}
        }
        let from = shelf.program(tx, programs, sequence, at.revision).await?;
        let to = shelf.program(tx, programs, sequence, change.revision).await?;
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        match moved(at.place, &at.progress, &from, &to, &change.step_map) {
            Moved::Goes { place, progress } => {
                *at = Stood { revision: change.revision, place, progress };
                led = Led::Goes(to);
            }
            Moved::Ends => return Ok(Led::Ends(EndReason::StepRemoved)),
            Moved::Nowhere => {}
        }
    }
    Ok(led)
}

/// Takes a page of the runs of a sequence along; where the next page begins.
pub(crate) async fn follow_batch(
    tx: &mut dyn Tx,
    programs: &Programs,
    sequence: &str,
    before: Option<Cursor>,
    now: Timestamp,
) -> EngineResult<Option<Cursor>> {
    let filter = LedgerFilter {
        sequence: Some(sequence.to_owned()),
        run_states: vec![RunState::Running],
        before,
        ..LedgerFilter::default()
    };
    let page = tx.runs(&filter, BATCH).await?;
    let next = page.last().filter(|_| page.len() == BATCH as usize);
    let next = next.map(|run| (run.created_at, run.id.to_string()));
    let subjects = page.iter().flat_map(|run| [Some(run.trigger.subject), run.customer]);
    let subjects: Vec<Uuid> = subjects.flatten().collect();
    lock_subjects(tx, subjects).await?;
    let ids: Vec<Uuid> = page.iter().map(|run| run.id).collect();
    let mut shelf = Shelf::default();
    let (mut gone, mut lines, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    // Under the locks: those that ended meanwhile are left alone, and those that went on are where
    // they are now.
    for mut run in tx.runs_by_id(&ids).await? {
        if run.state != RunState::Running {
            continue;
        }
        match follow(tx, programs, &mut shelf, &mut run, now).await? {
            Fate::Stays => {}
            Fate::Goes(line) => {
                lines.push(line);
                gone.push(run);
            }
            Fate::Ends(reason) => ended.push((run.id, reason)),
        }
    }
    tx.move_runs(&gone).await?;
    tx.log_run(&lines).await?;
    ending::end(tx, &ended, now).await?;
    Ok(next)
}

/// Whether a run waits, and for something else than a delivery.
fn waits_for_time(run: &RunRow) -> bool {
    run.progress.awaits.as_ref().is_some_and(|awaits| !matches!(awaits, Awaits::Delivery { .. }))
}

fn line(run: &RunRow, step: Option<&str>, now: Timestamp) -> RunEvent {
    let whither = step.map_or("behind its last step".to_owned(), |step| format!("at step {step:?}"));
    RunEvent {
        run: run.id,
        at: now,
        kind: "migrated".into(),
        step: step.unwrap_or_default().to_owned(),
        detail: format!("goes on in revision {} {whither}", run.sequence_revision),
    }
}
