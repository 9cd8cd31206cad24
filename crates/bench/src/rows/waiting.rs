//! Runs that wait: the program takes the first thousand to their wait, the others are copies of them.
//!
//! Each waits for an hour, and will then write one mail or another, as a rule about its customer
//! says. Mails go to a server that takes connections and never greets, one at a time: the first
//! holds the others for five minutes, so that a mail is queued and no more.

use std::net::TcpListener;
use std::time::Duration;

use pbjson_types::value::Kind;
use pbjson_types::{Struct, Value};
use rekindle_core::scope::Scope;
use rekindle_proto::v1;
use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool};

use super::loaded::{count, until_zero};
use super::{Bench, now};
use crate::Fallible;
use crate::client::stream_events;
use crate::definitions::{desk, mail_steps};
use crate::draws::Draws;
use crate::multiply::{Copied, multiply};
use crate::postgres::Database;
use crate::program::Program;
use crate::workload::timestamp;

/// Runs that the program makes itself.
pub const TEMPLATES: u32 = 1_000;
/// Letter of their names.
const PREFIX: char = 't';
/// Seconds between a question and its stall: all are stored by then.
const AHEAD: i64 = 10;
/// The wait of the sequence, in microseconds.
const WAIT: i64 = 3_600_000_000;
/// A run that has nothing to do for so long waits for its hour.
const HALF_HOUR: i64 = 1_800_000_000;
/// How long before they fall due runs are told so: the rows are changed and the program is started.
const LEAD: i64 = 30_000_000;
/// Most time for all of them to go on.
const PATIENCE: Duration = Duration::from_mins(15);
/// A mail that hangs holds all others.
const ONE_SEND: (&str, &str) = ("REKINDLE__DELIVERY__CONCURRENCY", "1");

/// Runs that wait, in a database that no program works on yet.
pub struct Waiting {
    /// Connections to it.
    pub pool: PgPool,
    /// How many there are.
    pub runs: u32,
    /// Where it is.
    pub database: Database,
    /// The server that never greets.
    _relay: TcpListener,
}

impl Waiting {
    /// As many runs (rounded to copies), all of one sequence and each of a customer of its own.
    pub async fn load(bench: &Bench, runs: u32) -> Fallible<Self> {
        // Nobody accepts: the kernel takes the connections, and nothing is ever said on them.
        let relay = TcpListener::bind("127.0.0.1:0")?;
        let database = bench.server.database().await?;
        let program = bench.start(&database)?;
        let channel = program.connect().await?;
        let steps = mail_steps(&channel, relay.local_addr()?.port()).await?;
        desk(&channel, AHEAD, steps).await?;
        let pool = database.connect().await?;
        let templates = runs.min(TEMPLATES);
        start_runs(bench, &program, &pool, templates, PREFIX).await?;
        drop(program);
        let copies = runs / templates;
        multiply(&pool, PREFIX, copies - 1, Copied::WithRuns).await?;
        Ok(Self { pool, runs: templates * copies, database, _relay: relay })
    }

    /// Has every run fall due at an instant in microseconds since 1970, given as SQL over its
    /// `place` among them.
    pub async fn fall_due(&self, when: &str) -> Fallible<()> {
        // A wait is counted from its beginning when it is woken: it began so long before.
        let sql = format!(
            "UPDATE runs SET next_at = {when}, \
               progress = regexp_replace(progress, '\"since\":[0-9]+', '\"since\":' || ({when} - {WAIT})) \
             FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM runs WHERE state = 1) AS p \
             WHERE runs.id = p.id AND runs.state = 1"
        );
        let done = self.pool.execute(AssertSqlSafe(sql)).await?;
        self.pool.execute("VACUUM (ANALYZE) runs").await?;
        if done.rows_affected() == u64::from(self.runs) {
            Ok(())
        } else {
            Err(format!("{} of {} runs wait", done.rows_affected(), self.runs).into())
        }
    }

    /// Starts the program on them, with settings of its own.
    pub fn start(&self, bench: &Bench, settings: &[(&str, &str)]) -> Fallible<Program> {
        let settings: Vec<(&str, &str)> = settings.iter().copied().chain([ONE_SEND]).collect();
        Program::start_with(&bench.program, &self.database.url, &settings)
    }

    /// Waits until all have gone on, and each has its mail queued.
    pub async fn until_queued(&self) -> Fallible<()> {
        // The order is that of the claim index, which ends a look at its first row.
        let waits = format!(
            "SELECT count(*) FROM (SELECT 1 FROM runs WHERE bucket = {} AND state = 1 AND next_at IS NOT NULL \
             ORDER BY next_at LIMIT 1) AS waiting",
            scope().bucket
        );
        until_zero(&self.pool, &waits, PATIENCE).await?;
        let queued = count(&self.pool, "SELECT count(*) FROM deliveries WHERE ended_at IS NULL").await?;
        if queued == i64::from(self.runs) {
            Ok(())
        } else {
            Err(format!("{queued} mails are queued for {} runs", self.runs).into())
        }
    }

    /// Removes them and their database.
    pub async fn remove(self) -> Fallible<()> {
        self.pool.close().await;
        self.database.remove().await
    }
}

/// The workspace that all runs are in.
pub fn scope() -> Scope {
    Scope::of("default")
}

/// An instant at which runs can be told to fall due, in microseconds since 1970.
pub fn soon() -> i64 {
    now() + LEAD
}

/// Sleeps until an instant that must not be over.
pub async fn sleep_until(at: i64) -> Fallible<()> {
    let Some(rest) = u64::try_from(at - now()).ok().filter(|rest| *rest > 0) else {
        return Err("the runs were due before the program was there".into());
    };
    tokio::time::sleep(Duration::from_micros(rest)).await;
    Ok(())
}

/// Has customers ask something and then say nothing; done when a run of each waits for its hour.
pub async fn start_runs(
    bench: &Bench,
    program: &Program,
    pool: &PgPool,
    customers: u32,
    prefix: char,
) -> Fallible<()> {
    let at = now();
    let events = (0..customers).flat_map(|number| {
        [known(bench.seed, prefix, number, at), said(prefix, number, 0, "desk_contact", at)]
    });
    stream_events(program, bench.streams, events.collect()).await?;
    if now() >= at + AHEAD * 1_000_000 {
        return Err("the stalls were due before they were stored".into());
    }
    let missing = format!(
        "SELECT {customers} - count(*) FROM runs \
         WHERE state = 1 AND anchor_event LIKE 'c{prefix}0%' AND next_at > {}",
        at + HALF_HOUR
    );
    until_zero(pool, &missing, Duration::from_mins(1)).await
}

/// What a customer says, as event number `place` of the conversation.
pub fn said(prefix: char, number: u32, place: u32, kind: &str, at: i64) -> v1::Event {
    v1::Event {
        id: format!("c{prefix}{number:07}-{place}"),
        conversation: format!("c{prefix}{number:07}"),
        customer: format!("p{prefix}{number:07}"),
        r#type: kind.into(),
        occur_time: Some(timestamp(at)),
        ..Default::default()
    }
}

/// What is known of a customer: where to write, and what the rule asks for.
fn known(seed: u64, prefix: char, number: u32, at: i64) -> v1::Event {
    let tier = if Draws::of(seed, u64::from(number)).once_in(2) { "gold" } else { "plain" };
    let customer = format!("p{prefix}{number:07}");
    let email = format!("{customer}@example.invalid");
    let text = |text: String| Value { kind: Some(Kind::StringValue(text)) };
    let fields = [("email".to_owned(), text(email)), ("tier".to_owned(), text(tier.to_owned()))];
    v1::Event {
        id: format!("{customer}-0"),
        customer,
        r#type: "customer_updated".into(),
        occur_time: Some(timestamp(at)),
        properties: Some(Struct { fields: fields.into_iter().collect() }),
        ..Default::default()
    }
}
