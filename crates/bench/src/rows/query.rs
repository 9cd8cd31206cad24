//! A question about a million journeys.

use std::time::Instant;

use rekindle_proto::v1;
use rekindle_proto::v1::metrics_service_client::MetricsServiceClient;
use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use tonic::transport::Channel;

use super::Bench;
use super::loaded::{count, load};
use crate::Fallible;
use crate::definitions::{SALES, WORKSPACE, channel_property, sales_funnel};
use crate::multiply::Copied;
use crate::report::{Line, whole};

const FULL: u32 = 1_000_000;
/// A question is asked once to warm up, then so often; the median counts.
const ASKED: usize = 5;
/// Amounts run from 0 to 999.
const FILTER: &str = "event.properties.amount >= 250";

/// By channel, with a predicate that nobody announced and quantiles, beside the same over a
/// bare table with a row for each conversation.
pub async fn time(bench: &Bench) -> Fallible<Vec<Line>> {
    let define = async |channel| sales_funnel(&channel).await;
    let (database, pool) = load(bench, bench.large(FULL), Copied::Everything, define).await?;
    let journeys = count(&pool, "SELECT count(*) FROM journeys").await?;
    pool.execute(BARE).await?;
    pool.execute("VACUUM (ANALYZE) bare").await?;
    let baseline = bare_times(&pool).await?;
    let program = bench.start(&database)?;
    let ours = our_times(&program.connect().await?, &pool).await?;
    drop(program);
    pool.close().await;
    database.remove().await?;
    let what =
        format!("QueryFunnel by channel, ad hoc predicate, quantiles, {} journeys", whole(journeys as f64));
    Ok(vec![Line::times(what, baseline, ours, 0.6)])
}

/// One row a conversation: its deepest attempt, and of equally deep ones the first.
const BARE: &str = "
CREATE TABLE bare AS SELECT DISTINCT ON (a.subject) a.subject, a.entry_values::jsonb ->> 0 AS channel,
    (e.properties ->> 'amount')::double precision AS amount,
    (a.entered::jsonb #>> '{0,0}')::bigint AS e1, (a.entered::jsonb #>> '{1,0}')::bigint AS e2,
    (a.entered::jsonb #>> '{2,0}')::bigint AS e3, (a.entered::jsonb #>> '{3,0}')::bigint AS e4,
    (a.entered::jsonb #>> '{4,0}')::bigint AS e5
FROM attempts a JOIN events e ON e.bucket = a.bucket AND e.workspace = a.workspace AND e.id = a.start_event
ORDER BY a.subject, jsonb_array_length(jsonb_path_query_array(a.entered::jsonb, '$[*] ? (@ != null)')) DESC, a.start_at";

/// Reach of each stage and quantiles of each step, in all and by channel.
fn bare_question() -> String {
    let steps: Vec<String> = (2..=5)
        .map(|stage| {
            format!(
                ", count(e{stage}), percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95]) WITHIN GROUP (ORDER BY e{stage} - e{}), \
                 avg(e{stage} - e{0}), min(e{stage} - e{0}), max(e{stage} - e{0})",
                stage - 1
            )
        })
        .collect();
    format!(
        "SELECT channel, count(*){}, percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95]) WITHIN GROUP (ORDER BY e5 - e1) \
         FROM bare WHERE amount >= 250 GROUP BY GROUPING SETS ((), (channel)) ORDER BY channel",
        steps.concat()
    )
}

async fn bare_times(pool: &PgPool) -> Fallible<f64> {
    let mut taken = Vec::new();
    for _ in 0..=ASKED {
        let began = Instant::now();
        pool.fetch_all(AssertSqlSafe(bare_question())).await?;
        taken.push(began.elapsed().as_secs_f64());
    }
    Ok(median(taken))
}

async fn our_times(channel: &Channel, pool: &PgPool) -> Fallible<f64> {
    // An answer has n for every group, not the raw spans, and is small.
    let mut client = MetricsServiceClient::new(channel.clone());
    let request = v1::QueryFunnelRequest {
        funnel: format!("{WORKSPACE}/funnels/{SALES}"),
        filter: FILTER.into(),
        breakdowns: vec![v1::BreakdownSpec {
            property: Some(channel_property()),
            top_n: 10,
            at_entry: false,
        }],
        ..Default::default()
    };
    let mut taken = Vec::new();
    for _ in 0..=ASKED {
        let began = Instant::now();
        let answer = client.query_funnel(request.clone()).await?.into_inner();
        taken.push(began.elapsed().as_secs_f64());
        agree(&answer, pool).await?;
    }
    Ok(median(taken))
}

/// Both must have counted the same.
async fn agree(answer: &v1::QueryFunnelResponse, pool: &PgPool) -> Fallible<()> {
    let sql = "SELECT count(*), count(e3), count(e5) FROM bare WHERE amount >= 250";
    let row = pool.fetch_one(sql).await?;
    let bare: [i64; 3] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
    let figures = answer.figures.as_ref().ok_or("an answer without figures")?;
    let ours = [0, 2, 4].map(|place: usize| figures.stages.get(place).map_or(-1, |stage| stage.reached));
    if ours == bare { Ok(()) } else { Err(format!("{ours:?} subjects where there are {bare:?}").into()) }
}

/// The time in the middle of several.
pub fn median(mut taken: Vec<f64>) -> f64 {
    // The first is the warm-up.
    let mut taken = taken.split_off(1);
    taken.sort_by(f64::total_cmp);
    taken[taken.len() / 2]
}
