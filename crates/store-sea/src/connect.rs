//! Opening a database.

use std::time::Duration;

use rekindle_migrations::SchemaState;
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::error::sort;
use crate::store::SeaStore;

/// How to open a database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH`, `sqlite::memory:` or `postgres://…`.
    pub url: String,
    /// Most connections (readers, on SQLite).
    pub max_connections: u32,
}

/// Opens a database and, when asked, brings its schema up to date.
///
/// # Errors
/// [`StoreError::Unavailable`] when it cannot be reached; [`StoreError::Refused`] when
/// its schema is behind and `migrate` is false, or ahead of this program.
pub async fn open(options: &StoreOptions, migrate: bool) -> StoreResult<SeaStore> {
    let store = if options.url.starts_with("sqlite:") {
        open_sqlite(options).await?
    } else {
        open_postgres(options).await?
    };
    let db = store.writer();
    let state = rekindle_migrations::state(db).await.map_err(sort)?;
    match state {
        SchemaState::Current => {}
        SchemaState::Behind(_) if migrate => {
            if rekindle_migrations::migrate(db).await.map_err(sort)? {
                tracing::info!("the schema was brought up to date");
            }
        }
        SchemaState::Behind(steps) => {
            return Err(refused(format!("the schema lacks {}: run `rekindle migrate`", steps.join(", "))));
        }
        SchemaState::Ahead(steps) => {
            return Err(refused(format!(
                "the schema is newer than this program: it has {}",
                steps.join(", ")
            )));
        }
    }
    Ok(store)
}

fn refused(message: String) -> StoreError {
    StoreError::Refused(message.into())
}

async fn open_postgres(options: &StoreOptions) -> StoreResult<SeaStore> {
    let mut connect = ConnectOptions::new(&options.url);
    connect
        .max_connections(options.max_connections)
        .acquire_timeout(Duration::from_secs(2))
        .connect_timeout(Duration::from_secs(5))
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|options| {
            options.application_name("rekindle").options([
                ("statement_timeout", "60s"),
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "10s"),
            ])
        })
        // A connection that somebody left inside a transaction must not carry it on:
        // what the next user writes there would be lost with it.
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.before_acquire(|connection, _| {
                Box::pin(async move {
                    use sea_orm::sqlx::Executor;
                    connection.execute("ROLLBACK").await?;
                    Ok(true)
                })
            })
        });
    let db = Database::connect(connect).await.map_err(sort)?;
    Ok(SeaStore::new(db.clone(), db))
}

async fn open_sqlite(options: &StoreOptions) -> StoreResult<SeaStore> {
    let writer = sqlite_pool(&options.url, 1, false).await?;
    if options.url.contains(":memory:") {
        // Each connection to memory is a database of its own, so there can be only one.
        return SeaStore::new(writer.clone(), writer).counting_leases().await;
    }
    let readers = sqlite_pool(&options.url, options.max_connections, true).await?;
    SeaStore::new(writer, readers).counting_leases().await
}

async fn sqlite_pool(url: &str, connections: u32, read_only: bool) -> StoreResult<DatabaseConnection> {
    use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
    let mut connect = ConnectOptions::new(url);
    connect
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options: SqliteConnectOptions| {
            let options = options
                .busy_timeout(Duration::from_secs(5))
                .foreign_keys(true)
                .pragma("trusted_schema", "OFF")
                .pragma("cache_size", "-65536");
            if read_only {
                options.read_only(true)
            } else {
                options
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
            }
        });
    Database::connect(connect).await.map_err(sort)
}
