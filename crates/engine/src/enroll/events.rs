//! Events that were stored, and the sequences that start on them.

use std::collections::HashMap;
use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::funnel::compile::facts;
use rekindle_core::funnel::{OwedBy, SubjectKind};
use rekindle_core::predicate::{self, Predicate};
use rekindle_core::sequence::{Cause, Occasion, Origin, SequenceState};
use rekindle_core::value::Properties;
use rekindle_ports::Tx;
use rekindle_ports::ledger::EndReason;
use rekindle_ports::resources::SequenceRow;
use uuid::Uuid;

use super::stages::in_stages;
use super::{Candidate, enroll};
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::ingest::effects::comes_back;
use crate::loops::compose::emitted_by;
use crate::loops::locks::Locked;

/// A sequence that starts on events, ready to be asked.
struct Starter {
    row: SequenceRow,
    when: Predicate,
    subject: SubjectKind,
}

/// Sequences that start on events.
pub(crate) struct Starters(Vec<Starter>);

impl Starters {
    /// Those of the workspace; most have none.
    pub async fn of(tx: &mut dyn Tx, inner: &Inner) -> EngineResult<Self> {
        let rows = tx.sequences_on_events().await?;
        if rows.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let funnels = inner.revisions.active(tx).await?;
        let subject_of = |funnel: &str| {
            let newest = funnels.iter().find(|it| it.head.is_latest && it.head.funnel == funnel);
            newest.map(|revision| revision.funnel.funnel.subject)
        };
        let ready = rows.into_iter().filter_map(|row| {
            let Occasion::Event(on) = &row.body.trigger.on else {
                return None;
            };
            let (when, subject) = (predicate::parse(&on.when).ok()?, subject_of(&row.body.trigger.funnel)?);
            Some(Starter { row, when, subject })
        });
        Ok(Self(ready.collect()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the subjects of fresh events, in order, into the sequences that start on them. The caller
    /// has folded the events and holds the locks of their subjects.
    pub async fn take_in(
        &self,
        tx: &mut dyn Tx,
        inner: &Inner,
        locked: &Locked,
        fresh: &[Event],
        now: Timestamp,
    ) -> EngineResult<()> {
        let mut known = Known { locked, attributes: HashMap::new() };
        let mut candidates = Vec::new();
        for (place, event) in fresh.iter().enumerate() {
            for starter in &self.0 {
                let Some(candidate) = starter.candidate(event, &mut known, now) else {
                    continue;
                };
                // Who came back in the same breath is not written to.
                let returned = fresh[place + 1..].iter().any(|later| {
                    comes_back(later) && starter.subject_of(later, locked) == Some(candidate.origin.subject)
                });
                let returned = returned && !starter.row.body.outlasts_return;
                let skipped = candidate.skipped.or(returned.then_some(EndReason::CustomerReturned));
                candidates.push(Candidate { skipped, ..candidate });
            }
        }
        let candidates = in_stages(tx, inner, candidates).await?;
        if candidates.is_empty() {
            return Ok(());
        }
        enroll(tx, inner, locked, candidates, now).await
    }
}

/// Attributes of subjects, put together once.
struct Known<'a> {
    locked: &'a Locked,
    attributes: HashMap<Uuid, Arc<Properties>>,
}

impl Known<'_> {
    fn conversation(&mut self, key: Option<Uuid>) -> Arc<Properties> {
        let current = || self.locked.conversation(key).map(|row| row.attributes.current());
        Self::of(&mut self.attributes, key, current)
    }

    fn customer(&mut self, key: Option<Uuid>) -> Arc<Properties> {
        let current = || self.locked.customer(key).map(|row| row.attributes.current());
        Self::of(&mut self.attributes, key, current)
    }

    fn of(
        known: &mut HashMap<Uuid, Arc<Properties>>,
        key: Option<Uuid>,
        current: impl Fn() -> Option<Properties>,
    ) -> Arc<Properties> {
        match key {
            Some(key) => {
                Arc::clone(known.entry(key).or_insert_with(|| Arc::new(current().unwrap_or_default())))
            }
            None => Arc::default(),
        }
    }
}

impl Starter {
    fn subject_of(&self, event: &Event, locked: &Locked) -> Option<Uuid> {
        match self.subject {
            SubjectKind::Conversation => event.conversation,
            SubjectKind::Customer => customer_of(event, locked),
        }
    }

    fn candidate(&self, event: &Event, known: &mut Known<'_>, now: Timestamp) -> Option<Candidate<'_>> {
        let at = event.effective_at;
        // A sequence does not start itself.
        if event.id.starts_with(&emitted_by(&self.row.id)) {
            return None;
        }
        // What was over before the sequence began is nothing that it missed.
        if self.row.started_at.is_some_and(|started| at < started) {
            return None;
        }
        let subject = self.subject_of(event, known.locked)?;
        let customer = customer_of(event, known.locked);
        let (conversation, person) = (known.conversation(event.conversation), known.customer(customer));
        if !self.when.eval(&facts(event, &conversation, &person)) {
            return None;
        }
        let trigger = &self.row.body.trigger;
        let skipped = if self.row.state == SequenceState::Paused {
            Some(EndReason::Paused)
        } else {
            (now.since(at) > self.row.body.max_delay).then_some(EndReason::Stale)
        };
        Some(Candidate {
            sequence: &self.row,
            origin: Origin {
                funnel: trigger.funnel.clone(),
                subject,
                stage: trigger.stage.clone(),
                cause: Cause::Event,
                anchor: event.id.clone(),
            },
            conversation: event.conversation.filter(|_| self.subject == SubjectKind::Conversation),
            customer,
            since: at,
            due_at: at,
            owed_by: OwedBy::Anyone,
            begins_at: now,
            reason: format!("the event {:?} came", event.kind),
            attempt: None,
            skipped,
        })
    }
}

/// The customer whose stream an event is in.
fn customer_of(event: &Event, locked: &Locked) -> Option<Uuid> {
    match event.conversation {
        Some(_) => {
            let row = locked.conversation(event.conversation)?;
            row.owner.as_ref().map(|(owner, _)| *owner)
        }
        None => event.customer,
    }
}
