//! Events that were stored, and the sequences that start on them.

use std::collections::HashMap;
use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, Event, OrderKey};
use rekindle_core::funnel::compile::facts;
use rekindle_core::funnel::{OwedBy, SubjectKind};
use rekindle_core::predicate::Predicate;
use rekindle_core::sequence::{Cause, Occasion, Origin, SequenceState};
use rekindle_core::value::Properties;
use rekindle_ports::Tx;
use rekindle_ports::ledger::EndReason;
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::rows::NameKind;
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
    when: Arc<Predicate>,
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
            let (when, subject) = (inner.rules.of(&on.when)?, subject_of(&row.body.trigger.funnel)?);
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
        let returns = Returns::among(fresh, locked);
        let mut candidates = Vec::new();
        for event in fresh {
            for starter in &self.0 {
                let Some(candidate) = starter.candidate(event, &mut known, now) else {
                    continue;
                };
                let outlasts = starter.row.body.outlasts_return;
                let returned = !outlasts && returns.after(event, candidate.origin.subject);
                let skipped = candidate.skipped.or(returned.then_some(EndReason::CustomerReturned));
                candidates.push(Candidate { skipped, ..candidate });
            }
        }
        let mut candidates = in_stages(tx, inner, candidates).await?;
        if candidates.is_empty() {
            return Ok(());
        }
        leave_out_returned(tx, locked, &mut candidates).await?;
        enroll(tx, inner, locked, candidates, now).await
    }
}

/// When subjects last came back, among events that are being stored.
struct Returns(HashMap<Uuid, OrderKey>);

impl Returns {
    fn among(fresh: &[Event], locked: &Locked) -> Self {
        let mut last = HashMap::new();
        for event in fresh.iter().filter(|event| comes_back(event)) {
            for subject in event.conversation.into_iter().chain(customer_of(event, locked)) {
                // In order: the last one stays.
                last.insert(subject, event.order());
            }
        }
        Self(last)
    }

    fn after(&self, event: &Event, subject: Uuid) -> bool {
        self.0.get(&subject).is_some_and(|last| *last > event.order())
    }
}

/// Leaves out those whose event came late and whose customers had come back by then: what they said
/// was stored before.
async fn leave_out_returned(
    tx: &mut dyn Tx,
    locked: &Locked,
    candidates: &mut [Candidate<'_>],
) -> EngineResult<()> {
    let is_late = |it: &Candidate<'_>| {
        let of_conversation = locked.conversation(it.conversation).and_then(|row| row.last_at);
        let last = of_conversation.or_else(|| locked.customer(it.customer).and_then(|row| row.last_at));
        let outlasts = it.sequence.body.outlasts_return;
        it.skipped.is_none() && !outlasts && last.is_some_and(|last| last > it.due_at)
    };
    let late: Vec<usize> =
        candidates.iter().enumerate().filter(|(_, it)| is_late(it)).map(|(place, _)| place).collect();
    if late.is_empty() {
        return Ok(());
    }
    let looks = |kind: NameKind| -> Vec<(Uuid, Timestamp)> {
        let of = late.iter().map(|place| &candidates[*place]);
        let of = of.filter(|it| it.conversation.is_some() == (kind == NameKind::Conversation));
        of.map(|it| (it.origin.subject, it.due_at)).collect()
    };
    let (conversations, customers) = (looks(NameKind::Conversation), looks(NameKind::Customer));
    let mut returns = tx.returns(NameKind::Conversation, &conversations).await?;
    returns.extend(tx.returns(NameKind::Customer, &customers).await?);
    for place in late {
        let it = &mut candidates[place];
        if returns.contains_key(&(it.origin.subject, it.due_at)) {
            it.skipped = Some(EndReason::CustomerReturned);
        }
    }
    Ok(())
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
        // A sequence does not start itself, and of sequences that start each other there is an end.
        let depth = depth_of(event);
        if event.id.starts_with(&emitted_by(&self.row.id)) || depth > DEEPEST {
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
            // A clock that runs ahead is no reason to miss a return.
            since: at.min(now),
            due_at: at,
            owed_by: OwedBy::Anyone,
            begins_at: now,
            reason: format!("the event {:?} came", event.kind),
            attempt: None,
            depth,
            funnel_revision: None,
            skipped,
        })
    }
}

/// Runs that started each other, one by an event of the other, before nothing more starts.
const DEEPEST: u32 = 5;

/// How many runs stand behind an event: none behind one that came from outside.
fn depth_of(event: &Event) -> u32 {
    let said = event.id.strip_prefix("sequence:").and_then(|rest| rest.split(':').nth(1));
    said.filter(|_| event.author == Author::System).and_then(|depth| depth.parse().ok()).unwrap_or(0)
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
