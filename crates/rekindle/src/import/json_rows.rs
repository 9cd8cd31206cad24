//! JSONL: one JSON object a line.

use std::io::{self, BufRead};

use serde_json::Value;

use super::lines::{Lines, MAX_LINE};
use super::row::{Row, Rows};

/// The rows of a JSONL file. Blank lines are passed over.
pub struct JsonRows<R> {
    lines: Lines<R>,
}

impl<R: BufRead> JsonRows<R> {
    /// Reads from the first line.
    pub fn new(lines: Lines<R>) -> Self {
        Self { lines }
    }
}

impl<R: BufRead> Rows for JsonRows<R> {
    fn next(&mut self) -> io::Result<Option<Row>> {
        while let Some(line) = self.lines.next()? {
            let Some(bytes) = line.bytes else {
                let why = format!("the line is longer than {MAX_LINE} bytes");
                return Ok(Some(Row::unreadable(line.number, why)));
            };
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Ok(Some(parse(line.number, &bytes)));
        }
        Ok(None)
    }
}

fn parse(line: u64, bytes: &[u8]) -> Row {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Row { line, fields: Ok(fields) },
        Ok(_) => Row::unreadable(line, "is no JSON object"),
        Err(error) => Row::unreadable(line, format!("is no JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_line_is_told_and_the_next_is_read() {
        let text = b"{\"a\":1}\n\n[1]\n{\"a\":\n\"\\ud800\"\n{\"b\":\"x\"}";
        let mut rows = JsonRows::new(Lines::new(&text[..]));
        let mut found = Vec::new();
        while let Some(row) = rows.next().expect("memory reads") {
            found.push((row.line, row.fields.is_ok()));
        }
        assert_eq!(found, [(1, true), (3, false), (4, false), (5, false), (6, true)]);
    }

    #[test]
    fn nesting_without_end_is_no_crash() {
        let deep = "[".repeat(MAX_LINE);
        let mut rows = JsonRows::new(Lines::new(deep.as_bytes()));
        let row = rows.next().expect("memory reads").expect("a row");
        assert!(row.fields.is_err());
    }
}
