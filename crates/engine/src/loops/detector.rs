//! The detector: notices silences at the instants their rules name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use rekindle_core::Timestamp;
use rekindle_core::detect::{detect, reason};
use rekindle_core::funnel::{CompiledFunnel, SubjectKind};
use rekindle_core::mark::{Mark, MarkFate, MarkKey};
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::rows::{Claimed, JourneyRow, TimerDone, TimerKey};
use rekindle_ports::store::Queue;
use uuid::Uuid;

use super::locks::{Locked, lock_free_subjects, lock_subjects};
use super::poison::{MOST_FAILURES, MOST_VANISHED, VANISHED, causes, is_its_fault};
use super::together::{Worked, together};
use super::{BATCH, Loops, by_scope};
use crate::engine::Inner;
use crate::enroll::silences::{self, Noticed};
use crate::error::{EngineError, EngineResult};
use crate::failpoint::Unit;
use crate::revisions::renames::KnownRenames;

impl Loops {
    /// Claims due timers of a bucket and looks at their journeys.
    pub(super) async fn notice(&self, bucket: i16, now: Timestamp) -> EngineResult<usize> {
        let (lease, scope) = (self.lease(), Self::bucket_scope(bucket));
        let claim = || -> BoxFuture<'_, _> { Box::pin(self.claim_timers(bucket, now)) };
        let claims = self.batches(claim).await?.into_iter();
        let worked = join_all(claims.map(|claims| self.look_at(claims))).await;
        let mut claimed = worked.into_iter().sum::<EngineResult<usize>>()?;
        if !self.lost_timers.is_due(claimed) {
            return Ok(claimed);
        }
        for _ in 0..BATCH {
            if self.stop.claims.is_cancelled() {
                break;
            }
            let lost = self
                .inner
                .write_unit(Unit::ClaimTimers, scope, &|tx, _| {
                    let lease = lease.clone();
                    Box::pin(async move { Ok(tx.claim_lost_timer(bucket, now, &lease).await?) })
                })
                .await?;
            let Some(claim) = lost else {
                break;
            };
            claimed += 1;
            self.look_alone(claim).await?;
        }
        Ok(claimed)
    }

    async fn claim_timers(&self, bucket: i16, now: Timestamp) -> EngineResult<Vec<Claimed<TimerKey>>> {
        self.inner
            .write_unit(Unit::ClaimTimers, Self::bucket_scope(bucket), &|tx, _| {
                let lease = self.lease().clone();
                Box::pin(async move { Ok(tx.claim_timers(bucket, now, &lease, BATCH).await?) })
            })
            .await
    }

    /// Looks at the journeys of claimed timers; how many that were. What could not be worked on is given
    /// back.
    async fn look_at(&self, claims: Vec<Claimed<TimerKey>>) -> EngineResult<usize> {
        let (mut looked_at, mut failed) = (0, None);
        for (scope, claims) in by_scope(claims, |claim| claim.key.scope) {
            if self.stop.claims.is_cancelled() {
                self.give_back_timers(scope, claims).await?;
                continue;
            }
            let work = |claims| -> BoxFuture<'_, _> { Box::pin(self.look(scope, claims)) };
            match together(claims.clone(), work, complain).await {
                Ok(Worked { busy, .. }) => {
                    looked_at += claims.len() - busy.len();
                    self.give_back_timers(scope, busy).await?;
                    self.inner.bells.ring(Queue::Runs);
                }
                Err(error) => {
                    self.give_back_timers(scope, claims).await?;
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(looked_at), Err)
    }

    async fn look(&self, scope: Scope, claims: Vec<Claimed<TimerKey>>) -> EngineResult<Looked> {
        let inner = &self.inner;
        inner
            .write_unit(Unit::Detect, scope, &|tx, now| look(tx, Arc::clone(inner), claims.clone(), now))
            .await
    }

    /// Looks at a journey whose timer was lost before; sets the timer aside when that fails again
    /// and again.
    async fn look_alone(&self, claim: Claimed<TimerKey>) -> EngineResult<()> {
        if claim.crashes > MOST_VANISHED {
            return self.set_aside(claim, VANISHED.to_owned()).await;
        }
        match self.look(claim.key.scope, vec![claim.clone()]).await {
            Ok(_) => Ok(()),
            Err(error) if is_its_fault(&error) => {
                complain(&claim, &error);
                if claim.crashes < MOST_FAILURES {
                    return Ok(());
                }
                self.set_aside(claim, causes(&error)).await
            }
            Err(error) => {
                // Not to blame, and not to be counted: where that cannot be written either, it is.
                let given_back = self
                    .inner
                    .write(claim.key.scope, &|tx, now| {
                        let done = [TimerDone { claim: claim.clone(), next: Some(now) }];
                        Box::pin(async move { Ok(tx.finish_timers(&done).await?) })
                    })
                    .await;
                given_back.and(Err(error))
            }
        }
    }

    async fn set_aside(&self, claim: Claimed<TimerKey>, reason: String) -> EngineResult<()> {
        let TimerKey { scope, funnel, subject } = &claim.key;
        tracing::error!(funnel, %subject, reason, "a journey is not looked at any more");
        self.inner
            .write(*scope, &|tx, now| {
                let (claim, reason) = (claim.clone(), reason.clone());
                Box::pin(async move {
                    tx.set_timer_aside(&claim, &reason, now).await?;
                    Ok(())
                })
            })
            .await
    }
}

fn complain(claim: &Claimed<TimerKey>, error: &EngineError) {
    let TimerKey { funnel, subject, .. } = &claim.key;
    tracing::error!(funnel, %subject, error = causes(error), "a journey could not be looked at");
}

/// Timers that were looked at, and those of busy subjects.
type Looked = Worked<Claimed<TimerKey>, ()>;

/// Looks at the journeys of claimed timers; marks what is due and starts what is bound to it.
fn look(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    claims: Vec<Claimed<TimerKey>>,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<Looked>> {
    Box::pin(async move {
        let subjects = claims.iter().map(|claim| claim.key.subject);
        let (locked, claims, busy) = if claims.len() == 1 {
            (lock_subjects(tx, subjects).await?, claims, Vec::new())
        } else {
            let locked = lock_free_subjects(tx, subjects).await?;
            let (claims, busy) = claims.into_iter().partition(|claim| locked.holds(claim.key.subject));
            (locked, claims, busy)
        };
        let held: HashSet<TimerKey> = tx.hold_timers(&claims).await?.into_iter().collect();
        let claims: Vec<_> = claims.into_iter().filter(|claim| held.contains(&claim.key)).collect();
        let pairs: Vec<(String, Uuid)> =
            claims.iter().map(|claim| (claim.key.funnel.clone(), claim.key.subject)).collect();
        let mut journeys: HashMap<(String, Uuid), JourneyRow> = tx
            .live_journeys(&pairs)
            .await?
            .into_iter()
            .map(|row| ((row.funnel.clone(), row.key.subject), row))
            .collect();
        let mut found = Found::default();
        for claim in claims {
            let journey = journeys.remove(&(claim.key.funnel.clone(), claim.key.subject));
            let next = match &journey {
                Some(row) => {
                    let funnel = inner.revisions.compiled(tx, row.key.revision).await?;
                    let number = inner.revisions.number(tx, row.key.revision).await?;
                    found.look_at(&funnel, number, row, now)
                }
                None => None,
            };
            found.done.push(TimerDone { claim, next });
        }
        found.record(tx, &inner, &locked, now).await?;
        Ok(Worked { done: Vec::new(), busy })
    })
}

/// What looking found.
#[derive(Default)]
struct Found {
    marks: Vec<Noticed>,
    done: Vec<TimerDone>,
}

impl Found {
    /// Looks at a journey's open silence; when to look again.
    fn look_at(
        &mut self,
        funnel: &CompiledFunnel,
        revision: i32,
        row: &JourneyRow,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let silence = row.journey.watch.open.as_ref()?;
        let stage = &funnel.funnel.stages[silence.key.place];
        let assigned = row.customer.unwrap_or(row.key.subject);
        let verdict = detect(silence, now);
        for due in &verdict.due {
            let is_conversation = funnel.funnel.subject == SubjectKind::Conversation;
            let mark = Mark {
                key: MarkKey {
                    funnel: row.funnel.clone(),
                    subject: row.key.subject,
                    stage: stage.id.clone(),
                    kind: due.kind,
                    anchor: due.clock.anchor.id.clone(),
                },
                revision: revision.into(),
                anchor: due.clock.anchor.clone(),
                due_at: due.clock.due_at,
                noticed_at: now,
                owed_by: silence.owed_by,
                reason: reason(stage, due.kind, assigned),
                fate: if due.is_history { MarkFate::History } else { MarkFate::Live },
                voided_at: None,
                customer: row.customer,
                conversation: is_conversation.then_some(row.key.subject),
            };
            let owed_by = stage.rule(due.kind).map(|rule| rule.owed_by).unwrap_or_default();
            let attempt = row.journey.attempts.newest();
            self.marks.push(Noticed { mark, silence: silence.clone(), owed_by, attempt });
        }
        verdict.look_at
    }

    async fn record(
        mut self,
        tx: &mut dyn Tx,
        inner: &Inner,
        locked: &Locked,
        now: Timestamp,
    ) -> EngineResult<()> {
        if !self.marks.is_empty() {
            self.note_takeovers(tx).await?;
            let marks: Vec<Mark> = self.marks.iter().map(|it| it.mark.clone()).collect();
            let new: HashSet<MarkKey> = tx.insert_marks(&marks).await?.into_iter().collect();
            // A silence that takes over a run starts none of its own; history only says so.
            let tells = |fate| matches!(fate, MarkFate::Live | MarkFate::History);
            self.marks.retain(|it| new.contains(&it.mark.key) && tells(it.mark.fate));
            silences::take_in(tx, inner, locked, &self.marks, now).await?;
        }
        tx.finish_timers(&self.done).await?;
        Ok(())
    }

    /// A silence that overlaps one whose mark a late event took back goes on with its run, and so
    /// does one that was marked before its stage got another name.
    async fn note_takeovers(&mut self, tx: &mut dyn Tx) -> EngineResult<()> {
        let subjects: Vec<Uuid> = self.marks.iter().map(|it| it.mark.key.subject).collect();
        let earlier = tx.marks_of(&subjects).await?;
        let mut known = KnownRenames::default();
        for Noticed { mark, .. } in &mut self.marks {
            for before in earlier.iter().filter(|before| are_of_one_rule(before, mark)) {
                let was = &before.key.stage;
                let stage = if *was == mark.key.stage {
                    Some(was.as_str())
                } else {
                    known.of(tx, &mark.key.funnel).await?.successor(was, before.revision, mark.revision)
                };
                if stage == Some(mark.key.stage.as_str()) && goes_on(before, mark) {
                    mark.fate = MarkFate::TakenOver;
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether two marks are of one journey and one kind of rule, whatever the stage.
fn are_of_one_rule(one: &Mark, other: &Mark) -> bool {
    (&one.key.funnel, one.key.subject, one.key.kind) == (&other.key.funnel, other.key.subject, other.key.kind)
}

/// Whether a mark is of the silence that was marked before, in a stage that went on.
fn goes_on(before: &Mark, mark: &Mark) -> bool {
    if before.fate == MarkFate::Voided {
        return mark.fate == MarkFate::Live
            && before.due_at >= mark.anchor.at
            && before.anchor.at <= mark.due_at;
    }
    before.key.stage != mark.key.stage && before.key.anchor == mark.key.anchor
}
