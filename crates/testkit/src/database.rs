//! Databases of a test's own: `SQLite` always, `PostgreSQL` when there is a server.

use std::collections::BTreeMap;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_store_sea::{SeaStore, StoreOptions, open};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, QueryResult, Statement,
    TransactionTrait,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Where the server is: any database of it, by a user who may create others.
const SERVER: &str = "TEST_DATABASE_URL";
/// A file that gets a line for every database made, to show that both kinds ran.
const LOG: &str = "REKINDLE_TEST_LOG";
const CONNECTIONS: u32 = 5;

/// A fresh database with the current schema; it goes when this does.
#[derive(Debug)]
pub struct TestDatabase {
    /// `sqlite` or `postgres`.
    pub name: &'static str,
    /// The store over it.
    pub store: SeaStore,
    /// How to open it once more.
    pub options: StoreOptions,
    // Dropped in this order: the store's connections, then what they are connected to.
    _home: Home,
}

#[derive(Debug)]
enum Home {
    Directory { _directory: TempDir },
    Server { _database: OwnDatabase },
}

impl TestDatabase {
    /// Runs a statement past the store, to make rows that it never writes; rows changed.
    pub async fn execute(&self, sql: &str) -> u64 {
        let answer = self.store.writer().execute_unprepared(sql).await;
        answer.expect("a statement of both databases").rows_affected()
    }

    /// When the timers of a workspace are due, by subject; the workspace has one funnel.
    pub async fn timers(&self, scope: Scope) -> BTreeMap<Uuid, Timestamp> {
        let Scope { bucket, workspace } = scope;
        let sql =
            format!("SELECT subject, due_at FROM timers WHERE bucket = {bucket} AND workspace = {workspace}");
        let statement = Statement::from_string(self.store.backend(), sql);
        let rows = self.store.writer().query_all_raw(statement).await.expect("a table of the schema");
        let timer = |row: &QueryResult| -> Result<(Uuid, Timestamp), DbErr> {
            Ok((row.try_get("", "subject")?, Timestamp(row.try_get("", "due_at")?)))
        };
        rows.iter().map(|row| timer(row).expect("columns of the schema")).collect()
    }

    /// Keeps everybody from a table, readers too, until the lock goes; `PostgreSQL` only.
    pub async fn lock(&self, table: &str) -> TableLock {
        let held = self.store.writer().begin().await.expect("a transaction");
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        held.execute_unprepared(&lock).await.expect("nobody works there");
        TableLock(held)
    }
}

/// A table that nobody may read.
#[derive(Debug)]
pub struct TableLock(DatabaseTransaction);

impl TableLock {
    /// Lets everybody in again.
    pub async fn release(self) {
        self.0.rollback().await.expect("open until now");
    }
}

/// The databases that a test runs on.
pub async fn databases() -> Vec<TestDatabase> {
    let mut databases = vec![sqlite().await];
    databases.extend(postgres().await);
    databases
}

/// A fresh `SQLite` file.
pub async fn sqlite() -> TestDatabase {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", directory.path().join("rekindle.db").display());
    let options = StoreOptions { url, max_connections: CONNECTIONS };
    let store = open(&options, true).await.expect("a new file can be opened");
    log("sqlite");
    TestDatabase { name: "sqlite", store, options, _home: Home::Directory { _directory: directory } }
}

/// A fresh database on the `PostgreSQL` server, if one is named.
pub async fn postgres() -> Option<TestDatabase> {
    let (database, options) = empty_postgres().await?;
    let store = open(&options, true).await.expect("a new database can be opened");
    Some(TestDatabase { name: "postgres", store, options, _home: Home::Server { _database: database } })
}

/// A database on the server without a schema; dropped with the first part.
pub async fn empty_postgres() -> Option<(OwnDatabase, StoreOptions)> {
    Some(empty_on(postgres_server()?).await)
}

/// A database without a schema on any server; dropped with the first part.
pub async fn empty_on(server: String) -> (OwnDatabase, StoreOptions) {
    let database = OwnDatabase::create(server).await;
    log("postgres");
    let options = StoreOptions { url: database.url(), max_connections: CONNECTIONS };
    (database, options)
}

/// The server to test against; `None`, and that is said once, when none is named.
pub fn postgres_server() -> Option<String> {
    let server = variable(SERVER);
    if server.is_none() {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            // Past the test harness, which keeps what passing tests print to itself.
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "postgres: skipped ({SERVER} is not set)");
        });
    }
    server
}

/// A database on the server that is dropped when this is.
#[derive(Debug)]
pub struct OwnDatabase {
    server: String,
    name: String,
}

impl OwnDatabase {
    async fn create(server: String) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("rekindle_{}_{number}_{}", std::process::id(), test_name());
        let own = Self { server, name };
        let connection = own.connect().await;
        let name = &own.name;
        let create = format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0");
        // A collation that is far from the order of bytes, where the server has one:
        // nothing may depend on how a database sorts texts.
        let far = format!("{create} LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
        if connection.execute_unprepared(&far).await.is_err() {
            connection.execute_unprepared(&create).await.expect("a database of our own");
        }
        connection.close().await.expect("the connection closes");
        own
    }

    /// How to connect to it.
    pub fn url(&self) -> String {
        let (address, query) = match self.server.split_once('?') {
            Some((address, query)) => (address, format!("?{query}")),
            None => (self.server.as_str(), String::new()),
        };
        let host = address.find("://").map_or(0, |scheme| scheme + 3);
        let end = address[host..].find('/').map_or(address.len(), |slash| host + slash);
        format!("{}/{}{query}", &address[..end], self.name)
    }

    async fn connect(&self) -> DatabaseConnection {
        Database::connect(&self.server).await.expect("the server of TEST_DATABASE_URL")
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A runtime cannot be entered twice on a thread, and a test's may be gone already.
        let dropped = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        let connection =
                            Database::connect(&self.server).await.map_err(std::io::Error::other)?;
                        connection.execute_unprepared(&drop).await.map_err(std::io::Error::other)?;
                        connection.close().await.map_err(std::io::Error::other)
                    })
                })
                .join()
        });
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!("{} is left behind: {dropped:?}", self.name);
        }
    }
}

/// The running test's name as part of an identifier; identifiers hold 63 bytes.
fn test_name() -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("test");
    let last = name.rsplit("::").next().unwrap_or(name);
    last.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(30).collect()
}

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where a server is")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn log(line: &str) {
    use std::io::Write;
    let Some(path) = variable(LOG) else {
        return;
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .expect("the file named by REKINDLE_TEST_LOG can be written");
}
