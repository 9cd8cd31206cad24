//! Lease time: what claims are measured by, and nothing else.

use std::borrow::Cow;
use std::time::Instant;

use sea_orm::DatabaseBackend;

use crate::sql::database_now;

/// The clock of leases.
///
/// All replicas share PostgreSQL's. A SQLite file has one process, and its clock is that process's
/// wall clock: somebody who sets it forward would end every claim at once, and whoever is being
/// written to at that moment would be written to twice. So there it is read once, and counted on
/// from by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LeaseClock {
    /// The database's, at every statement.
    Database,
    /// Microseconds since the epoch when the file was opened, and that moment.
    Counted {
        /// The moment.
        opened: Instant,
        /// What the database's clock said then.
        at: i64,
    },
}

impl LeaseClock {
    /// Now, as SQL.
    pub(crate) fn now(self, backend: DatabaseBackend) -> Cow<'static, str> {
        match self {
            Self::Database => database_now(backend).into(),
            Self::Counted { opened, at } => (at + opened.elapsed().as_micros() as i64).to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_clock_goes_on_from_where_the_file_was_opened() {
        let clock = LeaseClock::Counted { opened: Instant::now(), at: 1_000_000 };
        let told = || clock.now(DatabaseBackend::Sqlite).parse::<i64>().expect("a number");
        let (first, second) = (told(), told());
        assert!(1_000_000 <= first && first <= second, "{first}, {second}");
        let postgres = LeaseClock::Database.now(DatabaseBackend::Postgres);
        assert!(postgres.contains("clock_timestamp"), "{postgres}");
    }
}
