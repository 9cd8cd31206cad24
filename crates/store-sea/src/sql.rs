//! Many rows in one statement, on either database.
//!
//! A batch of rows travels as one array per column on Postgres (`UNNEST`) and as
//! one JSON text on SQLite (`json_each`): the statement is the same whatever the
//! number of rows, and no bind limit is near.

use sea_orm::sea_query::ArrayType;
use sea_orm::{DatabaseBackend, Value};
use uuid::Uuid;

/// The type of a column in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key.
    Uuid,
    /// A whole number, or none; the least there is stands for none.
    Int,
    /// Any whole number, never missing.
    Number,
    /// True or false.
    Bool,
    /// Text, or none.
    Text,
    /// Text that is never missing; it travels as it is.
    Given,
    /// JSON, as text, or none.
    Json,
}

/// One value of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A key.
    Uuid(Option<Uuid>),
    /// Any whole number.
    Int(Option<i64>),
    /// True or false.
    Bool(bool),
    /// Text or JSON.
    Text(Option<String>),
}

impl From<Uuid> for Cell {
    fn from(value: Uuid) -> Self {
        Self::Uuid(Some(value))
    }
}
impl From<Option<Uuid>> for Cell {
    fn from(value: Option<Uuid>) -> Self {
        Self::Uuid(value)
    }
}
impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(Some(value.into()))
    }
}
impl From<Option<i64>> for Cell {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<Option<String>> for Cell {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// Columns of a batch: name and type.
pub type Columns = [(&'static str, Kind)];

/// A batch as a sub-select that yields the named columns, and what it binds.
#[derive(Debug)]
pub struct Source {
    /// `SELECT … FROM …`, without parentheses.
    pub select: String,
    /// What the placeholders stand for.
    pub values: Vec<Value>,
}

/// Renders rows as a sub-select whose placeholders begin at `first` (from 1).
pub fn source(backend: DatabaseBackend, columns: &Columns, rows: &[Vec<Cell>], first: usize) -> Source {
    match backend {
        DatabaseBackend::Postgres => unnest(columns, rows, first),
        _ => json_each(columns, rows, first),
    }
}

/// Stands before every text inside an array that may lack some; an element without it is a missing
/// text, because arrays are bound without a way to say NULL.
const TEXT: char = '=';

fn unnest(columns: &Columns, rows: &[Vec<Cell>], first: usize) -> Source {
    let mut arrays = Vec::with_capacity(columns.len());
    let mut names = Vec::with_capacity(columns.len());
    let mut picks = Vec::with_capacity(columns.len());
    let mut values = Vec::with_capacity(columns.len());
    for (place, (name, kind)) in columns.iter().enumerate() {
        let bind = first + place;
        let (array, pick) = match kind {
            Kind::Uuid => ("uuid", format!("NULLIF(u.c{place}, '{}'::uuid)", Uuid::nil())),
            Kind::Int => ("bigint", format!("NULLIF(u.c{place}, {}::bigint)", "(-9223372036854775808)")),
            Kind::Number => ("bigint", format!("u.c{place}")),
            Kind::Bool => ("bool", format!("u.c{place}")),
            Kind::Text => ("text", format!("SUBSTR(NULLIF(u.c{place}, ''), 2)")),
            Kind::Given => ("text", format!("u.c{place}")),
            Kind::Json => ("text", format!("NULLIF(u.c{place}, '')::jsonb")),
        };
        arrays.push(format!("${bind}::{array}[]"));
        names.push(format!("c{place}"));
        picks.push(format!("{pick} AS {name}"));
        values.push(array_of(*kind, rows.iter().map(|row| &row[place])));
    }
    Source {
        select: format!(
            "SELECT {} FROM UNNEST({}) AS u({})",
            picks.join(", "),
            arrays.join(", "),
            names.join(", ")
        ),
        values,
    }
}

fn array_of<'a>(kind: Kind, cells: impl Iterator<Item = &'a Cell>) -> Value {
    let array = match kind {
        Kind::Uuid => ArrayType::Uuid,
        Kind::Int | Kind::Number => ArrayType::BigInt,
        Kind::Bool => ArrayType::Bool,
        Kind::Text | Kind::Given | Kind::Json => ArrayType::String,
    };
    let cells = cells.map(|cell| match cell {
        Cell::Uuid(key) => key.unwrap_or(Uuid::nil()).into(),
        Cell::Int(number) => number.unwrap_or(i64::MIN).into(),
        Cell::Bool(truth) => (*truth).into(),
        Cell::Text(Some(text)) if kind == Kind::Text => format!("{TEXT}{text}").into(),
        Cell::Text(text) => {
            debug_assert!(text.is_some() || kind != Kind::Given, "a text is missing that never is");
            text.clone().unwrap_or_default().into()
        }
    });
    Value::Array(array, Some(Box::new(cells.collect())))
}

fn json_each(columns: &Columns, rows: &[Vec<Cell>], first: usize) -> Source {
    let picks: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(place, (name, kind))| match kind {
            Kind::Uuid => format!("unhex(value->>{place}) AS {name}"),
            _ => format!("value->>{place} AS {name}"),
        })
        .collect();
    let rows: Vec<Vec<serde_json::Value>> =
        rows.iter().map(|row| row.iter().map(json_cell).collect()).collect();
    Source {
        select: format!("SELECT {} FROM json_each(?{first})", picks.join(", ")),
        values: vec![serde_json::json!(rows).to_string().into()],
    }
}

fn json_cell(cell: &Cell) -> serde_json::Value {
    match cell {
        Cell::Uuid(key) => key.map(|key| key.simple().to_string()).into(),
        Cell::Int(number) => (*number).into(),
        Cell::Bool(truth) => (*truth).into(),
        Cell::Text(text) => text.clone().into(),
    }
}

/// The n-th placeholder (from 1).
pub fn bind(backend: DatabaseBackend, place: usize) -> String {
    match backend {
        DatabaseBackend::Postgres => format!("${place}"),
        _ => format!("?{place}"),
    }
}

/// A JSON column as text.
pub fn json_text(backend: DatabaseBackend, column: &str) -> String {
    match backend {
        DatabaseBackend::Postgres => format!("{column}::text"),
        _ => column.to_owned(),
    }
}

/// Microseconds since the epoch by the database's own clock: lease time, and nothing else.
pub fn database_now(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Postgres => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
        _ => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    }
}

/// Locks the rows a SELECT yields, where the database has row locks.
pub fn for_update(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Postgres => " FOR UPDATE",
        _ => "",
    }
}
