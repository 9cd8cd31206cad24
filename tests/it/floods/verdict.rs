//! What is asked of a flood, and whether it held.

use std::time::Duration;

use super::memory::Resident;
use super::report::Report;

/// What is admitted takes no longer than this at p99, or twice what it takes without a flood.
const ADMITTED: Duration = Duration::from_millis(250);
/// What is refused is refused within this, at p99.
const REFUSED: Duration = Duration::from_millis(20);
/// The service's memory during a flood.
const MEMORY: u64 = 512 * MIB;
/// By how much it may be larger after it.
const KEPT: u64 = 64 * MIB;
const MIB: u64 = 1_024 * 1_024;

/// A flood, with the calm before and after it.
pub struct Floods {
    /// Of the database.
    pub name: &'static str,
    /// Events a second that are admitted.
    pub rate: u32,
    /// Half the rate, before.
    pub before: Report,
    /// Ten times the rate.
    pub during: Report,
    /// Half the rate, from ten seconds after it on.
    pub after: Report,
    /// Of the service.
    pub memory: Resident,
}

impl Floods {
    /// Prints what was measured and what was asked; whether all of it held.
    pub fn tell(&self) -> bool {
        let Self { name, rate, before, during, after, memory } = self;
        let bound = ADMITTED.max(2 * before.admitted.percent(99));
        println!("{name}: admission at {rate} events/s, {} events/s offered", 10 * rate);
        println!("  before  {before}");
        println!("  flood   {during}");
        println!("  after   {after}");
        let Resident { before: at_first, most, after: at_last } = *memory;
        println!("  memory  {} MiB before, {} at most, {} after", at_first / MIB, most / MIB, at_last / MIB);
        let admitted = during.admitted_events as f64 / during.seconds;
        let held = [
            within("admitted p99", during.admitted.percent(99), bound),
            within("refused p99", during.refused.percent(99), REFUSED),
            within("admitted p99 ten seconds after", after.admitted.percent(99), bound),
            told("memory at most", most <= MEMORY, &format!("{} MiB of {}", most / MIB, MEMORY / MIB)),
            told(
                "memory kept",
                at_last <= at_first + KEPT,
                &format!("{} MiB of {}", at_last.saturating_sub(at_first) / MIB, KEPT / MIB),
            ),
            told("goodput", admitted >= 0.8 * f64::from(*rate), &format!("{admitted:.0} events/s of {rate}")),
        ];
        let verdict = held.iter().all(|held| *held);
        println!("  VERDICT on {name}: {}", if verdict { "ok" } else { "FAILED" });
        verdict
    }
}

fn within(what: &str, took: Duration, bound: Duration) -> bool {
    told(what, took <= bound, &format!("{took:.1?} of {bound:.1?}"))
}

fn told(what: &str, held: bool, figures: &str) -> bool {
    println!("  {} {what}: {figures}", if held { "ok    " } else { "FAILED" });
    held
}
