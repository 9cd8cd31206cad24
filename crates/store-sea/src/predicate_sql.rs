//! Rules as SQL conditions, with exactly the meaning the core gives them.
//!
//! What SQL cannot test alike (`matches`, `string()`, `double()`, and on `SQLite`
//! some comparisons of extreme numbers) is left out, so that a condition lets through at least the rows for
//! which the rule holds; [`Condition::exact`] says whether it lets through others.
//!
//! Every condition here is true or false, never NULL: each comparison is wrapped.
//! Keys and literals are bound, never written into the text.

mod sqlite;
mod typed;

use rekindle_core::predicate::{Comparison, Literal, Operand, Predicate, TextTest, Tree};
use sea_orm::{DatabaseBackend, Value};

use self::typed::Typed;

/// SQL expressions for what a rule can read. They are written into the text as they are.
#[derive(Debug, Clone, Copy)]
pub struct FactColumns<'a> {
    /// The event, where a row has one; without it every field of it is missing.
    pub event: Option<EventColumns<'a>>,
    /// JSON map of the conversation's attributes; NULL is an empty map.
    pub conversation: &'a str,
    /// JSON map of the customer's attributes; NULL is an empty map.
    pub customer: &'a str,
}

/// SQL expressions for an event.
#[derive(Debug, Clone, Copy)]
pub struct EventColumns<'a> {
    /// Text: the event's type.
    pub kind: &'a str,
    /// Text or NULL: a message's text.
    pub text: &'a str,
    /// Small integer: the author's code.
    pub author: &'a str,
    /// Truth value.
    pub public: &'a str,
    /// Truth value.
    pub automated: &'a str,
    /// Truth value.
    pub closing: &'a str,
    /// JSON map of the event's properties; NULL is an empty map.
    pub properties: &'a str,
}

/// A condition for a WHERE clause.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The condition in parentheses, with numbered placeholders.
    pub text: String,
    /// What the placeholders stand for, in order.
    pub values: Vec<Value>,
    /// Whether it holds for just the rows for which the rule holds; otherwise the
    /// rule has to test the rows that it lets through.
    pub exact: bool,
}

/// The condition of a rule, with placeholders that begin at `first` (from 1).
pub fn condition(
    rule: &Predicate,
    columns: &FactColumns<'_>,
    backend: DatabaseBackend,
    first: usize,
) -> Condition {
    let narrowed = match backend {
        DatabaseBackend::Postgres => rule.sql_part(),
        _ => rule.tree().narrow_by(&sqlite::is_exact),
    };
    let mut lowering = Lowering { columns, backend, bound: Vec::new() };
    let tree = narrowed.predicate.unwrap_or(Tree::Const(true));
    let lowered = lowering.tree(&tree);
    let exact = narrowed.exact && lowered.is_some();
    let marked = lowered.unwrap_or_else(|| keyword(true).to_owned());
    let (text, values) = numbered(&marked, &lowering.bound, backend, first);
    Condition { text: format!("({text})"), values, exact }
}

struct Lowering<'a> {
    columns: &'a FactColumns<'a>,
    backend: DatabaseBackend,
    /// Values that the text may refer to by [`MARK`], place, [`MARK`].
    bound: Vec<Value>,
}

impl Lowering<'_> {
    /// The text of a condition; `None` for what has no SQL.
    fn tree(&mut self, tree: &Tree) -> Option<String> {
        Some(match tree {
            Tree::Const(flag) => keyword(*flag).to_owned(),
            Tree::All(parts) => self.joined(parts, " AND ")?,
            Tree::Any(parts) => self.joined(parts, " OR ")?,
            Tree::Not(inner) => format!("NOT ({})", self.tree(inner)?),
            Tree::Present(operand) => self.operand(operand)?.present,
            Tree::Compare { left, comparison, right } => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                compared(*comparison, &left, &right, self.backend)
            }
            Tree::OneOf { needle, list } => self.one_of(needle, list)?,
            Tree::ElementOf { needle, list } => {
                let needle = self.operand(needle)?;
                let Some(list) = self.field(list).list else {
                    return Some("FALSE".to_owned());
                };
                let equal = needle.equals(&Typed::element(self.backend));
                format!("EXISTS (SELECT 1 FROM {list} WHERE {equal})")
            }
            Tree::Text { test, subject, part } => {
                let (subject, part) = (self.operand(subject)?, self.operand(part)?);
                match (subject.text, part.text) {
                    (Some(subject), Some(part)) => {
                        let tested = tested(*test, &subject, &part, self.backend);
                        format!("COALESCE({tested}, FALSE)")
                    }
                    _ => "FALSE".to_owned(),
                }
            }
            Tree::Matches { .. } => return None,
        })
    }

    fn joined(&mut self, parts: &[Tree], operator: &str) -> Option<String> {
        let parts: Option<Vec<_>> = parts.iter().map(|part| self.tree(part)).collect();
        Some(format!("({})", parts?.join(operator)))
    }

    fn one_of(&mut self, needle: &Operand, list: &[Literal]) -> Option<String> {
        let needle = self.operand(needle)?;
        let equal: Vec<_> = list.iter().map(|literal| needle.equals(&self.literal(literal))).collect();
        Some(any(&equal))
    }

    fn operand(&mut self, operand: &Operand) -> Option<Typed> {
        Some(match operand {
            Operand::Literal(literal) => self.literal(literal),
            Operand::Field(field) => self.field(field),
            Operand::Lower(inner) => self.operand(inner)?.lower(self.backend),
            Operand::Size(inner) => self.operand(inner)?.size(),
            Operand::Text(_) | Operand::Number(_) => return None,
        })
    }

    /// Keeps a value and gives the mark that stands for it in the text.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.bound.push(value.into());
        format!("{MARK}{}{MARK}", self.bound.len() - 1)
    }
}

/// Encloses the place of a bound value; in no column expression.
const MARK: char = '\u{1}';

/// Numbers the values that the text refers to, in order, and drops the others: a
/// value that no placeholder stands for is an error on Postgres.
fn numbered(marked: &str, bound: &[Value], backend: DatabaseBackend, first: usize) -> (String, Vec<Value>) {
    let mut text = String::with_capacity(marked.len());
    let mut used: Vec<&str> = Vec::new();
    for (part, piece) in marked.split(MARK).enumerate() {
        if part % 2 == 0 {
            text.push_str(piece);
            continue;
        }
        let known = used.iter().position(|place| *place == piece);
        let place = known.unwrap_or_else(|| {
            used.push(piece);
            used.len() - 1
        });
        text.push_str(&crate::sql::bind(backend, first + place));
    }
    let value = |place: &str| place.parse().ok().and_then(|place: usize| bound.get(place).cloned());
    // Every mark was made by `bind`, so that each finds its value.
    (text, used.into_iter().filter_map(value).collect())
}

fn compared(comparison: Comparison, left: &Typed, right: &Typed, backend: DatabaseBackend) -> String {
    match comparison {
        Comparison::Equal => left.equals(right),
        Comparison::NotEqual => format!("NOT ({})", left.equals(right)),
        Comparison::Less => left.ordered("<", right, backend),
        Comparison::AtMost => left.ordered("<=", right, backend),
        Comparison::Greater => left.ordered(">", right, backend),
        Comparison::AtLeast => left.ordered(">=", right, backend),
    }
}

/// A test of one text by another. No LIKE: `%` and `_` are characters like others.
fn tested(test: TextTest, subject: &str, part: &str, backend: DatabaseBackend) -> String {
    match (test, backend) {
        (TextTest::StartsWith, DatabaseBackend::Postgres) => {
            format!("starts_with({subject}, {part})")
        }
        (TextTest::StartsWith, _) => format!("substr({subject}, 1, length({part})) = {part}"),
        (TextTest::EndsWith, DatabaseBackend::Postgres) => {
            format!("right({subject}, char_length({part})) = {part}")
        }
        (TextTest::EndsWith, _) => {
            format!("substr({subject}, length({subject}) - length({part}) + 1) = {part}")
        }
        (TextTest::Contains, DatabaseBackend::Postgres) => format!("strpos({subject}, {part}) > 0"),
        (TextTest::Contains, _) => format!("instr({subject}, {part}) > 0"),
    }
}

/// At least one of the conditions.
fn any(conditions: &[String]) -> String {
    if conditions.is_empty() { "FALSE".to_owned() } else { format!("({})", conditions.join(" OR ")) }
}

fn keyword(flag: bool) -> &'static str {
    if flag { "TRUE" } else { "FALSE" }
}
