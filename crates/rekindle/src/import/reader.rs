//! Reads files to their end: rows, events, batches.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rekindle_proto::v1;
use serde_json::{Map, Value};

use super::batch::{Batch, Origin, Rejected, Violation};
use super::csv_rows::CsvRows;
use super::identity::Identities;
use super::json_rows::JsonRows;
use super::lines::Lines;
use super::mapper;
use super::mapping::{Format, Mapping};
use super::row::{Row, Rows};
use super::source::{self, Caps};

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The files; `-` is stdin.
    pub files: Vec<PathBuf>,
    /// The mapping.
    pub mapping: Mapping,
    /// Events in a batch.
    pub batch: usize,
    /// Whether rows are kept with their events, to be told should they be rejected.
    pub keep_rows: bool,
}

/// How far the reading is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Bytes read, as they lie in the files.
    pub bytes: Arc<AtomicU64>,
    /// Rows read.
    pub rows: Arc<AtomicU64>,
}

/// What comes out of reading.
#[derive(Debug)]
pub enum Produced {
    /// Events.
    Batch(Batch),
    /// A row that makes no event.
    Rejected(Rejected),
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read further.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A file is not what the mapping says.
    #[error("{file}: {fault}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong.
        fault: String,
    },
}

/// Reads every file and hands over what comes out, until the receiver breaks off.
pub fn read_all(
    plan: &Plan,
    progress: &Progress,
    receive: &mut dyn FnMut(Produced) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut batch = Batch::default();
    for (at, path) in plan.files.iter().enumerate() {
        let name = path.display().to_string();
        let failed = |error| ReadError::Io { file: name.clone(), error };
        let reader = source::open(path, &progress.bytes, Caps::default()).map_err(failed)?;
        let rows = rows(plan, Lines::new(reader)).map_err(failed)?;
        let mut reading = FileReading {
            plan,
            at,
            name: &name,
            rows: rows.map_err(|fault| ReadError::Header { file: name.clone(), fault })?,
            identities: Identities::default(),
        };
        while let Some(result) = reading.next().map_err(failed)? {
            progress.rows.fetch_add(1, Ordering::Relaxed);
            let flow = match result {
                Ok((event, origin)) => {
                    let mut flow = ControlFlow::Continue(());
                    if !batch.takes(&event, plan.batch) {
                        flow = receive(Produced::Batch(std::mem::take(&mut batch)));
                    }
                    batch.add(event, origin);
                    flow
                }
                Err(rejected) => receive(Produced::Rejected(rejected)),
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        // Nothing comes after it, so it does not matter whether the receiver breaks off.
        let _ = receive(Produced::Batch(batch));
    }
    Ok(())
}

type Source = Box<dyn io::BufRead + Send>;

/// The rows of a file in the format that the mapping says, or that its first line shows. The
/// inner error says what is wrong with a header.
fn rows(plan: &Plan, mut lines: Lines<Source>) -> io::Result<Result<Box<dyn Rows>, String>> {
    let format = match plan.mapping.format {
        Some(format) => format,
        None => sniffed(&mut lines)?,
    };
    if format != Format::Csv {
        return Ok(Ok(Box::new(JsonRows::new(lines))));
    }
    let rows = match CsvRows::new(lines, plan.mapping.delimiter)? {
        Ok(rows) => rows,
        Err(fault) => return Ok(Err(fault)),
    };
    let missing = plan.mapping.missing(rows.header());
    if missing.is_empty() {
        return Ok(Ok(Box::new(rows)));
    }
    Ok(Err(format!("has no column {}; its columns are {}", missing.join(", "), rows.header().join(", "))))
}

/// JSONL if the first line that is not blank begins with a brace, else CSV.
fn sniffed(lines: &mut Lines<Source>) -> io::Result<Format> {
    let mut seen = Vec::new();
    let mut format = Format::Csv;
    while let Some(line) = lines.next()? {
        let first = line
            .bytes
            .as_ref()
            .and_then(|bytes| bytes.iter().find(|byte| !byte.is_ascii_whitespace()))
            .copied();
        let is_blank = line.bytes.is_some() && first.is_none();
        if first == Some(b'{') {
            format = Format::Jsonl;
        }
        if is_blank {
            continue;
        }
        seen.push(line);
        break;
    }
    lines.give_back(seen.into_iter());
    Ok(format)
}

struct FileReading<'a> {
    plan: &'a Plan,
    at: usize,
    name: &'a str,
    rows: Box<dyn Rows>,
    identities: Identities,
}

impl FileReading<'_> {
    /// The next event, or the next row that makes none.
    fn next(&mut self) -> io::Result<Option<Result<(v1::Event, Origin), Rejected>>> {
        Ok(self.rows.next()?.map(|row| self.event(row)))
    }

    fn event(&mut self, row: Row) -> Result<(v1::Event, Origin), Rejected> {
        let fields = row.fields.map_err(|reason| self.rejected(row.line, reason, Vec::new(), None))?;
        match mapper::event(&self.plan.mapping, row.line, &fields) {
            Ok(mut event) => {
                if event.id.is_empty() {
                    let numbered = self.plan.mapping.number_lines;
                    event.id = self.identities.assign(&event, numbered);
                }
                let origin =
                    Origin { file: self.at, line: row.line, fields: self.plan.keep_rows.then_some(fields) };
                Ok((event, origin))
            }
            Err(faults) => {
                let reason = "the row makes no event".to_owned();
                Err(self.rejected(row.line, reason, faults, Some(fields)))
            }
        }
    }

    fn rejected(
        &self,
        line: u64,
        reason: String,
        faults: Vec<mapper::Fault>,
        fields: Option<Map<String, Value>>,
    ) -> Rejected {
        Rejected {
            file: self.name.to_owned(),
            line,
            reason,
            violations: faults
                .into_iter()
                .map(|(field, description)| Violation { field, description })
                .collect(),
            fields: fields.filter(|_| self.plan.keep_rows),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
