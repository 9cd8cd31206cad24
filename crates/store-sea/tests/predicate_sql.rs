//! A rule means the same in SQL, on both databases, as where it is evaluated in memory.
//!
//! Postgres takes part when `TEST_DATABASE_URL` is set: the test creates a database
//! of its own there and drops it.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestError, TestRunner};
use rekindle_core::event::Author;
use rekindle_core::predicate::{self, EventFacts, Facts};
use rekindle_core::value::{Properties, Value};
use rekindle_store_sea::predicate_sql::{Condition, EventColumns, FactColumns, condition};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement};
use tokio::runtime::Runtime;

const ROWS: usize = 200;
const RULES: u32 = 400;

const KEYS: &[&str] = &["a", "b", "two words", "q\"uo\\te", "é", "0", "a.b", "tab\there"];
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "aB",
    "B",
    "b",
    "é",
    "É",
    "Éa",
    "12",
    "12.5",
    "NaN",
    "true",
    "100%",
    "a_b",
    "\\",
    "it's \"x\"",
    "\n",
    "𝄞",
    "\u{ffff}",
    "customer",
    "customer_message",
];
const NUMBERS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    3.0,
    12.0,
    12.5,
    0.1,
    0.3,
    1e21,
    -1e300,
    5e-324,
    f64::MAX,
    f64::MIN_POSITIVE,
    9_007_199_254_740_991.0,
    9_007_199_254_740_992.0,
    1.7e18,
    0.1 + 0.2,
    123_456.789_012_345_67,
];
/// Doubles that `SQLite` reads wrongly from JSON.
const FAR: &[f64] = &[
    -4.366_508_223_114_724e-137,
    -1.711_488_800_458_074e203,
    7.268_983_611_650_721e-232,
    7.013_975_459_397_885e-309,
];
const AUTHORS: &[(Author, i32)] =
    &[(Author::Customer, 1), (Author::Agent, 2), (Author::Bot, 3), (Author::System, 4)];

const COLUMNS: FactColumns<'static> = FactColumns {
    event: Some(EventColumns {
        kind: "e.kind",
        text: "e.body",
        author: "e.author",
        public: "(e.flags & 1) <> 0",
        automated: "(e.flags & 2) <> 0",
        closing: "(e.flags & 4) <> 0",
        properties: "e.properties",
    }),
    conversation: "e.conversation",
    customer: "e.customer",
};
const NO_EVENT: FactColumns<'static> = FactColumns { event: None, ..COLUMNS };

#[derive(Debug, Clone)]
struct Row {
    kind: String,
    text: Option<String>,
    author: (Author, i32),
    flags: i32,
    properties: Properties,
    conversation: Properties,
    /// NULL in the table when there is none.
    customer: Option<Properties>,
}

impl Row {
    fn holds(&self, rule: &predicate::Predicate, with_event: bool) -> bool {
        let none = Properties::new();
        let event = EventFacts {
            kind: &self.kind,
            text: self.text.as_deref(),
            author: self.author.0.as_str(),
            public: self.flags & 1 != 0,
            automated: self.flags & 2 != 0,
            closing: self.flags & 4 != 0,
            properties: &self.properties,
        };
        rule.eval(&Facts {
            event: with_event.then_some(event),
            conversation: &self.conversation,
            customer: self.customer.as_ref().unwrap_or(&none),
            run: None,
        })
    }
}

fn text() -> impl Strategy<Value = String> {
    select(TEXTS).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = f64> {
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    prop_oneof![8 => select(NUMBERS), 2 => select(FAR), 1 => finite]
}

fn properties() -> impl Strategy<Value = Properties> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(Value::Bool),
        3 => number().prop_map(Value::Number),
        4 => text().prop_map(Value::Text),
    ];
    let value = leaf.prop_recursive(2, 12, 4, |inner| {
        let key = select(KEYS).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(key, inner, 0..4).prop_map(Value::Map),
        ]
    });
    prop::collection::btree_map(select(KEYS).prop_map(str::to_owned), value, 0..8)
}

fn row() -> impl Strategy<Value = Row> {
    let customer = prop::option::weighted(0.9, properties());
    let event = (text(), prop::option::of(text()), select(AUTHORS), 0..8);
    (event, properties(), properties(), customer).prop_map(
        |((kind, text, author, flags), properties, conversation, customer)| Row {
            kind,
            text,
            author,
            flags,
            properties,
            conversation,
            customer,
        },
    )
}

fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn field() -> impl Strategy<Value = String> {
    let map = select(vec!["event.properties", "conversation", "customer"]);
    let keys = prop::collection::vec(select(KEYS), 1..3);
    let single =
        vec!["event.type", "event.text", "event.author", "event.public", "event.automated", "event.closing"];
    prop_oneof![
        4 => (map, keys).prop_map(|(map, keys)| {
            let keys: String = keys.iter().flat_map(|key| ["[".to_owned(), quoted(key), "]".to_owned()]).collect();
            format!("{map}{keys}")
        }),
        1 => select(single).prop_map(str::to_owned),
    ]
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![number().prop_map(|number| format!("{number:?}")), text().prop_map(|text| quoted(&text)),]
}

fn operand() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => field(),
        2 => literal(),
        1 => field().prop_map(|field| format!("{field}.lowerAscii()")),
        1 => field().prop_map(|field| format!("size({field})")),
        1 => field().prop_map(|field| format!("size({field}.lowerAscii())")),
    ]
}

fn text_operand() -> impl Strategy<Value = String> {
    prop_oneof![
        field(),
        text().prop_map(|text| quoted(&text)),
        field().prop_map(|field| format!("{field}.lowerAscii()")),
    ]
}

fn atom() -> impl Strategy<Value = String> {
    let list =
        prop::collection::vec(prop_oneof![literal(), Just("true".to_owned()), Just("null".to_owned())], 0..4);
    let sign = select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let test = select(vec!["startsWith", "endsWith", "contains"]);
    prop_oneof![
        1 => select(vec!["true", "false"]).prop_map(str::to_owned),
        2 => field().prop_map(|field| format!("has({field})")),
        1 => operand().prop_map(|operand| format!("{operand} == null")),
        2 => (field(), any::<bool>()).prop_map(|(field, flag)| format!("{field} != {flag}")),
        8 => (operand(), sign, operand()).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        3 => (operand(), list).prop_map(|(needle, list)| format!("{needle} in [{}]", list.join(", "))),
        3 => (operand(), field()).prop_map(|(needle, list)| format!("{needle} in {list}")),
        4 => (text_operand(), test, text_operand())
            .prop_map(|(subject, test, part)| format!("{subject}.{test}({part})")),
        1 => field().prop_map(|field| format!("{field}.matches(\"a\")")),
        1 => (field(), literal()).prop_map(|(field, literal)| format!("string({field}) == {literal}")),
        1 => (field(), literal()).prop_map(|(field, literal)| format!("double({field}) >= {literal}")),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    atom().prop_recursive(3, 10, 3, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts.clone().prop_map(|parts| format!("({})", parts.join(" && "))),
            parts.prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|inner| format!("!({inner})")),
        ]
    })
}

/// Rows and rules at the places where databases have a mind of their own: wildcards,
/// collations, far numbers, negative zero, positions in lists, empty texts.
fn corner_cases() -> (Vec<Row>, Vec<String>) {
    let texts = TEXTS.iter().map(|text| Value::from(*text));
    let numbers = NUMBERS.iter().chain(FAR).map(|number| Value::Number(*number));
    let list = Value::List(vec![Value::Null, 1.0.into(), "a_b".into(), Value::List(Vec::new())]);
    let rows = texts
        .chain(numbers)
        .chain([list, Value::Map(Properties::new())])
        .map(|value| Row {
            kind: "a_b".to_owned(),
            text: Some("100%".to_owned()),
            author: AUTHORS[0],
            flags: 5,
            properties: Properties::from([("v".to_owned(), value)]),
            conversation: Properties::new(),
            customer: None,
        })
        .collect();
    let field = "event.properties.v";
    let mut rules = vec![
        format!("{field}[\"0\"] == null && {field}[\"1\"] == null"),
        format!("1 in {field} || \"a_b\" in {field} || true in {field}"),
        format!("{field} in [null] || {field} in [] || size({field}) in [0, 2]"),
        format!("{field} == event.text || {field} != event.type"),
    ];
    for number in NUMBERS.iter().chain(FAR) {
        rules.extend(["==", "<", ">="].map(|sign| format!("{field} {sign} {number:?}")));
        rules.push(format!("{field} in [{number:?}, -3.0]"));
    }
    for text in TEXTS.iter().copied().chain(["a_", "_", "%", "10%", "xa", "abc"]) {
        let text = quoted(text);
        rules.extend(["==", "<", ">="].map(|sign| format!("{field} {sign} {text}")));
        let tests = ["startsWith", "endsWith", "contains"];
        rules.extend(tests.map(|test| format!("{field}.{test}({text})")));
        rules.extend(tests.map(|test| format!("{field}.lowerAscii().{test}({text})")));
    }
    (rows, rules)
}

fn statement(db: &DatabaseConnection, sql: &str, values: Vec<sea_orm::Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

async fn fill(db: &DatabaseConnection, rows: &[Row]) {
    let (json, insert) = match db.get_database_backend() {
        DatabaseBackend::Postgres => ("jsonb", "$1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8::jsonb"),
        _ => ("text", "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"),
    };
    db.execute_unprepared(&format!(
        "CREATE TABLE facts (id integer, kind text NOT NULL, body text, author smallint NOT NULL, \
         flags smallint NOT NULL, properties {json} NOT NULL, conversation {json} NOT NULL, customer {json})"
    ))
    .await
    .expect("a new table");
    let write = |map: &Properties| serde_json::to_string(map).expect("finite numbers");
    for (id, row) in rows.iter().enumerate() {
        let values = vec![
            i32::try_from(id).expect("few rows").into(),
            row.kind.clone().into(),
            row.text.clone().into(),
            row.author.1.into(),
            row.flags.into(),
            write(&row.properties).into(),
            write(&row.conversation).into(),
            row.customer.as_ref().map(write).into(),
        ];
        let sql = format!("INSERT INTO facts VALUES ({insert})");
        db.execute_raw(statement(db, &sql, values)).await.expect("a new row");
    }
}

/// The rows a condition yields; NULL is told apart from false.
async fn yielded(db: &DatabaseConnection, condition: &Condition, offset: i32) -> Vec<(usize, Option<bool>)> {
    let first = match db.get_database_backend() {
        DatabaseBackend::Postgres => "$1::integer",
        _ => "?1",
    };
    let mut values = vec![offset.into()];
    values.extend(condition.values.iter().cloned());
    let sql =
        format!("SELECT e.id, {} AS holds FROM facts e WHERE e.id >= {first} ORDER BY e.id", condition.text);
    let rows = db.query_all_raw(statement(db, &sql, values)).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
    rows.iter()
        .map(|row| {
            let id: i32 = row.try_get("", "id").expect("a number");
            let holds: Option<bool> = row.try_get("", "holds").expect("a truth value");
            (usize::try_from(id).expect("not negative"), holds)
        })
        .collect()
}

async fn compare(db: &DatabaseConnection, rows: &[Row], source: &str) -> Result<(), TestCaseError> {
    let rule = predicate::parse(source).map_err(|error| TestCaseError::fail(format!("{source}: {error}")))?;
    for (columns, with_event) in [(COLUMNS, true), (NO_EVENT, false)] {
        // The placeholders start behind one that the query has of its own.
        let condition = condition(&rule, &columns, db.get_database_backend(), 2);
        let found = yielded(db, &condition, 0).await;
        prop_assert_eq!(found.len(), rows.len());
        for (id, in_sql) in found {
            let in_memory = rows[id].holds(&rule, with_event);
            let agrees = match in_sql {
                Some(in_sql) if condition.exact => in_sql == in_memory,
                Some(in_sql) => in_sql || !in_memory,
                None => false,
            };
            prop_assert!(
                agrees,
                "{source} is {in_memory} in memory and {in_sql:?} in {condition:?} for {:?}",
                rows[id]
            );
        }
    }
    Ok(())
}

/// Compares the two meanings for the corner cases and for random rules, over all rows.
fn agree_on(runtime: &Runtime, url: String) {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = runtime.block_on(Database::connect(options)).expect("the database");
    let mut runner = TestRunner::new(ProptestConfig {
        cases: RULES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (mut rows, corners) = corner_cases();
    let random = prop::collection::vec(row(), ROWS);
    rows.extend(random.new_tree(&mut runner).expect("rows").current());
    runtime.block_on(fill(&db, &rows));
    let agrees = |source: String| runtime.block_on(compare(&db, &rows, &source));
    for source in corners {
        if let Err(error) = agrees(source) {
            panic!("{error}");
        }
    }
    match runner.run(&rule(), agrees) {
        Ok(()) => {}
        Err(TestError::Fail(reason, source)) => panic!("{source}: {reason}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    runtime.block_on(db.close()).expect("a clean end");
}

#[test]
fn a_rule_means_the_same_on_sqlite() {
    let runtime = Runtime::new().expect("a runtime");
    agree_on(&runtime, "sqlite::memory:".to_owned());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests names the server")]
fn a_rule_means_the_same_on_postgres() {
    let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
        eprintln!("TEST_DATABASE_URL is not set: the rules were not compared on Postgres");
        return;
    };
    let runtime = Runtime::new().expect("a runtime");
    let own = OwnDatabase::create(&runtime, &url);
    agree_on(&runtime, with_database(&url, &own.name));
}

/// A database that goes when the test does, whatever its outcome.
struct OwnDatabase<'a> {
    runtime: &'a Runtime,
    server: DatabaseConnection,
    name: String,
}

impl<'a> OwnDatabase<'a> {
    fn create(runtime: &'a Runtime, url: &str) -> Self {
        let name = format!("rekindle_rules_{}", std::process::id());
        let server = runtime.block_on(async {
            let server = Database::connect(url).await.expect("the server of TEST_DATABASE_URL");
            let create = format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0");
            // A collation that is far from the order of bytes, where the server has one.
            let far = format!("{create} LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
            if server.execute_unprepared(&far).await.is_err() {
                server.execute_unprepared(&create).await.expect("a database of our own");
            }
            server
        });
        Self { runtime, server, name }
    }
}

impl Drop for OwnDatabase<'_> {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if let Err(error) = self.runtime.block_on(self.server.execute_unprepared(&drop)) {
            eprintln!("{} is left behind: {error}", self.name);
        }
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let after_scheme = address.find("://").map_or(0, |at| at + 3);
    let server = match address[after_scheme..].find('/') {
        Some(slash) => &address[..after_scheme + slash],
        None => address,
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{server}/{name}{query}")
}
