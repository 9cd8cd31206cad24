//! Runs and deliveries as people see them: with names, steps and reasons.

use std::collections::HashMap;

use rekindle_core::mark::{Mark, MarkKey};
use rekindle_core::sequence::Sequence;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{AttemptRow, DeliveryRow, RunRow, RunState};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::marks;
use crate::error::EngineResult;

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
    /// The mark that started it.
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
pub(super) async fn of_run(tx: &mut dyn Tx, row: RunRow) -> EngineResult<RunView> {
    let mut views = of_runs(tx, vec![row]).await?;
    // One row gives one view.
    Ok(views.remove(0))
}

/// Views of runs, in their order.
pub(super) async fn of_runs(tx: &mut dyn Tx, rows: Vec<RunRow>) -> EngineResult<Vec<RunView>> {
    let names = Names::of(tx, rows.iter().map(|run| (run.conversation, run.customer))).await?;
    let marks: HashMap<MarkKey, Mark> =
        marks(tx, &rows).await?.into_iter().map(|mark| (mark.key.clone(), mark)).collect();
    let mut bodies: HashMap<(String, i32), Option<Sequence>> = HashMap::new();
    let mut views = Vec::with_capacity(rows.len());
    for run in rows {
        let key = (run.sequence.clone(), run.sequence_revision);
        if !bodies.contains_key(&key) {
            let body = tx.sequence_revision(&key.0, key.1).await?;
            bodies.insert(key.clone(), body);
        }
        let mark = marks.get(&run.trigger).cloned();
        views.push(RunView {
            conversation: names.conversation(run.conversation),
            customer: names.customer(run.customer),
            current_step: current_step(&run, bodies.get(&key).and_then(Option::as_ref)),
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

/// A run that awaits its delivery is still at the step before.
fn current_step(run: &RunRow, body: Option<&Sequence>) -> String {
    if run.state != RunState::Running {
        return String::new();
    }
    let place = if run.next_at.is_none() { run.step - 1 } else { run.step };
    let step = body.and_then(|body| body.steps.get(usize::try_from(place).ok()?));
    step.map(|step| step.id.clone()).unwrap_or_default()
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
