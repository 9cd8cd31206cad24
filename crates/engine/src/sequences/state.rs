//! The verbs that change where a sequence stands.

use rekindle_core::scope::Scope;
use rekindle_core::sequence::{Action, SequenceState};
use rekindle_ports::Tx;
use rekindle_ports::ledger::EndReason;
use rekindle_ports::resources::{DestinationKind, SequenceRow};

use super::{check_etag, definition, existing, refused, tagged, wrong_state};
use crate::engine::Engine;
use crate::error::{EngineResult, Precondition};
use crate::loops::scheduler;

/// A sequence that was ended for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The sequence.
    pub sequence: SequenceRow,
    /// Runs that were ended now.
    pub ended_runs: u64,
}

impl Engine {
    /// Lets a draft start runs, for silences that come due from now on.
    pub async fn start_sequence(
        &self,
        scope: Scope,
        id: &str,
        etag: Option<&str>,
    ) -> EngineResult<SequenceRow> {
        let (id, etag) = (id.to_owned(), etag.map(str::to_owned));
        self.write(scope, move |tx, now| {
            let (id, etag) = (id.clone(), etag.clone());
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                check_etag(&row, etag.as_deref())?;
                if row.state != SequenceState::Draft {
                    let message = "only a draft can be started".to_owned();
                    return Err(refused(Precondition::SequenceNotStartable, &row, message));
                }
                if let Some(message) = obstacles(tx, &row).await? {
                    return Err(refused(Precondition::SequenceNotStartable, &row, message));
                }
                let started = SequenceRow { started_at: Some(now), ..row };
                change(tx, started, SequenceState::Active, now).await
            })
        })
        .await
    }

    /// Holds an active sequence: it starts no runs, and those it has wait.
    pub async fn pause_sequence(&self, scope: Scope, id: &str) -> EngineResult<SequenceRow> {
        let id = id.to_owned();
        self.write(scope, move |tx, now| {
            let id = id.clone();
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                if row.state != SequenceState::Active {
                    return Err(wrong_state(&row, "only an active sequence can be paused"));
                }
                change(tx, row, SequenceState::Paused, now).await
            })
        })
        .await
    }

    /// Lets a paused sequence go on. Silences that came due meanwhile start no run.
    pub async fn resume_sequence(&self, scope: Scope, id: &str) -> EngineResult<SequenceRow> {
        let id = id.to_owned();
        self.write(scope, move |tx, now| {
            let id = id.clone();
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                if row.state != SequenceState::Paused {
                    return Err(wrong_state(&row, "only a paused sequence can be resumed"));
                }
                if let Some(message) = obstacles(tx, &row).await? {
                    return Err(wrong_state(&row, &message));
                }
                let resumed = SequenceRow { started_at: Some(now), ..row };
                change(tx, resumed, SequenceState::Active, now).await
            })
        })
        .await
    }

    /// Ends a sequence for good, and its runs. Archiving an archived one only ends what is left.
    ///
    /// The sequence is archived first and alone: a run that is not ended here, because the
    /// process dies or it was just starting, ends by itself when it is due.
    pub async fn archive_sequence(&self, scope: Scope, id: &str) -> EngineResult<Archived> {
        let (engine, id) = (self.clone(), id.to_owned());
        self.detached(async move {
            let name = id.clone();
            let sequence = engine
                .write(scope, move |tx, now| {
                    let id = name.clone();
                    Box::pin(async move {
                        let row = existing(tx, &id).await?;
                        if row.state == SequenceState::Archived {
                            return Ok(row);
                        }
                        change(tx, row, SequenceState::Archived, now).await
                    })
                })
                .await?;
            let ended_runs = engine.end_runs_of(scope, &id, None, EndReason::SequenceArchived).await?;
            Ok(Archived { sequence, ended_runs })
        })
        .await
    }
}

async fn change(
    tx: &mut dyn Tx,
    row: SequenceRow,
    state: SequenceState,
    now: rekindle_core::Timestamp,
) -> EngineResult<SequenceRow> {
    let row = tagged(SequenceRow { state, updated_at: now, ..row });
    tx.save_sequence(&row).await?;
    scheduler::plan(tx, &row, now).await?;
    Ok(row)
}

/// Everything that stands in the way of starting runs, for people.
async fn obstacles(tx: &mut dyn Tx, row: &SequenceRow) -> EngineResult<Option<String>> {
    let unmet = definition::unmet(tx, &row.body).await?;
    let mut found: Vec<String> =
        unmet.into_iter().map(|violation| format!("{}: {}", violation.field, violation.message)).collect();
    let workspace = tx.workspace().await?;
    for (path, step) in row.body.each_step() {
        let Some(id) = step.action.destination() else {
            continue;
        };
        let Some(destination) = tx.destination(id).await? else {
            continue;
        };
        let field = definition::path(&path, &step.action, "destination");
        if destination.disabled.is_some() {
            found.push(format!("{field}: the destination {id:?} is disabled"));
        }
        let own_sender = matches!(&destination.kind, DestinationKind::Smtp { sender: Some(_), .. });
        let is_mail = matches!(step.action, Action::SendEmail(_) | Action::Escalate(_))
            && matches!(destination.kind, DestinationKind::Smtp { .. });
        if is_mail && !own_sender && workspace.body.sender.is_none() {
            found.push(format!("{field}: neither the destination {id:?} nor the workspace names a sender"));
        }
    }
    Ok((!found.is_empty()).then(|| found.join("; ")))
}
