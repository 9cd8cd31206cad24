//! A look into a `PostgreSQL` database beside the program, as an operator takes it.

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    Statement, TransactionTrait,
};

/// Connections of its own.
#[derive(Debug)]
pub struct Sql(DatabaseConnection);

impl Sql {
    /// A way into the database of a URL.
    pub async fn open(url: &str) -> Self {
        let mut options = ConnectOptions::new(url);
        options.max_connections(2).sqlx_logging(false);
        Self(Database::connect(options).await.expect("the server of the test answers"))
    }

    /// The first column of every row, which must be text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
        let rows = self.0.query_all_raw(statement).await.expect("a good query");
        rows.iter().map(|row| row.try_get_by_index(0).expect("a column of text")).collect()
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
        let row = self.0.query_one_raw(statement).await.expect("a good query").expect("a row");
        row.try_get_by_index(0).expect("a column of big integers")
    }

    /// Runs statements, one after the other.
    pub async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.expect("good statements");
    }

    /// Nobody writes to a table until the answer is dropped.
    pub async fn close(&self, table: &str) -> Closed {
        let transaction = self.0.begin().await.expect("a transaction");
        let lock = format!("LOCK TABLE {table} IN SHARE MODE");
        transaction.execute_unprepared(&lock).await.expect("a table of the schema");
        Closed(transaction)
    }

    /// Every row of every table, as one text for each table.
    pub async fn everything(&self) -> Vec<String> {
        let names =
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
        let mut tables = Vec::new();
        for table in self.texts(names).await {
            let rows = format!("SELECT '{table}: ' || row::text FROM {table} AS row ORDER BY row::text");
            tables.push(self.texts(&rows).await.join("\n"));
        }
        tables
    }
}

/// A table that nobody can write to.
#[derive(Debug)]
pub struct Closed(DatabaseTransaction);

impl Closed {
    /// Lets those that wait go on.
    pub async fn open(self) {
        self.0.rollback().await.expect("nothing was written");
    }
}
