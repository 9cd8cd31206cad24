//! One page of a list: the newest keys first, narrowed by SQL and tested for the rest.

use rekindle_core::metrics::positions::Condition;
use rekindle_core::predicate::{Facts, Predicate};
use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use rekindle_ports::browse::{PositionTest, Scanned};
use sea_orm::{DatabaseBackend, QueryResult, Value};
use uuid::Uuid;

use crate::predicate_sql::{self, FactColumns};
use crate::sql::bind;
use crate::store::{SeaTx, get, get_json};

/// Most rows that one page tests a rule on which SQL cannot test.
const MOST_TESTED: u32 = 1_000;

/// The conditions of a list over subjects `s` with their customer `u`.
pub(super) struct List<'a> {
    backend: DatabaseBackend,
    conditions: Vec<String>,
    values: Vec<Value>,
    /// The rule, where SQL lets through others than those for which it holds.
    residual: Option<&'a Predicate>,
}

impl<'a> List<'a> {
    /// Subjects that are not erased, that pass the rule, and whose key is below `before`.
    pub(super) fn new(
        tx: &SeaTx,
        rule: Option<&'a Predicate>,
        before: Option<Uuid>,
        conversation: &str,
    ) -> Self {
        let conditions = vec![tx.here_in("s."), "s.erased_at IS NULL".to_owned()];
        let mut list = Self { backend: tx.backend, conditions, values: Vec::new(), residual: None };
        if let Some(before) = before {
            let place = list.bind(before);
            list.and(&format!("s.key < {place}"));
        }
        if let Some(rule) = rule {
            let columns = FactColumns { event: None, conversation, customer: "u.attributes" };
            let lowered = predicate_sql::condition(rule, &columns, tx.backend, list.values.len() + 1);
            list.and(&lowered.text);
            list.values.extend(lowered.values);
            list.residual = (!lowered.exact).then_some(rule);
        }
        list
    }

    /// Binds a value; its placeholder.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        bind(self.backend, self.values.len())
    }

    /// Another condition.
    pub(super) fn and(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Subjects with a journey at a position.
    pub(super) fn at(&mut self, tx: &SeaTx, position: &PositionTest) {
        let mut journey = vec![
            tx.here_in("j."),
            format!("j.revision = {}", position.revision),
            "j.subject = s.key".to_owned(),
        ];
        journey.extend(position.place.map(|place| format!("j.place = {place}")));
        if let Some(condition) = position.condition {
            journey.push("j.place IS NOT NULL".to_owned());
            journey.push(doing(condition, position.now.0));
        }
        let journey = journey.join(" AND ");
        self.and(&format!("EXISTS (SELECT 1 FROM journeys j WHERE {journey})"));
    }

    /// `WHERE … ORDER BY … LIMIT …`: one row more than fits, or as many as may be tested.
    pub(super) fn tail(&self, limit: u32) -> String {
        format!("WHERE {} ORDER BY s.key DESC LIMIT {}", self.conditions.join(" AND "), self.rows_read(limit))
    }

    /// What the placeholders stand for.
    pub(super) fn values(&self) -> Vec<Value> {
        self.values.clone()
    }

    /// Cuts a page out of the rows read.
    pub(super) fn page<T>(
        &self,
        rows: &[QueryResult],
        limit: u32,
        read: impl Fn(&QueryResult) -> StoreResult<T>,
    ) -> StoreResult<Scanned<T>> {
        let mut page = Vec::new();
        let mut last = None;
        for row in rows {
            if page.len() == limit as usize {
                return Ok(Scanned { rows: page, next: last });
            }
            last = Some(get(row, "subjects", "key")?);
            if self.passes(row)? {
                page.push(read(row)?);
            }
        }
        let all_seen = rows.len() < self.rows_read(limit) as usize;
        Ok(Scanned { rows: page, next: last.filter(|_| !all_seen) })
    }

    fn rows_read(&self, limit: u32) -> u32 {
        let page = limit.saturating_add(1);
        if self.residual.is_some() { page.max(MOST_TESTED) } else { page }
    }

    /// Tests what SQL could not.
    fn passes(&self, row: &QueryResult) -> StoreResult<bool> {
        let Some(rule) = self.residual else {
            return Ok(true);
        };
        let conversation = attributes(row, "f_conversation")?;
        let customer = attributes(row, "f_customer")?;
        Ok(rule.eval(&Facts { event: None, conversation: &conversation, customer: &customer, run: None }))
    }
}

fn attributes(row: &QueryResult, column: &'static str) -> StoreResult<Properties> {
    match get::<Option<String>>(row, "subjects", column)? {
        Some(_) => get_json(row, "subjects", column),
        None => Ok(Properties::new()),
    }
}

/// What a journey in a stage is doing, by the columns of `j`.
fn doing(condition: Condition, now: i64) -> String {
    let open = "NOT j.completed AND NOT j.ended";
    let abandoned = format!("COALESCE(j.open_abandon_at <= {now}, FALSE)");
    let stalled = format!("COALESCE(j.open_stall_at <= {now}, FALSE)");
    match condition {
        Condition::Completed => "j.completed".to_owned(),
        Condition::Ended => "NOT j.completed AND j.ended".to_owned(),
        Condition::Abandoned => format!("{open} AND {abandoned}"),
        Condition::Stalled => format!("{open} AND {stalled} AND NOT {abandoned}"),
        Condition::Active => format!("{open} AND NOT {stalled} AND NOT {abandoned}"),
    }
}
