//! When a schedule comes round, on the clock of its zone.

use rekindle_core::Timestamp;
use rekindle_core::schedule::Schedule;
use rekindle_core::sequence::walk::Zone;
use rekindle_core::sequence::{Occasion, OnSchedule};
use rekindle_ports::Tx;
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::store::schedules::ScheduleRow;

use crate::error::EngineResult;

/// A schedule on the clock of its zone.
pub(super) struct Clock {
    /// What is written of it.
    pub on: OnSchedule,
    schedule: Schedule,
    zone: Zone,
}

impl Clock {
    /// That of a sequence; `None` where it does not come round.
    pub async fn of(tx: &mut dyn Tx, row: &SequenceRow) -> EngineResult<Option<Self>> {
        let Occasion::Schedule(on) = &row.body.trigger.on else {
            return Ok(None);
        };
        let Ok(schedule) = Schedule::parse(&on.cron) else {
            return Ok(None);
        };
        let zone = match on.zone.as_str() {
            "" => Zone::of(None, &tx.workspace().await?.body.zone),
            zone => Zone::of(None, zone),
        };
        Ok(Some(Self { on: on.clone(), schedule, zone }))
    }

    /// The first time after an instant.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.next_after(at, &self.zone.zone)
    }

    /// The time to work on: the newest of those that have come, where several were missed.
    pub fn newest(&self, row: &ScheduleRow, now: Timestamp) -> Timestamp {
        if row.cursor.is_some() {
            return row.fires_at;
        }
        self.schedule.last_within(row.fires_at, now, &self.zone.zone).unwrap_or(row.fires_at)
    }
}
