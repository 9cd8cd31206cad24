//! One process owns a `SQLite` file: whoever comes second is refused.
//!
//! `SQLite` itself lets several processes write in turn; but lease times, the wake-up of loops
//! and the group commit count on there being one. The lock is on a file of its own beside the
//! database, and the system gives it back when its holder dies, however it does.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rekindle_ports::{StoreError, StoreResult};

/// The right to open a database; it goes when this does.
#[derive(Debug)]
pub struct Owner {
    _lock: Option<File>,
}

impl Owner {
    /// Takes a database for this process. Servers, and databases in memory, are for all.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when another process has it, or the lock file cannot be made.
    pub fn of(url: &str) -> StoreResult<Self> {
        let lock = lock_file(url).map(|path| lock(&path)).transpose()?;
        Ok(Self { _lock: lock })
    }
}

/// The lock file of a database that has one.
pub fn lock_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or_default();
    let in_memory = path.is_empty() || url.contains(":memory:") || url.contains("mode=memory");
    (!in_memory).then(|| PathBuf::from(format!("{path}.lock")))
}

fn lock(path: &Path) -> StoreResult<File> {
    let refused = |why: String| StoreError::Refused(format!("{}: {why}", path.display()).into());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| refused(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refused(
            "another process owns this database; a SQLite file has one owner, PostgreSQL any number".into(),
        )),
        Err(TryLockError::Error(error)) => Err(refused(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_has_an_owner() {
        let lock = |url| lock_file(url).map(|path| path.display().to_string());
        assert_eq!(lock("sqlite:a.db"), Some("a.db.lock".into()));
        assert_eq!(lock("sqlite:///var/lib/a.db?mode=rwc"), Some("/var/lib/a.db.lock".into()));
        for url in ["sqlite::memory:", "sqlite:file:x?mode=memory", "postgres://localhost/a"] {
            assert_eq!(lock(url), None, "{url}");
        }
    }

    #[test]
    fn a_file_has_one_owner_at_a_time() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:{}", directory.path().join("a.db").display());
        let first = Owner::of(&url).expect("nobody has it");
        assert!(matches!(Owner::of(&url), Err(StoreError::Refused(_))));
        drop(first);
        assert!(Owner::of(&url).is_ok());
    }
}
