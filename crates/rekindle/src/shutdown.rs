//! Stopping, step by step: say so, let go, finish, give up.
//!
//! The first signal makes health say that the process stops, and ends all claiming. After a
//! notice, in which load balancers turn away, connections are asked to go and streams get their
//! last acknowledgement. Calls and sends under way may finish until the grace period is almost
//! over; then connections are cut, and what is still being sent is recorded as unknown. A
//! second signal ends the process at once, whatever is under way.

use std::future::Future;
use std::io;
use std::time::Duration;

use rekindle_engine::loops::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The last of the grace period: time to write down what is given up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is told to stop, and when.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Claims, then sends.
    pub loops: Stop,
    /// Cancelled when connections are asked to go.
    pub drain: CancellationToken,
    /// From the first signal to that.
    notice: Duration,
    /// From that to the cutting of connections and the giving up of sends.
    calls: Duration,
    /// From that to the end, whatever is left.
    last_words: Duration,
}

impl Shutdown {
    /// A shutdown that is over after `grace`, the `notice` included.
    pub fn new(notice: Duration, grace: Duration) -> Self {
        let last_words = LAST_WORDS.min(grace / 4);
        let notice = notice.min(grace.saturating_sub(last_words));
        let calls = grace.saturating_sub(last_words + notice);
        Self { loops: Stop::default(), drain: CancellationToken::new(), notice, calls, last_words }
    }

    /// How long calls under way may go on once connections are asked to go.
    pub fn calls(&self) -> Duration {
        self.calls
    }

    /// Takes every step in its time, and gives `finished` what time there is: it completes when
    /// nothing is under way any more. `None` when the time was over first.
    pub async fn run<T>(self, finished: impl Future<Output = T>) -> Option<T> {
        tracing::info!("stopping: no more claims, sends in flight may finish");
        self.loops.claims.cancel();
        let steps = async {
            tokio::time::sleep(self.notice).await;
            self.drain.cancel();
            tokio::time::sleep(self.calls).await;
            tracing::warn!("the grace period is almost over; what is being sent is left unknown");
            self.loops.sends.cancel();
            tokio::time::sleep(self.last_words).await;
        };
        tokio::select! {
            finished = finished => Some(finished),
            () = steps => None,
        }
    }
}

/// Signals that ask the process to stop: SIGTERM and SIGINT. Each is heard from the moment
/// this is made, and none is lost between two calls of [`Signals::next`].
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let signals be heard.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Completes at the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(notice: u64, grace: u64) -> [u64; 3] {
        let shutdown = Shutdown::new(Duration::from_secs(notice), Duration::from_secs(grace));
        [shutdown.notice, shutdown.calls, shutdown.last_words].map(|span| span.as_millis() as u64)
    }

    #[test]
    fn the_steps_fill_the_grace_period_and_no_more() {
        assert_eq!(spans(5, 25), [5_000, 19_000, 1_000]);
        assert_eq!(spans(0, 2), [0, 1_500, 500]);
        assert_eq!(spans(60, 25), [24_000, 0, 1_000]);
        assert_eq!(spans(5, 0), [0, 0, 0]);
    }

    #[tokio::test]
    async fn everything_is_told_in_its_turn_and_nobody_waits_longer_than_the_grace_period() {
        let shutdown = Shutdown::new(Duration::from_millis(40), Duration::from_millis(160));
        let told = shutdown.clone();
        let told = async {
            told.loops.claims.cancelled().await;
            assert!(!told.drain.is_cancelled());
            told.drain.cancelled().await;
            assert!(!told.loops.sends.is_cancelled());
            told.loops.sends.cancelled().await;
        };
        let (over, ()) = tokio::join!(shutdown.run(std::future::pending::<()>()), told);
        assert_eq!(over, None);
    }

    #[tokio::test]
    async fn it_is_over_when_nothing_is_under_way_any_more() {
        let shutdown = Shutdown::new(Duration::from_millis(1), Duration::from_hours(1));
        let drain = shutdown.drain.clone();
        assert_eq!(shutdown.run(drain.cancelled()).await, Some(()));
    }
}
