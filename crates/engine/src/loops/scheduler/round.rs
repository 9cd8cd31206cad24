//! A time of a schedule: whom it takes into the sequence.

use rekindle_core::Timestamp;
use rekindle_core::funnel::OwedBy;
use rekindle_core::sequence::arm::{Chance, PARTS};
use rekindle_core::sequence::walk::Draw;
use rekindle_core::sequence::{Cause, Occasion, OnSchedule, Origin, Overlap};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, RunRow};
use rekindle_ports::resources::SequenceRow;
use uuid::Uuid;

use crate::engine::Inner;
use crate::enroll::stages::in_stages;
use crate::enroll::{Candidate, enroll};
use crate::error::EngineResult;
use crate::loops::locks::Locked;

/// A sequence at one of its times.
pub(super) struct Round<'a> {
    /// The sequence.
    pub sequence: &'a SequenceRow,
    /// Its schedule.
    pub on: &'a OnSchedule,
    /// The time.
    pub at: Timestamp,
}

impl<'a> Round<'a> {
    /// The same of a sequence that has a schedule.
    pub fn of(sequence: &'a SequenceRow, at: Timestamp) -> Option<Self> {
        match &sequence.body.trigger.on {
            Occasion::Schedule(on) => Some(Self { sequence, on, at }),
            Occasion::Event(_) | Occasion::Hand | Occasion::Silence(_) => None,
        }
    }

    /// Takes subjects in. The caller holds their locks.
    pub async fn take_in(
        &self,
        tx: &mut dyn Tx,
        inner: &Inner,
        locked: &Locked,
        subjects: &[Uuid],
        now: Timestamp,
    ) -> EngineResult<()> {
        if subjects.is_empty() {
            return Ok(());
        }
        let mut under_way = Vec::new();
        if self.on.overlap == Overlap::Skip {
            let of_schedule =
                |run: &RunRow| run.sequence == self.sequence.id && run.trigger.cause == Cause::Schedule;
            let open = tx.open_runs(subjects).await?.into_iter().filter(of_schedule);
            under_way = open.map(|run| run.trigger.subject).collect();
        }
        let candidates = subjects.iter().filter_map(|subject| {
            let candidate = self.candidate(inner, locked, *subject, now)?;
            let overlaps = under_way.contains(subject).then_some(EndReason::Overlap);
            Some(Candidate { skipped: overlaps, ..candidate })
        });
        let candidates = in_stages(tx, inner, candidates.collect()).await?;
        enroll(tx, inner, locked, candidates, now).await
    }

    fn candidate(
        &self,
        inner: &Inner,
        locked: &Locked,
        subject: Uuid,
        now: Timestamp,
    ) -> Option<Candidate<'a>> {
        let (conversation, customer) = locked.whose(subject)?;
        let Self { sequence, on, at } = *self;
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
}
