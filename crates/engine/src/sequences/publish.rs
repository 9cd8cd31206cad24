//! Publishing a revision: checked whole, counted first, and then said to the runs under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::migrate::{Stand, Way};
use rekindle_core::sequence::{Program, Sequence, SequenceState};
use rekindle_core::violation::{Violation, quoted};
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunCrowd;
use rekindle_ports::resources::{RunChange, RunPolicy, SequenceRow};
use rekindle_ports::store::Queue;

use super::programs::Programs;
use super::{SequenceChange, check_etag, definition, existing, revised, wrong_state};
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, EngineResult, Precondition};
use crate::loops::follow::{Led, Stood, follow_batch, lead};
use crate::loops::scheduler;
use crate::loops::shelf::Shelf;

/// A sequence in a new revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The sequence.
    pub sequence: SequenceRow,
    /// What the revision did, or would do, to the runs that were under way.
    pub impact: RunImpact,
}

/// What becomes of the runs under way, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunImpact {
    /// Those that stay in their revision.
    pub staying: i64,
    /// Those that go on in the new one.
    pub moving: i64,
    /// Those that end.
    pub ending: i64,
}

impl Engine {
    /// Publishes the next revision of a sequence. What becomes of the runs under way is counted
    /// first, and then done.
    ///
    /// The revision is published first and alone: a run that is not moved or ended here, because
    /// the process dies or it was just starting, is when it is woken.
    pub async fn update_sequence(
        &self,
        scope: Scope,
        id: &str,
        change: SequenceChange,
    ) -> EngineResult<Published> {
        let (engine, id) = (self.clone(), id.to_owned());
        self.detached(async move {
            let (name, inner) = (id.clone(), Arc::clone(&engine.inner));
            let concerns_runs = !change.validate_only && change.run_policy != RunPolicy::Drain;
            let published = engine
                .write(scope, move |tx, now| {
                    let (id, change, inner) = (name.clone(), change.clone(), Arc::clone(&inner));
                    Box::pin(async move { publish(tx, &inner, &id, change, now).await })
                })
                .await?;
            if concerns_runs && let Err(error) = engine.take_runs_along(scope, &id).await {
                tracing::warn!(sequence = id, %error, "its runs follow the new revision as they are woken");
            }
            Ok(published)
        })
        .await
    }

    /// Takes the runs under way along to where the revisions of their sequence say, page by page.
    async fn take_runs_along(&self, scope: Scope, id: &str) -> EngineResult<()> {
        let mut next = None;
        loop {
            let (id, before, inner) = (id.to_owned(), next, Arc::clone(&self.inner));
            next = self
                .write(scope, move |tx, now| {
                    let (id, before, inner) = (id.clone(), before.clone(), Arc::clone(&inner));
                    Box::pin(async move { follow_batch(tx, &inner.programs, &id, before, now).await })
                })
                .await?;
            self.inner.bells.ring(Queue::Runs);
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

async fn publish(
    tx: &mut dyn Tx,
    inner: &Inner,
    id: &str,
    change: SequenceChange,
    now: Timestamp,
) -> EngineResult<Published> {
    let row = existing(tx, id).await?;
    check_etag(&row, change.etag.as_deref())?;
    if row.state == SequenceState::Archived {
        return Err(wrong_state(&row, "an archived sequence cannot be changed"));
    }
    let crowd = match change.run_policy {
        RunPolicy::Migrate => Some(Crowd::of(tx, &inner.programs, &row).await?),
        RunPolicy::Drain | RunPolicy::Cancel => None,
    };
    let violations = map_violations(&row.body, &change, crowd.as_ref());
    definition::check(tx, &*inner.deliver, &change.sequence, violations).await?;
    let impact = if let (Some(crowd), Some(to)) = (&crowd, inner.programs.of(&change.sequence)) {
        crowd.moved_to(&to, &change.step_map)?
    } else {
        let open = tx.count_runs(id).await?;
        match change.run_policy {
            RunPolicy::Cancel => RunImpact { ending: open, ..RunImpact::default() },
            RunPolicy::Drain | RunPolicy::Migrate => RunImpact { staying: open, ..RunImpact::default() },
        }
    };
    let comes_round_anew = row.body.trigger != change.sequence.trigger;
    let mut row = revised(row, change.sequence, now);
    if change.run_policy != RunPolicy::Drain {
        row.changed_by = row.revision;
    }
    if !change.validate_only {
        let said = RunChange { revision: row.revision, policy: change.run_policy, step_map: change.step_map };
        tx.publish_sequence(&row, &said).await?;
        // A time that is due, or half done, is not lost for another word in a mail.
        if comes_round_anew {
            scheduler::plan(tx, &row, now).await?;
        }
    }
    Ok(Published { sequence: row, impact })
}

/// The runs under way, counted by where they stand.
#[derive(Default)]
struct Crowd {
    standing: BTreeMap<Stand, i64>,
    /// Runs of revisions that this version cannot walk through.
    lost: i64,
    /// Runs that an earlier revision ended, and that were not woken since.
    ending: i64,
    /// Ids of the steps of the revisions that they walk.
    steps: BTreeSet<String>,
}

impl Crowd {
    /// The runs of a sequence, in one statement; the caller holds the lock of its row.
    async fn of(tx: &mut dyn Tx, programs: &Programs, row: &SequenceRow) -> EngineResult<Self> {
        let (mut all, mut shelf) = (Self::default(), Shelf::default());
        for RunCrowd { revision, step, progress, count } in tx.run_crowds(&row.id).await? {
            let place = usize::try_from(step).unwrap_or_default();
            let mut at = Stood { revision, place, progress };
            // Of those that an earlier revision did not reach, where they will have gone.
            if revision < row.changed_by
                && let Led::Ends(_) = lead(tx, programs, &mut shelf, &row.id, &mut at).await?
            {
                all.ending += count;
                continue;
            }
            let body = shelf.revision(tx, &row.id, at.revision).await?;
            all.steps.extend(body.as_deref().map(step_ids).unwrap_or_default());
            match body.and_then(|body| programs.of(&body)) {
                Some(program) => {
                    let stand = Stand::of(at.place, &at.progress, &program);
                    *all.standing.entry(stand).or_default() += count;
                }
                None => all.lost += count,
            }
        }
        Ok(all)
    }

    /// What becomes of them; refused where a step is gone in which some stand.
    fn moved_to(&self, to: &Program, map: &BTreeMap<String, String>) -> EngineResult<RunImpact> {
        let mut impact = RunImpact { staying: self.lost, moving: 0, ending: self.ending };
        let mut stranded: Vec<(&str, i64)> = Vec::new();
        for (stand, count) in &self.standing {
            match (Way::of(stand, to, map), stand) {
                (Way::Ends, _) => impact.ending += count,
                (Way::Nowhere, Stand::In(step)) => stranded.push((step.as_str(), *count)),
                _ => impact.moving += count,
            }
        }
        if stranded.is_empty() { Ok(impact) } else { Err(in_use(&stranded)) }
    }
}

fn in_use(stranded: &[(&str, i64)]) -> EngineError {
    let steps: Vec<&str> = stranded.iter().map(|(step, _)| *step).collect();
    let runs: Vec<String> = stranded.iter().map(|(_, count)| count.to_string()).collect();
    let counted: Vec<String> = stranded.iter().map(|(step, count)| format!("{step} ({count})")).collect();
    EngineError::Precondition {
        reason: Precondition::StepInUse,
        message: format!(
            "runs stand in steps that go, and step_map must say what becomes of them: {}",
            counted.join(", ")
        ),
        metadata: vec![("steps".into(), steps.join(", ")), ("runs".into(), runs.join(", "))],
    }
}

/// Names of the map must be steps that runs may stand in, and steps of the new revision.
fn map_violations(before: &Sequence, change: &SequenceChange, crowd: Option<&Crowd>) -> Vec<Violation> {
    let (before, after) = (step_ids(before), step_ids(&change.sequence));
    let mut violations = Vec::new();
    for (from, to) in &change.step_map {
        let mut wrong = |message: String| {
            violations.push(Violation { field: format!("stepMap.{from}"), message });
        };
        if change.run_policy != RunPolicy::Migrate {
            wrong("is for a run policy of MIGRATE alone".to_owned());
            continue;
        }
        if !before.contains(from) && !crowd.is_some_and(|crowd| crowd.steps.contains(from)) {
            wrong("is no step of the sequence".to_owned());
        }
        if !to.is_empty() && !after.contains(to) {
            wrong(format!("the new revision has no step {}", quoted(to)));
        }
    }
    violations
}

fn step_ids(sequence: &Sequence) -> BTreeSet<String> {
    sequence.each_step().into_iter().map(|(_, step)| step.id.clone()).collect()
}
