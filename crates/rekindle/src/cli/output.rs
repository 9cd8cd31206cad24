//! Data on stdout: tables for people, JSON, YAML and CSV for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::cli::Failure;
use crate::render::table::{Align, Grid};

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// One JSON value
    Json,
    /// One JSON value a line
    Jsonl,
    /// RFC 4180 with a header; cells that a spreadsheet would run get a leading '
    Csv,
}

/// Sheet of cells under a header.
#[derive(Debug, Default)]
pub struct Sheet {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Cells, one for every column.
    pub cells: Vec<Vec<String>>,
    /// How columns stand in a table; left where it says nothing.
    pub aligns: Vec<Align>,
}

/// A message as proto JSON.
pub fn value(message: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(message)
        .map_err(|error| Failure::Failed(format!("a message is no proto JSON: {error}")))
}

/// Writes resources: `values` as JSON, `sheet` as table or CSV.
pub fn print(format: Format, values: &[Value], sheet: &Sheet) -> Result<(), Failure> {
    match format {
        Format::Table => print_text(&Grid::new(&sheet.header, &sheet.cells, &sheet.aligns).to_string()),
        Format::Csv => print_csv(sheet),
        Format::Json => print_json(&values),
        Format::Jsonl => print_jsonl(values),
    }
}

/// Writes text that may carry colours; they are taken out where they are not wanted.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes one value as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Writes values as JSON, one a line.
pub fn print_jsonl(values: &[Value]) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for value in values {
        serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Writes one value as YAML.
pub fn print_yaml(value: &Value) -> Result<(), Failure> {
    let text = serde_yaml_ng::to_string(value)
        .map_err(|error| Failure::Failed(format!("cannot write YAML: {error}")))?;
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Writes cells as CSV.
pub fn print_csv(sheet: &Sheet) -> Result<(), Failure> {
    write_csv(io::stdout().lock(), sheet).map_err(Failure::from)
}

fn write_csv(out: impl Write, sheet: &Sheet) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(&sheet.header)?;
    for row in &sheet.cells {
        writer.write_record(row.iter().map(|cell| guarded(cell)))?;
    }
    writer.flush()
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection).
fn guarded(cell: &str) -> String {
    let risky = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if risky && cell.parse::<f64>().is_err() { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_needs_it_and_disarms_formulas_but_not_numbers() {
        let sheet = Sheet {
            header: vec!["a".to_owned(), "b".to_owned()],
            cells: vec![
                vec!["x,y".to_owned(), "=1+1".to_owned()],
                vec!["say \"hi\"".to_owned(), "-3.5".to_owned()],
            ],
            aligns: Vec::new(),
        };
        let mut out = Vec::new();
        write_csv(&mut out, &sheet).expect("memory takes it");
        assert_eq!(String::from_utf8(out).expect("text"), "a,b\n\"x,y\",'=1+1\n\"say \"\"hi\"\"\",-3.5\n");
    }
}
