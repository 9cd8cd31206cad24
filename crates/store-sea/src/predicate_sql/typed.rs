//! Operands as SQL: one expression for each kind of value an operand can have.

use rekindle_core::event::Author;
use rekindle_core::predicate::{Field, Literal, Root};
use sea_orm::DatabaseBackend;

use super::{Lowering, any, keyword};
use crate::codes::Code;

/// The row of a list that is being searched.
const ELEMENT: &str = "rule_element";

/// An operand. Each expression is NULL where the operand is not of that kind, and
/// absent where it never is.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Truth value.
    flag: Option<String>,
    /// Double.
    number: Option<String>,
    /// Text.
    pub(super) text: Option<String>,
    /// Its size, as a double.
    size: Option<String>,
    /// What its elements can be selected from, as [`ELEMENT`]; no rows unless it is a list.
    pub(super) list: Option<String>,
    /// Whether it is there; never NULL.
    pub(super) present: String,
}

impl Typed {
    /// Something that is missing in every row.
    fn missing() -> Self {
        Self { present: "FALSE".to_owned(), ..Self::default() }
    }

    fn of_text(text: String, backend: DatabaseBackend) -> Self {
        Self {
            size: Some(text_size(&text, backend)),
            present: format!("({text} IS NOT NULL)"),
            text: Some(text),
            ..Self::default()
        }
    }

    fn of_flag(flag: &str) -> Self {
        Self {
            flag: Some(format!("({flag})")),
            present: format!("(({flag}) IS NOT NULL)"),
            ..Self::default()
        }
    }

    fn of_number(number: String) -> Self {
        Self { present: format!("({number} IS NOT NULL)"), number: Some(number), ..Self::default() }
    }

    /// An element of the list that is being searched.
    pub(super) fn element(backend: DatabaseBackend) -> Self {
        Json::element(backend).typed(backend)
    }

    /// `x.lowerAscii()`
    pub(super) fn lower(self, backend: DatabaseBackend) -> Self {
        let Some(text) = self.text else {
            return Self::missing();
        };
        let lower = match backend {
            // Its lower() follows the locale.
            DatabaseBackend::Postgres => {
                format!("translate({text}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')")
            }
            _ => format!("lower({text})"),
        };
        Self::of_text(lower, backend)
    }

    /// `size(x)`
    pub(super) fn size(self) -> Self {
        self.size.map_or_else(Self::missing, Self::of_number)
    }

    /// Whether two operands are equal: of one kind, and equal there.
    pub(super) fn equals(&self, other: &Self) -> String {
        let pairs = [(&self.flag, &other.flag), (&self.number, &other.number), (&self.text, &other.text)];
        any(&both(pairs, |left, right| format!("{left} = {right}")))
    }

    /// Whether two numbers or two texts are in an order.
    pub(super) fn ordered(&self, sign: &str, other: &Self, backend: DatabaseBackend) -> String {
        let numbers = both([(&self.number, &other.number)], |left, right| format!("{left} {sign} {right}"));
        let texts = both([(&self.text, &other.text)], |left, right| {
            format!("{left} {sign} {right} {}", by_bytes(backend))
        });
        any(&[numbers, texts].concat())
    }
}

impl Lowering<'_> {
    /// A value written in the rule.
    pub(super) fn literal(&mut self, literal: &Literal) -> Typed {
        match (literal, self.backend) {
            (Literal::Bool(flag), _) => Typed::of_flag(keyword(*flag)),
            (Literal::Number(number), DatabaseBackend::Postgres) => {
                Typed::of_number(format!("{}::double precision", self.bind(*number)))
            }
            (Literal::Number(number), _) => Typed::of_number(self.bind(*number)),
            (Literal::Text(text), DatabaseBackend::Postgres) => {
                let text = format!("{}::text", self.bind(text.as_str()));
                Typed::of_text(text, self.backend)
            }
            (Literal::Text(text), backend) => Typed::of_text(self.bind(text.as_str()), backend),
        }
    }

    /// A place in the facts.
    pub(super) fn field(&mut self, field: &Field) -> Typed {
        let column = match (field.root, self.columns.event) {
            (Root::Conversation, _) => self.columns.conversation,
            (Root::Customer, _) => self.columns.customer,
            (Root::Run, _) | (_, None) => return Typed::missing(),
            (Root::EventType, Some(event)) => {
                return Typed::of_text(event.kind.to_owned(), self.backend);
            }
            (Root::EventText, Some(event)) => {
                return Typed::of_text(event.text.to_owned(), self.backend);
            }
            (Root::EventAuthor, Some(event)) => {
                return Typed::of_text(author_name(event.author), self.backend);
            }
            (Root::EventPublic, Some(event)) => return Typed::of_flag(event.public),
            (Root::EventAutomated, Some(event)) => return Typed::of_flag(event.automated),
            (Root::EventClosing, Some(event)) => return Typed::of_flag(event.closing),
            (Root::EventProperties, Some(event)) => event.properties,
        };
        self.json(column, &field.path).typed(self.backend)
    }

    fn json(&mut self, column: &str, path: &[String]) -> Json {
        match self.backend {
            DatabaseBackend::Postgres => {
                // `->` with a text never enters a list, `#>` would.
                let steps: Vec<_> =
                    path.iter().map(|key| format!(" -> {}::text", self.bind(key.as_str()))).collect();
                Json::on_postgres(format!("({column}{})", steps.concat()))
            }
            _ if path.iter().all(|key| fits_path(key)) => {
                let steps: Vec<_> = path.iter().map(|key| format!(".\"{key}\"")).collect();
                let path = self.bind(format!("${}", steps.concat()));
                Json {
                    kind: format!("json_type({column}, {path})"),
                    value: format!("json_extract({column}, {path})"),
                }
            }
            _ => self.json_by_lookup(column, path),
        }
    }

    /// Paths of `SQLite` cannot spell every key, its table of entries holds them all.
    fn json_by_lookup(&mut self, column: &str, path: &[String]) -> Json {
        let mut tables = Vec::with_capacity(path.len());
        let mut keys = Vec::with_capacity(path.len());
        let mut inside = column.to_owned();
        for (step, key) in path.iter().enumerate() {
            let alias = format!("rule_step_{step}");
            tables.push(format!("json_each({inside}) AS {alias}"));
            keys.push(format!("{alias}.key = {}", self.bind(key.as_str())));
            inside = format!("CASE WHEN {alias}.type = 'object' THEN {alias}.value ELSE '{{}}' END");
        }
        let lookup = |column: &str| {
            let last = path.len().saturating_sub(1);
            format!(
                "(SELECT rule_step_{last}.{column} FROM {} WHERE {})",
                tables.join(", "),
                keys.join(" AND ")
            )
        };
        Json { kind: lookup("type"), value: lookup("value") }
    }
}

/// A place in a JSON document.
struct Json {
    /// The name the database gives its kind; NULL when it is not there.
    kind: String,
    /// `jsonb` on Postgres; the own value of `SQLite`, or the JSON text of a list or map.
    value: String,
}

impl Json {
    fn on_postgres(value: String) -> Self {
        Self { kind: format!("jsonb_typeof({value})"), value }
    }

    fn element(backend: DatabaseBackend) -> Self {
        match backend {
            DatabaseBackend::Postgres => Self::on_postgres(format!("{ELEMENT}.value")),
            _ => Self { kind: format!("{ELEMENT}.type"), value: format!("{ELEMENT}.value") },
        }
    }

    fn typed(self, backend: DatabaseBackend) -> Typed {
        let Self { kind, value } = self;
        let present = format!("COALESCE({kind} <> 'null', FALSE)");
        match backend {
            DatabaseBackend::Postgres => Typed {
                flag: Some(format!("CASE WHEN {kind} = 'boolean' THEN {value}::boolean END")),
                number: Some(format!("CASE WHEN {kind} = 'number' THEN {value}::double precision END")),
                text: Some(format!("CASE WHEN {kind} = 'string' THEN {value} #>> '{{}}' END")),
                size: Some(format!(
                    "(CASE {kind} WHEN 'string' THEN char_length({value} #>> '{{}}') \
                     WHEN 'array' THEN jsonb_array_length({value}) \
                     WHEN 'object' THEN (SELECT count(*) FROM jsonb_object_keys({value})) \
                     END)::double precision"
                )),
                list: Some(format!(
                    "jsonb_array_elements(CASE WHEN {kind} = 'array' THEN {value} \
                     ELSE '[]'::jsonb END) AS {ELEMENT}(value)"
                )),
                present,
            },
            _ => Typed {
                flag: Some(format!("CASE {kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END")),
                number: Some(format!(
                    "CASE WHEN {kind} IN ('integer', 'real') THEN CAST({value} AS REAL) END"
                )),
                text: Some(format!("CASE WHEN {kind} = 'text' THEN {value} END")),
                size: Some(format!(
                    "CAST(CASE {kind} WHEN 'text' THEN length({value}) \
                     WHEN 'array' THEN json_array_length({value}) \
                     WHEN 'object' THEN (SELECT count(*) FROM json_each({value})) END AS REAL)"
                )),
                list: Some(format!(
                    "json_each(CASE WHEN {kind} = 'array' THEN {value} ELSE '[]' END) AS {ELEMENT}"
                )),
                present,
            },
        }
    }
}

/// A condition for each pair of kinds that both operands can have.
fn both<'a>(
    pairs: impl IntoIterator<Item = (&'a Option<String>, &'a Option<String>)>,
    condition: impl Fn(&str, &str) -> String,
) -> Vec<String> {
    pairs
        .into_iter()
        .filter_map(|(left, right)| Some((left.as_deref()?, right.as_deref()?)))
        .map(|(left, right)| format!("COALESCE({}, FALSE)", condition(left, right)))
        .collect()
}

/// Whether a key can stand between quotes in a path of `SQLite` as it is.
fn fits_path(key: &str) -> bool {
    !key.contains(|c: char| c == '"' || c == '\\' || c.is_control())
}

/// Code points of a text, as a double.
fn text_size(text: &str, backend: DatabaseBackend) -> String {
    match backend {
        DatabaseBackend::Postgres => format!("char_length({text})::double precision"),
        _ => format!("CAST(length({text}) AS REAL)"),
    }
}

fn by_bytes(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Postgres => "COLLATE \"C\"",
        _ => "COLLATE BINARY",
    }
}

/// The word rules use for an author, from its code.
fn author_name(column: &str) -> String {
    let names: Vec<_> = Author::CODES
        .iter()
        .map(|(author, code)| format!("WHEN {code} THEN '{}'", author.as_str()))
        .collect();
    format!("(CASE {column} {} END)", names.join(" "))
}
