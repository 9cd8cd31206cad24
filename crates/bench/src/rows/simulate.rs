//! A sequence over a million journeys of the past.

use std::time::{Duration, Instant};

use rekindle_core::scope::Scope;
use rekindle_proto::v1;
use rekindle_proto::v1::sequence_service_client::SequenceServiceClient;
use rekindle_proto::v1::simulate_sequence_request::Simulated;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use tonic::transport::Channel;
use tonic::{Code, Request};
use uuid::Uuid;

use super::Bench;
use super::loaded::{count, load};
use super::query::median;
use super::waiting::scope;
use crate::Fallible;
use crate::definitions::{LULL, WORKSPACE, lull, mail_steps, stalled};
use crate::multiply::Copied;
use crate::report::{Line, whole};

const FULL: u32 = 1_000_000;
/// A question is asked once to warm up, then so often; the median counts.
const ASKED: usize = 3;
/// Journeys of a page of the baseline.
const PAGE: u32 = 1_000;
/// The longest that a caller may wait.
const LONGEST: Duration = Duration::from_secs(30);
/// A port of a mail server that nobody calls.
const NOWHERE: u16 = 9;

/// An hour's wait, a branch and a mail over every journey, beside reading the same journeys and
/// their events.
///
/// Every journey falls silent for so long that its return has to be looked up, most of them twice.
pub async fn time(bench: &Bench) -> Fallible<Vec<Line>> {
    let define = async |channel| lull(&channel).await;
    let (database, pool) = load(bench, bench.large(FULL), Copied::Everything, define).await?;
    let journeys = count(&pool, "SELECT count(*) FROM journeys").await?;
    let baseline = bare_times(&database.url, &pool, journeys).await?;
    let program = bench.start(&database)?;
    let (ours, due) = our_times(&program.connect().await?, journeys).await?;
    drop(program);
    pool.close().await;
    database.remove().await?;
    let (journeys, due) = (whole(journeys as f64), whole(due as f64));
    let what = format!(
        "SimulateSequence, {due} silences of {journeys} journeys (baseline: they and their events are read)"
    );
    Ok(vec![Line::times(what, baseline, ours, 0.5)])
}

/// Seconds that one connection takes to read every journey with the events of its subject.
async fn bare_times(url: &str, pool: &PgPool, journeys: i64) -> Fallible<f64> {
    let revision = count(pool, "SELECT max(revision) FROM journeys").await?;
    let mut connection = PgConnection::connect(url).await?;
    let mut taken = Vec::new();
    for _ in 0..=ASKED {
        let began = Instant::now();
        let (read, events) = read_all(&mut connection, revision).await?;
        taken.push(began.elapsed().as_secs_f64());
        if read as i64 != journeys || events == 0 {
            return Err(format!("{read} of {journeys} journeys were read, with {events} events").into());
        }
    }
    connection.close().await?;
    Ok(median(taken))
}

/// Rows of journeys and of events that there are, all of their columns, page by page.
async fn read_all(connection: &mut PgConnection, revision: i64) -> Fallible<(usize, usize)> {
    let Scope { bucket, workspace } = scope();
    let here = format!("bucket = {bucket} AND workspace = {workspace}");
    let journeys = format!(
        "SELECT * FROM journeys WHERE {here} AND revision = {revision} AND subject > $1 \
         ORDER BY subject LIMIT {PAGE}"
    );
    let events = format!("SELECT * FROM events WHERE {here} AND conversation = ANY($1)");
    let (mut last, mut read, mut heard) = (Uuid::nil(), 0, 0);
    loop {
        let page = sqlx::query(AssertSqlSafe(journeys.as_str())).bind(last);
        let page = page.fetch_all(&mut *connection).await?;
        let subjects = page.iter().map(|row| row.try_get("subject")).collect::<Result<Vec<Uuid>, _>>()?;
        let Some(end) = subjects.last() else {
            return Ok((read, heard));
        };
        last = *end;
        read += page.len();
        let said = sqlx::query(AssertSqlSafe(events.as_str())).bind(subjects);
        heard += said.fetch_all(&mut *connection).await?.len();
    }
}

/// Seconds of a simulation, and silences that came due. An answer that does not come in the longest
/// time that a caller may wait never comes.
async fn our_times(channel: &Channel, journeys: i64) -> Fallible<(f64, i64)> {
    let draft = v1::Sequence {
        trigger: Some(stalled(LULL)),
        steps: mail_steps(channel, NOWHERE).await?,
        ..Default::default()
    };
    let mut client = SequenceServiceClient::new(channel.clone());
    let (mut taken, mut due) = (Vec::new(), 0);
    for _ in 0..=ASKED {
        let mut request = Request::new(v1::SimulateSequenceRequest {
            parent: WORKSPACE.into(),
            simulated: Some(Simulated::Draft(draft.clone())),
            sample_count: Some(0),
            ..Default::default()
        });
        request.set_timeout(LONGEST);
        let began = Instant::now();
        let answer = match client.simulate_sequence(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) => {
                return Ok((f64::INFINITY, due));
            }
            Err(status) => return Err(status.into()),
        };
        taken.push(began.elapsed().as_secs_f64());
        due = looked_at_all(&answer, journeys)?;
    }
    Ok((median(taken), due))
}

/// Silences that came due: every journey has one.
fn looked_at_all(answer: &v1::SimulateSequenceResponse, journeys: i64) -> Fallible<i64> {
    let found = answer.simulation.as_ref().ok_or("an answer without counts")?;
    if answer.complete && found.due_count >= journeys && found.message_count > 0 {
        Ok(found.due_count)
    } else {
        Err(format!("{journeys} journeys gave {found:?}").into())
    }
}
