//! The replay: an hour and a half of business time, a minute at a time.

use indicatif::{ProgressBar, ProgressStyle};
use rekindle_core::scope::Scope;
use rekindle_core::time::MINUTE;
use rekindle_engine::error::EngineResult;

use super::clock::DevClock;
use super::sample::Sample;
use crate::wire::App;

/// How long the clock runs on after the last event, so that the last silences show.
const AFTERMATH: i64 = 30 * MINUTE;

/// Ingests each minute's events at that minute, and lets the loops do what is due then.
pub async fn run(app: &App, scope: Scope, clock: &DevClock, sample: &Sample) -> EngineResult<()> {
    let end = sample.ends_at.plus(AFTERMATH);
    let minutes = end.since(sample.starts_at) / MINUTE;
    let bar = ProgressBar::new(minutes as u64).with_style(style());
    let mut rest = sample.events.as_slice();
    let mut now = sample.starts_at;
    while now <= end {
        clock.set(now);
        let (due, later) = rest.split_at(rest.partition_point(|event| event.occurred_at <= now));
        rest = later;
        if !due.is_empty() {
            app.engine.ingest(scope, due.to_vec()).await?;
        }
        app.loops.drain().await?;
        bar.set_message(now.to_rfc3339());
        bar.inc(1);
        now = now.plus(MINUTE);
    }
    bar.finish_and_clear();
    Ok(())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("  {bar:40} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}
