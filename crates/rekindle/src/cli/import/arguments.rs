//! The flags of `rekindle import`, and the plan they make.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::cli::Failure;
use crate::cli::connection::Target;
use crate::cli::output::Format as Output;
use crate::import::batch::MAX_EVENTS;
use crate::import::mapping::{Format, Mapping, Spec};
use crate::import::reader::Plan;

/// What `--help` says below the flags.
const HELP: &str = "\
Fields: id, type, conversation, customer, occurred_at, sequence, author, public, automated,
closing, text, properties, and properties.KEY for a single one. A row needs a type, a time, and a
conversation or a customer. A row without an id gets one from its content, so that importing a
file again changes nothing. Columns that nothing maps become properties.

Times: RFC 3339, YYYY-MM-DD with or without HH:MM:SS (in --zone), or seconds, milliseconds,
microseconds or nanoseconds since 1970.

A mapping file is YAML with the keys format, delimiter, map, const, skip, numbers, booleans, rest,
zone, time_format and number_lines, as the flags of these names; flags come over it.

Rows that are wrong are left out and counted; --rejects keeps them, --strict ends at the first.";

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are independent of each other")]
pub struct Args {
    /// Files, gzipped or not; - is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the files are written; without it, as their first line shows
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A mapping in YAML
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Take a field from a column, or from a dotted path in JSON
    #[arg(long, value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Give a field the same value in every row
    #[arg(long = "const", value_name = "FIELD=VALUE")]
    constants: Vec<String>,
    /// Make no property of these columns
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    skip: Vec<String>,
    /// Read these columns as numbers
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    numbers: Vec<String>,
    /// Read these columns as true or false
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    booleans: Vec<String>,
    /// Make no properties of columns that nothing maps
    #[arg(long)]
    no_rest: bool,
    /// What stands between the fields of CSV; without it, as the header shows
    #[arg(long, value_name = "LETTER")]
    delimiter: Option<char>,
    /// IANA zone of times without an offset [default: UTC]
    #[arg(long)]
    zone: Option<String>,
    /// How times are written, as in strptime, such as %d/%m/%Y
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<String>,
    /// Make the line number the sequence, so that lines with equal times keep their order
    #[arg(long)]
    number_lines: bool,
    /// Read and map everything, show the first events, send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write rejected rows there, one JSON object a line, with line and reason
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// End at the first wrong row
    #[arg(long)]
    pub strict: bool,
    /// Events in a batch, 1 to 1000
    #[arg(long, default_value_t = 500, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=MAX_EVENTS as i64))]
    batch: u16,
    #[command(flatten)]
    pub target: Target,
    /// How to print the summary
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

impl Args {
    /// What to read, and how.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let file = match &self.mapping {
            None => Spec::default(),
            Some(path) => {
                let told = |fault: String| Failure::Invalid(format!("{}: {fault}", path.display()));
                let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
                Spec::from_yaml(&text).map_err(told)?
            }
        };
        let mapping = Mapping::new(file.overlaid(self.spec()?)).map_err(Failure::Invalid)?;
        Ok(Plan {
            files: self.files.clone(),
            mapping,
            batch: usize::from(self.batch),
            keep_rows: self.rejects.is_some(),
        })
    }

    fn spec(&self) -> Result<Spec, Failure> {
        let set = |columns: &[String]| columns.iter().cloned().collect::<BTreeSet<_>>();
        Ok(Spec {
            format: self.format,
            delimiter: self.delimiter,
            map: pairs("--map", &self.map)?,
            constants: pairs("--const", &self.constants)?,
            skip: set(&self.skip),
            numbers: set(&self.numbers),
            booleans: set(&self.booleans),
            rest: self.no_rest.then_some(false),
            zone: self.zone.clone(),
            time_format: self.time_format.clone(),
            number_lines: self.number_lines.then_some(true),
        })
    }
}

fn pairs(flag: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let (field, value) =
            text.split_once('=').ok_or_else(|| Failure::Invalid(format!("{flag} `{text}`: has no =")))?;
        if pairs.insert(field.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::Invalid(format!("{flag}: `{field}` stands twice")));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::import::field::Field;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn plan(flags: &[&str]) -> Result<Plan, String> {
        let words = [&["x", "a.csv"], flags].concat();
        let program = Program::try_parse_from(words).map_err(|error| error.to_string())?;
        program.args.plan().map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_make_a_mapping() {
        let plan = plan(&[
            "--map",
            "type=concept:name",
            "--map",
            "conversation=case:concept:name",
            "--map",
            "properties.who=org:resource",
            "--const",
            "properties.source=a=b",
            "--skip",
            "x,y",
            "--batch",
            "7",
            "--no-rest",
        ])
        .expect("right flags");
        assert_eq!(plan.mapping.sources[&Field::Type], ["concept:name"]);
        assert_eq!(plan.mapping.properties["who"], "org:resource");
        assert_eq!(plan.mapping.constant_properties["source"], "a=b");
        assert!(plan.mapping.skip.contains("x") && plan.mapping.skip.contains("y"));
        assert!(!plan.mapping.rest);
        assert_eq!(plan.batch, 7);
    }

    #[test]
    fn wrong_flags_are_told() {
        let fault = |flags: &[&str]| plan(flags).expect_err("wrong flags");
        assert!(fault(&["--map", "type"]).contains("has no ="));
        assert!(fault(&["--map", "id=a", "--map", "id=b"]).contains("stands twice"));
        assert!(fault(&["--map", "when=a"]).contains("is no field"));
        assert!(fault(&["--batch", "1001"]).contains("1001"));
        assert!(fault(&["--mapping", "/nonexistent.yaml"]).contains("nonexistent"));
    }
}
