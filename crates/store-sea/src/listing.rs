//! Conditions of the ledger's lists, newest first.

use rekindle_core::Timestamp;
use sea_orm::{DatabaseBackend, Value};

use crate::codes::Code;
use crate::sql::bind;

/// Conditions joined by AND, and what they bind.
pub(crate) struct Conditions {
    backend: DatabaseBackend,
    parts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// The first condition: the workspace.
    pub(crate) fn new(backend: DatabaseBackend, here: String) -> Self {
        Self { backend, parts: vec![here], values: Vec::new() }
    }

    /// A condition without values.
    pub(crate) fn add(&mut self, condition: String) {
        self.parts.push(condition);
    }

    /// Binds a value; its placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        bind(self.backend, self.values.len())
    }

    /// `column = value`, where there is a value.
    pub(crate) fn equal(&mut self, column: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            let place = self.bind(value);
            self.add(format!("{column} = {place}"));
        }
    }

    /// Rows after those a reader has seen.
    pub(crate) fn before(&mut self, created_at: Timestamp, id: impl Into<Value>) {
        let (created_at, id) = (self.bind(created_at.0), self.bind(id));
        self.add(format!("(created_at, id) < ({created_at}, {id})"));
    }

    /// Rows that ended after those a reader has seen.
    pub(crate) fn ended_after(&mut self, ended_at: Timestamp, id: impl Into<Value>) {
        let (ended_at, id) = (self.bind(ended_at.0), self.bind(id));
        self.add(format!("(ended_at, id) > ({ended_at}, {id})"));
    }

    /// The query of a page of what ended, in that order, and what it binds.
    pub(crate) fn first_ended(self, table: &str, limit: u32) -> (String, Vec<Value>) {
        let conditions = self.parts.join(" AND ");
        let sql = format!(
            "SELECT ended_at, id FROM {table} WHERE {conditions} ORDER BY ended_at, id LIMIT {limit}"
        );
        (sql, self.values)
    }

    /// The query of how many there are, as `n`, and what it binds.
    pub(crate) fn count(self, table: &str) -> (String, Vec<Value>) {
        (format!("SELECT COUNT(*) AS n FROM {table} WHERE {}", self.parts.join(" AND ")), self.values)
    }

    /// The query of a page and what it binds.
    pub(crate) fn newest(self, columns: &str, table: &str, limit: u32) -> (String, Vec<Value>) {
        let conditions = self.parts.join(" AND ");
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT {limit}"
        );
        (sql, self.values)
    }
}

/// `state IN (1, 2)`, unless the list is empty, which means all.
pub(crate) fn in_states<T: Code>(states: &[T]) -> Option<String> {
    let codes: Vec<String> = states.iter().map(|state| state.code().to_string()).collect();
    (!codes.is_empty()).then(|| format!("state IN ({})", codes.join(", ")))
}
