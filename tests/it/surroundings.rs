//! What a test takes from around it: the time, the environment, patience, and draws that a seed repeats.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(25);

/// Now, in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a client outside the program has a clock of its own")]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as i64
}

/// A variable of the environment that says something.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where a server is")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Asks until there is an answer; panics with `what` when there is none `within` this time.
pub async fn until<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// `Some` when it holds, for [`until`].
pub fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// Draws that look random and are the same for the same seed (`SplitMix64`, Steele et al. 2014).
#[derive(Debug)]
pub struct Draws(u64);

impl Draws {
    /// Draws from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
