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
use super::poison::{causes, is_its_fault};
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
        let mut count = 0;
        for (scope, sequence) in self.while_open(due) {
            match self.work_page(scope, &sequence, Page::Whole).await {
                Ok(worked) => count += usize::from(worked),
                Err(error) if is_its_fault(&error) => {
                    self.work_one_by_one(scope, &sequence).await?;
                    count += 1;
                }
                Err(error) => {
                    tracing::warn!(sequence, error = causes(&error), "a schedule could not be worked on");
                    self.put_off(scope, sequence).await?;
                }
            }
            self.inner.bells.ring(Queue::Runs);
        }
        Ok(count)
    }

    async fn work_page(&self, scope: Scope, sequence: &str, how: Page) -> EngineResult<bool> {
        let inner = &self.inner;
        inner.write(scope, &|tx, now| page(tx, Arc::clone(inner), sequence.to_owned(), how, now)).await
    }

    /// Works on the subjects of a page one after the other, and passes over the one that fails.
    async fn work_one_by_one(&self, scope: Scope, sequence: &str) -> EngineResult<()> {
        for _ in 0..BATCH {
            let worked = match self.work_page(scope, sequence, Page::One).await {
                Err(error) if is_its_fault(&error) => {
                    tracing::error!(
                        sequence,
                        error = causes(&error),
                        "a subject of a schedule is passed over"
                    );
                    self.work_page(scope, sequence, Page::Passed).await?
                }
                worked => worked?,
            };
            if !worked {
                break;
            }
        }
        Ok(())
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

/// How many subjects are taken in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// As many as a transaction holds.
    Whole,
    /// The next one.
    One,
    /// None: the next one is passed over.
    Passed,
}

/// Works a page of a schedule's time, or plans the next; whether it was there to be worked on.
fn page(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    sequence: String,
    how: Page,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<bool>> {
    Box::pin(async move {
        let Some(row) = tx.lock_schedule(&sequence).await?.filter(|row| row.look_at <= now) else {
            return Ok(false);
        };
        let Some(found) = tx.peek_sequence(&sequence).await? else {
            tx.delete_schedule(&sequence).await?;
            return Ok(true);
        };
        let Some(clock) = Clock::of(tx, &found).await?.filter(|_| found.state == SequenceState::Active)
        else {
            tx.delete_schedule(&sequence).await?;
            return Ok(true);
        };
        // Another zone of the workspace, or another rule of the zone, puts it elsewhere.
        let planned = clock.next_after(row.fires_at.plus(-1)).unwrap_or(row.fires_at);
        if row.cursor.is_none() && planned > now {
            let row = ScheduleRow { fires_at: planned, look_at: planned, ..row };
            tx.save_schedule(&row).await?;
            return Ok(false);
        }
        let at = clock.newest(&ScheduleRow { fires_at: planned, ..row.clone() }, now);
        let is_missed = now.since(at) > found.body.max_delay;
        let most = if how == Page::Whole { BATCH } else { 1 };
        let page = if is_missed {
            Vec::new()
        } else {
            tx.live_subjects(&found.body.trigger.funnel, row.cursor, most).await?
        };
        if how != Page::Passed {
            take_in(tx, &inner, &found, &clock.on, at, &page, now).await?;
        }
        let next = match page.last() {
            Some(last) if page.len() == most as usize => {
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
            Some(next) => tx.save_schedule(&next).await?,
            None => tx.delete_schedule(&sequence).await?,
        }
        Ok(true)
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
    let share = i64::from(chance.of("jitter"));
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
        depth: 0,
        funnel_revision: None,
        skipped: None,
    })
}
