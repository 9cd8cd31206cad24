//! Messages that failed or expired, and are sent again or written anew.

use std::collections::{HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::sequence::Cause;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{DeliveryRow, DeliveryState, RunEvent, RunRow, RunState};
use uuid::Uuid;

use super::Tally;
use super::returns::outlived;
use super::runs::{is_erased, subjects_of};
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::loops::compose::{Order, compose, visit_of};
use crate::loops::locks::{Locked, lock_subjects};
use crate::loops::shelf::Shelf;
use crate::runs::ending::words;
use crate::runs::scheduled_again;

/// What a message becomes, or why it stays as it is.
type Decided = Result<DeliveryRow, String>;

/// Sends messages again, or writes them anew, under the locks of their subjects. A run that waits
/// for one of them finds it waiting, and waits with it.
pub(super) async fn replay(
    tx: &mut dyn Tx,
    inner: &Inner,
    ids: &[String],
    now: Timestamp,
) -> EngineResult<Tally> {
    let seen = tx.deliveries_by_id(ids).await?;
    let of_runs: Vec<Uuid> = seen.iter().map(|delivery| delivery.run).collect();
    let runs = tx.runs_by_id(&of_runs).await?;
    let mut subjects: Vec<Uuid> = runs.iter().flat_map(subjects_of).flatten().collect();
    subjects.extend(seen.iter().flat_map(|it| [it.conversation, it.customer]).flatten());
    let locked = lock_subjects(tx, subjects).await?;
    // Once more, under the locks.
    let runs = tx.runs_by_id(&of_runs).await?;
    let over = runs.iter().filter(|run| run.state == RunState::Completed).collect();
    let mut desk = Desk {
        inner,
        outlived: outlived(tx, over).await?,
        runs: runs.into_iter().map(|run| (run.id, run)).collect(),
        locked,
        shelf: Shelf::default(),
        now,
    };
    let (mut replayed, mut lines) = (0, Vec::new());
    for delivery in tx.deliveries_by_id(ids).await? {
        let word = match desk.decide(tx, &delivery).await? {
            Ok(next) => {
                tx.decide_delivery(&next).await?;
                replayed += 1;
                if is_written(&delivery) {
                    "it is sent again".to_owned()
                } else {
                    "it is written anew".into()
                }
            }
            Err(why) => format!("not replayed: {why}"),
        };
        let (run, step, detail) = (delivery.run, delivery.step, format!("{}: {word}", delivery.id));
        lines.push(RunEvent { run, at: now, kind: "replayed".into(), step, detail });
    }
    tx.log_run(&lines).await?;
    Ok(Tally { replayed, skipped: ids.len() as i64 - replayed })
}

/// Whether there are bytes to send; there are none where the step's message could not be written.
fn is_written(delivery: &DeliveryRow) -> bool {
    delivery.attempts > 0 || !delivery.recipient.is_empty()
}

/// What messages are decided by.
struct Desk<'a> {
    inner: &'a Inner,
    locked: Locked,
    runs: HashMap<Uuid, RunRow>,
    /// Runs that are through, and would have ended since.
    outlived: HashSet<Uuid>,
    shelf: Shelf,
    now: Timestamp,
}

impl Desk<'_> {
    async fn decide(&mut self, tx: &mut dyn Tx, delivery: &DeliveryRow) -> EngineResult<Decided> {
        let Some(run) = self.runs.get(&delivery.run).cloned() else {
            return Ok(Err("its run is gone".into()));
        };
        if let Some(why) = self.refuse(delivery, &run) {
            return Ok(Err(why));
        }
        if is_written(delivery) {
            let again = scheduled_again(delivery.clone(), "somebody had it replayed", self.now);
            // Only a run that failed meanwhile, and goes on again, noted this.
            return Ok(Ok(DeliveryRow { overtaken: false, ..again }));
        }
        self.write(tx, delivery, &run).await
    }

    /// Why a message is not to be sent.
    fn refuse(&self, delivery: &DeliveryRow, run: &RunRow) -> Option<String> {
        if !matches!(delivery.state, DeliveryState::Failed | DeliveryState::Expired) {
            return Some(format!("it is {} by now", format!("{:?}", delivery.state).to_lowercase()));
        }
        if is_erased(&self.locked, run) {
            return Some("the subject was erased".into());
        }
        if !matches!(run.state, RunState::Running | RunState::Completed) {
            let why = run.end_reason.map_or("nobody said why", words);
            return Some(format!("its run was ended: {why}"));
        }
        let is_unwanted = self.outlived.contains(&run.id) && !delivery.internal;
        is_unwanted.then(|| "the customer came back, or our side spoke where it owed the word".into())
    }

    /// Writes the message of the same visit of the same step, as it is written now.
    async fn write(
        &mut self,
        tx: &mut dyn Tx,
        delivery: &DeliveryRow,
        run: &RunRow,
    ) -> EngineResult<Decided> {
        let body = self.shelf.body(tx, run).await?;
        let steps = body.as_ref().map(|body| body.each_step()).unwrap_or_default();
        let step = steps.into_iter().map(|(_, step)| step).find(|step| step.id == delivery.step);
        let (Some(step), Some(visit)) = (step, visit_of(delivery)) else {
            return Ok(Err("its step is gone".into()));
        };
        let event = if run.trigger.cause == Cause::Event {
            tx.events_by_id(std::slice::from_ref(&run.trigger.anchor)).await?.pop()
        } else {
            None
        };
        let order = Order { run, step, visit, event: event.as_ref() };
        let deliver = &*self.inner.deliver;
        let written = compose(tx, &mut self.shelf, deliver, &self.locked, order, self.now).await?;
        if written.state == DeliveryState::Failed {
            return Ok(Err(format!("it cannot be written: {}", written.reason)));
        }
        Ok(Ok(DeliveryRow { created_at: delivery.created_at, ..written }))
    }
}
