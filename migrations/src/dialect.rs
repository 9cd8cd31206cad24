//! What the two databases call the same thing.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend};

/// Runs statements separated by `;`, with the types of the database filled in.
///
/// `{uuid}`, `{name}`, `{json}` and `{clustered}` stand for: 16 bytes; text that is compared and
/// ordered by its bytes, whatever language the database sorts by; JSON that can be searched;
/// rows kept in primary-key order where the database can.
pub async fn run(manager: &SchemaManager<'_>, statements: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let (uuid, name, json, clustered) = match connection.get_database_backend() {
        DatabaseBackend::Postgres => ("UUID", "TEXT COLLATE \"C\"", "JSONB", ""),
        _ => ("BLOB", "TEXT", "TEXT", " WITHOUT ROWID"),
    };
    let statements = statements
        .replace("{uuid}", uuid)
        .replace("{name}", name)
        .replace("{json}", json)
        .replace("{clustered}", clustered);
    for statement in statements.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        connection.execute_unprepared(statement).await?;
    }
    Ok(())
}
