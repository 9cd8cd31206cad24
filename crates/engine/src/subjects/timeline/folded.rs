//! What the fold tells: stages entered and silences that came due.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::fold::Silence;
use rekindle_core::funnel::SubjectKind;
use rekindle_ports::Tx;
use rekindle_ports::browse::SilenceRow;
use rekindle_ports::rows::JourneyRow;
use uuid::Uuid;

use super::{Happening, Placed, SILENCE, STAGE, SilenceLine, StageMove, TimelineCursor, Whose};
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::revisions::ActiveRevision;

/// Entries of the newest revision of every funnel.
pub(super) async fn entries(
    tx: &mut dyn Tx,
    inner: &Inner,
    whose: &Whose,
    now: Timestamp,
) -> EngineResult<Vec<Placed>> {
    let mut revisions = inner.revisions.active(tx).await?;
    revisions.retain(|revision| revision.head.is_latest);
    let keys: Vec<i64> = revisions.iter().map(|revision| revision.head.key).collect();
    let revisions: HashMap<i64, ActiveRevision> =
        revisions.into_iter().map(|revision| (revision.head.key, revision)).collect();
    let mut entries = Vec::new();
    for row in tx.load_journeys(&keys, &whose.subjects).await? {
        let Some(revision) = revisions.get(&row.key.revision) else {
            continue;
        };
        entries.extend(moves(revision, &row));
        entries.extend(
            row.journey
                .watch
                .open
                .as_ref()
                .and_then(|open| open_silence(revision, row.key.subject, open, now)),
        );
    }
    for row in tx.ended_silences(&keys, &whose.subjects).await? {
        if let Some(revision) = revisions.get(&row.revision) {
            entries.extend(ended_silence(revision, row));
        }
    }
    Ok(entries)
}

fn moves(revision: &ActiveRevision, row: &JourneyRow) -> Vec<Placed> {
    let stage = |place: usize| revision.funnel.funnel.stages[place].id.clone();
    let mut entries = Vec::new();
    for (ordinal, passage) in row.journey.passages.0.iter().enumerate() {
        let mut from = None;
        for step in &passage.moves {
            let to = stage(step.place);
            let what = StageMove {
                funnel: revision.head.funnel.clone(),
                revision: revision.head.revision,
                passage: ordinal,
                from: from.replace(to.clone()),
                to,
                event: step.by.id.clone(),
            };
            entries.push(Placed {
                place: TimelineCursor {
                    at: step.by.at,
                    rank: STAGE,
                    sequence: step.by.sequence,
                    id: identity(&step.by.id, revision, row.key.subject, step.place),
                },
                conversation: conversation(revision, row.key.subject),
                what: Happening::StageMove(what),
            });
        }
    }
    entries
}

/// The silence in progress, once it is due.
fn open_silence(revision: &ActiveRevision, subject: Uuid, open: &Silence, now: Timestamp) -> Option<Placed> {
    let first = open.stall_at().into_iter().chain(open.abandon_at()).min()?;
    let line = SilenceLine {
        until: None,
        stall_at: open.stall_at(),
        abandon_at: open.abandon_at(),
        since: open.since(),
        anchor: open.key.anchor.id.clone(),
        owed_by: open.owed_by,
        ..line(revision, open.key.place)
    };
    (first <= now).then(|| silence(revision, subject, open.key.place, first, line))
}

fn ended_silence(revision: &ActiveRevision, row: SilenceRow) -> Option<Placed> {
    let in_time = |due: Option<Timestamp>| due.filter(|due| *due < row.until);
    let (stall_at, abandon_at) = (in_time(row.stall_at), in_time(row.abandon_at));
    let first = stall_at.into_iter().chain(abandon_at).min()?;
    let line = SilenceLine {
        until: Some(row.until),
        stall_at,
        abandon_at,
        since: row.since,
        anchor: row.anchor,
        owed_by: row.owed_by,
        ..line(revision, row.place)
    };
    Some(silence(revision, row.subject, row.place, first, line))
}

fn line(revision: &ActiveRevision, place: usize) -> SilenceLine {
    SilenceLine {
        funnel: revision.head.funnel.clone(),
        revision: revision.head.revision,
        stage: revision.funnel.funnel.stages[place].id.clone(),
        owed_by: rekindle_core::funnel::OwedBy::Anyone,
        anchor: String::new(),
        since: Timestamp::default(),
        stall_at: None,
        abandon_at: None,
        until: None,
    }
}

fn silence(
    revision: &ActiveRevision,
    subject: Uuid,
    place: usize,
    at: Timestamp,
    line: SilenceLine,
) -> Placed {
    Placed {
        place: TimelineCursor {
            at,
            rank: SILENCE,
            sequence: 0,
            id: identity(&line.anchor, revision, subject, place),
        },
        conversation: conversation(revision, subject),
        what: Happening::Silence(line),
    }
}

/// Tells entries of one event and kind apart.
fn identity(event: &str, revision: &ActiveRevision, subject: Uuid, place: usize) -> String {
    format!("{event}\u{0}{}\u{0}{subject}\u{0}{place:03}", revision.head.funnel)
}

fn conversation(revision: &ActiveRevision, subject: Uuid) -> Option<Uuid> {
    (revision.funnel.funnel.subject == SubjectKind::Conversation).then_some(subject)
}
