//! Schema steps, one file each, for both databases.
//!
//! Every primary key, unique constraint and claim index begins with `bucket` and
//! the workspace; there are no triggers and no sequences, so that a
//! Postgres-compatible distributed database can carry the same schema.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, TransactionTrait,
};

mod dialect;
mod m0001_subjects;
mod m0002_funnels;
mod m0003_journeys;
mod m0004_resources;
mod m0005_ledger;
mod m0006_pace;
mod m0007_sequences;
mod m0008_occasions;
mod m0009_run_policies;
mod m0010_replays;
mod statistics;

/// All steps, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_subjects::Migration),
            Box::new(m0002_funnels::Migration),
            Box::new(m0003_journeys::Migration),
            Box::new(m0004_resources::Migration),
            Box::new(m0005_ledger::Migration),
            Box::new(m0006_pace::Migration),
            Box::new(m0007_sequences::Migration),
            Box::new(m0008_occasions::Migration),
            Box::new(m0009_run_policies::Migration),
            Box::new(m0010_replays::Migration),
        ]
    }
}

/// Key of the transaction-level lock that lets one replica migrate at a time.
const MIGRATION_LOCK: i64 = 0x7265_6b69_6e64_6c65;

/// Where a database's schema stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// All steps of this program are applied and no others.
    Current,
    /// Steps are missing; their names.
    Behind(Vec<String>),
    /// The database knows steps that this program does not; their names.
    Ahead(Vec<String>),
}

/// Applies the steps that are missing, in one transaction; replicas that start at
/// once wait for each other, as long as it takes. False: somebody else had applied them.
///
/// # Errors
/// Whatever the database answers; nothing was applied then.
pub async fn migrate(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let transaction = db.begin().await?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        // The session's limits are made for the work of every day; the wait for another
        // replica may be long, that for a table's readers may not.
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        transaction.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        transaction.execute_unprepared(&lock).await?;
        transaction.execute_unprepared("SET LOCAL lock_timeout = '10s'").await?;
    }
    if Migrator::get_pending_migrations(&transaction).await?.is_empty() {
        transaction.rollback().await?;
        return Ok(false);
    }
    Migrator::up(&transaction, None).await?;
    if transaction.get_database_backend() == DatabaseBackend::Sqlite {
        statistics::assume(&transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Compares the steps a database has with those of this program.
///
/// # Errors
/// Whatever the database answers.
pub async fn state(db: &DatabaseConnection) -> Result<SchemaState, DbErr> {
    let manager = SchemaManager::new(db);
    let ours: Vec<String> = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
    if !manager.has_table("seaql_migrations").await? {
        return Ok(SchemaState::Behind(ours));
    }
    let applied: Vec<String> = db
        .query_all_raw(sea_orm_migration::sea_orm::Statement::from_string(
            db.get_database_backend(),
            "SELECT version FROM seaql_migrations",
        ))
        .await?
        .iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()?;
    let unknown: Vec<String> = applied.iter().filter(|name| !ours.contains(name)).cloned().collect();
    let missing: Vec<String> = ours.into_iter().filter(|name| !applied.contains(name)).collect();
    Ok(match (unknown.is_empty(), missing.is_empty()) {
        (false, _) => SchemaState::Ahead(unknown),
        (true, false) => SchemaState::Behind(missing),
        (true, true) => SchemaState::Current,
    })
}
