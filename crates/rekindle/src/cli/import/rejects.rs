//! Rejected rows: the first few are told, all of them go to a file if one is named.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::import::batch::Rejected;

/// How many rejected rows are told on the terminal.
const TOLD: u64 = 5;

/// Where rejected rows go.
pub struct Rejects {
    file: Option<(PathBuf, BufWriter<File>)>,
    count: u64,
}

impl Rejects {
    /// Creates the file, if one is named.
    pub fn create(path: Option<&Path>) -> Result<Self, Failure> {
        let file = path
            .map(|path| {
                File::create(path)
                    .map(|file| (path.to_owned(), BufWriter::new(file)))
                    .map_err(|error| Failure::Invalid(format!("{}: {error}", path.display())))
            })
            .transpose()?;
        Ok(Self { file, count: 0 })
    }

    /// Keeps a row. Returns what to tell about it, for the first few.
    pub fn keep(&mut self, rejected: &Rejected) -> Result<Option<String>, Failure> {
        self.count += 1;
        if let Some((path, file)) = &mut self.file {
            serde_json::to_writer(&mut *file, rejected)
                .map_err(std::io::Error::from)
                .and_then(|()| file.write_all(b"\n"))
                .map_err(|error| unwritable(path, &error))?;
        }
        Ok((self.count <= TOLD).then(|| told(rejected)))
    }

    /// Writes what is left, and says how many rows were told nowhere.
    pub fn finish(&mut self) -> Result<Option<String>, Failure> {
        if let Some((path, file)) = &mut self.file {
            file.flush().map_err(|error| unwritable(path, &error))?;
            return Ok(None);
        }
        let untold = self.count.saturating_sub(TOLD);
        Ok((untold > 0).then(|| format!("{untold} more rejected rows; --rejects FILE keeps them")))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

fn told(rejected: &Rejected) -> String {
    let mut text = format!("{}:{}: {}", rejected.file, rejected.line, rejected.reason);
    for violation in &rejected.violations {
        text.push_str("\n  ");
        text.push_str(&violation.field);
        text.push_str(": ");
        text.push_str(&violation.description);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::import::batch::Violation;

    fn rejected(line: u64) -> Rejected {
        Rejected {
            file: "a.csv".to_owned(),
            line,
            reason: "the row makes no event".to_owned(),
            violations: vec![Violation { field: "type".to_owned(), description: "is missing".to_owned() }],
            fields: json!({"x": "1"}).as_object().cloned(),
        }
    }

    #[test]
    fn every_row_goes_to_the_file_and_the_first_few_are_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rejects.jsonl");
        let mut rejects = Rejects::create(Some(&path)).expect("a file");
        let told: Vec<Option<String>> =
            (1..=6).map(|line| rejects.keep(&rejected(line)).expect("kept")).collect();
        rejects.finish().expect("written");
        assert_eq!(told[0].as_deref(), Some("a.csv:1: the row makes no event\n  type: is missing"));
        assert_eq!(told[5], None);
        let text = std::fs::read_to_string(&path).expect("a file");
        let last: Value = serde_json::from_str(text.lines().last().expect("lines")).expect("JSON");
        assert_eq!(
            last,
            json!({
                "file": "a.csv", "line": 6, "reason": "the row makes no event",
                "violations": [{"field": "type", "description": "is missing"}],
                "fields": {"x": "1"}
            })
        );
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn without_a_file_the_rest_is_counted() {
        let mut rejects = Rejects::create(None).expect("no file");
        for line in 1..=7 {
            rejects.keep(&rejected(line)).expect("kept");
        }
        let rest = rejects.finish().expect("nothing to write").expect("two more");
        assert!(rest.starts_with("2 more rejected rows"), "{rest}");
    }
}
