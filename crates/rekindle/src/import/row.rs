//! Rows: what a line, or several lines of CSV, say.

use std::io;

use serde_json::{Map, Value};

/// A row of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its fields by name, or why it cannot be read.
    pub fields: Result<Map<String, Value>, String>,
}

impl Row {
    /// A row that cannot be read.
    pub fn unreadable(line: u64, why: impl Into<String>) -> Self {
        Self { line, fields: Err(why.into()) }
    }
}

/// Something that gives rows.
pub trait Rows {
    /// The next row; `None` at the end. An error ends the file.
    fn next(&mut self) -> io::Result<Option<Row>>;
}
