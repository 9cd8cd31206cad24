//! A rule over the entry event and current attributes, as part of a query.

use rekindle_core::event::Author;
use rekindle_core::predicate::{EventFacts, Facts, Predicate};
use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use sea_orm::{DatabaseBackend, QueryResult, Value};

use crate::codes::Code;
use crate::predicate_sql::{self, EventColumns, FactColumns};
use crate::sql::json_text;
use crate::store::{SeaTx, get};

/// Joins that give a fact its entry event `e`, conversation `c` and customer `u`.
pub struct Joins {
    /// Column that names the entry event.
    pub entry: &'static str,
    /// Column of the subject's key.
    pub subject: &'static str,
    /// Column of the customer's key.
    pub customer: &'static str,
    /// Whether every fact has an entry event: a planner can do more with a join that loses nothing.
    pub all_entered: bool,
    /// Whether anything reads them.
    pub wanted: bool,
}

impl Joins {
    /// The JOIN clauses.
    pub fn sql(&self, tx: &SeaTx) -> String {
        if !self.wanted {
            return String::new();
        }
        let Self { entry, subject, customer, .. } = self;
        format!(
            "{} events e ON {} AND e.id = {entry} \
             LEFT JOIN conversations c ON {} AND c.key = {subject} \
             LEFT JOIN customers u ON {} AND u.key = {customer}",
            if self.all_entered { "JOIN" } else { "LEFT JOIN" },
            tx.here_in("e."),
            tx.here_in("c."),
            tx.here_in("u.")
        )
    }
}

/// A rule in two parts: what SQL narrows by, and what is tested on the rows that remain.
pub struct Filter<'a> {
    condition: String,
    residual: Option<&'a Predicate>,
    backend: DatabaseBackend,
    present: bool,
}

impl<'a> Filter<'a> {
    /// Lowers a rule; what it binds is appended to `values`.
    pub fn new(backend: DatabaseBackend, rule: Option<&'a Predicate>, values: &mut Vec<Value>) -> Self {
        let mut filter = Self { condition: String::new(), residual: None, backend, present: rule.is_some() };
        let Some(rule) = rule else {
            return filter;
        };
        let columns = FactColumns {
            event: Some(EventColumns {
                kind: "e.kind",
                text: "e.body",
                author: "e.author",
                public: "((e.flags & 1) <> 0)",
                automated: "((e.flags & 2) <> 0)",
                closing: "((e.flags & 4) <> 0)",
                properties: "e.properties",
            }),
            conversation: "c.attributes",
            customer: "u.attributes",
        };
        let lowered = predicate_sql::condition(rule, &columns, backend, values.len() + 1);
        filter.residual = (!lowered.exact).then_some(rule);
        filter.condition = format!(" AND {}", lowered.text);
        values.extend(lowered.values);
        filter
    }

    /// Whether there is a rule.
    pub fn is_some(&self) -> bool {
        self.present
    }

    /// `AND (…)`, or nothing.
    pub fn condition(&self) -> String {
        self.condition.clone()
    }

    /// Further columns that the test of remaining rows reads.
    pub fn columns(&self) -> String {
        if self.residual.is_none() {
            return String::new();
        }
        format!(
            ", e.kind AS f_kind, e.body AS f_body, e.author AS f_author, e.flags AS f_flags, \
             {} AS f_event, {} AS f_conversation, {} AS f_customer",
            json_text(self.backend, "e.properties"),
            json_text(self.backend, "c.attributes"),
            json_text(self.backend, "u.attributes")
        )
    }

    /// Tests what SQL could not.
    pub fn passes(&self, row: &QueryResult) -> StoreResult<bool> {
        let Some(rule) = self.residual else {
            return Ok(true);
        };
        let properties = |column| -> StoreResult<Properties> {
            let text: Option<String> = get(row, "facts", column)?;
            Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
        };
        let (event, conversation, customer) =
            (properties("f_event")?, properties("f_conversation")?, properties("f_customer")?);
        let kind: Option<String> = get(row, "facts", "f_kind")?;
        let text: Option<String> = get(row, "facts", "f_body")?;
        let author: Option<i16> = get(row, "facts", "f_author")?;
        let flags: Option<i16> = get(row, "facts", "f_flags")?;
        let flags = flags.unwrap_or_default();
        let author = author.and_then(|code| Author::from_code(code.into())).unwrap_or(Author::Customer);
        let event = kind.as_deref().map(|kind| EventFacts {
            kind,
            text: text.as_deref(),
            author: author.as_str(),
            public: flags & 1 != 0,
            automated: flags & 2 != 0,
            closing: flags & 4 != 0,
            properties: &event,
        });
        Ok(rule.eval(&Facts { event, conversation: &conversation, customer: &customer, run: None }))
    }
}
