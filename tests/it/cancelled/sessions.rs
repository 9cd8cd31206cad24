//! What the server's sessions do meanwhile, as `pg_stat_activity` tells.

use std::time::Duration;

use rekindle_testkit::Sql;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::surroundings::{until, when};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long a session may stand still inside a transaction: no step of ours takes as long on the
/// slowest link, and the server would end it after ten seconds.
const LONGEST: Duration = Duration::from_secs(9);
/// For what is under way when the last client is gone.
const SOON: Duration = Duration::from_secs(8);

/// Sessions of the service's database that stand still inside a transaction.
const STANDING: &str = "FROM pg_stat_activity WHERE datname = current_database() \
                        AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";

/// Somebody who looks all the time.
pub struct Sessions {
    sql: Sql,
    stop: CancellationToken,
    watching: JoinSet<i64>,
}

impl Sessions {
    /// Looks from now on.
    pub async fn watch(database: &Database) -> Self {
        let (sql, own) = (Sql::open(&database.url).await, Sql::open(&database.url).await);
        let stop = CancellationToken::new();
        let mut watching = JoinSet::new();
        let stopped = stop.clone();
        watching.spawn(async move {
            let age = format!(
                "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - state_change) * 1e6), 0)::bigint {STANDING}"
            );
            let mut longest = 0;
            while !stopped.is_cancelled() {
                longest = longest.max(own.number(&age).await);
                tokio::time::sleep(LOOK).await;
            }
            longest
        });
        Self { sql, stop, watching }
    }

    /// Waits until no transaction of before is open; the longest that one stood still.
    pub async fn end(self) -> Duration {
        let Self { sql, stop, watching } = self;
        let now = sql.texts("SELECT clock_timestamp()::text").await.remove(0);
        let open = format!("SELECT count(*) {STANDING} AND xact_start < '{now}'");
        until("no transaction is left open", SOON, async || when(sql.number(&open).await == 0)).await;
        stop.cancel();
        let longest: i64 = watching.join_all().await.into_iter().max().unwrap_or_default();
        let longest = Duration::from_micros(longest.unsigned_abs());
        assert!(longest < LONGEST, "a session stood in a transaction for {longest:?}");
        longest
    }
}
