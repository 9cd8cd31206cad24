//! Runs of a sequence, each with what became of its silence.

use std::fmt::Write;

use rekindle_core::Timestamp;
use rekindle_core::fold::silence::EndedBy;
use rekindle_core::mark::{MarkFate, MarkKind};
use rekindle_ports::StoreResult;
use rekindle_ports::facts::RunFact;
use rekindle_ports::ledger::{DeliveryState, RunState};
use sea_orm::QueryResult;

use crate::codes::{Code, coded, coded_option};
use crate::store::{SeaTx, get, get_json};
use crate::subjects::instant;

const T: &str = "runs";

impl SeaTx {
    pub(super) async fn read_run_facts(
        &self,
        sequence: &str,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreResult<Vec<RunFact>> {
        let mut period = String::new();
        if let Some(from) = from {
            let _ = write!(period, " AND r.created_at >= {}", from.0);
        }
        if let Some(until) = until {
            let _ = write!(period, " AND r.created_at < {}", until.0);
        }
        // A mark that a late event took back may have a successor, with which the run goes on.
        let successor = format!(
            "EXISTS (SELECT 1 FROM marks t WHERE {} AND t.funnel = r.funnel AND t.subject = r.subject \
               AND t.stage = r.stage AND t.kind = r.kind AND t.fate = {} AND t.noticed_at >= r.noticed_at)",
            self.here_in("t."),
            MarkFate::TakenOver.code()
        );
        // Of the funnel's newest revision that knows it: the silence in which the rule came due.
        let of_silence = |column: &str| {
            format!(
                "(SELECT s.{column} FROM silences s JOIN funnel_revisions f ON {} AND f.key = s.revision \
                 WHERE {} AND f.funnel = r.funnel AND s.subject = r.subject \
                   AND s.since <= r.due_at AND s.until_at > r.due_at \
                 ORDER BY f.revision DESC, s.since DESC, s.place LIMIT 1)",
                self.here_in("f."),
                self.here_in("s.")
            )
        };
        // Runs that something else started recover nothing.
        let silences = [MarkKind::Warned, MarkKind::Stalled, MarkKind::Abandoned];
        let silences = silences.map(|kind| kind.code().to_string()).join(", ");
        let sql = format!(
            "SELECT r.sequence_revision, r.arm, r.customer, r.subject, r.conversation, r.progress, r.state, r.due_at, \
               (m.fate = {} AND NOT {successor}) AS is_void, \
               (SELECT MIN(d.ended_at) FROM deliveries d WHERE {} AND d.run = r.id AND NOT d.internal \
                  AND d.state IN ({}, {})) AS reached_at, \
               {} AS until_at, {} AS ended_by \
             FROM runs r LEFT JOIN marks m ON {} AND m.funnel = r.funnel AND m.subject = r.subject \
               AND m.stage = r.stage AND m.kind = r.kind AND m.anchor_event = r.anchor_event \
             WHERE {} AND r.sequence = {} AND r.state <> {} AND r.kind IN ({silences}){period} ORDER BY r.created_at, r.id",
            MarkFate::Voided.code(),
            self.here_in("d."),
            DeliveryState::Delivered.code(),
            DeliveryState::HeldOut.code(),
            of_silence("until_at"),
            of_silence("ended_by"),
            self.here_in("m."),
            self.here_in("r."),
            self.bind(1),
            RunState::Skipped.code()
        );
        self.all(&sql, vec![sequence.into()]).await?.iter().map(fact).collect()
    }
}

fn fact(row: &QueryResult) -> StoreResult<RunFact> {
    let is_void: Option<bool> = get(row, T, "is_void")?;
    let state: RunState = coded(row, T, "state")?;
    let by: Option<EndedBy> = coded_option(row, T, "ended_by")?;
    Ok(RunFact {
        revision: get(row, T, "sequence_revision")?,
        arm: coded(row, T, "arm")?,
        customer: get(row, T, "customer")?,
        subject: get(row, T, "subject")?,
        conversation: get(row, T, "conversation")?,
        progress: get_json(row, T, "progress")?,
        due_at: Timestamp(get(row, T, "due_at")?),
        reached_at: instant(row, T, "reached_at")?,
        ended: instant(row, T, "until_at")?.zip(by),
        is_running: state == RunState::Running,
        is_void: is_void.unwrap_or(false),
    })
}
