//! The scheduler: takes subjects into sequences when their times come.
//!
//! A time is worked through page by page, each a transaction that keeps how far it has come: whoever
//! goes on after a crash goes on there, and a subject has one run for each time (the run's origin).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::funnel::OwedBy;
use rekindle_core::schedule::Schedule;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::{Chance, PARTS};
use rekindle_core::sequence::walk::{Draw, Zone};
use rekindle_core::sequence::{Cause, Occasion, OnSchedule, Origin, Overlap, SequenceState};
use rekindle_core::time::MINUTE;
use rekindle_ports::Tx;
use rekindle_ports::ledger::EndReason;
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::store::Queue;
use rekindle_ports::store::schedules::ScheduleRow;
use uuid::Uuid;

use super::locks::{Locked, lock_subjects};
use super::poison::causes;
use super::{BATCH, Loops};
use crate::engine::Inner;
use crate::enroll::stages::in_stages;
use crate::enroll::{Candidate, enroll};
use crate::error::EngineResult;

/// How long a schedule is let alone that could not be worked on.
const PUT_OFF: i64 = MINUTE;

impl Loops {
    /// Works a page of every schedule of a bucket whose time has come; how many there were.
    pub(super) async fn come_round(&self, bucket: i16, now: Timestamp) -> EngineResult<usize> {
        let due = self
            .inner
            .write(Self::bucket_scope(bucket), &|tx, _| {
                Box::pin(async move { Ok(tx.due_schedules(bucket, now, BATCH).await?) })
            })
            .await?;
        let count = due.len();
        for (scope, sequence) in self.while_open(due) {
            let inner = &self.inner;
            let worked =
                inner.write(scope, &|tx, now| page(tx, Arc::clone(inner), sequence.clone(), now)).await;
            if let Err(error) = worked {
                tracing::error!(sequence, error = causes(&error), "a schedule could not be worked on");
                self.put_off(scope, sequence).await?;
            }
            self.inner.bells.ring(Queue::Runs);
        }
        Ok(count)
    }

    async fn put_off(&self, scope: Scope, sequence: String) -> EngineResult<()> {
        self.inner
            .write(scope, &|tx, now| {
                let sequence = sequence.clone();
                Box::pin(async move {
                    if let Some(row) = tx.lock_schedule(&sequence).await? {
                        tx.save_schedule(&ScheduleRow { look_at: now.plus(PUT_OFF), ..row }).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

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

/// A schedule on the clock of its zone.
struct Clock {
    on: OnSchedule,
    schedule: Schedule,
    zone: Zone,
}

impl Clock {
    async fn of(tx: &mut dyn Tx, row: &SequenceRow) -> EngineResult<Option<Self>> {
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

    fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.next_after(at, &self.zone.zone)
    }

    /// The time to work on: the newest of those that have come, where several were missed.
    fn newest(&self, row: &ScheduleRow, now: Timestamp) -> Timestamp {
        if row.cursor.is_some() {
            return row.fires_at;
        }
        self.schedule.last_within(row.fires_at, now, &self.zone.zone).unwrap_or(row.fires_at)
    }
}

/// Works a page of a schedule's time, or plans the next.
fn page(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    sequence: String,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<()>> {
    Box::pin(async move {
        let Some(row) = tx.lock_schedule(&sequence).await?.filter(|row| row.look_at <= now) else {
            return Ok(());
        };
        let Some(found) = tx.peek_sequence(&sequence).await? else {
            return Ok(tx.delete_schedule(&sequence).await?);
        };
        let Some(clock) = Clock::of(tx, &found).await?.filter(|_| found.state == SequenceState::Active)
        else {
            return Ok(tx.delete_schedule(&sequence).await?);
        };
        let at = clock.newest(&row, now);
        let is_missed = row.cursor.is_none() && now.since(at) > found.body.max_delay;
        let page = if is_missed {
            Vec::new()
        } else {
            tx.live_subjects(&found.body.trigger.funnel, row.cursor, BATCH).await?
        };
        take_in(tx, &inner, &found, &clock.on, at, &page, now).await?;
        let next = match page.last() {
            Some(last) if page.len() == BATCH as usize => {
                Some(ScheduleRow { fires_at: at, cursor: Some(*last), ..row })
            }
            _ => clock.next_after(at).map(|next| ScheduleRow {
                fires_at: next,
                look_at: next,
                cursor: None,
                ..row
            }),
        };
        match next {
            Some(next) => Ok(tx.save_schedule(&next).await?),
            None => Ok(tx.delete_schedule(&sequence).await?),
        }
    })
}

/// Takes subjects into a sequence at one of its times.
async fn take_in(
    tx: &mut dyn Tx,
    inner: &Inner,
    sequence: &SequenceRow,
    on: &OnSchedule,
    at: Timestamp,
    subjects: &[Uuid],
    now: Timestamp,
) -> EngineResult<()> {
    if subjects.is_empty() {
        return Ok(());
    }
    let locked = lock_subjects(tx, subjects.iter().copied()).await?;
    let mut under_way = Vec::new();
    if on.overlap == Overlap::Skip {
        let of_schedule = |run: &rekindle_ports::ledger::RunRow| {
            run.sequence == sequence.id && run.trigger.cause == Cause::Schedule
        };
        let open = tx.open_runs(subjects).await?.into_iter().filter(of_schedule);
        under_way = open.map(|run| run.trigger.subject).collect();
    }
    let candidates = subjects.iter().filter_map(|subject| {
        let candidate = candidate(inner, &locked, sequence, on, (*subject, at), now)?;
        let overlaps = under_way.contains(subject).then_some(EndReason::Overlap);
        Some(Candidate { skipped: overlaps, ..candidate })
    });
    let candidates = in_stages(tx, inner, candidates.collect()).await?;
    enroll(tx, inner, &locked, candidates, now).await
}

fn candidate<'a>(
    inner: &Inner,
    locked: &Locked,
    sequence: &'a SequenceRow,
    on: &OnSchedule,
    (subject, at): (Uuid, Timestamp),
    now: Timestamp,
) -> Option<Candidate<'a>> {
    let (conversation, customer) = locked.whose(subject)?;
    let trigger = &sequence.body.trigger;
    let anchor = format!("schedule:{}", at.to_rfc3339());
    let chance = Chance { key: &inner.experiment_key, experiment: &sequence.id, subject };
    let share = i64::from(chance.of(&anchor));
    let later = on.jitter / i64::from(PARTS) * share;
    Some(Candidate {
        sequence,
        origin: Origin {
            funnel: trigger.funnel.clone(),
            subject,
            stage: trigger.stage.clone(),
            cause: Cause::Schedule,
            anchor,
        },
        conversation,
        customer,
        since: at,
        due_at: at,
        owed_by: OwedBy::Anyone,
        begins_at: at.plus(later).max(now),
        reason: format!("the schedule {:?} came round at {}", on.cron, at.to_rfc3339()),
        attempt: None,
        skipped: None,
    })
}
