//! Runs and deliveries: read, and decided about by operators.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::mark::Mark;
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{DeliveryState, EndReason, LedgerFilter, RunEvent, RunRow, RunState};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Precondition, ResourceKind};

pub(crate) mod changes;
mod deliveries;
pub(crate) mod ending;
mod explain;
mod start;
mod views;

pub use changes::RunChange;
pub use deliveries::Resolution;
pub(crate) use deliveries::scheduled_again;
pub use explain::{Statement, Subject};
pub use start::Whom;
pub use views::{DeliveryView, RunView};

/// Which runs or deliveries to list, by the names that clients know; newest first.
#[derive(Debug, Clone, Default)]
pub struct LedgerQuery {
    /// Of this sequence.
    pub sequence: Option<String>,
    /// Of this run.
    pub run: Option<Uuid>,
    /// About this conversation.
    pub conversation: Option<String>,
    /// About this customer.
    pub customer: Option<String>,
    /// In one of these run states; empty means all.
    pub run_states: Vec<RunState>,
    /// In one of these delivery states; empty means all.
    pub delivery_states: Vec<DeliveryState>,
    /// After the one that was created at this instant and has this id.
    pub before: Option<(Timestamp, String)>,
}

impl Engine {
    /// A run.
    pub async fn run(&self, scope: Scope, id: Uuid) -> EngineResult<RunView> {
        let inner = Arc::clone(&self.inner);
        self.read(scope, move |tx, _| {
            let inner = Arc::clone(&inner);
            Box::pin(async move {
                let row = existing(tx, id).await?;
                views::of_run(tx, &inner.programs, row).await
            })
        })
        .await
    }

    /// Runs that pass, newest first.
    pub async fn runs(&self, scope: Scope, query: LedgerQuery, limit: u32) -> EngineResult<Vec<RunView>> {
        let inner = Arc::clone(&self.inner);
        self.read(scope, move |tx, _| {
            let (query, inner) = (query.clone(), Arc::clone(&inner));
            Box::pin(async move {
                let Some(filter) = query.resolve(tx).await? else {
                    return Ok(Vec::new());
                };
                let rows = tx.runs(&filter, limit).await?;
                views::of_runs(tx, &inner.programs, rows).await
            })
        })
        .await
    }

    /// Cancels a run and what it has planned; a message that is being sent cannot be called back.
    /// Cancelling a cancelled run changes nothing.
    pub async fn cancel_run(&self, scope: Scope, id: Uuid) -> EngineResult<RunView> {
        self.change_run(scope, id, RunChange::End(EndReason::Cancelled)).await
    }

    /// What happened in a run, oldest first.
    pub async fn run_events(&self, scope: Scope, id: Uuid) -> EngineResult<Vec<RunEvent>> {
        self.read(scope, move |tx, _| {
            Box::pin(async move {
                existing(tx, id).await?;
                Ok(tx.run_log(id).await?)
            })
        })
        .await
    }
}

impl LedgerQuery {
    /// The same by keys; `None` when it names somebody who is not known.
    async fn resolve(self, tx: &mut dyn Tx) -> EngineResult<Option<LedgerFilter>> {
        let Some(conversation) = key(tx, NameKind::Conversation, self.conversation).await? else {
            return Ok(None);
        };
        let Some(customer) = key(tx, NameKind::Customer, self.customer).await? else {
            return Ok(None);
        };
        Ok(Some(LedgerFilter {
            sequence: self.sequence,
            run: self.run,
            conversation,
            customer,
            run_states: self.run_states,
            delivery_states: self.delivery_states,
            before: self.before,
        }))
    }
}

/// The key of a name that may be asked for: outside, whether the question makes sense; inside,
/// whether it was asked.
async fn key(tx: &mut dyn Tx, kind: NameKind, name: Option<String>) -> EngineResult<Option<Option<Uuid>>> {
    match name {
        None => Ok(Some(None)),
        Some(name) => Ok(tx.key_of(kind, &name).await?.map(Some)),
    }
}

async fn existing(tx: &mut dyn Tx, id: Uuid) -> EngineResult<RunRow> {
    tx.run(id).await?.ok_or_else(|| EngineError::not_found(ResourceKind::Run, id.to_string()))
}

fn over(state: RunState) -> EngineError {
    EngineError::Precondition {
        reason: Precondition::RunNotCancellable,
        message: "the run is over".into(),
        metadata: vec![("currentState".into(), format!("{state:?}").to_uppercase())],
    }
}

/// Marks of the subjects of runs.
async fn marks(tx: &mut dyn Tx, runs: &[RunRow]) -> EngineResult<Vec<Mark>> {
    let mut subjects: Vec<Uuid> = runs.iter().map(|run| run.trigger.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    Ok(tx.marks_of(&subjects).await?)
}
