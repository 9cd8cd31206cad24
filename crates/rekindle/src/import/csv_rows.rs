//! CSV by RFC 4180: a header, quotes, and line feeds inside quotes, every row of bounded length.
//!
//! A quote opens a quoted field only where a field begins; anywhere else it is a letter. A quote
//! that is never closed costs the line it stands on and nothing after it.

use std::io::{self, BufRead};

use serde_json::{Map, Value};

use super::lines::{Line, Lines, MAX_LINE};
use super::row::{Row, Rows};

/// What can stand between fields, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The rows of a CSV file, by the names in its header.
pub struct CsvRows<R> {
    lines: Lines<R>,
    delimiter: u8,
    header: Vec<String>,
}

impl<R: BufRead> CsvRows<R> {
    /// Reads the header. Without a delimiter, the one that stands most often in it is taken.
    ///
    /// The error says what is wrong with the header.
    pub fn new(mut lines: Lines<R>, delimiter: Option<u8>) -> io::Result<Result<Self, String>> {
        let (delimiter, header) = loop {
            let Some(line) = lines.next()? else {
                return Ok(Err("is empty: a header is needed".to_owned()));
            };
            let Some(bytes) = &line.bytes else {
                return Ok(Err(format!("the header is longer than {MAX_LINE} bytes")));
            };
            if bytes.is_empty() {
                continue;
            }
            let delimiter = delimiter.unwrap_or_else(|| likeliest(bytes));
            lines.give_back(std::iter::once(line));
            match record(&mut lines, delimiter)? {
                Some(Record { fields: Ok(fields), .. }) => break (delimiter, fields),
                _ => return Ok(Err("the header cannot be read".to_owned())),
            }
        };
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        for (at, name) in header.iter().enumerate() {
            if header[..at].contains(name) {
                return Ok(Err(format!("the header has column `{name}` twice")));
            }
        }
        Ok(Ok(Self { lines, delimiter, header }))
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    fn named(&self, fields: Vec<String>) -> Result<Map<String, Value>, String> {
        if fields.len() != self.header.len() {
            return Err(format!("has {} fields, the header {}", fields.len(), self.header.len()));
        }
        let values = fields.into_iter().map(Value::String);
        Ok(self.header.iter().cloned().zip(values).collect())
    }
}

impl<R: BufRead> Rows for CsvRows<R> {
    fn next(&mut self) -> io::Result<Option<Row>> {
        let Some(record) = record(&mut self.lines, self.delimiter)? else {
            return Ok(None);
        };
        Ok(Some(Row { line: record.line, fields: record.fields.and_then(|fields| self.named(fields)) }))
    }
}

/// The fields of one or more lines.
struct Record {
    line: u64,
    fields: Result<Vec<String>, String>,
}

/// The next record that is not blank.
fn record<R: BufRead>(lines: &mut Lines<R>, delimiter: u8) -> io::Result<Option<Record>> {
    loop {
        let Some(first) = lines.next()? else {
            return Ok(None);
        };
        let line = first.number;
        let Some(bytes) = first.bytes.clone() else {
            let why = format!("the line is longer than {MAX_LINE} bytes");
            return Ok(Some(Record { line, fields: Err(why) }));
        };
        if bytes.is_empty() {
            continue;
        }
        let fields = match joined(lines, bytes, delimiter)? {
            Some(bytes) => split(&bytes, delimiter),
            None => Err("a quote is opened and never closed".to_owned()),
        };
        return Ok(Some(Record { line, fields }));
    }
}

/// The bytes of a record: its first line, and further ones while a quote is open. `None` if the
/// quote is never closed; the further lines are then given back.
fn joined<R: BufRead>(
    lines: &mut Lines<R>,
    mut bytes: Vec<u8>,
    delimiter: u8,
) -> io::Result<Option<Vec<u8>>> {
    let mut scan = Scan::FieldStart;
    scan.pass(&bytes, delimiter);
    let mut further: Vec<Line> = Vec::new();
    while scan == Scan::Quoted {
        let next = lines.next()?;
        let fits = next
            .as_ref()
            .and_then(|line| line.bytes.as_ref())
            .filter(|more| bytes.len() + more.len() < MAX_LINE);
        let Some(more) = fits else {
            lines.give_back(further.into_iter().chain(next));
            return Ok(None);
        };
        bytes.push(b'\n');
        bytes.extend_from_slice(more);
        scan.pass(more, delimiter);
        further.extend(next);
    }
    Ok(Some(bytes))
}

/// Where in a record a scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted field: its end, or half of a doubled quote.
    QuoteSeen,
}

impl Scan {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuoteSeen,
            (Self::FieldStart | Self::QuoteSeen, b'"') | (Self::Quoted, _) => Self::Quoted,
            (_, byte) if byte == delimiter => Self::FieldStart,
            _ => Self::Plain,
        }
    }

    fn pass(&mut self, bytes: &[u8], delimiter: u8) {
        for byte in bytes {
            *self = self.after(*byte, delimiter);
        }
    }
}

/// Takes a whole record apart.
fn split(record: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let mut fields = vec![Vec::new()];
    let mut scan = Scan::FieldStart;
    for &byte in record {
        let next = scan.after(byte, delimiter);
        let is_letter = match (scan, next) {
            (Scan::FieldStart, Scan::Quoted) | (Scan::Quoted, Scan::QuoteSeen) => false,
            (_, Scan::FieldStart) => {
                fields.push(Vec::new());
                false
            }
            _ => true,
        };
        if is_letter && let Some(field) = fields.last_mut() {
            field.push(byte);
        }
        scan = next;
    }
    fields
        .into_iter()
        .map(|field| String::from_utf8(field).map_err(|_| "is no UTF-8 text".to_owned()))
        .collect()
}

fn likeliest(header: &[u8]) -> u8 {
    let often = |delimiter: u8| header.split(|byte| *byte == delimiter).count();
    // `max_by_key` gives the last of equals; the likeliest stand first.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| often(*delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, Result<Value, String>)> {
        let mut rows = CsvRows::new(Lines::new(text), None).expect("memory reads").expect("a header");
        let mut found = Vec::new();
        while let Some(row) = rows.next().expect("memory reads") {
            found.push((row.line, row.fields.map(Value::Object)));
        }
        found
    }

    fn header_fault(text: &[u8]) -> String {
        CsvRows::new(Lines::new(text), None).expect("memory reads").err().expect("a fault")
    }

    #[test]
    fn quotes_hold_delimiters_quotes_and_line_feeds() {
        let rows =
            read(b"\xef\xbb\xbfa,\"b c\"\r\n1,\"x, \"\"y\"\"\"\r\n\r\n2,\"line one\r\nline two\"\r\n3,\n");
        assert_eq!(
            rows,
            [
                (2, Ok(json!({"a": "1", "b c": "x, \"y\""}))),
                (4, Ok(json!({"a": "2", "b c": "line one\nline two"}))),
                (6, Ok(json!({"a": "3", "b c": ""}))),
            ]
        );
    }

    #[test]
    fn a_quote_inside_a_plain_field_is_a_letter() {
        let rows = read(b"a,b\n5\" disk,\"q\"x\n");
        assert_eq!(rows, [(2, Ok(json!({"a": "5\" disk", "b": "qx"})))]);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_only_its_own_line() {
        let rows = read(b"a,b\n1,\"open\n2,ok\n3,ok\n");
        assert_eq!(rows[0], (2, Err("a quote is opened and never closed".to_owned())));
        assert_eq!(rows[1], (3, Ok(json!({"a": "2", "b": "ok"}))));
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn a_row_with_too_few_fields_or_wrong_bytes_is_told() {
        let rows = read(b"a,b\n1\n1,2,3\n\xff,2\n4,5\n");
        assert_eq!(rows[0].1, Err("has 1 fields, the header 2".to_owned()));
        assert_eq!(rows[1].1, Err("has 3 fields, the header 2".to_owned()));
        assert_eq!(rows[2].1, Err("is no UTF-8 text".to_owned()));
        assert!(rows[3].1.is_ok());
    }

    #[test]
    fn a_row_that_is_too_long_is_told_and_the_next_is_read() {
        let mut text = b"a\n".to_vec();
        text.extend(vec![b'x'; MAX_LINE + 1]);
        text.extend(b"\nok\n");
        let rows = read(&text);
        assert!(rows[0].1.as_ref().expect_err("too long").contains("longer"));
        assert_eq!(rows[1], (3, Ok(json!({"a": "ok"}))));
    }

    #[test]
    fn the_delimiter_is_found_in_the_header() {
        assert_eq!(read(b"a;b\n1,5;2\n")[0].1, Ok(json!({"a": "1,5", "b": "2"})));
        assert_eq!(read(b"a\tb\n1\t2\n")[0].1, Ok(json!({"a": "1", "b": "2"})));
        assert_eq!(read(b"only\nx\n")[0].1, Ok(json!({"only": "x"})));
    }

    #[test]
    fn a_header_that_cannot_be_one_is_refused() {
        assert!(header_fault(b"").contains("empty"));
        assert!(header_fault(b"a,b,a\n").contains("`a` twice"));
        assert!(header_fault(b"a,\"b\n").contains("cannot be read"));
    }
}
