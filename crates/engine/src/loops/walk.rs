//! Takes runs further, each to its next wait or to its end, in one unit of work.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::sequence::arm::Chance;
use rekindle_core::sequence::progress::Awaits;
use rekindle_core::sequence::walk::{Next, Situation, walk};
use rekindle_core::sequence::{Program, SequenceState, Step};
use rekindle_core::time::MINUTE;
use rekindle_core::value::Properties;
use rekindle_ports::ledger::{
    DeliveryRow, DeliveryState, EndReason, Message, RunEvent, RunKey, RunRow, RunState,
};
use rekindle_ports::rows::Claimed;
use rekindle_ports::{Deliver, Tx};
use uuid::Uuid;

use super::compose::{Order, compose, delivery_id};
use super::follow::{Fate, follow};
use super::heard::Heard;
use super::locks::{Locked, lock_free_pairs, lock_subjects};
use super::shelf::Shelf;
use super::zone::zone_of;
use crate::engine::Inner;
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
pub(super) fn advance(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    deliver: Arc<dyn Deliver>,
    claims: Vec<Claimed<RunKey>>,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<Walked>> {
    Box::pin(async move {
        let ids: Vec<Uuid> = claims.iter().map(|claim| claim.key.id).collect();
        let seen = tx.runs_by_id(&ids).await?;
        let of = |run: &RunRow| [Some(run.trigger.subject), run.customer].into_iter().flatten();
        let (locked, claims, busy) = if claims.len() == 1 {
            (lock_subjects(tx, seen.iter().flat_map(of)).await?, claims, Vec::new())
        } else {
            let pairs = seen.iter().map(|run| (run.conversation, run.customer));
            let locked = lock_free_pairs(tx, pairs).await?;
            let is_busy = |run: &&RunRow| !of(run).all(|subject| locked.holds(subject));
            let busy: HashSet<Uuid> = seen.iter().filter(is_busy).map(|run| run.id).collect();
            let (busy, claims) = claims.into_iter().partition(|claim| busy.contains(&claim.key.id));
            (locked, claims, busy)
        };
        let held = tx.hold_runs(&claims).await?;
        let claims: HashMap<Uuid, Claimed<RunKey>> =
            claims.into_iter().map(|claim| (claim.key.id, claim)).collect();
        let (mut shelf, mut done, mut running) = (Shelf::default(), Done::default(), Vec::new());
        for mut run in held {
            if run.state != RunState::Running {
                continue;
            }
            match follow(tx, &inner.programs, &mut shelf, &mut run, now).await? {
                Fate::Stays => {}
                Fate::Goes(line) => done.lines.push(line),
                Fate::Ends(reason) => {
                    done.ended.push((run.id, reason));
                    continue;
                }
            }
            running.push(run);
        }
        let mut walk = Walk {
            inner: &inner,
            deliver: &*deliver,
            locked: &locked,
            now,
            heard: Heard::by(tx, &inner, &mut shelf, &running).await?,
            shelf,
            done,
        };
        let mut awaited = walk.awaited(tx, &running).await?;
        for run in running {
            let (claim, awaited) = (claims[&run.id].clone(), awaited.remove(&run.id));
            walk.on(tx, claim, run, awaited).await?;
        }
        Ok(Walked { sends: walk.done.save(tx, now).await?, busy })
    })
}

/// Runs on their way through their sequences.
struct Walk<'a> {
    inner: &'a Inner,
    deliver: &'a dyn Deliver,
    locked: &'a Locked,
    now: Timestamp,
    shelf: Shelf,
    heard: Heard,
    done: Done,
}

/// What is to be written of them.
#[derive(Default)]
struct Done {
    /// Runs as they are now, with the claims that end.
    released: Vec<(Claimed<RunKey>, RunRow)>,
    /// Runs that end before their last step.
    ended: Vec<(Uuid, EndReason)>,
    /// Runs that cannot go on, and why.
    stuck: Vec<(Uuid, String)>,
    deliveries: Vec<DeliveryRow>,
    lines: Vec<RunEvent>,
}

impl Walk<'_> {
    /// How the messages stand that runs wait for: what woke a run may have been another one, such
    /// as an earlier message that an operator had sent again.
    async fn awaited(&self, tx: &mut dyn Tx, runs: &[RunRow]) -> EngineResult<HashMap<Uuid, DeliveryRow>> {
        let awaited = runs.iter().filter_map(|run| match &run.progress.awaits {
            Some(Awaits::Delivery { step, visit }) => Some(delivery_id(run, step, *visit)),
            _ => None,
        });
        let deliveries = tx.deliveries_by_id(&awaited.collect::<Vec<_>>()).await?;
        Ok(deliveries.into_iter().map(|it| (it.run, it)).collect())
    }

    /// Takes one run on.
    async fn on(
        &mut self,
        tx: &mut dyn Tx,
        claim: Claimed<RunKey>,
        mut run: RunRow,
        awaited: Option<DeliveryRow>,
    ) -> EngineResult<()> {
        let (state, body) = (self.shelf.state(tx, &run).await?, self.shelf.body(tx, &run).await?);
        match (state, body) {
            (Some(SequenceState::Paused), _) => {
                run.next_at = Some(self.now.plus(PAUSED_LOOK));
                self.done.released.push((claim, run));
                return Ok(());
            }
            (Some(SequenceState::Archived), _) | (_, None) => {
                self.done.ended.push((run.id, EndReason::SequenceArchived));
                return Ok(());
            }
            (_, Some(_)) => {}
        }
        match awaited {
            Some(delivery) if !delivery.state.is_final() => {
                run.next_at = None;
                self.done.released.push((claim, run));
                return Ok(());
            }
            Some(delivery) => {
                run.progress.delivered(outcome(delivery.state));
                self.learn(&mut run, &delivery);
            }
            None => {}
        }
        let Some(program) = self.shelf.program_of(tx, &self.inner.programs, &run).await? else {
            self.done.stuck.push((run.id, "this version cannot walk through its sequence".into()));
            return Ok(());
        };
        self.step(tx, claim, run, &program).await
    }

    /// Takes the variables of a run that the answer to a message gave.
    fn learn(&mut self, run: &mut RunRow, delivery: &DeliveryRow) {
        let Message::Webhook { said, .. } = &delivery.message else {
            return;
        };
        let learnt: Properties = serde_json::from_str(said).unwrap_or_default();
        if !learnt.is_empty() {
            let names: Vec<&str> = learnt.keys().map(String::as_str).collect();
            self.log(run, "learnt", &delivery.step, names.join(", "));
            run.progress.variables.extend(learnt);
        }
    }

    /// Takes a run on to what it does or waits for next.
    async fn step(
        &mut self,
        tx: &mut dyn Tx,
        claim: Claimed<RunKey>,
        mut run: RunRow,
        program: &Program,
    ) -> EngineResult<()> {
        let latest = self.shelf.latest(tx, &run.trigger.funnel).await?;
        let funnel = match &latest {
            Some(revision) => Some(self.inner.revisions.compiled(tx, revision.head.key).await?),
            None => None,
        };
        let zone = zone_of(self.locked, run.customer, &self.shelf.workspace(tx).await?.body.zone);
        let chance = Chance {
            key: &self.inner.experiment_key,
            experiment: &run.sequence,
            subject: run.customer.unwrap_or(run.trigger.subject),
        };
        let attributes = (self.locked.conversation_attributes(&run), self.locked.customer_attributes(&run));
        let seen = Situation {
            now: self.now,
            event: self.heard.anchor(&run),
            conversation: &attributes.0,
            customer: &attributes.1,
            arrivals: self.heard.since(&run),
            zone: &zone,
            business: funnel.as_ref().and_then(|funnel| funnel.calendar()),
            arm: run.arm.as_str(),
            draw: &chance,
        };
        let (mut place, mut progress) = (usize::try_from(run.step).unwrap_or_default(), run.progress.clone());
        let mut notes = Vec::new();
        let next = walk(program, &mut place, &mut progress, &seen, &mut notes);
        let lines = notes.into_iter().map(|note| line(&run, self.now, note.kind, &note.step, note.detail));
        self.done.lines.extend(lines);
        run.step = place as i32;
        run.progress = progress;
        match next {
            Next::At(at) => run.next_at = Some(at),
            Next::Send(step, visit) => self.send(tx, &mut run, step, visit).await?,
            Next::Completed => {
                self.log(&run, "completed", "", "through the last step".into());
                (run.state, run.next_at, run.ended_at) = (RunState::Completed, None, Some(self.now));
            }
            Next::Quiet => {
                self.done.ended.push((run.id, EndReason::QuietHours));
                return Ok(());
            }
            Next::Stuck(why) => {
                self.done.stuck.push((run.id, why));
                return Ok(());
            }
        }
        self.done.released.push((claim, run));
        Ok(())
    }

    /// Writes a step's message. One that could not even be written, or is for a customer who is
    /// held out, settles at once; else its outcome wakes the run.
    async fn send(&mut self, tx: &mut dyn Tx, run: &mut RunRow, step: &Step, visit: u32) -> EngineResult<()> {
        let order = Order { run, step, visit, event: self.heard.anchor(run) };
        let delivery = compose(tx, &mut self.shelf, self.deliver, self.locked, order, self.now).await?;
        let detail = match delivery.state {
            DeliveryState::Failed => format!("{}: {}", delivery.id, delivery.reason),
            _ => delivery.id.clone(),
        };
        self.log(run, "delivery_created", &step.id, detail);
        run.progress.awaits = Some(Awaits::Delivery { step: step.id.clone(), visit });
        run.next_at = delivery.state.is_final().then_some(self.now);
        self.done.deliveries.push(delivery);
        Ok(())
    }

    fn log(&mut self, run: &RunRow, kind: &str, step: &str, detail: String) {
        self.done.lines.push(line(run, self.now, kind, step, detail));
    }
}

fn line(run: &RunRow, at: Timestamp, kind: &str, step: &str, detail: String) -> RunEvent {
    RunEvent { run: run.id, at, kind: kind.into(), step: step.into(), detail }
}

/// The word by which rules know what became of a message.
fn outcome(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Scheduled | DeliveryState::Sending => "",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
        DeliveryState::Suppressed => "suppressed",
        DeliveryState::Cancelled => "cancelled",
        DeliveryState::Expired => "expired",
        DeliveryState::Unknown => "unknown",
        DeliveryState::HeldOut => "held_out",
    }
}

impl Done {
    /// Writes it, runs before deliveries; whether something is to be sent.
    async fn save(self, tx: &mut dyn Tx, now: Timestamp) -> EngineResult<bool> {
        tx.log_run(&self.lines).await?;
        ending::end(tx, &self.ended, now).await?;
        for (run, why) in &self.stuck {
            ending::fail(tx, *run, why, now).await?;
        }
        tx.release_runs(&self.released).await?;
        tx.insert_deliveries(&self.deliveries).await?;
        Ok(self.deliveries.iter().any(|delivery| !delivery.state.is_final()))
    }
}
