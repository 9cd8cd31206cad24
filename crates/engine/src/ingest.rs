//! Ingest: events in, committed with their effects, answered.

use std::collections::HashMap;

use rekindle_core::ingest::{IngestReport, NewEvent, Rejection, RejectionReason};
use rekindle_core::scope::Scope;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::EngineResult;

pub(crate) mod apply;
mod committer;
pub(crate) mod effects;
mod fold;
mod lanes;
mod live;
mod queue;
mod streams;

pub(crate) use apply::apply;
pub(crate) use committer::Committer;
pub(crate) use fold::{FoldOrder, fold_subjects};
pub(crate) use streams::Streams;

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stored now.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Its id is another event's.
    IdReused,
    /// Its subject was erased.
    Erased,
}

impl Engine {
    /// Stores events and folds them; answers when all of it is committed.
    ///
    /// Wrong events are rejected one by one; the others are stored. Events may come
    /// in any order and any number of times. Events of different customers may be committed
    /// apart: after an error some may be stored, and sending all of them again is safe.
    pub async fn ingest(&self, scope: Scope, events: Vec<NewEvent>) -> EngineResult<IngestReport> {
        let mut report = IngestReport::default();
        let mut places = Vec::with_capacity(events.len());
        let mut valid = Vec::with_capacity(events.len());
        let mut seen: HashMap<String, Uuid> = HashMap::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            let event = event.normalized();
            let violations = event.check();
            if !violations.is_empty() {
                report.rejections.push(Rejection {
                    index,
                    id: event.id,
                    reason: RejectionReason::Invalid,
                    violations,
                });
                continue;
            }
            let digest = event.digest();
            match seen.get(&event.id) {
                Some(first) if *first == digest => report.duplicates += 1,
                Some(_) => report.rejections.push(rejection(index, event.id, RejectionReason::IdReused)),
                None => {
                    seen.insert(event.id.clone(), digest);
                    places.push((index, event.id.clone()));
                    valid.push(event);
                }
            }
        }
        if valid.is_empty() {
            return Ok(report);
        }
        let stored = self.committer().submit(scope, valid).await?;
        report.refold_pending = stored.refold_pending;
        for ((index, id), fate) in places.into_iter().zip(stored.fates) {
            match fate {
                Fate::Accepted => report.accepted += 1,
                Fate::Duplicate => report.duplicates += 1,
                Fate::IdReused => report.rejections.push(rejection(index, id, RejectionReason::IdReused)),
                Fate::Erased => report.rejections.push(rejection(index, id, RejectionReason::SubjectErased)),
            }
        }
        report.rejections.sort_by_key(|rejection| rejection.index);
        Ok(report)
    }
}

fn rejection(index: usize, id: String, reason: RejectionReason) -> Rejection {
    Rejection { index, id, reason, violations: Vec::new() }
}
