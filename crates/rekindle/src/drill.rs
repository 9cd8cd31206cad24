//! What tests may do to a debug build: let it die or fail at a failpoint, and set its clock ahead.
//!
//! `REKINDLE_FAILPOINTS=step:after-commit=abort@2,ingest:before-commit=fail@1` ends the process
//! the second time it is at the one, and lets the first commit at the other fail.
//! `REKINDLE_CLOCK_AHEAD_SECONDS=86400` lets business time run a day ahead of the database's
//! clock: what waits for tomorrow happens now. A release build knows neither.

use std::sync::Arc;

use rekindle_engine::{Engine, Parts};
use rekindle_ports::Clock;

/// The engine, with the failpoints that are asked for.
///
/// # Errors
/// Says which failpoint is not one.
#[cfg(not(debug_assertions))]
#[expect(clippy::unnecessary_wraps, reason = "a debug build has something to refuse")]
pub fn engine(parts: Parts) -> Result<Engine, String> {
    Ok(Engine::new(parts))
}

/// The clock, as far ahead as it is asked to be.
///
/// # Errors
/// Says what is no number of seconds.
#[cfg(not(debug_assertions))]
#[expect(clippy::unnecessary_wraps, reason = "a debug build has something to refuse")]
pub fn clock(clock: Arc<dyn Clock>) -> Result<Arc<dyn Clock>, String> {
    Ok(clock)
}

#[cfg(debug_assertions)]
pub use asked::{clock, engine};

#[cfg(debug_assertions)]
mod asked {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use rekindle_core::Timestamp;
    use rekindle_core::time::SECOND;
    use rekindle_engine::failpoint::{Failpoint, Fate, NoProbe, Probe};

    use super::{Arc, Clock, Engine, Parts};

    const FAILPOINTS: &str = "REKINDLE_FAILPOINTS";
    const AHEAD: &str = "REKINDLE_CLOCK_AHEAD_SECONDS";

    pub fn engine(parts: Parts) -> Result<Engine, String> {
        let probe: Arc<dyn Probe> = match crate::variable(FAILPOINTS) {
            Some(text) => Arc::new(Drill::parse(&text)?),
            None => Arc::new(NoProbe),
        };
        Ok(Engine::probed(parts, probe))
    }

    pub fn clock(clock: Arc<dyn Clock>) -> Result<Arc<dyn Clock>, String> {
        let Some(text) = crate::variable(AHEAD) else {
            return Ok(clock);
        };
        let seconds: i64 = text.parse().map_err(|_| format!("{AHEAD}: {text:?} is no number of seconds"))?;
        Ok(Arc::new(Ahead { clock, by: seconds * SECOND }))
    }

    /// A clock that runs ahead of another.
    struct Ahead {
        clock: Arc<dyn Clock>,
        by: i64,
    }

    #[async_trait]
    impl Clock for Ahead {
        async fn now(&self) -> Timestamp {
            self.clock.now().await.plus(self.by)
        }
    }

    /// What is to happen, and when.
    #[derive(Debug)]
    struct Drill(Vec<Blow>);

    #[derive(Debug)]
    struct Blow {
        at: Failpoint,
        dies: bool,
        /// Times that it is still passed, this one included.
        left: AtomicU32,
    }

    impl Drill {
        fn parse(text: &str) -> Result<Self, String> {
            let wrong = || format!("{FAILPOINTS}: {text:?} is no list of NAME=abort@N or NAME=fail@N");
            let blow = |entry: &str| {
                let (name, what) = entry.split_once('=')?;
                let (what, count) = what.split_once('@')?;
                let dies = match what {
                    "abort" => true,
                    "fail" => false,
                    _ => return None,
                };
                let left = AtomicU32::new(count.parse().ok()?);
                Some(Blow { at: Failpoint::named(name)?, dies, left })
            };
            text.split(',').map(|entry| blow(entry).ok_or_else(wrong)).collect::<Result<_, _>>().map(Self)
        }
    }

    impl Probe for Drill {
        fn reached(&self, failpoint: Failpoint) -> Fate {
            for blow in self.0.iter().filter(|blow| blow.at == failpoint) {
                let passed = |left: u32| left.checked_sub(1);
                if blow.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, passed) != Ok(1) {
                    continue;
                }
                eprintln!("failpoint {}", failpoint.name());
                if blow.dies {
                    // As after SIGKILL: nothing is unwound, flushed or said.
                    std::process::abort();
                }
                return Fate::Fail;
            }
            Fate::GoOn
        }
    }

    #[cfg(test)]
    mod tests {
        use rekindle_engine::failpoint::Unit;

        use super::*;

        #[test]
        fn a_commit_fails_once_when_it_is_its_turn() {
            let drill = Drill::parse("step:after-commit=fail@2,sent=abort@9").expect("a list");
            let at = Failpoint::AfterCommit(Unit::Step);
            let fates = [1, 2, 3].map(|_| drill.reached(at));
            assert_eq!(fates, [Fate::GoOn, Fate::Fail, Fate::GoOn]);
            assert_eq!(drill.reached(Failpoint::BeforeCommit(Unit::Step)), Fate::GoOn);
        }

        #[test]
        fn what_is_no_list_is_refused() {
            for text in ["", "step:after-commit", "step=abort@1", "sent=abort", "sent=stop@1", "sent=abort@x"]
            {
                assert!(Drill::parse(text).is_err(), "{text:?}");
            }
        }
    }
}
