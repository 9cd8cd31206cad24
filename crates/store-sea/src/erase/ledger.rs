//! Marks, runs and deliveries of erased subjects: that they were stays, what they said goes.

use std::collections::HashSet;

use rekindle_core::sequence::Progress;
use rekindle_core::sequence::progress::Awaits;
use rekindle_core::sequence::walk::{BY_EVENT, BY_ZONE};
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

const LINE: &Columns = &[("run", Kind::Uuid), ("place", Kind::Int)];

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
        if !order.owners.is_empty() {
            self.rename_heard(order, renames).await?;
            self.forget_met(order, renames).await?;
        }
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
        self.save_progress(&rows).await
    }

    /// Lets runs about owners who stay know the erased events that they heard, and were not asked about
    /// yet, by their tombstones.
    async fn rename_heard(&self, order: &Erasure, renames: &Renames) -> StoreResult<()> {
        let (runs, values) = self.runs_of_owners(order);
        let sql = format!(
            "SELECT id, progress FROM runs WHERE {} AND id IN ({runs}) AND progress LIKE '%\"heard\"%' \
             ORDER BY id{}",
            self.here(),
            for_update(self.backend)
        );
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for row in self.all(&sql, values).await? {
            let mut progress: Progress = get_json(&row, "runs", "progress")?;
            if let Some(Awaits::Rule { heard, .. }) = &mut progress.awaits {
                for id in heard {
                    if let Some(new) = renames.of(id) {
                        new.clone_into(id);
                    }
                }
            }
            rows.push(vec![get::<Uuid>(&row, "runs", "id")?.into(), json(&progress).into()]);
        }
        self.save_progress(&rows).await
    }

    async fn save_progress(&self, rows: &[Vec<Cell>]) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let Source { select, values } = self.source(FORGOTTEN, rows, 1);
        let sql = format!(
            "UPDATE runs SET progress = v.progress FROM ({select}) AS v WHERE {} AND runs.id = v.id",
            self.here_in("runs.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Takes erased events out of what is told of runs about owners who stay: that a rule was met is.
    async fn forget_met(&self, order: &Erasure, renames: &Renames) -> StoreResult<()> {
        const T: &str = "run_events";
        let (runs, values) = self.runs_of_owners(order);
        let sql = format!(
            "SELECT run, place, detail FROM run_events WHERE {} AND kind = 'met' AND run IN ({runs})",
            self.here()
        );
        let erased: HashSet<String> = renames.ids().map(|id| format!("{id:?}")).collect();
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for row in self.all(&sql, values).await? {
            if names_one_of(&erased, &get::<String>(&row, T, "detail")?) {
                rows.push(vec![get::<Uuid>(&row, T, "run")?.into(), get::<i32>(&row, T, "place")?.into()]);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let Source { select, values } = self.source(LINE, &rows, 1);
        let sql = format!(
            "UPDATE run_events SET detail = 'came' FROM ({select}) AS v \
             WHERE {} AND run_events.run = v.run AND run_events.place = v.place",
            self.here_in("run_events.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Cancels what is scheduled, and empties what was written and answered.
    pub(super) async fn erase_deliveries(&self, order: &Erasure) -> StoreResult<()> {
        let (runs, values) = self.runs_of(order);
        // Lines begin with the id of their delivery; a receiver's words come after a colon.
        for mark in [BY_ZONE, ":"] {
            let place = self.place_of(mark, "detail");
            let sql = format!(
                "UPDATE run_events SET detail = substr(detail, 1, {place} - 1) \
                 WHERE {} AND {place} > 0 AND run IN ({runs})",
                self.here()
            );
            self.run(&sql, values.clone()).await?;
        }
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
        let zone = self.place_of(BY_ZONE, "reason");
        let sql = format!(
            "UPDATE deliveries SET recipient = '', message = v.message, \
             reason = CASE WHEN state IN ({scheduled}, {sending}) THEN '{REASON}' \
               WHEN state <> {cancelled} THEN '' \
               WHEN {zone} > 0 THEN substr(reason, 1, {zone} - 1) ELSE reason END, \
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

    /// Where a text begins in a column, from 1; 0 where it does not stand there.
    fn place_of(&self, text: &str, column: &str) -> String {
        match self.backend {
            DatabaseBackend::Postgres => format!("strpos({column}, '{text}')"),
            _ => format!("instr({column}, '{text}')"),
        }
    }

    /// The ids of all runs about owners who stay, as a sub-select.
    fn runs_of_owners(&self, order: &Erasure) -> (String, Vec<Value>) {
        let (condition, values) = self.any_of(&[("customer", &order.owners)]);
        let here = self.here();
        (format!("SELECT id FROM runs WHERE {here} AND conversation IS NULL AND {condition}"), values)
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

/// Whether the line of a rule that an event met names one of these ids, each as it is quoted.
fn names_one_of(quoted: &HashSet<String>, line: &str) -> bool {
    let Some(named) = line.strip_prefix(BY_EVENT) else {
        return false;
    };
    // Ids and rules may hold commas, too.
    named.match_indices(", ").any(|(place, _)| quoted.contains(&named[..place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_event_that_met_its_rule_whatever_the_id_holds() {
        let ids = ["a", "b, \"c\", d"];
        let quoted: HashSet<String> = ids.iter().map(|id| format!("{id:?}")).collect();
        for id in ids {
            assert!(names_one_of(&quoted, &format!("{BY_EVENT}{id:?}, event.type in ['x', 'y']")), "{id}");
        }
        for line in ["came", "came: customer.plan == 'a'", "came: event \"b\", event.type == 'a'"] {
            assert!(!names_one_of(&quoted, line), "{line}");
        }
    }
}
