//! Marks, runs and deliveries of erased subjects: that they were stays, what they said goes.

use rekindle_core::sequence::Progress;
use rekindle_core::sequence::progress::Awaits;
use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use rekindle_ports::erasure::Erasure;
use rekindle_ports::ledger::{DeliveryState, EndReason, Message, RunState};
use rekindle_ports::store::Runs;
use sea_orm::{DatabaseBackend, Value};
use uuid::Uuid;

use super::renames::Renames;
use super::{conversations, customers, touched};
use crate::codes::Code;
use crate::sql::{Cell, Columns, Kind, Source, for_update};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::keys;

const EMPTIED: &Columns = &[("id", Kind::Text), ("message", Kind::Text)];

const OWNER: &Columns = &[("key", Kind::Uuid)];

const FORGOTTEN: &Columns = &[("id", Kind::Uuid), ("progress", Kind::Text)];

const REASON: &str = "the subject was erased";

impl SeaTx {
    /// Ends the open runs of the subjects; how many.
    pub(super) async fn erase_runs(&mut self, order: &Erasure, renames: &Renames) -> StoreResult<u64> {
        let touched = touched(order);
        let (condition, values) = self.any_of(&[("subject", &touched)]);
        self.rename_in("marks", "anchor_event", &condition, values, renames).await?;
        let (condition, values) = self.any_of(&[("conversation", &touched), ("customer", &touched)]);
        self.rename_in("runs", "anchor_event", &condition, values, renames).await?;
        let (runs, values) = self.runs_of(order);
        let sql = format!(
            "SELECT id FROM runs WHERE {} AND id IN ({runs}) AND state = {}",
            self.here(),
            RunState::Running.code()
        );
        let open = self.all(&sql, values).await?;
        let ended: StoreResult<Vec<(Uuid, EndReason)>> =
            open.iter().map(|row| Ok((get(row, "runs", "id")?, EndReason::Erased))).collect();
        let ended = ended?;
        self.end_runs(&ended, order.at).await?;
        self.forget_answers(order).await?;
        Ok(ended.len() as u64)
    }

    /// Takes from runs what the answers of webhooks said, and which events they heard.
    async fn forget_answers(&self, order: &Erasure) -> StoreResult<()> {
        let (runs, values) = self.runs_of(order);
        let sql = format!(
            "SELECT id, progress FROM runs WHERE {} AND id IN ({runs}) \
               AND (progress LIKE '%\"variables\"%' OR progress LIKE '%\"heard\"%') \
             ORDER BY id{}",
            self.here(),
            for_update(self.backend)
        );
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for row in self.all(&sql, values).await? {
            let progress: Progress = get_json(&row, "runs", "progress")?;
            let awaits = progress.awaits.map(|mut awaits| {
                if let Awaits::Rule { heard, .. } = &mut awaits {
                    heard.clear();
                }
                awaits
            });
            let progress = Progress { variables: Properties::new(), awaits, ..progress };
            rows.push(vec![get::<Uuid>(&row, "runs", "id")?.into(), json(&progress).into()]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let Source { select, values } = self.source(FORGOTTEN, &rows, 1);
        let sql = format!(
            "UPDATE runs SET progress = v.progress FROM ({select}) AS v WHERE {} AND runs.id = v.id",
            self.here_in("runs.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Cancels what is scheduled, and empties what was written and answered.
    pub(super) async fn erase_deliveries(&self, order: &Erasure) -> StoreResult<()> {
        let (runs, values) = self.runs_of(order);
        let find = match self.backend {
            DatabaseBackend::Postgres => "strpos",
            _ => "instr",
        };
        // Lines begin with the id of their delivery; a receiver's words come after a colon.
        let sql = format!(
            "UPDATE run_events SET detail = substr(detail, 1, {find}(detail, ':') - 1) \
             WHERE {} AND {find}(detail, ':') > 0 AND run IN ({runs})",
            self.here()
        );
        self.run(&sql, values.clone()).await?;
        self.empty_messages(&runs, values.clone(), order).await?;
        let sql = format!(
            "UPDATE delivery_attempts SET response = '' WHERE {here} AND delivery IN \
             (SELECT id FROM deliveries WHERE {here} AND run IN ({runs}))",
            here = self.here()
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Empties messages. Whoever is sending one writes nothing more: nobody knows whether it arrived.
    async fn empty_messages(&self, runs: &str, values: Vec<Value>, order: &Erasure) -> StoreResult<()> {
        let sql = format!(
            "SELECT id, message FROM deliveries WHERE {} AND run IN ({runs}) ORDER BY id{}",
            self.here(),
            for_update(self.backend)
        );
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for row in self.all(&sql, values).await? {
            let message = emptied(get_json(&row, "deliveries", "message")?);
            rows.push(vec![get::<String>(&row, "deliveries", "id")?.into(), json(&message).into()]);
        }
        let Source { select, values } = self.source(EMPTIED, &rows, 1);
        let [scheduled, sending, cancelled, unknown] = [
            DeliveryState::Scheduled,
            DeliveryState::Sending,
            DeliveryState::Cancelled,
            DeliveryState::Unknown,
        ]
        .map(Code::code);
        let sql = format!(
            "UPDATE deliveries SET recipient = '', message = v.message, \
             reason = CASE WHEN state IN ({scheduled}, {sending}) THEN '{REASON}' \
               WHEN state = {cancelled} THEN reason ELSE '' END, \
             state = CASE state WHEN {scheduled} THEN {cancelled} WHEN {sending} THEN {unknown} ELSE state END, \
             ended_at = COALESCE(ended_at, {}), next_at = NULL, claim_at = NULL, \
             epoch = deliveries.epoch + 1, lease_owner = NULL, lease_until = NULL \
             FROM ({select}) AS v WHERE {} AND deliveries.id = v.id",
            order.at.0,
            self.here_in("deliveries.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// The ids of all runs for the subjects, as a sub-select; those about an owner who stays, as far as
    /// an erased event started them, too.
    pub(super) fn runs_of(&self, order: &Erasure) -> (String, Vec<Value>) {
        let (conversations, customers) = (conversations(order), customers(order));
        let owners = &order.owners;
        let (condition, mut values) =
            self.any_of(&[("conversation", &conversations), ("customer", &customers)]);
        let Source { select, values: more } = self.source(OWNER, &keys(owners), values.len() + 1);
        values.extend(more);
        let of_owners =
            format!("(conversation IS NULL AND anchor_event LIKE 'sha256:%' AND customer IN ({select}))");
        (format!("SELECT id FROM runs WHERE {} AND ({condition} OR {of_owners})", self.here()), values)
    }
}

/// A message of the same kind that says nothing to nobody.
fn emptied(message: Message) -> Message {
    match message {
        Message::Email { message_id, date, from, reply_to, unsubscribe_mailto, .. } => Message::Email {
            message_id,
            date,
            from,
            reply_to,
            to: String::new(),
            subject: String::new(),
            text: String::new(),
            html: None,
            unsubscribe_url: String::new(),
            unsubscribe_mailto,
        },
        Message::Webhook { .. } => Message::webhook(String::new()),
        Message::Event { id, kind, at, .. } => {
            Message::Event { id, kind, at, conversation: None, customer: None, properties: String::new() }
        }
    }
}
