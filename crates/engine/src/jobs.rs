//! Jobs that outlive the process which began them: fills and replays.

use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{EngineError, EngineResult};

/// How often jobs are looked for that nobody rang for.
const REST: Duration = Duration::from_secs(1);

/// What a turn over the jobs that run came to.
pub(crate) struct Turn {
    /// Whether there may be more to do.
    pub any: bool,
    /// Why one of them could not go on, if one could not; the log has each already.
    pub failed: Option<EngineError>,
}

impl Turn {
    /// Whether there may be more to do, for those who want to hear of failures.
    pub fn outcome(self) -> EngineResult<bool> {
        self.failed.map_or(Ok(self.any), Err)
    }
}

/// Takes turns until `stop`: one after the other while there is more to do, and else when somebody
/// rings, or after a rest.
pub(crate) async fn take_turns<F: Future<Output = EngineResult<Turn>>>(
    turn: impl Fn() -> F,
    bell: &Notify,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        // Registered before looking, so that nothing rung in between is missed.
        let rung = bell.notified();
        match turn().await {
            Ok(Turn { any: true, failed: None }) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "jobs could not be looked for"),
        }
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep(REST) => {}
            () = stop.cancelled() => {}
        }
    }
}
