//! Takes runs further, each to its next wait or to its end, in one unit of work.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::sequence::{Action, Sequence, SequenceState, Step};
use rekindle_core::time::MINUTE;
use rekindle_ports::ledger::{DeliveryRow, DeliveryState, EndReason, RunEvent, RunKey, RunRow, RunState};
use rekindle_ports::rows::Claimed;
use rekindle_ports::{Deliver, Tx};
use uuid::Uuid;

use super::compose::{compose, delivery_id};
use super::locks::{Locked, lock_free_subjects, lock_subjects};
use super::shelf::Shelf;
use crate::error::EngineResult;
use crate::runs::ending;

/// How often what belongs to a paused sequence looks whether it may go on.
pub(super) const PAUSED_LOOK: i64 = MINUTE;

/// What walking came to.
pub(super) struct Walked {
    /// Whether something is to be sent.
    pub sends: bool,
    /// Claims of runs whose subjects somebody else had locked; they stand where they stood.
    pub busy: Vec<Claimed<RunKey>>,
}

/// Takes the runs of claims a step further, under the locks of their subjects.
pub(super) fn walk(
    tx: &mut dyn Tx,
    deliver: Arc<dyn Deliver>,
    claims: Vec<Claimed<RunKey>>,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<Walked>> {
    Box::pin(async move {
        let ids: Vec<Uuid> = claims.iter().map(|claim| claim.key.id).collect();
        let seen = tx.runs_by_id(&ids).await?;
        let of = |run: &RunRow| [Some(run.trigger.subject), run.customer].into_iter().flatten();
        let subjects = seen.iter().flat_map(of);
        let (locked, claims, busy) = if claims.len() == 1 {
            (lock_subjects(tx, subjects).await?, claims, Vec::new())
        } else {
            let locked = lock_free_subjects(tx, subjects).await?;
            let is_busy = |run: &&RunRow| !of(run).all(|subject| locked.holds(subject));
            let busy: HashSet<Uuid> = seen.iter().filter(is_busy).map(|run| run.id).collect();
            let (busy, claims) = claims.into_iter().partition(|claim| busy.contains(&claim.key.id));
            (locked, claims, busy)
        };
        let held = tx.hold_runs(&claims).await?;
        let claims: HashMap<Uuid, Claimed<RunKey>> =
            claims.into_iter().map(|claim| (claim.key.id, claim)).collect();
        let mut walk =
            Walk { deliver: &*deliver, locked: &locked, now, shelf: Shelf::default(), done: Done::default() };
        let running: Vec<RunRow> = held.into_iter().filter(|run| run.state == RunState::Running).collect();
        let under_way = walk.under_way(tx, &running).await?;
        for run in running {
            let claim = claims[&run.id].clone();
            walk.on(tx, claim, run, &under_way).await?;
        }
        Ok(Walked { sends: walk.done.save(tx, now).await?, busy })
    })
}

/// Runs on their way through their sequences.
struct Walk<'a> {
    deliver: &'a dyn Deliver,
    locked: &'a Locked,
    now: Timestamp,
    shelf: Shelf,
    done: Done,
}

/// What is to be written of them.
#[derive(Default)]
struct Done {
    /// Runs as they are now, with the claims that end.
    released: Vec<(Claimed<RunKey>, RunRow)>,
    /// Runs whose sequence is no more.
    ended: Vec<(Uuid, EndReason)>,
    deliveries: Vec<DeliveryRow>,
    lines: Vec<RunEvent>,
}

impl Walk<'_> {
    /// Messages that runs wait for, of the step before: what woke a run may have been another one,
    /// such as an earlier message that an operator had sent again.
    async fn under_way(&mut self, tx: &mut dyn Tx, runs: &[RunRow]) -> EngineResult<HashMap<Uuid, bool>> {
        let mut before = Vec::new();
        for run in runs {
            let Some(body) = self.shelf.body(tx, run).await? else {
                continue;
            };
            let step = usize::try_from(run.step - 1).ok().and_then(|place| body.steps.get(place));
            before.extend(
                step.filter(|step| step.action.destination().is_some()).map(|step| delivery_id(run, step)),
            );
        }
        let deliveries = tx.deliveries_by_id(&before).await?;
        Ok(deliveries.into_iter().map(|it| (it.run, !it.state.is_final())).collect())
    }

    /// Takes one run on.
    async fn on(
        &mut self,
        tx: &mut dyn Tx,
        claim: Claimed<RunKey>,
        run: RunRow,
        under_way: &HashMap<Uuid, bool>,
    ) -> EngineResult<()> {
        let (state, body) = (self.shelf.state(tx, &run).await?, self.shelf.body(tx, &run).await?);
        let next = match (state, body) {
            (Some(SequenceState::Paused), _) => RunRow { next_at: Some(self.now.plus(PAUSED_LOOK)), ..run },
            (Some(SequenceState::Archived), _) | (_, None) => {
                self.done.ended.push((run.id, EndReason::SequenceArchived));
                return Ok(());
            }
            _ if under_way.get(&run.id) == Some(&true) => RunRow { next_at: None, ..run },
            (_, Some(body)) => self.step(tx, run, &body).await?,
        };
        self.done.released.push((claim, next));
        Ok(())
    }

    /// Does a run's next step.
    async fn step(&mut self, tx: &mut dyn Tx, mut run: RunRow, body: &Sequence) -> EngineResult<RunRow> {
        let now = self.now;
        let Some(step) = body.steps.get(run.step as usize) else {
            self.log(&run, "completed", "", "through the last step".into());
            return Ok(RunRow { state: RunState::Completed, next_at: None, ended_at: Some(now), ..run });
        };
        run.step += 1;
        if let Action::Wait(span) = step.action {
            self.log(&run, "waiting", &step.id, format!("waits {}", rekindle_core::detect::human_span(span)));
            return Ok(RunRow { next_at: Some(now.plus(span)), ..run });
        }
        self.send(tx, &mut run, step).await?;
        Ok(run)
    }

    /// Writes a step's message. One that could not even be written settles at once; else its outcome
    /// wakes the run.
    async fn send(&mut self, tx: &mut dyn Tx, run: &mut RunRow, step: &Step) -> EngineResult<()> {
        let delivery = compose(tx, &mut self.shelf, self.deliver, self.locked, run, step, self.now).await?;
        let detail = match delivery.state {
            DeliveryState::Failed => format!("{}: {}", delivery.id, delivery.reason),
            _ => delivery.id.clone(),
        };
        self.log(run, "delivery_created", &step.id, detail);
        run.next_at = delivery.state.is_final().then_some(self.now);
        self.done.deliveries.push(delivery);
        Ok(())
    }

    fn log(&mut self, run: &RunRow, kind: &str, step: &str, detail: String) {
        let line = RunEvent { run: run.id, at: self.now, kind: kind.into(), step: step.into(), detail };
        self.done.lines.push(line);
    }
}

impl Done {
    /// Writes it, runs before deliveries; whether something is to be sent.
    async fn save(self, tx: &mut dyn Tx, now: Timestamp) -> EngineResult<bool> {
        ending::end(tx, &self.ended, now).await?;
        tx.release_runs(&self.released).await?;
        tx.insert_deliveries(&self.deliveries).await?;
        tx.log_run(&self.lines).await?;
        Ok(!self.deliveries.is_empty())
    }
}
