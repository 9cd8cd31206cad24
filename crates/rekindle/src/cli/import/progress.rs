//! How far an import is: a bar on a terminal, a line every ten seconds elsewhere.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::rejects::Rejects;
use crate::cli::Failure;
use crate::import::batch::Rejected;
use crate::import::reader::Progress;
use crate::import::send::Watcher;
use crate::import::window::Tally;
use crate::render::number::count;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar on stderr, or lines there.
pub struct Bar {
    drawn: ProgressBar,
    progress: Progress,
    total: Option<u64>,
    began: Instant,
    told: Instant,
}

impl Bar {
    /// A bar over `total` bytes, or a spinner where nobody knows how many there are.
    pub fn new(total: Option<u64>, progress: Progress) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = if total.is_some() {
            "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left"
        } else {
            "{spinner} {bytes}  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { drawn: bar, progress, total, began: now, told: now }
    }

    fn update(&mut self, tally: &Tally) {
        let bytes = self.progress.bytes.load(Ordering::Relaxed);
        let rows = self.progress.rows.load(Ordering::Relaxed);
        let elapsed = self.began.elapsed();
        let words = words(rows, tally, elapsed);
        self.drawn.set_position(bytes);
        self.drawn.set_message(words.clone());
        if self.drawn.is_hidden() && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let left = left(bytes, self.total, elapsed);
            eprintln!("{words}{left}");
        }
    }
}

fn words(rows: u64, tally: &Tally, elapsed: Duration) -> String {
    let rate = rows as f64 / elapsed.as_secs_f64().max(0.001);
    let mut words = format!("{} rows, {}/s", count(rows as i64), count(rate as i64));
    if tally.rejected > 0 {
        // Writing to a String cannot fail.
        let _ = write!(words, ", {} rejected", count(tally.rejected as i64));
    }
    words
}

/// How long it will take, if the rest is like the part that is read.
fn left(bytes: u64, total: Option<u64>, elapsed: Duration) -> String {
    let Some(total) = total.filter(|total| bytes > 0 && *total >= bytes) else {
        return String::new();
    };
    let rest = elapsed.as_secs_f64() * (total - bytes) as f64 / bytes as f64;
    let share = bytes as f64 * 100.0 / total as f64;
    // Years at most, whatever the rate.
    let rest = Duration::from_secs_f64(rest.clamp(0.0, 1e9));
    format!(", {share:.0}%, {} left", HumanDuration(rest))
}

/// Shows how far it is, and keeps what was rejected.
pub struct Watch {
    bar: Bar,
    rejects: Rejects,
}

impl Watch {
    /// Watches over a bar and a place for rejected rows.
    pub fn new(bar: Bar, rejects: Rejects) -> Self {
        Self { bar, rejects }
    }

    /// Shows how far it is.
    pub fn tick(&mut self, tally: &Tally) {
        self.bar.update(tally);
    }

    /// Keeps a row that was not taken.
    pub fn reject(&mut self, rejected: &Rejected) -> Result<(), Failure> {
        if let Some(words) = self.rejects.keep(rejected)? {
            self.say(&words);
        }
        Ok(())
    }

    /// Takes the bar away and writes what is left.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.bar.drawn.finish_and_clear();
        if let Some(words) = self.rejects.finish()? {
            self.say(&words);
        }
        Ok(())
    }

    fn say(&self, words: &str) {
        self.bar.drawn.suspend(|| eprintln!("{words}"));
    }
}

impl Watcher for Watch {
    fn progress(&mut self, tally: &Tally) {
        self.tick(tally);
    }

    fn rejected(&mut self, rejected: &Rejected) -> Result<(), Failure> {
        self.reject(rejected)
    }

    fn reconnecting(&mut self, why: &Failure) {
        self.say(&format!("connection lost ({why}); going on"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_part_that_is_read() {
        let elapsed = Duration::from_secs(30);
        assert_eq!(left(25, Some(100), elapsed), ", 25%, 2 minutes left");
        assert_eq!(left(0, Some(100), elapsed), "");
        assert_eq!(left(50, None, elapsed), "");
    }

    #[test]
    fn words_tell_rows_rate_and_rejected_rows() {
        let tally = Tally { rejected: 3, ..Tally::default() };
        assert_eq!(words(12_000, &tally, Duration::from_secs(2)), "12,000 rows, 6,000/s, 3 rejected");
    }
}
