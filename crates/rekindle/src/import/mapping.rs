//! Which part of a row becomes which part of an event.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::field::{Field, Target};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Columns under a header
    Csv,
    /// One JSON object a line, with the names of our own API
    Jsonl,
    /// One JSON object a line: id, seq, conversation, customer, event, ts, props
    Events,
}

/// A mapping as a YAML file has it, and as flags add to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// How the file is written. Absent: found out from its first line.
    pub format: Option<Format>,
    /// What stands between the fields of CSV. Absent: found out from the header.
    pub delimiter: Option<char>,
    /// Sources of fields, and of single properties (`properties.KEY`): columns, or dotted paths.
    pub map: BTreeMap<String, String>,
    /// Fields and properties that are the same in every row.
    #[serde(rename = "const")]
    pub constants: BTreeMap<String, String>,
    /// Columns that become no property.
    pub skip: BTreeSet<String>,
    /// Properties that are numbers, by source.
    pub numbers: BTreeSet<String>,
    /// Properties that are true or false, by source.
    pub booleans: BTreeSet<String>,
    /// Whether columns that nothing maps become properties. Absent: they do.
    pub rest: Option<bool>,
    /// IANA zone of times without an offset. Absent: UTC.
    pub zone: Option<String>,
    /// How times are written, as in strptime. Absent: one of the usual ways.
    pub time_format: Option<String>,
    /// Whether the line number becomes the sequence. Absent: it does not.
    pub number_lines: Option<bool>,
}

impl Spec {
    /// Reads a YAML file's text. The error says what is wrong and where.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        serde_yaml_ng::from_str(text).map_err(|error| error.to_string())
    }

    /// This with another laid over it.
    pub fn overlaid(mut self, over: Self) -> Self {
        self.format = over.format.or(self.format);
        self.delimiter = over.delimiter.or(self.delimiter);
        self.map.extend(over.map);
        self.constants.extend(over.constants);
        self.skip.extend(over.skip);
        self.numbers.extend(over.numbers);
        self.booleans.extend(over.booleans);
        self.rest = over.rest.or(self.rest);
        self.zone = over.zone.or(self.zone);
        self.time_format = over.time_format.or(self.time_format);
        self.number_lines = over.number_lines.or(self.number_lines);
        self
    }
}

/// A mapping ready to be used.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// How the file is written, if that was said.
    pub format: Option<Format>,
    /// What stands between the fields of CSV, if that was said.
    pub delimiter: Option<u8>,
    /// Where each field is looked for; the first source that is there counts.
    pub sources: BTreeMap<Field, Vec<String>>,
    /// Sources that were named by whoever imports, rather than guessed.
    pub named: BTreeSet<String>,
    /// Single properties, by key, with their sources.
    pub properties: BTreeMap<String, String>,
    /// Fields that are the same in every row.
    pub constants: BTreeMap<Field, String>,
    /// Properties that are the same in every row.
    pub constant_properties: BTreeMap<String, String>,
    /// Columns that become no property.
    pub skip: BTreeSet<String>,
    /// Sources whose values are numbers.
    pub numbers: BTreeSet<String>,
    /// Sources whose values are true or false.
    pub booleans: BTreeSet<String>,
    /// Whether what nothing maps becomes properties.
    pub rest: bool,
    /// The zone of times without an offset.
    pub zone: TimeZone,
    /// How times are written, if that was said.
    pub time_format: Option<String>,
    /// Whether the line number becomes the sequence.
    pub number_lines: bool,
}

/// Fields of our own API that only the server writes.
const OUTPUT_ONLY: [&str; 5] = ["receiveTime", "receive_time", "effectiveTime", "effective_time", "clamped"];

impl Mapping {
    /// Makes a mapping of what was said. The error names what is wrong with it.
    pub fn new(spec: Spec) -> Result<Self, String> {
        let zone = spec.zone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(zone).map_err(|error| format!("zone: {error}"))?;
        let delimiter = spec
            .delimiter
            .map(|letter| {
                u8::try_from(letter)
                    .ok()
                    .filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte))
                    .ok_or_else(|| format!("delimiter: `{letter}` cannot stand between fields"))
            })
            .transpose()?;
        let mut skip = spec.skip;
        skip.extend(OUTPUT_ONLY.map(str::to_owned));
        let mut mapping = Self {
            format: spec.format,
            delimiter,
            sources: preset(spec.format),
            named: spec.map.values().cloned().collect(),
            properties: BTreeMap::new(),
            constants: BTreeMap::new(),
            constant_properties: BTreeMap::new(),
            skip,
            numbers: spec.numbers,
            booleans: spec.booleans,
            rest: spec.rest.unwrap_or(true),
            zone,
            time_format: spec.time_format,
            number_lines: spec.number_lines.unwrap_or(false),
        };
        for (target, source) in spec.map {
            match target.parse().map_err(|fault| format!("map: {fault}"))? {
                Target::Field(field) => {
                    mapping.sources.insert(field, vec![source]);
                }
                Target::Property(key) => {
                    mapping.properties.insert(key, source);
                }
            }
        }
        for (target, value) in spec.constants {
            match target.parse().map_err(|fault| format!("const: {fault}"))? {
                Target::Field(Field::Id | Field::Properties) => {
                    return Err(format!("const: `{target}` cannot be the same in every row"));
                }
                Target::Field(field) => {
                    mapping.constants.insert(field, value);
                }
                Target::Property(key) => {
                    mapping.constant_properties.insert(key, value);
                }
            }
        }
        Ok(mapping)
    }

    /// Columns that were named and are not in the header of a CSV file.
    pub fn missing<'a>(&'a self, header: &[String]) -> Vec<&'a str> {
        self.named
            .iter()
            .chain(&self.numbers)
            .chain(&self.booleans)
            .filter(|source| !header.contains(source))
            .map(String::as_str)
            .collect()
    }
}

/// Where fields are looked for when nothing is said.
fn preset(format: Option<Format>) -> BTreeMap<Field, Vec<String>> {
    let mut sources: BTreeMap<Field, Vec<String>> = Field::ALL
        .into_iter()
        .map(|field| {
            let names = field.default_sources().iter();
            (field, names.map(|&name| name.to_owned()).collect())
        })
        .collect();
    if format == Some(Format::Events) {
        let shape = [
            (Field::Type, "event"),
            (Field::OccurredAt, "ts"),
            (Field::Sequence, "seq"),
            (Field::Properties, "props"),
        ];
        for (field, source) in shape {
            sources.insert(field, vec![source.to_owned()]);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_file_is_read_and_flags_are_laid_over_it() {
        let file = Spec::from_yaml(
            "format: csv\nmap: {id: case, properties.plan: Plan}\nconst: {type: lead}\n\
             numbers: [amount]\nzone: Europe/Berlin\n",
        )
        .expect("a mapping");
        let flags = Spec {
            map: BTreeMap::from([("id".to_owned(), "number".to_owned())]),
            zone: Some("UTC".to_owned()),
            ..Spec::default()
        };
        let mapping = Mapping::new(file.overlaid(flags)).expect("a mapping");
        assert_eq!(mapping.sources[&Field::Id], ["number"]);
        assert_eq!(mapping.properties["plan"], "Plan");
        assert_eq!(mapping.constants[&Field::Type], "lead");
        assert_eq!(mapping.zone.iana_name(), Some("UTC"));
        let header = ["number", "Plan"].map(str::to_owned);
        assert_eq!(mapping.missing(&header), ["amount"]);
    }

    #[test]
    fn a_wrong_mapping_is_told() {
        assert!(Spec::from_yaml("mapp: {}").expect_err("a typo").contains("mapp"));
        let wrong = |text| Mapping::new(Spec::from_yaml(text).expect("YAML")).expect_err("wrong");
        assert!(wrong("map: {when: ts}").contains("`when` is no field"));
        assert!(wrong("const: {id: x}").contains("same in every row"));
        assert!(wrong("zone: Mars/Base").contains("zone"));
        assert!(wrong("delimiter: '\"'").contains("delimiter"));
    }
}
