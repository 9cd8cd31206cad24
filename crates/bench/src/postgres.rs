//! A `PostgreSQL` of our own, set up as in production, or one that is named.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rekindle_store_sea::StoreOptions;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use tempfile::TempDir;

use crate::Fallible;

/// Settings of the server that is started here; those of a machine with this much to give.
const SETTINGS: &[&str] = &[
    "shared_buffers=2GB",
    "max_wal_size=8GB",
    "work_mem=128MB",
    "maintenance_work_mem=512MB",
    "synchronous_commit=on",
    "fsync=on",
    "max_connections=100",
];
/// Settings that are printed.
const TOLD: &[&str] = &[
    "shared_buffers",
    "max_wal_size",
    "work_mem",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "autovacuum",
    "max_parallel_workers_per_gather",
];

/// A server.
pub struct Server {
    /// `postgres://USER@HOST:PORT`, without a database.
    base: String,
    own: Option<Own>,
}

/// A server of our own, and the folder that it lives in.
struct Own {
    bin: PathBuf,
    home: TempDir,
}

/// An empty database on it, removed with [`Database::remove`].
pub struct Database {
    /// How to connect to it.
    pub url: String,
    server: String,
    name: String,
}

impl Server {
    /// The server at a URL, or a fresh one below `folder`.
    pub fn at(url: Option<&str>, folder: &Path) -> Fallible<Self> {
        let Some(url) = url else {
            return Self::start(folder);
        };
        let host = url.find("://").map_or(0, |scheme| scheme + 3);
        let end = url[host..].find('/').map_or(url.len(), |slash| host + slash);
        Ok(Self { base: url[..end].to_owned(), own: None })
    }

    fn start(folder: &Path) -> Fallible<Self> {
        let bin = newest()?;
        let home = tempfile::Builder::new().prefix("rekindle-bench-").tempdir_in(folder)?;
        let data = home.path().join("data");
        // PostgreSQL refuses to run as root.
        run(Command::new("chmod").arg("711").arg(home.path()))?;
        std::fs::create_dir(&data)?;
        if is_root()? {
            run(Command::new("chown").args(["-R", "postgres"]).arg(home.path()))?;
        }
        let initdb = bin.join("initdb");
        run(as_postgres(&initdb)?.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
        ]))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings: Vec<String> = SETTINGS.iter().map(|setting| format!("-c {setting}")).collect();
        let options = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 {}",
            home.path().display(),
            settings.join(" ")
        );
        let log = home.path().join("log");
        let mut start = as_postgres(&bin.join("pg_ctl"))?;
        run(start.arg("-D").arg(&data).arg("-l").arg(&log).args(["-w", "-s", "start", "-o", &options]))?;
        Ok(Self { base: format!("postgres://postgres@127.0.0.1:{port}"), own: Some(Own { bin, home }) })
    }

    /// A database without a schema.
    pub async fn database(&self) -> Fallible<Database> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("rekindle_bench_{}_{number}", std::process::id());
        let server = format!("{}/postgres", self.base);
        execute(&server, format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        Ok(Database { url: format!("{}/{name}", self.base), server, name })
    }

    /// Its version and the settings that matter.
    pub async fn describe(&self) -> Fallible<String> {
        let pool = connect(&format!("{}/postgres", self.base)).await?;
        let version: String = pool.fetch_one("SHOW server_version").await?.try_get(0)?;
        let mut parts = Vec::new();
        for name in TOLD {
            let value: String = pool.fetch_one(AssertSqlSafe(format!("SHOW {name}"))).await?.try_get(0)?;
            parts.push(format!("{name}={value}"));
        }
        Ok(format!("PostgreSQL {version}: {}", parts.join(", ")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            let data = own.home.path().join("data");
            let stopped = as_postgres(&own.bin.join("pg_ctl"))
                .and_then(|mut stop| run(stop.arg("-D").arg(data).args(["-m", "immediate", "-s", "stop"])));
            if let Err(error) = stopped {
                eprintln!("the PostgreSQL of the benchmarks still runs: {error}");
            }
        }
    }
}

impl Database {
    /// Gives it the current schema.
    pub async fn migrate(&self) -> Fallible<()> {
        migrate(&self.url).await
    }

    /// A pool of connections to it.
    pub async fn connect(&self) -> Fallible<PgPool> {
        connect(&self.url).await
    }

    /// Removes it, whoever is connected.
    pub async fn remove(self) -> Fallible<()> {
        execute(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}

/// Gives a database the current schema.
pub async fn migrate(url: &str) -> Fallible<()> {
    let options = StoreOptions { url: url.to_owned(), max_connections: 1 };
    let store = rekindle_store_sea::open(&options, true).await?;
    store.writer().clone().close().await?;
    Ok(())
}

async fn connect(url: &str) -> Fallible<PgPool> {
    Ok(PgPoolOptions::new().max_connections(4).connect(url).await?)
}

async fn execute(url: &str, sql: String) -> Fallible<()> {
    let pool = connect(url).await?;
    pool.execute(AssertSqlSafe(sql)).await?;
    pool.close().await;
    Ok(())
}

/// The programs of the newest server on this machine.
fn newest() -> Fallible<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .map_err(|error| format!("no PostgreSQL is installed: {error}"))?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    Ok(found.pop().ok_or("no PostgreSQL server is installed; name one with --postgres")?.1)
}

fn is_root() -> Fallible<bool> {
    let id = Command::new("id").arg("-u").output()?;
    Ok(id.stdout.trim_ascii() == b"0")
}

fn as_postgres(program: &Path) -> Fallible<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    Ok(command)
}

fn run(command: &mut Command) -> Fallible<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
