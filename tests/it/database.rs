//! A database of a test's own that nobody but the program opens.

use std::io::Write;

use rekindle_testkit::database::{OwnDatabase, empty_postgres};
use tempfile::TempDir;

use crate::surroundings::variable;

/// An empty database; it goes when this does.
pub struct Database {
    /// `sqlite` or `postgres`.
    pub name: &'static str,
    /// How the program is told about it.
    pub url: String,
    _home: Home,
}

enum Home {
    Directory { _directory: TempDir },
    Server { _database: OwnDatabase },
}

/// A `SQLite` file that does not exist yet.
pub fn sqlite() -> Database {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", directory.path().join("rekindle.db").display());
    note("sqlite");
    Database { name: "sqlite", url, _home: Home::Directory { _directory: directory } }
}

/// A database without a schema on the `PostgreSQL` server; `None`, and that is said, without one.
pub async fn postgres() -> Option<Database> {
    let (database, options) = empty_postgres().await?;
    Some(Database { name: "postgres", url: options.url, _home: Home::Server { _database: database } })
}

/// Both kinds of database run when there is a line for each in the file of `REKINDLE_TEST_LOG`;
/// `PostgreSQL`'s is written where the database is made.
fn note(line: &str) {
    let Some(path) = variable("REKINDLE_TEST_LOG") else {
        return;
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| writeln!(file, "{line}"))
        .expect("the file named by REKINDLE_TEST_LOG can be written");
}
