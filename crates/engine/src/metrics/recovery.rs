//! What a sequence was worth.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::metrics::Period;
use rekindle_core::metrics::recovery::credit::Credit;
use rekindle_core::metrics::recovery::timing::{Timing, Who};
use rekindle_core::metrics::recovery::{Recovery, RecoveryFact};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Chance;
use rekindle_core::sequence::{Action, Sequence};
use rekindle_core::violation::Violation;
use rekindle_ports::Tx;
use rekindle_ports::facts::RunFact;
use rekindle_ports::resources::{SuppressionKind, SuppressionReason};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::{START_TIME, check_period};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid, ResourceKind};

mod answers;
mod clocks;
mod touches;

use answers::Answers;
use clocks::Clocks;

/// Subjects that the store is asked about at once.
const BATCH: usize = 1_000;

/// A question about what a sequence was worth.
#[derive(Debug, Clone)]
pub struct RecoveryQuestion {
    /// Sequence id.
    pub sequence: String,
    /// Runs that began in it count.
    pub period: Period,
    /// How long after its first message a run can be recovered; microseconds.
    pub window: i64,
    /// Instant of the question; now when absent.
    pub as_of: Option<Timestamp>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryAnswer {
    /// Instant of the question.
    pub as_of: Timestamp,
    /// Counts and comparisons.
    pub recovery: Recovery,
    /// Which messages came last before the returns.
    pub credit: Credit,
    /// What came back by when the first message came.
    pub timing: Timing,
}

impl Engine {
    /// Compares who was written to with who was held out.
    pub async fn query_recovery(
        &self,
        scope: Scope,
        question: RecoveryQuestion,
    ) -> EngineResult<RecoveryAnswer> {
        let key = self.inner.experiment_key;
        self.read(scope, move |tx, now| {
            let question = question.clone();
            Box::pin(async move { answer(tx, question, &key, now).await })
        })
        .await
    }
}

async fn answer(
    tx: &mut dyn Tx,
    question: RecoveryQuestion,
    key: &[u8; 32],
    now: Timestamp,
) -> EngineResult<RecoveryAnswer> {
    let RecoveryQuestion { sequence, period, window, as_of } = question;
    let mut wrong = Vec::new();
    check_period(&period, START_TIME, &mut wrong);
    if !wrong.is_empty() {
        return Err(EngineError::invalid(Invalid::Field, wrong));
    }
    let row = tx.sequence(&sequence).await?;
    let row = row.ok_or_else(|| EngineError::not_found(ResourceKind::Sequence, sequence.clone()))?;
    if row.body.trigger.on.silence().is_none() {
        let message = "starts on no silence: there is nothing to recover".to_owned();
        let wrong = vec![Violation { field: "sequence".into(), message }];
        return Err(EngineError::invalid(Invalid::Field, wrong));
    }
    let as_of = as_of.unwrap_or(now);
    let until = period.until.map_or(as_of.plus(1), |until| until.min(as_of.plus(1)));
    let runs = tx.run_facts(&sequence, period.from, Some(until)).await?;
    let revisions = Revisions::of(tx, &sequence, &runs).await?;
    let refusals = Refusals::of(tx, &runs).await?;
    let answers = Answers::of(tx, &runs, window).await?;
    let clocks = Clocks::of(tx, &runs).await?;
    let nobodys: HashSet<Uuid> =
        runs.iter().filter(|run| run.customer.is_none()).map(|run| run.subject).collect();
    let facts: Vec<RecoveryFact> =
        runs.into_iter().map(|run| revisions.fact(run, &refusals, &answers)).collect();
    let touches = touches::before_returns(tx, &sequence, &facts, &nobodys, window, as_of).await?;
    let credit = Credit::of(&facts, &touches, window, as_of);
    let timing = Timing::of(&facts, window, as_of, |subject| Who {
        zone: &clocks.zone_of(subject).zone,
        checks: Chance { key, experiment: &sequence, subject }.is_checker(),
    });
    Ok(RecoveryAnswer { as_of, recovery: Recovery::of(&facts, window, as_of), credit, timing })
}

/// What revisions of a sequence say of its experiments, by number.
struct Revisions(HashMap<i32, Experiments>);

#[derive(Default)]
struct Experiments {
    holdout: u16,
    /// Ids of steps that split.
    splits: HashSet<String>,
}

impl Revisions {
    async fn of(tx: &mut dyn Tx, sequence: &str, runs: &[RunFact]) -> EngineResult<Self> {
        let mut known = HashMap::new();
        for run in runs {
            if let Entry::Vacant(unknown) = known.entry(run.revision) {
                let body = tx.sequence_revision(sequence, run.revision).await?;
                unknown.insert(body.as_ref().map(Experiments::of).unwrap_or_default());
            }
        }
        Ok(Self(known))
    }

    fn fact(&self, run: RunFact, refusals: &Refusals, answers: &Answers) -> RecoveryFact {
        let experiments = self.0.get(&run.revision);
        let splits = experiments.map(|known| &known.splits);
        let is_split = |step: &str| splits.is_some_and(|splits| splits.contains(step));
        let holdout = run.progress.held_share.or(experiments.map(|known| known.holdout));
        let answers = answers.to(&run);
        let ways = run.progress.steps.into_iter().filter(|(step, _)| is_split(step));
        let refused = |reason| refusals.at(run.customer, reason);
        RecoveryFact {
            assigned: run.customer.unwrap_or(run.subject),
            arm: run.arm,
            holdout: holdout.unwrap_or_default(),
            ways: ways.map(|(step, trace)| (step, trace.outcome)).collect(),
            is_running: run.is_running,
            due_at: run.due_at,
            reached_at: run.reached_at,
            ended: run.ended,
            is_void: run.is_void,
            unsubscribed_at: refused(SuppressionReason::Unsubscribed),
            complained_at: refused(SuppressionReason::Complaint),
            answers,
        }
    }
}

impl Experiments {
    fn of(body: &Sequence) -> Self {
        let steps = body.each_step().into_iter();
        let splits = steps.filter(|(_, step)| matches!(step.action, Action::Split(_)));
        Self { holdout: body.holdout, splits: splits.map(|(_, step)| step.id.clone()).collect() }
    }
}

/// Customers who asked not to be written to, why and since when.
struct Refusals(HashMap<Uuid, (SuppressionReason, Timestamp)>);

impl Refusals {
    async fn of(tx: &mut dyn Tx, runs: &[RunFact]) -> EngineResult<Self> {
        let customers: HashSet<Uuid> = runs.iter().filter_map(|run| run.customer).collect();
        let customers: Vec<Uuid> = customers.into_iter().collect();
        let mut found = HashMap::new();
        for batch in customers.chunks(BATCH) {
            let names = tx.names(NameKind::Customer, batch).await?;
            let by_name: BTreeMap<&str, Uuid> =
                names.iter().map(|(key, name)| (name.as_str(), *key)).collect();
            let entries: Vec<(SuppressionKind, String)> =
                names.values().map(|name| (SuppressionKind::Customer, name.clone())).collect();
            for row in tx.suppressed(&entries).await? {
                if let Some(key) = by_name.get(row.value.as_str()) {
                    found.insert(*key, (row.reason, row.created_at));
                }
            }
        }
        Ok(Self(found))
    }

    fn at(&self, customer: Option<Uuid>, reason: SuppressionReason) -> Option<Timestamp> {
        let (why, at) = self.0.get(&customer?)?;
        (*why == reason).then_some(*at)
    }
}
