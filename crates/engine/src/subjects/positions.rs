//! Where the journeys of a subject are now.

use rekindle_core::Timestamp;
use rekindle_core::fold::Silence;
use rekindle_core::funnel::{CompiledFunnel, OwedBy, SubjectKind};
use rekindle_core::metrics::positions::Condition;
use rekindle_ports::Tx;
use rekindle_ports::rows::JourneyRow;
use uuid::Uuid;

use crate::engine::Inner;
use crate::error::EngineResult;
use crate::revisions::ActiveRevision;

/// Where a journey is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionView {
    /// Funnel id.
    pub funnel: String,
    /// Revision it walks.
    pub revision: i32,
    /// Passages before the one in progress.
    pub passage: usize,
    /// Id of its stage; `None` when it never entered.
    pub stage: Option<String>,
    /// What it is doing there; `None` when it never entered.
    pub condition: Option<Condition>,
    /// When it entered the stage.
    pub entered_at: Option<Timestamp>,
    /// The silence in progress, if something waits for a word.
    pub quiet: Option<QuietView>,
    /// Whether it is the live one of its funnel.
    pub live: bool,
}

/// A silence in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietView {
    /// Since when.
    pub since: Timestamp,
    /// Who owes the next word.
    pub owed_by: OwedBy,
    /// When it becomes, or became, a stall.
    pub stall_at: Option<Timestamp>,
    /// When it becomes, or became, an abandonment.
    pub abandon_at: Option<Timestamp>,
}

/// Positions of a conversation, by funnel.
pub(super) async fn of_conversation(
    tx: &mut dyn Tx,
    inner: &Inner,
    key: Uuid,
    now: Timestamp,
) -> EngineResult<Vec<PositionView>> {
    positions(tx, inner, SubjectKind::Conversation, key, now).await
}

/// Positions of a customer, by funnel.
pub(super) async fn of_customer(
    tx: &mut dyn Tx,
    inner: &Inner,
    key: Uuid,
    now: Timestamp,
) -> EngineResult<Vec<PositionView>> {
    positions(tx, inner, SubjectKind::Customer, key, now).await
}

/// In the newest revision of each funnel, and in an older one where the journey is still live.
async fn positions(
    tx: &mut dyn Tx,
    inner: &Inner,
    kind: SubjectKind,
    key: Uuid,
    now: Timestamp,
) -> EngineResult<Vec<PositionView>> {
    let mut revisions = inner.revisions.active(tx).await?;
    revisions.retain(|revision| revision.funnel.funnel.subject == kind);
    let keys: Vec<i64> = revisions.iter().map(|revision| revision.head.key).collect();
    let rows = tx.load_journeys(&keys, &[key]).await?;
    let view = |revision: &ActiveRevision| {
        let row = rows.iter().find(|row| row.key.revision == revision.head.key)?;
        (revision.head.is_latest || row.live).then(|| position(revision, row, now))
    };
    Ok(revisions.iter().filter_map(view).collect())
}

fn position(revision: &ActiveRevision, row: &JourneyRow, now: Timestamp) -> PositionView {
    let funnel: &CompiledFunnel = &revision.funnel;
    let standing = row.journey.passages.now(funnel);
    let open = row.journey.watch.open.as_ref();
    let condition = standing.place.map(|_| match (standing.completed, standing.ended, open) {
        (true, _, _) => Condition::Completed,
        (_, true, _) => Condition::Ended,
        (_, _, Some(open)) if open.is_abandoned_at(now) => Condition::Abandoned,
        (_, _, Some(open)) if open.is_stalled_at(now) => Condition::Stalled,
        _ => Condition::Active,
    });
    PositionView {
        funnel: revision.head.funnel.clone(),
        revision: revision.head.revision,
        passage: row.journey.passages.0.len().saturating_sub(1),
        stage: standing.place.map(|place| funnel.funnel.stages[place].id.clone()),
        condition,
        entered_at: standing.moved_at,
        quiet: open.map(quiet),
        live: row.live,
    }
}

fn quiet(open: &Silence) -> QuietView {
    QuietView {
        since: open.since(),
        owed_by: open.owed_by,
        stall_at: open.stall_at(),
        abandon_at: open.abandon_at(),
    }
}
