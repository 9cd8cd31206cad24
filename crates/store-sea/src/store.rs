//! The store and its units of work.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::store::Queue;
use rekindle_ports::{Store, StoreError, StoreResult, Tx};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, IsolationLevel,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, TryGetable, Value,
};

use crate::error::sort;
use crate::leases::{self, LeaseClock};
use crate::sql::{Cell, Columns, Source, bind, source};

/// A database, through sea-orm.
#[derive(Debug, Clone)]
pub struct SeaStore {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    lease_clock: LeaseClock,
}

/// A unit of work on it.
pub struct SeaTx {
    db: DatabaseTransaction,
    scope: Scope,
    pub(crate) backend: DatabaseBackend,
    pub(crate) lease_clock: LeaseClock,
    /// Whether it may write, and so locks what it reads to change.
    pub(crate) writes: bool,
}

impl SeaStore {
    /// A store over two pools; they are one on Postgres.
    pub fn new(writer: DatabaseConnection, reader: DatabaseConnection) -> Self {
        Self { writer, reader, lease_clock: LeaseClock::Database }
    }

    /// The same store, whose leases go by the monotonic clock from now on: for a database that
    /// is this process's alone.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub(crate) async fn counting_leases(self) -> StoreResult<Self> {
        let (opened, at) = (Instant::now(), self.now().await?.0);
        Ok(Self { lease_clock: LeaseClock::Counted { opened, at }, ..self })
    }

    /// The pool that writes.
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Which database it is.
    pub fn backend(&self) -> DatabaseBackend {
        self.writer.get_database_backend()
    }

    async fn transaction(
        &self,
        pool: &DatabaseConnection,
        scope: Scope,
        options: TransactionOptions,
        writes: bool,
    ) -> StoreResult<Box<dyn Tx>> {
        let db = pool.begin_with_options(options).await.map_err(sort)?;
        Ok(Box::new(SeaTx { db, scope, backend: self.backend(), lease_clock: self.lease_clock, writes }))
    }
}

#[async_trait]
impl Store for SeaStore {
    async fn begin(&self, scope: Scope) -> StoreResult<Box<dyn Tx>> {
        let options = TransactionOptions {
            isolation_level: self.on_postgres(IsolationLevel::ReadCommitted),
            access_mode: None,
            sqlite_transaction_mode: self.on_sqlite(SqliteTransactionMode::Immediate),
        };
        self.transaction(&self.writer, scope, options, true).await
    }

    async fn read(&self, scope: Scope) -> StoreResult<Box<dyn Tx>> {
        let options = TransactionOptions {
            isolation_level: self.on_postgres(IsolationLevel::RepeatableRead),
            access_mode: self.on_postgres(AccessMode::ReadOnly),
            sqlite_transaction_mode: self.on_sqlite(SqliteTransactionMode::Deferred),
        };
        self.transaction(&self.reader, scope, options, false).await
    }

    async fn due_buckets(&self, queue: Queue, now: Timestamp) -> StoreResult<Vec<i16>> {
        let sql = leases::due_buckets(queue, self.backend(), self.lease_clock);
        let statement = Statement::from_sql_and_values(self.backend(), sql, [now.0.into()]);
        let rows = self.reader.query_all_raw(statement).await.map_err(sort)?;
        rows.iter().map(|row| get(row, "due", "bucket")).collect()
    }

    async fn ping(&self) -> StoreResult<()> {
        self.reader.execute_unprepared("SELECT 1").await.map_err(sort)?;
        Ok(())
    }
}

impl SeaStore {
    fn on_postgres<T>(&self, value: T) -> Option<T> {
        (self.backend() == DatabaseBackend::Postgres).then_some(value)
    }

    fn on_sqlite<T>(&self, value: T) -> Option<T> {
        (self.backend() == DatabaseBackend::Sqlite).then_some(value)
    }
}

#[async_trait]
impl Tx for SeaTx {
    fn scope(&self) -> Scope {
        self.scope
    }

    async fn limit(&mut self, time: Duration) -> StoreResult<()> {
        // SQLite has no such limit; its reads are on this machine and of this process.
        if self.backend == DatabaseBackend::Postgres {
            // 0 would mean without end.
            let sql = format!("SET LOCAL statement_timeout = {}", time.as_millis().max(1));
            self.db.execute_unprepared(&sql).await.map_err(sort)?;
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> StoreResult<()> {
        self.db.commit().await.map_err(sort)
    }
}

impl SeaTx {
    /// `bucket = 7 AND workspace = 42`, written out: constants let the planner and a
    /// distributed database choose the place at once.
    pub(crate) fn here(&self) -> String {
        self.here_in("")
    }

    /// The same for a table alias such as `e.`.
    pub(crate) fn here_in(&self, alias: &str) -> String {
        let Scope { bucket, workspace } = self.scope;
        format!("{alias}bucket = {bucket} AND {alias}workspace = {workspace}")
    }

    /// The n-th placeholder (from 1).
    pub(crate) fn bind(&self, place: usize) -> String {
        bind(self.backend, place)
    }

    /// Rows of a query.
    pub(crate) async fn all(&self, sql: &str, values: Vec<Value>) -> StoreResult<Vec<QueryResult>> {
        let statement = Statement::from_sql_and_values(self.backend, sql, values);
        self.db.query_all_raw(statement).await.map_err(sort)
    }

    /// The first row of a query.
    pub(crate) async fn one(&self, sql: &str, values: Vec<Value>) -> StoreResult<Option<QueryResult>> {
        let statement = Statement::from_sql_and_values(self.backend, sql, values);
        self.db.query_one_raw(statement).await.map_err(sort)
    }

    /// Runs a statement; rows changed.
    pub(crate) async fn run(&self, sql: &str, values: Vec<Value>) -> StoreResult<u64> {
        let statement = Statement::from_sql_and_values(self.backend, sql, values);
        Ok(self.db.execute_raw(statement).await.map_err(sort)?.rows_affected())
    }

    /// A batch as a sub-select whose placeholders begin at `first`.
    pub(crate) fn source(&self, columns: &Columns, rows: &[Vec<Cell>], first: usize) -> Source {
        source(self.backend, columns, rows, first)
    }

    /// Inserts rows in one statement; `tail` is what follows, such as `ON CONFLICT …`.
    pub(crate) async fn insert(
        &self,
        table: &str,
        columns: &Columns,
        rows: &[Vec<Cell>],
        tail: &str,
    ) -> StoreResult<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let (sql, values) = self.insert_statement(table, columns, rows, tail);
        self.run(&sql, values).await
    }

    /// Inserts rows in one statement and reads what `tail` returns.
    pub(crate) async fn insert_returning(
        &self,
        table: &str,
        columns: &Columns,
        rows: &[Vec<Cell>],
        tail: &str,
    ) -> StoreResult<Vec<QueryResult>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, values) = self.insert_statement(table, columns, rows, tail);
        self.all(&sql, values).await
    }

    fn insert_statement(
        &self,
        table: &str,
        columns: &Columns,
        rows: &[Vec<Cell>],
        tail: &str,
    ) -> (String, Vec<Value>) {
        let Source { select, values } = self.source(columns, rows, 1);
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let Scope { bucket, workspace } = self.scope;
        // `WHERE true` lets SQLite tell ON CONFLICT from a join's ON.
        let sql = format!(
            "INSERT INTO {table} (bucket, workspace, {names}) SELECT {bucket}, {workspace}, {names} FROM ({select}) AS v WHERE true {tail}"
        );
        (sql, values)
    }
}

/// Reads a column, or says which row is broken.
pub(crate) fn get<T: TryGetable>(
    row: &QueryResult,
    table: &'static str,
    column: &'static str,
) -> StoreResult<T> {
    row.try_get("", column).map_err(|error| {
        tracing::error!(table, column, %error, "a column cannot be read");
        StoreError::Corrupt { table, column, row: String::new() }
    })
}

/// Reads a column that holds JSON as text.
pub(crate) fn get_json<T: serde::de::DeserializeOwned>(
    row: &QueryResult,
    table: &'static str,
    column: &'static str,
) -> StoreResult<T> {
    let text: String = get(row, table, column)?;
    serde_json::from_str(&text).map_err(|error| {
        tracing::error!(table, column, %error, "a column holds impossible JSON");
        StoreError::Corrupt { table, column, row: String::new() }
    })
}

/// JSON of a value that always has one.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    // Our rows hold no maps with keys that are not text and no numbers that are not finite.
    serde_json::to_string(value).unwrap_or_default()
}

impl SeaStore {
    /// The database's own clock.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn now(&self) -> StoreResult<rekindle_core::Timestamp> {
        let sql = format!("SELECT {} AS now", crate::sql::database_now(self.backend()));
        let statement = Statement::from_string(self.backend(), sql);
        let row = self.reader.query_one_raw(statement).await.map_err(sort)?;
        let row = row.ok_or_else(|| StoreError::Unavailable("the database gave no time".into()))?;
        Ok(rekindle_core::Timestamp(get(&row, "now", "now")?))
    }
}
