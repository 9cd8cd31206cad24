//! What the database is asked to do now and then, beside the work.

use std::time::Duration;

use rekindle_store_sea::SeaStore;
use tokio_util::sync::CancellationToken;

/// How often the planner's knowledge is looked at; soon, for a first import fills a table in seconds.
const LOOK: Duration = Duration::from_secs(2);

/// Keeps what PostgreSQL's planner knows of our tables from falling far behind them, until `stop`.
pub async fn keep_statistics(store: SeaStore, stop: CancellationToken) {
    loop {
        match store.refresh_statistics().await {
            Ok(tables) if tables.is_empty() => {}
            Ok(tables) => tracing::debug!(?tables, "the planner's statistics were refreshed"),
            Err(error) => tracing::debug!(%error, "the planner's statistics could not be refreshed"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}
