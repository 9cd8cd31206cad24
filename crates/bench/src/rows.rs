//! What is measured, row by row.

use std::path::PathBuf;

use crate::Fallible;
use crate::postgres::{Database, Server};
use crate::program::Program;
use crate::workload::Workload;

pub mod customer;
pub mod ended;
pub mod ingest;
pub mod large;
mod loaded;
pub mod query;
pub mod simulate;
pub mod stalls;
pub mod steps;
pub mod unary;
mod waiting;
pub mod waking;
pub mod webhooks;

/// What every row is given.
pub struct Bench {
    /// The program that is measured.
    pub program: PathBuf,
    /// The server that its databases are on.
    pub server: Server,
    /// Where files go.
    pub folder: PathBuf,
    /// 1 is the full size.
    pub scale: f64,
    /// Seed of every draw.
    pub seed: u64,
    /// Streams at once.
    pub streams: usize,
    /// Most events that an ingest row sends.
    pub events: usize,
}

/// Scale at which the rows that are small anyway have their full size.
const SMALL: f64 = 20.0;

impl Bench {
    /// So many at full size.
    fn large(&self, full: u32) -> u32 {
        ((f64::from(full) * self.scale) as u32).max(100)
    }

    /// So many at full size, which is reached at a twentieth of the scale.
    fn small(&self, full: u32) -> u32 {
        ((f64::from(full) * (self.scale * SMALL).min(1.0)) as u32).max(100)
    }

    /// Conversations that end a minute ago.
    fn workload(&self, conversations: u32, prefix: char) -> Workload {
        Workload { conversations, prefix, seed: self.seed, end: now() - 60_000_000 }
    }

    fn start(&self, database: &Database) -> Fallible<Program> {
        Program::start(&self.program, &database.url, None)
    }
}

/// Now, in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a client outside the program has a clock of its own")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as i64
}
