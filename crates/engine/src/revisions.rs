//! Compiled funnel revisions, kept for as long as the process runs: they never change.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use rekindle_core::funnel::CompiledFunnel;
use rekindle_ports::rows::RevisionHead;
use rekindle_ports::{StoreError, Tx};

use crate::error::EngineResult;

pub(crate) mod renames;

/// A revision that events are folded into.
#[derive(Debug, Clone)]
pub struct ActiveRevision {
    /// Which.
    pub head: RevisionHead,
    /// What it says, ready to fold with.
    pub funnel: Arc<CompiledFunnel>,
}

/// What is kept of a revision.
#[derive(Debug, Clone)]
struct Known {
    number: i32,
    funnel: Arc<CompiledFunnel>,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Revisions {
    compiled: RwLock<HashMap<i64, Known>>,
}

impl Revisions {
    /// The revisions that are active as the unit of work sees them.
    pub async fn active(&self, tx: &mut dyn Tx) -> EngineResult<Vec<ActiveRevision>> {
        let heads = tx.active_revisions().await?;
        let mut active = Vec::with_capacity(heads.len());
        for head in heads {
            let funnel = self.compiled(tx, head.key).await?;
            active.push(ActiveRevision { head, funnel });
        }
        Ok(active)
    }

    /// A revision by its key.
    pub async fn compiled(&self, tx: &mut dyn Tx, key: i64) -> EngineResult<Arc<CompiledFunnel>> {
        Ok(self.known(tx, key).await?.funnel)
    }

    /// The number of a revision by its key.
    pub async fn number(&self, tx: &mut dyn Tx, key: i64) -> EngineResult<i32> {
        Ok(self.known(tx, key).await?.number)
    }

    async fn known(&self, tx: &mut dyn Tx, key: i64) -> EngineResult<Known> {
        let cached = self.read().get(&key).cloned();
        if let Some(known) = cached {
            return Ok(known);
        }
        let corrupt =
            || StoreError::Corrupt { table: "funnel_revisions", column: "body", row: key.to_string() };
        let row = tx.revision_by_key(key).await?.ok_or_else(corrupt)?;
        let funnel = CompiledFunnel::new(row.body).map_err(|_| corrupt())?;
        let known = Known { number: row.head.revision, funnel: Arc::new(funnel) };
        self.write().insert(key, known.clone());
        Ok(known)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<i64, Known>> {
        // A map of finished values is whole even if a writer panicked.
        self.compiled.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<i64, Known>> {
        self.compiled.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
