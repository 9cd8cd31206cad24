//! What a fold means for what was already noticed and begun.
//!
//! Marks are never rebuilt: one whose silence a late event removed or moved is
//! noted as voided. Runs end in the same commit that stores the customer's return.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::event::{CUSTOMER_UPDATED, Event};
use rekindle_core::fold::Silence;
use rekindle_core::fold::passage::Standing;
use rekindle_core::funnel::{CompiledFunnel, OwedBy};
use rekindle_core::mark::{MarkFate, MarkKey, MarkKind};
use rekindle_core::sequence::Progress;
use rekindle_core::sequence::progress::Awaits;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, RunRow};
use uuid::Uuid;

use crate::enroll::stages::{Bound, at_their_stage};
use crate::error::EngineResult;

/// A silence's clocks as marks name them, with the instant.
pub(super) type DueKeys = Vec<(MarkKey, Timestamp)>;

/// What folding changed that marks and runs have to hear of.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Clocks that a closing event stopped before they ran out: their marks, if any, are void.
    pub stopped: BTreeSet<MarkKey>,
    /// Live journeys that were folded anew, with every clock that still runs out in time.
    pub rebuilt: HashMap<(String, Uuid), HashSet<(MarkKey, Timestamp)>>,
    /// Where live journeys stand now.
    pub standings: HashMap<(String, Uuid), Whereabouts>,
    /// Subjects of everything above.
    pub subjects: BTreeSet<Uuid>,
}

/// Where a live journey stands.
#[derive(Debug)]
pub(super) struct Whereabouts {
    /// Its standing.
    pub standing: Standing,
    /// Id of the stage it is in.
    pub stage: Option<String>,
    /// Number of the revision that it is live in.
    pub revision: i32,
    /// Instant of the anchor of the silence in progress.
    pub quiet_since: Option<Timestamp>,
    /// The clocks of the silence in progress, each with the instant from which it runs.
    pub clocks: Vec<(MarkKind, Timestamp)>,
}

impl Whereabouts {
    /// Whether the silence goes on that started a run, or one that a late event put before it.
    fn runs_on(&self, run: &RunRow) -> bool {
        self.clocks.iter().any(|(kind, since)| Some(*kind) == run.trigger.silence() && *since <= run.since)
    }
}

/// The clocks of a silence that run out before it ends.
pub(super) fn due_keys(
    funnel: &CompiledFunnel,
    funnel_id: &str,
    subject: Uuid,
    silence: &Silence,
) -> DueKeys {
    clocks(funnel, funnel_id, subject, silence)
        .into_iter()
        .filter(|(_, due)| silence.until.is_none_or(|until| *due < until))
        .collect()
}

/// All clocks of a silence.
pub(super) fn clocks(funnel: &CompiledFunnel, funnel_id: &str, subject: Uuid, silence: &Silence) -> DueKeys {
    let stage = &funnel.funnel.stages[silence.key.place].id;
    silence
        .clocks()
        .map(|(kind, clock)| {
            let anchor = clock.anchor.id.clone();
            let key = MarkKey { funnel: funnel_id.into(), subject, stage: stage.clone(), kind, anchor };
            (key, clock.due_at)
        })
        .collect()
}

impl Effects {
    /// Voids marks and ends runs.
    pub async fn apply(
        self,
        tx: &mut dyn Tx,
        fresh: &[Event],
        owners: &HashMap<Uuid, Option<Uuid>>,
        now: Timestamp,
    ) -> EngineResult<()> {
        let voided = self.void_marks(tx, now).await?;
        let mut subjects = self.subjects.clone();
        subjects.extend(fresh.iter().filter_map(|event| event.conversation));
        subjects.extend(fresh.iter().filter_map(|event| owner_of(event, owners)));
        let subjects: Vec<Uuid> = subjects.into_iter().collect();
        let runs = tx.open_runs(&subjects).await?;
        let there = self.in_their_stage(tx, &runs).await?;
        let ended: Vec<(Uuid, EndReason)> = runs
            .iter()
            .filter_map(|run| Some((run.id, self.end_of(run, fresh, owners, &voided, &there)?)))
            .collect();
        let over: HashSet<Uuid> = ended.iter().map(|(run, _)| *run).collect();
        // What is said about a customer as such concerns the runs of all their conversations.
        let alone = fresh.iter().filter(|event| event.conversation.is_none());
        let mut customers: BTreeSet<Uuid> = alone.filter_map(|event| event.customer).collect();
        let moved = moved_customers(fresh);
        customers.extend(&moved);
        let customers: Vec<Uuid> = customers.into_iter().collect();
        let further = tx.open_runs_of_customers(&customers).await?;
        let mut told: BTreeMap<Uuid, Progress> = BTreeMap::new();
        for run in runs.iter().chain(&further).filter(|run| !over.contains(&run.id)) {
            let events = fresh.iter().filter(|event| concerns(run, event, owners));
            let mut progress = run.progress.clone();
            let events: Vec<String> = events.map(|event| event.id.clone()).collect();
            let hears = !events.is_empty() && progress.hear(events);
            if hears || goes_by_another_clock(run, &moved) {
                told.insert(run.id, progress);
            }
        }
        let told: Vec<(Uuid, Progress)> = told.into_iter().collect();
        crate::runs::ending::end(tx, &ended, now).await?;
        tx.tell_runs(&told, now).await?;
        Ok(())
    }

    async fn void_marks(&self, tx: &mut dyn Tx, now: Timestamp) -> EngineResult<HashSet<MarkKey>> {
        let mut subjects: BTreeSet<Uuid> = self.stopped.iter().map(|key| key.subject).collect();
        subjects.extend(self.rebuilt.keys().map(|(_, subject)| *subject));
        if subjects.is_empty() {
            return Ok(HashSet::new());
        }
        let subjects: Vec<Uuid> = subjects.into_iter().collect();
        let voided: HashSet<MarkKey> = tx
            .marks_of(&subjects)
            .await?
            .into_iter()
            .filter(|mark| mark.fate != MarkFate::Voided && self.is_void(&mark.key, mark.due_at))
            .map(|mark| mark.key)
            .collect();
        let keys: Vec<MarkKey> = voided.iter().cloned().collect();
        tx.void_marks(&keys, now).await?;
        Ok(voided)
    }

    fn is_void(&self, key: &MarkKey, due_at: Timestamp) -> bool {
        if self.stopped.contains(key) {
            return true;
        }
        let rebuilt = self.rebuilt.get(&(key.funnel.clone(), key.subject));
        rebuilt.is_some_and(|clocks| !clocks.contains(&(key.clone(), due_at)))
    }

    /// Ids of the runs that are bound to a stage and whose journey is in it.
    async fn in_their_stage(&self, tx: &mut dyn Tx, runs: &[RunRow]) -> EngineResult<HashSet<Uuid>> {
        let bound: Vec<Bound<'_>> = runs.iter().filter_map(|run| self.bound(run)).collect();
        at_their_stage(tx, &bound).await
    }

    fn bound<'a>(&'a self, run: &'a RunRow) -> Option<Bound<'a>> {
        let now = self.standings.get(&(run.trigger.funnel.clone(), run.trigger.subject))?;
        let bound = Bound { run, stage: now.stage.as_deref(), revision: now.revision };
        (!run.trigger.stage.is_empty()).then_some(bound)
    }

    /// Why a run ends now, if it does.
    fn end_of(
        &self,
        run: &RunRow,
        fresh: &[Event],
        owners: &HashMap<Uuid, Option<Uuid>>,
        voided: &HashSet<MarkKey>,
        there: &HashSet<Uuid>,
    ) -> Option<EndReason> {
        let subject = run.trigger.subject;
        let concerns =
            |event: &&Event| event.conversation == Some(subject) || owner_of(event, owners) == Some(subject);
        let returned = fresh
            .iter()
            .filter(concerns)
            .any(|e| comes_back(e) && e.effective_at >= run.since && e.id != run.trigger.anchor);
        // Who waits for a word of ours and says so once more still waits.
        let is_ours = run.owed_by == OwedBy::Agent;
        if returned && !is_ours && !run.progress.outlasts_return {
            return Some(EndReason::CustomerReturned);
        }
        if run.trigger.stage.is_empty() {
            return None;
        }
        let now = self.standings.get(&(run.trigger.funnel.clone(), subject))?;
        if now.standing.completed || now.standing.ended {
            return Some(EndReason::GoalReached);
        }
        if !there.contains(&run.id) {
            return Some(EndReason::StageLeft);
        }
        let is_voided = voided.contains(&run.trigger.mark()?);
        if is_ours && !is_voided && !now.runs_on(run) {
            return Some(EndReason::AgentActed);
        }
        // A silence that overlaps the one taken back goes on with its run.
        let goes_on = now.quiet_since.is_some_and(|since| since <= run.due_at);
        (is_voided && !goes_on).then_some(EndReason::Voided)
    }
}

/// Whether an event is the customer coming back.
pub(crate) fn comes_back(event: &Event) -> bool {
    event.is_return() && !event.carries_attributes()
}

/// Customers who may live by another clock from now on.
fn moved_customers(fresh: &[Event]) -> HashSet<Uuid> {
    let names_a_zone =
        |event: &&Event| event.kind == CUSTOMER_UPDATED && event.properties.contains_key("zone");
    fresh.iter().filter(names_a_zone).filter_map(|event| event.customer).collect()
}

/// Whether a run waits for a time of day on a clock that may be another one now, so that it is to be
/// woken, and to say anew until when it waits.
fn goes_by_another_clock(run: &RunRow, moved: &HashSet<Uuid>) -> bool {
    run.customer.is_some_and(|customer| moved.contains(&customer))
        && run.progress.awaits.as_ref().is_some_and(Awaits::goes_by_the_clock)
}

/// Whether an event is one that a run may wait for.
fn concerns(run: &RunRow, event: &Event, owners: &HashMap<Uuid, Option<Uuid>>) -> bool {
    let subject = Some(run.trigger.subject);
    match event.conversation {
        Some(_) => event.conversation == subject || owner_of(event, owners) == subject,
        None => event.customer.is_some() && event.customer == run.customer,
    }
}

/// The customer whose stream an event is in.
fn owner_of(event: &Event, owners: &HashMap<Uuid, Option<Uuid>>) -> Option<Uuid> {
    match event.conversation {
        Some(conversation) => owners.get(&conversation).copied().flatten(),
        None => event.customer,
    }
}
