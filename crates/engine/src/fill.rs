//! Filling: a new or changed funnel folds stored history, subject by subject.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::scope::Scope;
use rekindle_ports::rows::{CustomerRow, FillRow, FillState};
use rekindle_ports::store::Queue;
use rekindle_ports::{StoreError, Tx};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{Engine, Inner};
use crate::error::EngineResult;
use crate::ingest::{FoldOrder, Streams, fold_subjects};
use crate::jobs::{Turn, take_turns};

/// Subjects folded in one transaction: long enough to amortise it, short enough
/// that ingest of the same subjects never waits noticeably.
const STEP: u32 = 200;

impl Engine {
    /// Works on fills until `stop`: whatever runs now, and whatever is rung for later.
    ///
    /// Several replicas may do so at once: a subject is folded under its lock and
    /// only where it has no journey yet, so they only share the work.
    pub async fn run_fills(&self, scope: Scope, stop: CancellationToken) {
        take_turns(|| self.fill_turn(scope), &self.inner.fills, &stop).await;
    }

    /// Folds the next subjects of every fill that runs; whether there may be more.
    pub async fn fill_step(&self, scope: Scope) -> EngineResult<bool> {
        self.fill_turn(scope).await?.outcome()
    }

    async fn fill_turn(&self, scope: Scope) -> EngineResult<Turn> {
        let fills = self.read(scope, |tx, _| Box::pin(async { Ok(tx.running_fills().await?) })).await?;
        let any = !fills.is_empty();
        let mut failed = None;
        for fill in fills {
            let inner = Arc::clone(&self.inner);
            let key = fill.head.key;
            // A fill that cannot go on must not keep the others from it.
            if let Err(error) =
                self.write(scope, move |tx, now| advance(Arc::clone(&inner), tx, key, now)).await
            {
                tracing::warn!(funnel = %fill.head.funnel, revision = fill.head.revision, %error, "a fill could not go on");
                failed = Some(error);
            }
        }
        Ok(Turn { any, failed })
    }
}

fn advance(inner: Arc<Inner>, tx: &mut dyn Tx, key: i64, now: Timestamp) -> BoxFuture<'_, EngineResult<()>> {
    Box::pin(async move {
        let Some(before) = tx.running_fills().await?.into_iter().find(|fill| fill.head.key == key) else {
            return Ok(());
        };
        let funnel = inner.revisions.compiled(tx, key).await?;
        let customers = funnel.funnel.subject == SubjectKind::Customer;
        let subjects = tx.subjects_after(customers, before.cursor, STEP).await?;
        let order = lock(tx, customers, &subjects).await?;
        fold_subjects(tx, &inner, order, Streams::default(), now).await?;
        // Read again under its lock: it may have been cancelled, gone further or begun anew
        // meanwhile, and then that stands; folding twice folds once.
        let current = tx.fill(key).await?.filter(|fill| fill.state == FillState::Running);
        if let Some(mut fill) = current.filter(|fill| fill.cursor == before.cursor) {
            fill.done += subjects.len() as i64;
            fill.cursor = subjects.last().copied().or(fill.cursor);
            if subjects.len() < STEP as usize {
                fill.state = FillState::Done;
            }
            tx.save_fill(&fill).await?;
        }
        inner.bells.ring(Queue::Timers);
        Ok(())
    })
}

/// Locks the subjects of a step in the order that everybody locks in.
async fn lock(tx: &mut dyn Tx, customers: bool, subjects: &[Uuid]) -> EngineResult<FoldOrder> {
    let whole: BTreeSet<Uuid> = subjects.iter().copied().collect();
    if customers {
        let rows = tx.lock_customers(subjects).await?;
        let with_attributes = with_attributes(&rows);
        return Ok(FoldOrder { with_attributes, whole, ..FoldOrder::default() });
    }
    let owners = tx.owners_of(subjects).await?;
    let people: BTreeSet<Uuid> = owners.values().copied().collect();
    let people: Vec<Uuid> = people.into_iter().collect();
    let people = tx.lock_customers(&people).await?;
    let rows = tx.lock_conversations(subjects).await?;
    let is_locked = |owner: &Uuid| people.iter().any(|row| row.key == *owner);
    if !rows.iter().filter_map(|row| row.owner.as_ref()).all(|(owner, _)| is_locked(owner)) {
        return Err(StoreError::Conflict("a conversation changed its owner".into()).into());
    }
    let owners: HashMap<Uuid, Option<Uuid>> =
        rows.iter().map(|row| (row.key, row.owner.as_ref().map(|(owner, _)| *owner))).collect();
    let with_attributes = with_attributes(&people);
    Ok(FoldOrder { owners, former_owners: BTreeMap::new(), with_attributes, whole, ..FoldOrder::default() })
}

fn with_attributes(people: &[CustomerRow]) -> BTreeSet<Uuid> {
    people.iter().filter(|row| row.attribute_events > 0).map(|row| row.key).collect()
}

/// A fill that is about to begin.
pub(crate) async fn begin(tx: &mut dyn Tx, fill: FillRow) -> EngineResult<()> {
    Ok(tx.save_fill(&fill).await?)
}
