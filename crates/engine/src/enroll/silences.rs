//! Silences that were marked, and the sequences that are there for them.

use std::collections::BTreeMap;

use rekindle_core::Timestamp;
use rekindle_core::fold::Silence;
use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::{Mark, MarkFate};
use rekindle_core::sequence::SequenceState;
use rekindle_ports::Tx;
use rekindle_ports::ledger::EndReason;
use rekindle_ports::resources::SequenceRow;

use super::{Candidate, enroll};
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::loops::locks::Locked;

/// A silence that was marked.
pub(crate) struct Noticed {
    pub mark: Mark,
    pub silence: Silence,
    /// Whose silence the rule measures.
    pub owed_by: OwedBy,
    /// When the attempt began that went silent.
    pub attempt: Option<Timestamp>,
}

/// Takes the subjects of marks into the sequences that are bound to their stages.
pub(crate) async fn take_in(
    tx: &mut dyn Tx,
    inner: &Inner,
    locked: &Locked,
    marks: &[Noticed],
    now: Timestamp,
) -> EngineResult<()> {
    let mut bound: BTreeMap<&str, Vec<SequenceRow>> = BTreeMap::new();
    for Noticed { mark, .. } in marks {
        let funnel = mark.key.funnel.as_str();
        if !bound.contains_key(funnel) {
            bound.insert(funnel, tx.sequences_of(funnel).await?);
        }
    }
    let mut candidates = Vec::new();
    for noticed in marks {
        let mark = &noticed.mark;
        let sequences = bound.get(mark.key.funnel.as_str()).into_iter().flatten();
        for sequence in sequences.filter(|sequence| concerns(sequence, mark)) {
            candidates.push(Candidate {
                sequence,
                origin: mark.key.clone().into(),
                conversation: mark.conversation,
                customer: mark.customer,
                since: noticed.silence.since(),
                due_at: mark.due_at,
                owed_by: noticed.owed_by,
                begins_at: now,
                reason: mark.reason.clone(),
                attempt: noticed.attempt,
                depth: 0,
                funnel_revision: None,
                skipped: too_late(sequence, mark, now),
            });
        }
    }
    enroll(tx, inner, locked, candidates, now).await
}

/// Whether a mark is of the kind that a sequence is there for.
fn concerns(sequence: &SequenceRow, mark: &Mark) -> bool {
    let trigger = &sequence.body.trigger;
    let is_open = match sequence.state {
        SequenceState::Active => true,
        // Of history nothing would have begun anyway.
        SequenceState::Paused => mark.fate != MarkFate::History,
        SequenceState::Draft | SequenceState::Archived => false,
    };
    is_open
        && trigger.stage == mark.key.stage
        && trigger.on.silence() == Some(mark.key.kind)
        && (trigger.owed_by == OwedBy::Anyone || trigger.owed_by == mark.owed_by)
}

/// Why a run does not begin whose time has passed, or not yet come.
fn too_late(sequence: &SequenceRow, mark: &Mark, now: Timestamp) -> Option<EndReason> {
    if mark.fate == MarkFate::History {
        return Some(EndReason::History);
    }
    if sequence.state == SequenceState::Paused {
        return Some(EndReason::Paused);
    }
    if sequence.started_at.is_some_and(|at| mark.due_at < at) {
        return Some(EndReason::NotStarted);
    }
    (now.since(mark.due_at) > sequence.body.max_delay).then_some(EndReason::Stale)
}
