//! Funnels: created, changed by revisions, filled from history.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::funnel::{CompiledFunnel, Funnel, SilenceRule, SubjectKind, TimeBasis};
use rekindle_core::scope::Scope;
use rekindle_core::violation::{Violation, quoted};
use rekindle_ports::Tx;
use rekindle_ports::ledger::EndReason;
use rekindle_ports::resources::RequestKind;
use rekindle_ports::rows::{FillRow, FillState, FunnelRow, LivePolicy, RevisionHead, RevisionRow};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid, Precondition, ResourceKind};
use crate::fill;
use crate::requests::{Asked, Creation, corrupt};
use crate::resources;
use crate::sequences::stages::{self, Orphaned};
use crate::workspace;

/// A funnel with one of its revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct FunnelView {
    /// The funnel.
    pub row: FunnelRow,
    /// The revision.
    pub revision: RevisionRow,
    /// For an update: journeys of the funnel that were live before it.
    pub live_before: Option<i64>,
}

/// A change of a funnel.
#[derive(Debug, Clone)]
pub struct FunnelChange {
    /// What the new revision says, whole.
    pub funnel: Funnel,
    /// The etag the caller read, if it cares.
    pub etag: Option<String>,
    /// What becomes of journeys that are live.
    pub policy: LivePolicy,
    /// For stages that the revision removes: the stage that takes over, or none.
    pub stage_map: BTreeMap<String, String>,
    /// Only says whether it would do.
    pub validate_only: bool,
}

/// Name of the calendar that business time uses where a funnel names none.
const DEFAULT_CALENDAR: &str = "default";

impl Engine {
    /// Creates a funnel with its first revision and begins to fill it.
    pub async fn create_funnel(
        &self,
        scope: Scope,
        id: &str,
        funnel: Funnel,
        how: Creation,
    ) -> EngineResult<FunnelView> {
        let id = id.to_owned();
        let asked = Asked::new(RequestKind::Funnel, how, &format!("{id}/{}", json(&funnel)));
        let view = self
            .write(scope, move |tx, now| {
                let (id, funnel, asked) = (id.clone(), funnel.clone(), asked.clone());
                Box::pin(create(tx, id, funnel, asked, now))
            })
            .await?;
        self.inner.fills.notify_waiters();
        Ok(view)
    }

    /// Publishes another revision of a funnel and begins to fill it.
    ///
    /// Sequences follow their stage as `stage_map` says: to another stage, or, where none takes
    /// over, into a pause in which their runs end.
    pub async fn update_funnel(
        &self,
        scope: Scope,
        id: &str,
        change: FunnelChange,
    ) -> EngineResult<FunnelView> {
        let (engine, id) = (self.clone(), id.to_owned());
        self.detached(async move {
            let (view, orphaned) = engine
                .write(scope, move |tx, now| {
                    let (id, change) = (id.clone(), change.clone());
                    Box::pin(update(tx, id, change, now))
                })
                .await?;
            engine.inner.fills.notify_waiters();
            // They are paused: what is not ended here sends nothing either.
            for Orphaned { sequence, stage } in orphaned {
                engine.end_runs_of(scope, &sequence, Some(&stage), EndReason::StageLeft).await?;
            }
            Ok(view)
        })
        .await
    }

    /// A funnel with its newest revision, or with the one asked for.
    pub async fn funnel(&self, scope: Scope, id: &str, revision: Option<i32>) -> EngineResult<FunnelView> {
        let id = id.to_owned();
        self.read(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move { view(tx, &id, revision).await })
        })
        .await
    }

    /// Funnels in order of their ids, after `after`.
    pub async fn funnels(&self, scope: Scope, after: &str, limit: u32) -> EngineResult<Vec<FunnelView>> {
        let after = after.to_owned();
        self.read(scope, move |tx, _| {
            let after = after.clone();
            Box::pin(async move {
                let mut views = Vec::new();
                for row in tx.funnels(&after, limit).await? {
                    views.push(view(tx, &row.id, None).await?);
                }
                Ok(views)
            })
        })
        .await
    }

    /// All revisions of a funnel, newest first.
    pub async fn funnel_revisions(&self, scope: Scope, id: &str) -> EngineResult<Vec<FunnelView>> {
        let id = id.to_owned();
        self.read(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                let revisions = tx.revisions(&id).await?;
                Ok(revisions
                    .into_iter()
                    .map(|revision| FunnelView { row: row.clone(), revision, live_before: None })
                    .collect())
            })
        })
        .await
    }

    /// Deletes a funnel with all it counted, unless sequences that are not archived name it.
    pub async fn delete_funnel(&self, scope: Scope, id: &str, etag: Option<&str>) -> EngineResult<()> {
        let (id, etag) = (id.to_owned(), etag.map(str::to_owned));
        self.write(scope, move |tx, _| {
            let (id, etag) = (id.clone(), etag.clone());
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                check_etag(&row, etag.as_deref())?;
                stages::check_unused(tx, &id).await?;
                Ok(tx.delete_funnel(&id).await?)
            })
        })
        .await
    }

    /// Progress of filling a revision.
    pub async fn funnel_fill(&self, scope: Scope, id: &str, revision: Option<i32>) -> EngineResult<FillRow> {
        let id = id.to_owned();
        self.read(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move { fill_of(tx, &id, revision).await })
        })
        .await
    }

    /// Stops filling a revision: it stays incomplete.
    pub async fn cancel_fill(&self, scope: Scope, id: &str, revision: Option<i32>) -> EngineResult<FillRow> {
        let id = id.to_owned();
        self.write(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move {
                let mut fill = fill_of(tx, &id, revision).await?;
                if fill.state == FillState::Done {
                    return Err(EngineError::Precondition {
                        reason: Precondition::FillNotCancellable,
                        message: "the fill is over".into(),
                        metadata: vec![("currentState".into(), "COMPLETE".into())],
                    });
                }
                fill.state = FillState::Cancelled;
                tx.save_fill(&fill).await?;
                Ok(fill)
            })
        })
        .await
    }
}

async fn create(
    tx: &mut dyn Tx,
    id: String,
    funnel: Funnel,
    asked: Asked,
    now: Timestamp,
) -> EngineResult<FunnelView> {
    let first = |id, at| FunnelRow { id, revision: 1, etag: String::new(), created_at: at, updated_at: at };
    let (policy, map) = (LivePolicy::Drain, BTreeMap::new());
    // Looked for first: whoever takes the id after this has left its request by then.
    let is_taken = tx.funnel(&id).await?.is_some();
    if let Some(before) = asked.before(tx).await? {
        let body = serde_json::from_str(&before.answer).map_err(|_| corrupt(&before))?;
        let at = before.created_at;
        return publish(tx, first(id, at), body, policy, map, at, true).await;
    }
    let mut violations = resources::wrong_id(&id, "funnelId").into_iter().collect();
    let funnel = checked(tx, funnel, &mut violations).await?;
    if is_taken {
        return Err(EngineError::Exists { kind: ResourceKind::Funnel, id });
    }
    let view = publish(tx, first(id, now), funnel, policy, map, now, asked.is_check()).await?;
    asked.keep(tx, json(&view.revision.body), now).await?;
    Ok(view)
}

type Updated = (FunnelView, Vec<Orphaned>);

fn update(
    tx: &mut dyn Tx,
    id: String,
    change: FunnelChange,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<Updated>> {
    Box::pin(async move {
        let row = existing(tx, &id).await?;
        check_etag(&row, change.etag.as_deref())?;
        let before = latest(tx, &row).await?;
        let mut violations = stage_map_violations(&before.body, &change.funnel, &change.stage_map);
        if change.funnel.subject != before.body.subject {
            let message = "cannot change: create another funnel";
            violations.push(Violation { field: "subject".into(), message: message.into() });
        }
        let bound = stages::bound_to_removed(tx, &id, &before.body, &change.funnel).await?;
        violations.extend(stages::map_violations(&bound, &change.funnel, &change.stage_map));
        let funnel = checked(tx, change.funnel, &mut violations).await?;
        stages::check_mapped(&bound, &change.stage_map)?;
        let live_before = Some(tx.count_live(&id).await?);
        if funnel == before.body {
            return Ok((FunnelView { row, revision: before, live_before }, Vec::new()));
        }
        let mut orphaned = Vec::new();
        if !change.validate_only {
            orphaned = stages::follow(tx, &bound, &change.stage_map, now).await?;
        }
        let row = FunnelRow { revision: row.revision + 1, updated_at: now, ..row };
        let view =
            publish(tx, row, funnel, change.policy, change.stage_map, now, change.validate_only).await?;
        Ok((FunnelView { live_before, ..view }, orphaned))
    })
}

/// Names of the map must be stages that go, and stages that stay.
fn stage_map_violations(before: &Funnel, after: &Funnel, map: &BTreeMap<String, String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (from, to) in map {
        let field = format!("stageMap.{from}");
        if before.stage_index(from).is_none() || after.stage_index(from).is_some() {
            let message = "is no stage that this revision removes";
            violations.push(Violation { field: field.clone(), message: message.into() });
        }
        if !to.is_empty() && after.stage_index(to).is_none() {
            violations
                .push(Violation { field, message: format!("the new revision has no stage {}", quoted(to)) });
        }
    }
    violations
}

/// Pins the calendar and checks everything; all violations at once.
async fn checked(tx: &mut dyn Tx, funnel: Funnel, violations: &mut Vec<Violation>) -> EngineResult<Funnel> {
    let funnel = with_calendar(tx, funnel, violations).await?;
    match CompiledFunnel::new(funnel) {
        Ok(compiled) if violations.is_empty() => Ok(compiled.funnel),
        Ok(_) => Err(EngineError::invalid(Invalid::Funnel, std::mem::take(violations))),
        Err(more) => {
            violations.extend(more);
            Err(EngineError::invalid(Invalid::Funnel, std::mem::take(violations)))
        }
    }
}

/// The funnel with the workspace's calendar as it is now: the one it names, or for business time
/// without a name the one called `default`, if there is one.
async fn with_calendar(
    tx: &mut dyn Tx,
    funnel: Funnel,
    violations: &mut Vec<Violation>,
) -> EngineResult<Funnel> {
    let name = match funnel.calendar_name.as_str() {
        "" if uses_business_time(&funnel) => DEFAULT_CALENDAR,
        "" => return Ok(Funnel { calendar: None, ..funnel }),
        name => name,
    };
    let calendar = workspace::calendar(&tx.workspace().await?.body, name);
    if calendar.is_none() && !funnel.calendar_name.is_empty() {
        let message = format!("the workspace has no calendar {}", quoted(name));
        violations.push(Violation { field: "calendar".into(), message });
    }
    Ok(Funnel { calendar, ..funnel })
}

fn uses_business_time(funnel: &Funnel) -> bool {
    let rules = funnel.stages.iter().flat_map(|stage| [stage.stall, stage.abandon]).flatten();
    rules.map(|rule: SilenceRule| rule.basis).any(|basis| basis == TimeBasis::Business)
}

async fn publish(
    tx: &mut dyn Tx,
    mut row: FunnelRow,
    body: Funnel,
    policy: LivePolicy,
    stage_map: BTreeMap<String, String>,
    now: Timestamp,
    validate_only: bool,
) -> EngineResult<FunnelView> {
    row.etag = etag(&row, &body);
    let head = RevisionHead {
        funnel: row.id.clone(),
        revision: row.revision,
        key: revision_key(tx, &row),
        is_latest: true,
        published_at: now,
        policy,
    };
    let revision = RevisionRow { head: head.clone(), body, stage_map };
    if !validate_only {
        tx.save_funnel(&row).await?;
        tx.publish(&head, &revision.body, &revision.stage_map).await?;
        if policy == LivePolicy::Cancel {
            tx.cancel_live(&row.id, head.key, now).await?;
        }
        let customers = revision.body.subject == SubjectKind::Customer;
        let total = tx.count_subjects(customers).await?;
        fill::begin(tx, FillRow { head, state: FillState::Running, cursor: None, done: 0, total }).await?;
    }
    Ok(FunnelView { row, revision, live_before: None })
}

/// A stable key of a revision: no two share one, not even across a deletion.
fn revision_key(tx: &dyn Tx, row: &FunnelRow) -> i64 {
    let text = format!("{}/{}/{}/{}", tx.scope().workspace, row.id, row.created_at.0, row.revision);
    (xxh3_64(text.as_bytes()) >> 1) as i64
}

fn etag(row: &FunnelRow, body: &Funnel) -> String {
    format!("{:x}-{:x}", row.revision, xxh3_64(json(body).as_bytes()))
}

/// A definition always has JSON: it holds no maps with keys that are not text.
fn json(body: &Funnel) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn check_etag(row: &FunnelRow, read: Option<&str>) -> EngineResult<()> {
    resources::check_etag(ResourceKind::Funnel, &row.id, &row.etag, read)
}

async fn existing(tx: &mut dyn Tx, id: &str) -> EngineResult<FunnelRow> {
    tx.funnel(id).await?.ok_or_else(|| EngineError::not_found(ResourceKind::Funnel, id))
}

async fn latest(tx: &mut dyn Tx, row: &FunnelRow) -> EngineResult<RevisionRow> {
    let found = tx.revision(&row.id, row.revision).await?;
    found.ok_or_else(|| {
        EngineError::not_found(ResourceKind::FunnelRevision, format!("{}@{}", row.id, row.revision))
    })
}

/// A funnel with a revision, as the unit of work sees it.
pub(crate) async fn view(tx: &mut dyn Tx, id: &str, revision: Option<i32>) -> EngineResult<FunnelView> {
    let row = existing(tx, id).await?;
    let number = revision.unwrap_or(row.revision);
    let found = tx.revision(id, number).await?;
    let revision = found
        .ok_or_else(|| EngineError::not_found(ResourceKind::FunnelRevision, format!("{id}@{number}")))?;
    Ok(FunnelView { row, revision, live_before: None })
}

async fn fill_of(tx: &mut dyn Tx, id: &str, revision: Option<i32>) -> EngineResult<FillRow> {
    let view = view(tx, id, revision).await?;
    let fill = tx.fill(view.revision.head.key).await?;
    fill.ok_or_else(|| EngineError::not_found(ResourceKind::FunnelRevision, id))
}
