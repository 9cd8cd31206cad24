//! The scheduler: takes subjects into sequences when their times come.
//!
//! A time is worked through page by page, each a transaction that keeps how far it has come: whoever
//! goes on after a crash goes on there, and a subject has one run for each time (the run's origin).
//!
//! A page waits for nobody's locks: it would keep everybody waiting for those that it has. Subjects
//! that somebody else has locked have their turn after it, each alone, and the page is turned when
//! all have had theirs.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::SequenceState;
use rekindle_core::time::MINUTE;
use rekindle_ports::Tx;
use rekindle_ports::store::Queue;
use rekindle_ports::store::schedules::ScheduleRow;
use uuid::Uuid;

use self::clock::Clock;
use self::round::Round;
use super::locks::{lock_free_subjects, lock_subjects};
use super::poison::{causes, is_its_fault};
use super::together::{Worked, one_by_one};
use super::{BATCH, Loops};
use crate::engine::Inner;
use crate::error::{EngineError, EngineResult};

mod clock;
mod plan;
mod round;

pub(crate) use plan::{follow_workspace, plan};

/// How long a schedule is let alone that could not be worked on.
const PUT_OFF: i64 = MINUTE;

impl Loops {
    /// Works a page of every schedule of a bucket whose time has come; how many there were.
    pub(super) async fn come_round(&self, bucket: i16, now: Timestamp) -> EngineResult<usize> {
        let due = self
            .inner
            .read(Self::bucket_scope(bucket), None, &|tx, _| {
                Box::pin(async move { Ok(tx.due_schedules(bucket, now, BATCH).await?) })
            })
            .await?;
        let mut count = 0;
        for (scope, sequence) in self.while_open(due) {
            match self.work_page(scope, &sequence).await {
                Ok(worked) => count += usize::from(worked),
                Err(error) => {
                    tracing::warn!(sequence, error = causes(&error), "a schedule could not be worked on");
                    self.put_off(scope, sequence).await?;
                }
            }
            self.inner.bells.ring(Queue::Runs);
        }
        Ok(count)
    }

    /// Works the page of a schedule at which its time stands; whether it was there to be worked on.
    async fn work_page(&self, scope: Scope, sequence: &str) -> EngineResult<bool> {
        let page = match self.open_page(scope, sequence, How::Together).await {
            // One of them is to blame, and is to cost only itself.
            Err(error) if is_its_fault(&error) => self.open_page(scope, sequence, How::Alone).await,
            page => page,
        };
        let Some(page) = page? else {
            return Ok(false);
        };
        if page.left.is_empty() {
            return Ok(true);
        }
        let work =
            |subjects| -> BoxFuture<'_, _> { Box::pin(self.take_in_alone(scope, &page.time, subjects)) };
        let pass_over = |subject: &Uuid, error: &EngineError| {
            tracing::error!(sequence, %subject, error = causes(error), "a subject of a schedule is passed over");
        };
        let was_there = one_by_one(page.left.clone(), work, pass_over).await?;
        if was_there.contains(&false) {
            return Ok(false);
        }
        self.turn_page(scope, &page).await
    }

    async fn open_page(&self, scope: Scope, sequence: &str, how: How) -> EngineResult<Option<Page>> {
        let inner = &self.inner;
        inner.write(scope, &|tx, now| open(tx, Arc::clone(inner), sequence.to_owned(), how, now)).await
    }

    async fn take_in_alone(&self, scope: Scope, time: &Time, subjects: Vec<Uuid>) -> EngineResult<TakenIn> {
        let inner = &self.inner;
        inner.write(scope, &|tx, now| alone(tx, Arc::clone(inner), time.clone(), subjects.clone(), now)).await
    }

    /// Turns a page all of whose subjects have had their turn; whether it was there to be turned.
    async fn turn_page(&self, scope: Scope, page: &Page) -> EngineResult<bool> {
        self.inner
            .write(scope, &|tx, _| {
                let page = page.clone();
                Box::pin(async move {
                    let is_there = page.time.is_there(tx).await?;
                    if is_there {
                        page.in_the_zone_of_now(tx).await?.turn(tx).await?;
                    }
                    Ok(is_there)
                })
            })
            .await
    }

    async fn put_off(&self, scope: Scope, sequence: String) -> EngineResult<()> {
        self.inner
            .write(scope, &|tx, now| {
                let sequence = sequence.clone();
                Box::pin(async move {
                    if let Some(row) = tx.await_schedule(&sequence).await? {
                        tx.save_schedule(&ScheduleRow { look_at: now.plus(PUT_OFF), ..row }).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// How the subjects of a page are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// All that nobody else has locked in the transaction that opens it.
    Together,
    /// Each in one of its own.
    Alone,
}

/// A time of a schedule that has come.
#[derive(Debug, Clone)]
struct Time {
    /// The time.
    at: Timestamp,
    /// The schedule as it was seen: whoever finds another leaves it to others.
    seen: ScheduleRow,
}

/// A page of a schedule's time.
#[derive(Debug, Clone)]
struct Page {
    time: Time,
    /// Subjects that are still to be taken in; of a page that was turned there are none.
    left: Vec<Uuid>,
    /// The schedule once the page is turned; `None` where no time comes any more.
    next: Option<ScheduleRow>,
}

impl Time {
    /// Locks the schedule; whether it is as it was seen.
    async fn is_there(&self, tx: &mut dyn Tx) -> EngineResult<bool> {
        Ok(tx.await_schedule(&self.seen.sequence).await?.as_ref() == Some(&self.seen))
    }
}

impl Page {
    /// The page with its next time by the clock as it is: the workspace may have moved to another zone
    /// while subjects had their turn.
    async fn in_the_zone_of_now(self, tx: &mut dyn Tx) -> EngineResult<Self> {
        let Some(next) = self.next.as_ref().filter(|next| next.cursor.is_none()) else {
            return Ok(self);
        };
        let clock = match tx.peek_sequence(&next.sequence).await? {
            Some(row) => Clock::of(tx, &row).await?,
            None => None,
        };
        let at = clock.and_then(|clock| clock.next_after(self.time.at)).unwrap_or(next.fires_at);
        let next = ScheduleRow { fires_at: at, look_at: at, ..next.clone() };
        Ok(Self { next: Some(next), ..self })
    }

    /// Goes on to the next page, or plans the next time. The caller holds the lock of the schedule.
    async fn turn(&self, tx: &mut dyn Tx) -> EngineResult<()> {
        match &self.next {
            Some(next) => Ok(tx.save_schedule(next).await?),
            None => Ok(tx.delete_schedule(&self.time.seen.sequence).await?),
        }
    }
}

/// Opens the page at which a schedule's time stands, and turns it where nobody is left; or plans the
/// next time. `None` where nothing is there to be worked on.
fn open(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    sequence: String,
    how: How,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<Option<Page>>> {
    Box::pin(async move {
        let row = match how {
            How::Together => tx.lock_schedule(&sequence).await?,
            // A transaction that failed before may not have let go of it yet.
            How::Alone => tx.await_schedule(&sequence).await?,
        };
        let Some(row) = row.filter(|row| row.look_at <= now) else {
            return Ok(None);
        };
        let found = tx.peek_sequence(&sequence).await?;
        let Some(found) = found.filter(|found| found.state == SequenceState::Active) else {
            tx.delete_schedule(&sequence).await?;
            return Ok(None);
        };
        let Some(clock) = Clock::of(tx, &found).await? else {
            tx.delete_schedule(&sequence).await?;
            return Ok(None);
        };
        // Another zone of the workspace, or another rule of the zone, puts it elsewhere.
        let planned = clock.next_after(row.fires_at.plus(-1)).unwrap_or(row.fires_at);
        if row.cursor.is_none() && planned > now {
            let row = ScheduleRow { fires_at: planned, look_at: planned, ..row };
            tx.save_schedule(&row).await?;
            return Ok(None);
        }
        let at = clock.newest(&ScheduleRow { fires_at: planned, ..row.clone() }, now);
        let is_missed = now.since(at) > found.body.max_delay;
        let subjects = if is_missed {
            Vec::new()
        } else {
            tx.live_subjects(&found.body.trigger.funnel, row.cursor, BATCH).await?
        };
        let next = match subjects.last() {
            Some(last) if subjects.len() == BATCH as usize => {
                Some(ScheduleRow { fires_at: at, cursor: Some(*last), ..row.clone() })
            }
            _ => clock.next_after(at).map(|next| ScheduleRow {
                fires_at: next,
                look_at: next,
                cursor: None,
                ..row.clone()
            }),
        };
        let left = match how {
            How::Alone => subjects,
            How::Together => {
                let locked = lock_free_subjects(tx, subjects.iter().copied()).await?;
                let (free, busy): (Vec<Uuid>, Vec<Uuid>) =
                    subjects.into_iter().partition(|subject| locked.holds(*subject));
                let round = Round { sequence: &found, on: &clock.on, at };
                round.take_in(tx, &inner, &locked, &free, now).await?;
                busy
            }
        };
        let page = Page { time: Time { at, seen: row }, left, next };
        if page.left.is_empty() {
            page.turn(tx).await?;
        }
        Ok(Some(page))
    })
}

/// What became of a subject alone: whether the time was still there.
type TakenIn = Worked<Uuid, bool>;

/// Takes subjects in at a time, and waits for whoever has them locked.
fn alone(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    time: Time,
    subjects: Vec<Uuid>,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<TakenIn>> {
    Box::pin(async move {
        let is_there = time.is_there(tx).await?;
        let found = if is_there { tx.peek_sequence(&time.seen.sequence).await? } else { None };
        let round = found.as_ref().and_then(|found| Round::of(found, time.at));
        if let Some(round) = &round {
            let locked = lock_subjects(tx, subjects.iter().copied()).await?;
            round.take_in(tx, &inner, &locked, &subjects, now).await?;
        }
        Ok(Worked { done: vec![round.is_some()], busy: Vec::new() })
    })
}
