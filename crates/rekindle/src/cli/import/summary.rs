//! What an import has done, or would do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rekindle_proto::v1;
use serde::Serialize;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::output::{self, Format, Sheet};
use crate::import::batch::Batch;
use crate::import::reader::Progress;
use crate::import::window::Tally;
use crate::render::number::{count, duration};
use crate::render::table::Align;

/// Events that a dry run shows.
const SHOWN: usize = 5;

/// The first events of a dry run, and how many there were.
#[derive(Debug, Default)]
pub struct Preview {
    first: Vec<v1::Event>,
    mapped: u64,
}

impl Preview {
    /// Takes a batch in.
    pub fn add(&mut self, batch: Batch) {
        self.mapped += batch.events.len() as u64;
        let room = SHOWN - self.first.len();
        self.first.extend(batch.events.into_iter().take(room));
    }

    /// Prints the events, one a line, as proto JSON.
    pub fn print(&self, format: Format) -> Result<(), Failure> {
        if matches!(format, Format::Json | Format::Csv) {
            return Ok(());
        }
        let values = self.first.iter().map(output::value).collect::<Result<Vec<_>, _>>()?;
        output::print_jsonl(&values)
    }
}

/// The figures of an import.
#[derive(Debug, Serialize)]
pub struct Summary {
    read: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapped: Option<u64>,
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    refold_pending: u64,
    reconnects: u64,
    seconds: f64,
    rows_per_second: f64,
}

impl Summary {
    /// Adds up.
    pub fn new(progress: &Progress, tally: Tally, elapsed: Duration) -> Self {
        let read = progress.rows.load(Ordering::Relaxed);
        let seconds = elapsed.as_secs_f64();
        Self {
            read,
            mapped: None,
            accepted: tally.accepted,
            duplicates: tally.duplicates,
            rejected: tally.rejected,
            refold_pending: tally.refold_pending,
            reconnects: tally.reconnects,
            seconds,
            rows_per_second: read as f64 / seconds.max(0.001),
        }
    }

    /// The same for a dry run: nothing was sent.
    pub fn dry(mut self, preview: &Preview) -> Self {
        self.mapped = Some(preview.mapped);
        self
    }

    /// Prints the figures.
    pub fn print(&self, format: Format) -> Result<(), Failure> {
        let value = json!(self);
        match format {
            Format::Table => {
                for line in self.lines() {
                    output::print_text(&format!("{line}\n"))?;
                }
                Ok(())
            }
            Format::Json => output::print_json(&value),
            Format::Jsonl => output::print_jsonl(&[value]),
            Format::Csv => output::print_csv(&self.row()),
        }
    }

    /// Fails when there were rows and none was of use.
    pub fn verdict(&self) -> Result<(), Failure> {
        if self.read > 0 && self.rejected >= self.read {
            return Err(Failure::Failed("every row was rejected".to_owned()));
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let number = |value: u64| count(value as i64);
        let mut lines = vec![match self.mapped {
            Some(mapped) => format!(
                "dry run: {} read, {} mapped, {} rejected, in {} ({}/s)",
                number(self.read),
                number(mapped),
                number(self.rejected),
                duration(self.seconds),
                number(self.rows_per_second as u64),
            ),
            None => format!(
                "{} read, {} accepted, {} duplicates, {} rejected, in {} ({}/s)",
                number(self.read),
                number(self.accepted),
                number(self.duplicates),
                number(self.rejected),
                duration(self.seconds),
                number(self.rows_per_second as u64),
            ),
        }];
        if self.reconnects > 0 {
            lines.push(format!(
                "{} reconnects; events stored but not acknowledged before them count as duplicates",
                number(self.reconnects)
            ));
        }
        if self.refold_pending > 0 {
            lines.push(format!(
                "figures of {} subjects will follow in the background",
                number(self.refold_pending)
            ));
        }
        lines
    }

    fn row(&self) -> Sheet {
        let cells = [
            ("read", self.read.to_string()),
            ("accepted", self.accepted.to_string()),
            ("duplicates", self.duplicates.to_string()),
            ("rejected", self.rejected.to_string()),
            ("seconds", self.seconds.to_string()),
            ("rows_per_second", self.rows_per_second.to_string()),
        ];
        let (header, row): (Vec<_>, Vec<_>) =
            cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).unzip();
        Sheet { aligns: vec![Align::Right; header.len()], header, cells: vec![row] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(read: u64, tally: Tally) -> Summary {
        let progress = Progress::default();
        progress.rows.store(read, Ordering::Relaxed);
        Summary::new(&progress, tally, Duration::from_secs(4))
    }

    #[test]
    fn the_figures_are_told_in_a_line() {
        let tally = Tally { accepted: 21_221, duplicates: 127, ..Tally::default() };
        assert_eq!(
            summary(21_348, tally).lines(),
            ["21,348 read, 21,221 accepted, 127 duplicates, 0 rejected, in 4s (5,337/s)"]
        );
    }

    #[test]
    fn an_import_of_which_nothing_was_of_use_failed() {
        let tally = |rejected| Tally { rejected, ..Tally::default() };
        assert!(summary(3, tally(3)).verdict().is_err());
        assert!(summary(3, tally(2)).verdict().is_ok());
        assert!(summary(0, tally(0)).verdict().is_ok());
    }

    #[test]
    fn a_preview_keeps_the_first_events_and_counts_all() {
        let mut preview = Preview::default();
        for _ in 0..3 {
            let mut batch = Batch::default();
            batch.events = vec![v1::Event::default(); 4];
            preview.add(batch);
        }
        assert_eq!((preview.first.len(), preview.mapped), (5, 12));
    }
}
