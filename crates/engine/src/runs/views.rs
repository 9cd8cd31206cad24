//! Runs and deliveries as people see them: with names, steps and reasons.

use std::collections::HashMap;
use std::sync::Arc;

use rekindle_core::mark::Mark;
use rekindle_core::sequence::{Origin, Program};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{AttemptRow, DeliveryRow, RunRow, RunState};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::marks;
use crate::error::EngineResult;
use crate::sequences::programs::Programs;

/// A run with what its row only refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// The run.
    pub run: RunRow,
    /// The conversation's id, if it is about one that is not erased.
    pub conversation: Option<String>,
    /// The customer's id, if known and not erased.
    pub customer: Option<String>,
    /// Id of the step that comes next or is carried out; empty when the run is over.
    pub current_step: String,
    /// The mark that started it, if one did.
    pub mark: Option<Mark>,
    /// Number of the funnel revision whose rule it was.
    pub funnel_revision: Option<i32>,
}

/// A delivery with its attempts and the names it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// The delivery.
    pub delivery: DeliveryRow,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// The conversation's id, if it is about one that is not erased.
    pub conversation: Option<String>,
    /// The customer's id, if known and not erased.
    pub customer: Option<String>,
}

/// The view of one run.
pub(super) async fn of_run(tx: &mut dyn Tx, programs: &Programs, row: RunRow) -> EngineResult<RunView> {
    let mut views = of_runs(tx, programs, vec![row]).await?;
    // One row gives one view.
    Ok(views.remove(0))
}

/// Views of runs, in their order.
pub(super) async fn of_runs(
    tx: &mut dyn Tx,
    programs: &Programs,
    rows: Vec<RunRow>,
) -> EngineResult<Vec<RunView>> {
    let names = Names::of(tx, rows.iter().map(|run| (run.conversation, run.customer))).await?;
    let marks: HashMap<Origin, Mark> =
        marks(tx, &rows).await?.into_iter().map(|mark| (mark.key.clone().into(), mark)).collect();
    let mut bodies: HashMap<(String, i32), Option<Arc<Program>>> = HashMap::new();
    let mut views = Vec::with_capacity(rows.len());
    for run in rows {
        let key = (run.sequence.clone(), run.sequence_revision);
        if !bodies.contains_key(&key) {
            let body = tx.sequence_revision(&key.0, key.1).await?;
            bodies.insert(key.clone(), body.and_then(|body| programs.of(&body)));
        }
        let mark = marks.get(&run.trigger).cloned();
        views.push(RunView {
            conversation: names.conversation(run.conversation),
            customer: names.customer(run.customer),
            current_step: current_step(&run, bodies.get(&key).and_then(Option::as_deref)),
            funnel_revision: mark.as_ref().and_then(|mark| i32::try_from(mark.revision).ok()),
            mark,
            run,
        });
    }
    Ok(views)
}

/// Views of deliveries, in their order.
pub(super) async fn of_deliveries(
    tx: &mut dyn Tx,
    rows: Vec<DeliveryRow>,
) -> EngineResult<Vec<DeliveryView>> {
    let names = Names::of(tx, rows.iter().map(|row| (row.conversation, row.customer))).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut attempts = tx.attempts_of(&ids).await?;
    let views = rows.into_iter().map(|delivery| DeliveryView {
        attempts: attempts.remove(&delivery.id).unwrap_or_default(),
        conversation: names.conversation(delivery.conversation),
        customer: names.customer(delivery.customer),
        delivery,
    });
    Ok(views.collect())
}

/// The step that a run waits in, or comes to next.
fn current_step(run: &RunRow, program: Option<&Program>) -> String {
    if run.state != RunState::Running {
        return String::new();
    }
    if let Some(awaits) = &run.progress.awaits {
        return awaits.step().to_owned();
    }
    let step = program.and_then(|program| program.step_at(usize::try_from(run.step).ok()?));
    step.unwrap_or_default().to_owned()
}

/// Names of the subjects of a list.
struct Names {
    conversations: HashMap<Uuid, String>,
    customers: HashMap<Uuid, String>,
}

impl Names {
    async fn of(
        tx: &mut dyn Tx,
        subjects: impl Iterator<Item = (Option<Uuid>, Option<Uuid>)>,
    ) -> EngineResult<Self> {
        let (conversations, customers): (Vec<_>, Vec<_>) = subjects.unzip();
        Ok(Self {
            conversations: named(tx, NameKind::Conversation, conversations).await?,
            customers: named(tx, NameKind::Customer, customers).await?,
        })
    }

    fn conversation(&self, key: Option<Uuid>) -> Option<String> {
        self.conversations.get(&key?).cloned()
    }

    fn customer(&self, key: Option<Uuid>) -> Option<String> {
        self.customers.get(&key?).cloned()
    }
}

async fn named(
    tx: &mut dyn Tx,
    kind: NameKind,
    keys: Vec<Option<Uuid>>,
) -> EngineResult<HashMap<Uuid, String>> {
    let mut keys: Vec<Uuid> = keys.into_iter().flatten().collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() { Ok(HashMap::new()) } else { Ok(tx.names(kind, &keys).await?) }
}
