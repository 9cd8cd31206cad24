//! How long a caller still waits: what is only read for it is not read any longer.
//!
//! A write is never cut short by its caller's deadline: it may have been committed already.

use std::time::{Duration, Instant};

use rekindle_ports::{StoreError, StoreResult};

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

/// When the caller of this no longer waits; nothing when it did not say.
pub(crate) fn due() -> Option<Instant> {
    DUE.try_with(|due| *due).ok()
}

/// Whether somebody still waits for what is read page by page: a database ends statements that
/// take too long, and knows nothing of what they add up to.
pub(crate) fn check(due: Option<Instant>) -> StoreResult<()> {
    if due.is_some_and(|due| due <= Instant::now()) {
        return Err(StoreError::OutOfTime("the caller no longer waits".into()));
    }
    Ok(())
}
