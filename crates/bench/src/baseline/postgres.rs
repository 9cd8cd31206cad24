//! Multi-row inserts into `PostgreSQL`: `UNNEST` of arrays, on one connection.

use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::{EventRow, Rows, scope};
use crate::Fallible;
use crate::postgres::Database;
use crate::stopwatch::Stopwatch;
use crate::workload::{Slot, Workload};

/// Rows of a statement.
const CHUNK: usize = 2_000;

/// Inserts a workload's events into an empty database with the schema; events a second.
pub async fn insert(database: &Database, workload: &Workload, slots: &[Slot]) -> Fallible<f64> {
    let mut connection = PgConnection::connect(&database.url).await?;
    let (mut rows, mut clock) = (Rows::of(workload), Stopwatch::default());
    let sql = statement();
    for part in slots.chunks(CHUNK) {
        let part: Vec<EventRow> = part.iter().map(|slot| rows.row(slot)).collect();
        let uuids = |pick: fn(&EventRow) -> Uuid| part.iter().map(pick).collect::<Vec<_>>();
        let texts =
            |pick: fn(&EventRow) -> &str| part.iter().map(|row| pick(row).to_owned()).collect::<Vec<_>>();
        let query = sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(texts(|row| &row.id))
            .bind(uuids(|row| row.conversation))
            .bind(uuids(|row| row.customer))
            .bind(texts(|row| &row.customer_name))
            .bind(texts(|row| row.kind))
            .bind(part.iter().map(|row| row.at).collect::<Vec<_>>())
            .bind(texts(|row| &row.properties))
            .bind(uuids(|row| row.digest));
        clock.start();
        query.execute(&mut connection).await?;
        clock.stop();
    }
    connection.close().await?;
    Ok(slots.len() as f64 / clock.seconds())
}

fn statement() -> String {
    let scope = scope();
    format!(
        "INSERT INTO events (bucket, workspace, id, conversation, customer, customer_name, kind, \
         occurred_at, effective_at, received_at, sequence, author, flags, properties, digest) \
         SELECT {}, {}, u.id, u.conversation, u.customer, u.customer_name, u.kind, \
         u.at, u.at, u.at, 0, 1, 1, u.properties::jsonb, u.digest \
         FROM UNNEST($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::uuid[]) \
         AS u(id, conversation, customer, customer_name, kind, at, properties, digest) ON CONFLICT DO NOTHING",
        scope.bucket, scope.workspace
    )
}
