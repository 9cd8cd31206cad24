//! Sequences: drafts until somebody starts them, changed by revisions, ended for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{Sequence, SequenceState};
use rekindle_ports::Tx;
use rekindle_ports::resources::{RequestKind, RunPolicy, SequenceRow};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Precondition, ResourceKind};
use crate::requests::{Asked, Creation, corrupt};
use crate::resources;

pub(crate) mod definition;
mod preview;
pub(crate) mod programs;
mod publish;
mod simulate;
pub(crate) mod stages;
mod state;

pub use preview::{PreviewData, PreviewedMessage};
pub use publish::{Published, RunImpact};
pub use simulate::{Simulated, SimulatedMessage, SimulationAnswer, SimulationQuestion};
pub use state::Archived;

/// A change of a sequence.
#[derive(Debug, Clone)]
pub struct SequenceChange {
    /// What the new revision says, whole.
    pub sequence: Sequence,
    /// The etag the caller read, if it cares.
    pub etag: Option<String>,
    /// What becomes of the runs under way.
    pub run_policy: RunPolicy,
    /// For [`RunPolicy::Migrate`], by the ids of steps of the revisions that runs walk: the step of
    /// the new one at whose beginning they go on; empty says that they end. Those that are not
    /// named go on in the step that has the same id.
    pub step_map: BTreeMap<String, String>,
    /// Only says whether it would do, and what it would do to the runs.
    pub validate_only: bool,
}

impl Engine {
    /// Creates a sequence, always as a draft: it writes to nobody before it is started.
    pub async fn create_sequence(
        &self,
        scope: Scope,
        id: &str,
        sequence: Sequence,
        how: Creation,
    ) -> EngineResult<SequenceRow> {
        let (id, deliver) = (id.to_owned(), Arc::clone(&self.inner.deliver));
        let asked = Asked::new(RequestKind::Sequence, how, &format!("{id}/{}", json(&sequence)));
        self.write(scope, move |tx, now| {
            let (id, sequence, deliver, asked) =
                (id.clone(), sequence.clone(), Arc::clone(&deliver), asked.clone());
            Box::pin(async move {
                // Looked for first: whoever takes the id after this has left its request by then.
                let is_taken = tx.sequence(&id).await?.is_some();
                if let Some(before) = asked.before(tx).await? {
                    let body = serde_json::from_str(&before.answer).map_err(|_| corrupt(&before))?;
                    return Ok(drafted(id, body, before.created_at));
                }
                let wrong_id = resources::wrong_id(&id, "sequenceId");
                definition::check(tx, &*deliver, &sequence, wrong_id.into_iter().collect()).await?;
                if is_taken {
                    return Err(EngineError::Exists { kind: ResourceKind::Sequence, id });
                }
                let row = drafted(id, sequence, now);
                if !asked.is_check() {
                    tx.insert_sequence(&row).await?;
                    asked.keep(tx, json(&row.body), now).await?;
                }
                Ok(row)
            })
        })
        .await
    }

    /// A sequence in its newest revision.
    pub async fn sequence(&self, scope: Scope, id: &str) -> EngineResult<SequenceRow> {
        let id = id.to_owned();
        self.read(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move { existing(tx, &id).await })
        })
        .await
    }

    /// Sequences in order of their ids, after `after`.
    pub async fn sequences(&self, scope: Scope, after: &str, limit: u32) -> EngineResult<Vec<SequenceRow>> {
        let after = after.to_owned();
        self.read(scope, move |tx, _| {
            let after = after.clone();
            Box::pin(async move { Ok(tx.sequences(&after, limit).await?) })
        })
        .await
    }

    /// Deletes a draft or an archived sequence; its runs and deliveries stay on record.
    pub async fn delete_sequence(&self, scope: Scope, id: &str, etag: Option<&str>) -> EngineResult<()> {
        let (id, etag) = (id.to_owned(), etag.map(str::to_owned));
        self.write(scope, move |tx, _| {
            let (id, etag) = (id.clone(), etag.clone());
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                check_etag(&row, etag.as_deref())?;
                if matches!(row.state, SequenceState::Active | SequenceState::Paused) {
                    return Err(wrong_state(&row, "only a draft or an archived sequence can be deleted"));
                }
                tx.delete_schedule(&id).await?;
                Ok(tx.delete_sequence(&id).await?)
            })
        })
        .await
    }
}

/// A new sequence.
fn drafted(id: String, body: Sequence, now: Timestamp) -> SequenceRow {
    tagged(SequenceRow {
        id,
        revision: 1,
        changed_by: 0,
        etag: String::new(),
        state: SequenceState::Draft,
        body,
        created_at: now,
        updated_at: now,
        started_at: None,
    })
}

/// The next revision of a sequence.
fn revised(row: SequenceRow, body: Sequence, now: Timestamp) -> SequenceRow {
    tagged(SequenceRow { revision: row.revision + 1, body, updated_at: now, ..row })
}

/// The row with the etag of what it says.
fn tagged(row: SequenceRow) -> SequenceRow {
    let text = format!("{}/{:?}/{:?}", json(&row.body), row.state, row.started_at);
    SequenceRow { etag: format!("{:x}-{:x}", row.revision, xxh3_64(text.as_bytes())), ..row }
}

/// A definition always has JSON: it holds no maps with keys that are not text.
fn json(body: &Sequence) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

async fn existing(tx: &mut dyn Tx, id: &str) -> EngineResult<SequenceRow> {
    tx.sequence(id).await?.ok_or_else(|| EngineError::not_found(ResourceKind::Sequence, id))
}

fn check_etag(row: &SequenceRow, read: Option<&str>) -> EngineResult<()> {
    resources::check_etag(ResourceKind::Sequence, &row.id, &row.etag, read)
}

/// The sequence is in another state than the verb needs.
pub(crate) fn wrong_state(row: &SequenceRow, message: &str) -> EngineError {
    refused(Precondition::SequenceState, row, message.to_owned())
}

fn refused(reason: Precondition, row: &SequenceRow, message: String) -> EngineError {
    let state = format!("{:?}", row.state).to_uppercase();
    EngineError::Precondition { reason, message, metadata: vec![("currentState".into(), state)] }
}
