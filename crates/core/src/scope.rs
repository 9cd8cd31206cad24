//! Workspaces and the buckets that spread them.

use xxhash_rust::xxh3::xxh3_64;

/// Number of buckets: every key begins with one, so that a distributed database can spread them.
pub const BUCKETS: i16 = 64;

/// The workspace that a unit of work belongs to; no row can be touched without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// Stable hash of the workspace's key modulo [`BUCKETS`].
    pub bucket: i16,
    /// Key of the workspace: a stable hash of its name.
    pub workspace: i64,
}

impl Scope {
    /// The scope of the workspace with this name.
    pub fn of(workspace: &str) -> Self {
        let key = (xxh3_64(workspace.as_bytes()) >> 1) as i64;
        Self { bucket: (key % i64::from(BUCKETS)) as i16, workspace: key }
    }
}
