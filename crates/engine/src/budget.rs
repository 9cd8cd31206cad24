//! How long a caller still waits: what is only read for it is not read any longer.
//!
//! A write is never cut short by its caller's deadline: it may have been committed already.

use std::time::{Duration, Instant};

tokio::task_local! {
    static DUE: Instant;
}

/// Does work whose caller waits for `left` and no longer.
pub async fn within<T>(left: Duration, work: impl Future<Output = T>) -> T {
    DUE.scope(Instant::now() + left, work).await
}

/// How long the caller of this still waits; nothing when it did not say.
pub(crate) fn left() -> Option<Duration> {
    DUE.try_with(|due| due.saturating_duration_since(Instant::now())).ok()
}
