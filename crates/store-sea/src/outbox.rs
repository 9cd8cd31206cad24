//! Deliveries and their attempts in SQL.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::StoreResult;
use rekindle_ports::ledger::{AttemptRow, Contact, DeliveryKey, DeliveryRow, DeliveryState, LedgerFilter};
use rekindle_ports::rows::{Claimed, Lease};
use rekindle_ports::store::Outbox;
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::codes::{Code, coded, coded_option};
use crate::leases::{self, Take, assign};
use crate::listing::{Conditions, in_states};
use crate::probe::{Others, Probe};
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, replace, texts};

mod contacts;

const T: &str = "deliveries";

const DELIVERY: &Columns = &[
    ("id", Kind::Text),
    ("run", Kind::Uuid),
    ("step", Kind::Text),
    ("destination", Kind::Text),
    ("customer", Kind::Uuid),
    ("conversation", Kind::Uuid),
    ("recipient", Kind::Text),
    ("message", Kind::Text),
    ("park_unknown", Kind::Bool),
    ("internal", Kind::Bool),
    ("state", Kind::Int),
    ("reason", Kind::Text),
    ("overtaken", Kind::Bool),
    ("next_at", Kind::Int),
    ("claim_at", Kind::Int),
    ("expires_at", Kind::Int),
    ("attempts", Kind::Int),
    ("created_at", Kind::Int),
    ("ended_at", Kind::Int),
];

/// What may change after a delivery was written; `overtaken` is written with care.
const CHANGING: &[&str] = &[
    "destination",
    "customer",
    "conversation",
    "recipient",
    "message",
    "park_unknown",
    "state",
    "reason",
    "next_at",
    "claim_at",
    "expires_at",
    "attempts",
    "ended_at",
];

const CLAIM: &Columns = &[("id", Kind::Text), ("epoch", Kind::Int)];

const ATTEMPT: &Columns = &[
    ("delivery", Kind::Text),
    ("number", Kind::Int),
    ("started_at", Kind::Int),
    ("ended_at", Kind::Int),
    ("outcome", Kind::Int),
    ("phase", Kind::Text),
    ("code", Kind::Int),
    ("response", Kind::Text),
];

/// Ends a claim: its epoch is no longer the row's.
const GIVE_BACK: &str = "epoch = deliveries.epoch + 1, lease_owner = NULL, lease_until = NULL";

#[async_trait]
impl Outbox for SeaTx {
    async fn insert_deliveries(&mut self, deliveries: &[DeliveryRow]) -> StoreResult<u64> {
        let tail = "ON CONFLICT (bucket, workspace, id) DO NOTHING";
        let mut rows: Vec<&DeliveryRow> = deliveries.iter().collect();
        // Everybody inserts in this order, so that nobody waits in a circle.
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let rows: Vec<Vec<Cell>> = rows.into_iter().map(delivery_cells).collect();
        self.insert(T, DELIVERY, &rows, tail).await
    }

    async fn deliveries_by_id(&mut self, ids: &[String]) -> StoreResult<Vec<DeliveryRow>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } =
            self.source(&[("id", Kind::Text)], &texts(ids.iter().map(String::as_str)), 1);
        let deliveries = Probe { columns: "*", table: T, by: &["id"], and: "" };
        self.all(&self.probe(&deliveries, &select), values).await?.iter().map(delivery).collect()
    }

    async fn delivery(&mut self, id: &str) -> StoreResult<Option<DeliveryRow>> {
        let sql = format!("SELECT * FROM deliveries WHERE {} AND id = {}", self.here(), self.bind(1));
        self.one(&sql, vec![id.into()]).await?.as_ref().map(delivery).transpose()
    }

    async fn deliveries(&mut self, filter: &LedgerFilter, limit: u32) -> StoreResult<Vec<DeliveryRow>> {
        let (sql, values) = self.delivery_conditions(filter).newest("*", T, limit);
        self.all(&sql, values).await?.iter().map(delivery).collect()
    }

    async fn claim_deliveries(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<DeliveryKey>>> {
        let rows = self.claim(&leases::DELIVERIES, Take::Any, bucket, now, lease, limit).await?;
        rows.iter()
            .map(|row| {
                let scope = Scope { bucket, workspace: get(row, T, "workspace")? };
                Ok(Claimed {
                    key: DeliveryKey { scope, id: get(row, T, "id")? },
                    epoch: get(row, T, "epoch")?,
                    crashes: 0,
                })
            })
            .collect()
    }

    async fn hold_deliveries(&mut self, claims: &[Claimed<DeliveryKey>]) -> StoreResult<Vec<DeliveryRow>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Vec<Cell>> = claims.iter().map(claim_cells).collect();
        let Source { select, values } = self.source(CLAIM, &rows, 1);
        let held = Probe { columns: "*", table: T, by: &["id", "epoch"], and: "" };
        self.all(&self.probe_for_update(&held, &select, Others::Await), values)
            .await?
            .iter()
            .map(delivery)
            .collect()
    }

    async fn renew_deliveries(
        &mut self,
        claims: &[Claimed<DeliveryKey>],
        lease: &Lease,
    ) -> StoreResult<Vec<DeliveryKey>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let scope = rekindle_ports::Tx::scope(self);
        let rows: Vec<Vec<Cell>> =
            claims.iter().filter(|claim| claim.key.scope == scope).map(claim_cells).collect();
        let Source { select, values } = self.source(CLAIM, &rows, 1);
        let sql = format!(
            "UPDATE deliveries SET lease_until = {} + {} FROM ({}) AS v WHERE {} RETURNING deliveries.id",
            self.lease_clock.now(self.backend),
            lease.ttl,
            self.batch(&select),
            self.is_of_batch("deliveries", &["id", "epoch"])
        );
        let rows = self.all(&sql, values).await?;
        rows.iter().map(|row| Ok(DeliveryKey { scope, id: get(row, T, "id")? })).collect()
    }

    async fn save_deliveries(
        &mut self,
        held: &[(Claimed<DeliveryKey>, DeliveryRow)],
        release: bool,
    ) -> StoreResult<Vec<String>> {
        // What `end_runs` noted while the sender was at work stays.
        let mut sets = "overtaken = (deliveries.overtaken OR v.overtaken)".to_owned();
        if release {
            sets = format!("{sets}, {GIVE_BACK}");
        }
        let cells = |(claim, delivery): &(Claimed<DeliveryKey>, DeliveryRow)| {
            let mut cells = delivery_cells(delivery);
            cells.push(claim.epoch.into());
            cells
        };
        let columns: Vec<_> = DELIVERY.iter().copied().chain([("epoch", Kind::Int)]).collect();
        self.write_deliveries(&columns, held.iter().map(cells).collect(), &sets, &["id", "epoch"]).await
    }

    async fn decide_delivery(&mut self, delivery: &DeliveryRow) -> StoreResult<()> {
        let sets = format!("overtaken = v.overtaken, {GIVE_BACK}");
        self.write_deliveries(DELIVERY, vec![delivery_cells(delivery)], &sets, &["id"]).await?;
        Ok(())
    }

    async fn contacts(&mut self, customers: &[Uuid], since: Timestamp) -> StoreResult<Vec<Contact>> {
        contacts::read(self, customers, since).await
    }

    async fn insert_contacts(&mut self, contacts: &[Contact]) -> StoreResult<()> {
        contacts::insert(self, contacts).await
    }

    async fn save_attempts(&mut self, attempts: &[AttemptRow]) -> StoreResult<()> {
        let tail = replace(ATTEMPT, &["delivery", "number"]);
        let rows: Vec<Vec<Cell>> = attempts.iter().map(attempt_cells).collect();
        self.insert("delivery_attempts", ATTEMPT, &rows, &tail).await?;
        Ok(())
    }

    async fn attempts_of(&mut self, deliveries: &[String]) -> StoreResult<HashMap<String, Vec<AttemptRow>>> {
        let mut attempts: HashMap<String, Vec<AttemptRow>> = HashMap::new();
        if deliveries.is_empty() {
            return Ok(attempts);
        }
        let rows: Vec<Vec<Cell>> = deliveries.iter().map(|id| vec![id.clone().into()]).collect();
        let Source { select, values } = self.source(&[("delivery", Kind::Text)], &rows, 1);
        let attempts_of = Probe { columns: "*", table: "delivery_attempts", by: &["delivery"], and: "" };
        let sql = format!("{} ORDER BY delivery, number", self.probe(&attempts_of, &select));
        for row in &self.all(&sql, values).await? {
            let attempt = attempt(row)?;
            attempts.entry(attempt.delivery.clone()).or_default().push(attempt);
        }
        Ok(attempts)
    }
}

impl SeaTx {
    /// Writes rows of deliveries that are there, known by the columns of `by`; ids of those that were.
    async fn write_deliveries(
        &self,
        columns: &Columns,
        rows: Vec<Vec<Cell>>,
        sets: &str,
        by: &[&str],
    ) -> StoreResult<Vec<String>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(columns, &rows, 1);
        let sql = format!(
            "UPDATE deliveries SET {}, {sets} FROM ({}) AS v WHERE {} RETURNING deliveries.id",
            assign(CHANGING),
            self.batch(&select),
            self.is_of_batch(T, by)
        );
        self.all(&sql, values).await?.iter().map(|row| get(row, T, "id")).collect()
    }

    fn delivery_conditions(&self, filter: &LedgerFilter) -> Conditions {
        let mut conditions = Conditions::new(self.backend, self.here());
        if let Some(sequence) = &filter.sequence {
            let sequence = conditions.bind(sequence.clone());
            conditions
                .add(format!("run IN (SELECT id FROM runs WHERE {} AND sequence = {sequence})", self.here()));
        }
        conditions.equal("run", filter.run);
        conditions.equal("conversation", filter.conversation);
        conditions.equal("customer", filter.customer);
        if let Some(states) = in_states(&filter.run_states) {
            conditions.add(format!("run IN (SELECT id FROM runs WHERE {} AND {states})", self.here()));
        }
        if let Some(states) = in_states(&filter.delivery_states) {
            conditions.add(states);
        }
        if let Some((created_at, id)) = &filter.before {
            conditions.before(*created_at, id.clone());
        }
        conditions
    }
}

/// When a delivery may be claimed: at its time; at once while it is being sent, should its
/// sender's lease run out; never when it is settled.
fn claim_at(delivery: &DeliveryRow) -> Option<i64> {
    match delivery.state {
        DeliveryState::Scheduled => delivery.next_at.map(|at| at.0),
        DeliveryState::Sending => Some(0),
        _ => None,
    }
}

fn claim_cells(claim: &Claimed<DeliveryKey>) -> Vec<Cell> {
    vec![claim.key.id.clone().into(), claim.epoch.into()]
}

fn delivery_cells(delivery: &DeliveryRow) -> Vec<Cell> {
    vec![
        delivery.id.clone().into(),
        // A test belongs to no run.
        Some(delivery.run).filter(|run| !run.is_nil()).into(),
        delivery.step.clone().into(),
        delivery.destination.clone().into(),
        delivery.customer.into(),
        delivery.conversation.into(),
        delivery.recipient.clone().into(),
        json(&delivery.message).into(),
        delivery.park_unknown.into(),
        delivery.internal.into(),
        delivery.state.code().into(),
        delivery.reason.clone().into(),
        delivery.overtaken.into(),
        delivery.next_at.map(|at| at.0).into(),
        claim_at(delivery).into(),
        delivery.expires_at.0.into(),
        delivery.attempts.into(),
        delivery.created_at.0.into(),
        delivery.ended_at.map(|at| at.0).into(),
    ]
}

fn delivery(row: &QueryResult) -> StoreResult<DeliveryRow> {
    Ok(DeliveryRow {
        id: get(row, T, "id")?,
        run: get::<Option<Uuid>>(row, T, "run")?.unwrap_or(Uuid::nil()),
        step: get(row, T, "step")?,
        destination: get(row, T, "destination")?,
        customer: get(row, T, "customer")?,
        conversation: get(row, T, "conversation")?,
        recipient: get(row, T, "recipient")?,
        message: get_json(row, T, "message")?,
        park_unknown: get(row, T, "park_unknown")?,
        internal: get(row, T, "internal")?,
        state: coded(row, T, "state")?,
        reason: get(row, T, "reason")?,
        overtaken: get(row, T, "overtaken")?,
        next_at: instant(row, T, "next_at")?,
        expires_at: Timestamp(get(row, T, "expires_at")?),
        attempts: get(row, T, "attempts")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        ended_at: instant(row, T, "ended_at")?,
    })
}

fn attempt_cells(attempt: &AttemptRow) -> Vec<Cell> {
    vec![
        attempt.delivery.clone().into(),
        attempt.number.into(),
        attempt.started_at.0.into(),
        attempt.ended_at.map(|at| at.0).into(),
        attempt.outcome.map(|outcome| i64::from(outcome.code())).into(),
        attempt.phase.clone().into(),
        attempt.code.map(i64::from).into(),
        attempt.response.clone().into(),
    ]
}

fn attempt(row: &QueryResult) -> StoreResult<AttemptRow> {
    const T: &str = "delivery_attempts";
    Ok(AttemptRow {
        delivery: get(row, T, "delivery")?,
        number: get(row, T, "number")?,
        started_at: Timestamp(get(row, T, "started_at")?),
        ended_at: instant(row, T, "ended_at")?,
        outcome: coded_option(row, T, "outcome")?,
        phase: get(row, T, "phase")?,
        code: get(row, T, "code")?,
        response: get(row, T, "response")?,
    })
}
