//! Plans: when each schedule is to be looked at next.

use rekindle_core::Timestamp;
use rekindle_core::sequence::{Occasion, SequenceState};
use rekindle_ports::Tx;
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::store::schedules::ScheduleRow;

use super::clock::Clock;
use crate::error::EngineResult;
use crate::loops::BATCH;

/// Plans the next time of a sequence that a verb or a revision has changed; removes the plan of one
/// that has no times any more. The caller holds the lock of its row.
pub(crate) async fn plan(tx: &mut dyn Tx, row: &SequenceRow, now: Timestamp) -> EngineResult<()> {
    let clock = match row.state {
        SequenceState::Active => Clock::of(tx, row).await?,
        SequenceState::Draft | SequenceState::Paused | SequenceState::Archived => None,
    };
    match clock.and_then(|clock| clock.next_after(now)) {
        Some(at) => {
            let plan = ScheduleRow { sequence: row.id.clone(), fires_at: at, look_at: at, cursor: None };
            Ok(tx.save_schedule(&plan).await?)
        }
        None => Ok(tx.delete_schedule(&row.id).await?),
    }
}

/// Brings forward what comes earlier in the workspace's new zone, of the schedules that name none. What
/// comes later there is put off when it is looked at, and a time that is half done stays.
pub(crate) async fn follow_workspace(tx: &mut dyn Tx, now: Timestamp) -> EngineResult<()> {
    let mut after = String::new();
    loop {
        let rows = tx.sequences(&after, BATCH).await?;
        for row in &rows {
            if goes_by_workspace(row) {
                bring_forward(tx, row, now).await?;
            }
        }
        match rows.last() {
            Some(last) if rows.len() == BATCH as usize => after.clone_from(&last.id),
            _ => return Ok(()),
        }
    }
}

/// Whether a sequence comes round, and by the workspace's clock.
fn goes_by_workspace(row: &SequenceRow) -> bool {
    row.state == SequenceState::Active
        && matches!(&row.body.trigger.on, Occasion::Schedule(on) if on.zone.is_empty())
}

async fn bring_forward(tx: &mut dyn Tx, row: &SequenceRow, now: Timestamp) -> EngineResult<()> {
    let Some(at) = Clock::of(tx, row).await?.and_then(|clock| clock.next_after(now)) else {
        return Ok(());
    };
    let planned = tx.await_schedule(&row.id).await?;
    if let Some(plan) = planned.filter(|plan| plan.cursor.is_none() && at < plan.fires_at) {
        tx.save_schedule(&ScheduleRow { fires_at: at, look_at: at, ..plan }).await?;
    }
    Ok(())
}
