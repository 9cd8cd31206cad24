//! Folding a batch into every funnel: each subject at most once for each revision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rekindle_core::Timestamp;
use rekindle_core::detect::first_look;
use rekindle_core::event::{Event, OrderKey};
use rekindle_core::fold::{Changes, Journey};
use rekindle_core::funnel::SubjectKind;
use rekindle_ports::Tx;
use rekindle_ports::rows::{JourneyKey, JourneyRow, JourneyWrite, TimerSet};
use uuid::Uuid;

use self::subjects::Subject;
use super::effects::Effects;
use super::live::{Folded, Resting, settle_live};
use super::streams::{Streams, Taken, merged};
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::revisions::ActiveRevision;

mod load;
mod notes;
mod subjects;

/// What has to be folded.
#[derive(Debug, Default)]
pub(crate) struct FoldOrder {
    /// New events, in order.
    pub fresh: Vec<Event>,
    /// Owner of every conversation among the subjects.
    pub owners: HashMap<Uuid, Option<Uuid>>,
    /// Owners before, of conversations that changed theirs.
    pub former_owners: BTreeMap<Uuid, Option<Uuid>>,
    /// Conversations all of whose events came with this batch.
    pub first_batch: BTreeSet<Uuid>,
    /// Customers that have attribute events.
    pub with_attributes: BTreeSet<Uuid>,
    /// Subjects without fresh events to fold whole where no journey is yet.
    pub whole: BTreeSet<Uuid>,
}

/// Folds fresh events into every active revision and saves what that changes.
/// Returns how many subjects are left to the fill job.
pub(crate) async fn fold_subjects(
    tx: &mut dyn Tx,
    inner: &Inner,
    order: FoldOrder,
    streams: Streams,
    now: Timestamp,
) -> EngineResult<u64> {
    let revisions = inner.revisions.active(tx).await?;
    let mut fold = Fold {
        order,
        streams,
        other_owners: HashMap::new(),
        now,
        writes: Vec::new(),
        timers: Vec::new(),
        retired: Vec::new(),
        effects: Effects::default(),
    };
    let mut pending = 0;
    for kind in [SubjectKind::Conversation, SubjectKind::Customer] {
        let revisions: Vec<&ActiveRevision> =
            revisions.iter().filter(|revision| revision.funnel.funnel.subject == kind).collect();
        if !revisions.is_empty() {
            pending += fold.fold_kind(tx, kind, &revisions).await?;
        }
    }
    fold.save(tx).await?;
    Ok(pending)
}

struct Fold {
    order: FoldOrder,
    streams: Streams,
    /// Owners of further conversations in which somebody set a customer's attributes.
    other_owners: HashMap<Uuid, Uuid>,
    now: Timestamp,
    writes: Vec<JourneyWrite>,
    timers: Vec<TimerSet>,
    retired: Vec<JourneyKey>,
    effects: Effects,
}

impl Fold {
    async fn fold_kind(
        &mut self,
        tx: &mut dyn Tx,
        kind: SubjectKind,
        revisions: &[&ActiveRevision],
    ) -> EngineResult<u64> {
        let (mut subjects, pending) = match kind {
            SubjectKind::Conversation => {
                let mut subjects = self.conversations();
                let pending = self.late_attributes(tx, revisions, &mut subjects).await?;
                (subjects, pending)
            }
            SubjectKind::Customer => (self.customers(), 0),
        };
        subjects.extend(
            self.order
                .whole
                .iter()
                .filter(|key| self.is_of(kind, **key))
                .map(|key| (*key, Subject { customer: self.customer_of(kind, *key), ..Subject::default() })),
        );
        let keys: Vec<Uuid> = subjects.keys().copied().collect();
        let revision_keys: Vec<i64> = revisions.iter().map(|revision| revision.head.key).collect();
        let mut rows: HashMap<JourneyKey, JourneyRow> =
            tx.load_journeys(&revision_keys, &keys).await?.into_iter().map(|row| (row.key, row)).collect();
        self.load_streams(tx, kind, revisions, &subjects, &rows).await?;
        for (key, subject) in &subjects {
            self.fold_subject(kind, revisions, *key, subject, &mut rows);
        }
        Ok(pending)
    }

    /// Folds one subject into all revisions of its kind.
    fn fold_subject(
        &mut self,
        kind: SubjectKind,
        revisions: &[&ActiveRevision],
        key: Uuid,
        subject: &Subject,
        rows: &mut HashMap<JourneyKey, JourneyRow>,
    ) {
        let mut folded: Vec<Folded<'_>> = Vec::new();
        let mut resting = Vec::new();
        for &revision in revisions {
            let journey_key = JourneyKey { revision: revision.head.key, subject: key };
            let row = rows.remove(&journey_key);
            if !takes_part(revision, row.as_ref()) {
                continue;
            }
            let before = row.as_ref().and_then(|row| row.journey.watch.open.clone());
            let at_rest =
                row.as_ref().filter(|row| row.live && !revision.head.is_latest).map(|row| Resting {
                    funnel: row.funnel.clone(),
                    key: row.key,
                    standing: row.journey.passages.now(&revision.funnel),
                });
            match self.fold_journey(kind, revision, journey_key, subject, row) {
                Some(write) => folded.push(Folded { revision, write, before }),
                None => resting.extend(at_rest),
            }
        }
        self.retired.extend(settle_live(&mut folded, &resting));
        for Folded { revision, write, before } in folded {
            self.note_effects(revision, &write, before.as_ref());
            self.set_timer(&write, before.as_ref().and_then(first_look));
            self.writes.push(write);
        }
    }

    fn fold_journey(
        &self,
        kind: SubjectKind,
        revision: &ActiveRevision,
        key: JourneyKey,
        subject: &Subject,
        row: Option<JourneyRow>,
    ) -> Option<JourneyWrite> {
        let funnel = &revision.funnel;
        let anew = needs_all(subject, row.as_ref());
        let attributes = match subject.customer {
            Some(customer) if !funnel.customer_keys.is_empty() => self.streams.attributes(customer),
            _ => &[],
        };
        let runs_along = |event: &&Event| !self.is_own(kind, key.subject, event);
        let events = if anew {
            let own = match kind {
                SubjectKind::Conversation => self.streams.conversation(key.subject),
                SubjectKind::Customer => self.streams.customer(key.subject),
            };
            own_to_the_end(merged(own, attributes.iter().filter(runs_along)))
        } else {
            let folded_to = row.as_ref().and_then(|row| row.journey.folded_to.clone());
            let newer = newer_than(attributes, folded_to.as_ref());
            own_to_the_end(merged(&subject.fresh, newer.iter().filter(runs_along)))
        };
        if events.is_empty() && (!anew || row.is_none()) {
            return None;
        }
        let existed = row.is_some();
        let live = row.as_ref().is_some_and(|row| row.live);
        let mut journey = match row {
            Some(row) if !anew => row.journey,
            _ => Journey::beginning(revision.head.published_at),
        };
        let mut changes = Changes::default();
        for Taken { event, is_own } in events {
            if is_own {
                journey.step(funnel, subject.customer, event, &mut changes);
            } else {
                journey.learn(funnel, subject.customer, event);
            }
        }
        Some(JourneyWrite {
            standing: journey.passages.now(funnel),
            attempts: changes.attempts.into_values().collect(),
            silences: changes.silences,
            replaces: anew || subject.moved,
            existed,
            row: JourneyRow {
                key,
                funnel: revision.head.funnel.clone(),
                customer: subject.customer,
                live,
                journey,
            },
        })
    }

    async fn save(self, tx: &mut dyn Tx) -> EngineResult<()> {
        tx.retire(&self.retired).await?;
        tx.save_journeys(&self.writes).await?;
        tx.set_timers(&self.timers).await?;
        self.effects.apply(tx, &self.order.fresh, &self.order.owners, self.now).await
    }
}

/// Whether a revision follows a subject: the newest all of them, older ones those still live in them.
fn takes_part(revision: &ActiveRevision, row: Option<&JourneyRow>) -> bool {
    revision.head.is_latest || row.is_some_and(|row| row.live)
}

/// Whether a subject has to be folded from the beginning: it never was, its stream is
/// another than before, or an event came that belongs before the newest folded.
fn needs_all(subject: &Subject, row: Option<&JourneyRow>) -> bool {
    let Some(row) = row else {
        return true;
    };
    let first = subject.fresh.first().map(Event::order);
    subject.anew
        || subject.moved
        || first.zip(row.journey.folded_to.as_ref()).is_some_and(|(first, to)| first < *to)
}

fn newer_than<'a>(events: &'a [Event], than: Option<&OrderKey>) -> &'a [Event] {
    let from = events.partition_point(|event| than.is_some_and(|than| event.order() <= *than));
    &events[from..]
}

/// A stream without what runs along after its own last event: that is taken in when the next
/// one comes, so that folding early and late gives the same.
fn own_to_the_end(mut events: Vec<Taken<'_>>) -> Vec<Taken<'_>> {
    let last = events.iter().rposition(|taken| taken.is_own);
    events.truncate(last.map_or(0, |last| last + 1));
    events
}
