//! `rekindle report`: figures on the terminal; of a funnel here.

mod flat;
pub mod recovery;
mod target;

use clap::{Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use rekindle_proto::v1;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format};
use crate::import::instant;
use crate::render;

/// Cells of a line where stdout is no terminal.
const PLAIN_WIDTH: usize = 120;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to report on.
#[derive(Debug, Subcommand)]
enum What {
    /// A funnel: stages, who is where, times, breakdowns and trend
    Funnel(Box<FunnelArgs>),
    /// A sequence: who came back, and what would have come back anyway
    Recovery(recovery::Args),
    /// A stage that tries out response-time targets: who goes on from it, by target
    Target(target::Args),
}

/// Arguments of `report funnel`.
#[derive(Debug, clap::Args)]
struct FunnelArgs {
    /// Id or full name of the funnel
    name: String,
    /// Only attempts that begin at or after this instant
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only attempts that begin before this instant
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What had happened by this instant; without it, by now
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// Break down by a property: event.KEY, conversation.KEY or customer.KEY; a bare KEY is the event's
    #[arg(long, value_name = "PROPERTY")]
    by: Vec<String>,
    /// Values that stand for themselves in a breakdown; the rest is one group
    #[arg(long, default_value_t = 10, value_name = "N", requires = "by")]
    top: i32,
    /// Break down by attributes as they were when the attempt began
    #[arg(long, requires = "by")]
    at_entry: bool,
    /// Cut by calendar time of entry
    #[arg(long, value_enum, value_name = "BUCKET")]
    trend: Option<Trend>,
    /// IANA zone of the calendar and of times given without an offset; without it the trend is in
    /// the workspace's zone, and times are in UTC
    #[arg(long)]
    zone: Option<String>,
    /// Only attempts for which this predicate in CEL syntax holds
    #[arg(long, default_value = "", hide_default_value = true, value_name = "CEL")]
    filter: String,
    /// What is counted once; without it the funnel's subject
    #[arg(long, value_enum)]
    unit: Option<Unit>,
    /// Compare with the `previous` period of the same length, or with FROM..UNTIL
    #[arg(long, value_name = "PERIOD")]
    compare: Option<String>,
    /// A revision; without it the latest
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    revision: i32,
    #[command(flatten)]
    target: Target,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Cells of a line; without it as wide as the terminal
    #[arg(long, value_name = "CELLS")]
    width: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Trend {
    Day,
    Week,
    Month,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unit {
    #[value(alias = "conversations")]
    Conversation,
    #[value(alias = "episodes")]
    Episode,
    #[value(alias = "customers")]
    Customer,
    #[value(alias = "attempts")]
    Attempt,
}

/// Asks, and prints the answer.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let args = match &args.what {
        What::Funnel(args) => args,
        What::Recovery(args) => return recovery::run(args).await,
        What::Target(args) => return target::run(args).await,
    };
    let question = question(args)?;
    let connection = Connection::open(&args.target).await?;
    let answer = connection.metrics().query_funnel(question).await?.into_inner();
    match args.output {
        Format::Table => {
            let width = args.width.or_else(render::table::terminal_width).unwrap_or(PLAIN_WIDTH);
            // Colours are taken out again where stdout does not want them.
            output::print_text(&render::funnel::funnel(&answer, width, true))
        }
        Format::Json => output::print_json(&output::value(&answer)?),
        Format::Jsonl => output::print_jsonl(&stages(&answer)?),
        Format::Csv => output::print_csv(&flat::rows(&answer)),
    }
}

fn stages(answer: &v1::QueryFunnelResponse) -> Result<Vec<Value>, Failure> {
    let figures = answer.figures.clone().unwrap_or_default();
    figures.stages.into_iter().map(|stage| output::value(&stage)).collect()
}

fn question(args: &FunnelArgs) -> Result<v1::QueryFunnelRequest, Failure> {
    let zone = match &args.zone {
        None => TimeZone::UTC,
        Some(zone) => TimeZone::get(zone).map_err(|error| Failure::Invalid(format!("--zone: {error}")))?,
    };
    let period = period("--from", args.from.as_deref(), "--until", args.until.as_deref(), &zone)?;
    Ok(v1::QueryFunnelRequest {
        funnel: Kind::Funnel.name(&args.target.workspace, &args.name),
        revision: args.revision,
        unit: args.unit.map_or(v1::Unit::Unspecified, proto_unit).into(),
        period,
        as_of_time: time("--as-of", args.as_of.as_deref(), &zone)?,
        filter: args.filter.clone(),
        breakdowns: args.by.iter().map(|by| breakdown(by, args)).collect(),
        trend: args.trend.map(|trend| v1::TrendSpec {
            granularity: granularity(trend).into(),
            zone: args.zone.clone().unwrap_or_default(),
        }),
        compare_to: args.compare.as_deref().map(|text| comparison(text, &zone)).transpose()?,
    })
}

fn time(flag: &str, text: Option<&str>, zone: &TimeZone) -> Result<Option<pbjson_types::Timestamp>, Failure> {
    text.map(|text| {
        instant::parse(text, zone, None)
            .map(instant::to_proto)
            .map_err(|fault| Failure::Invalid(format!("{flag}: `{text}` {fault}")))
    })
    .transpose()
}

/// A period from two flags; nothing when neither says anything.
pub(super) fn period(
    from_flag: &str,
    from: Option<&str>,
    until_flag: &str,
    until: Option<&str>,
    zone: &TimeZone,
) -> Result<Option<v1::Period>, Failure> {
    let period =
        v1::Period { start_time: time(from_flag, from, zone)?, end_time: time(until_flag, until, zone)? };
    Ok(Some(period).filter(|period| period.start_time.is_some() || period.end_time.is_some()))
}

fn breakdown(by: &str, args: &FunnelArgs) -> v1::BreakdownSpec {
    let scopes = [
        ("event.properties.", v1::PropertyScope::Event),
        ("event.", v1::PropertyScope::Event),
        ("conversation.", v1::PropertyScope::Conversation),
        ("customer.", v1::PropertyScope::Customer),
        ("", v1::PropertyScope::Event),
    ];
    // The last prefix is that of every text.
    let (key, scope) = scopes
        .iter()
        .find_map(|(prefix, scope)| by.strip_prefix(prefix).map(|key| (key, *scope)))
        .unwrap_or((by, v1::PropertyScope::Event));
    v1::BreakdownSpec {
        property: Some(v1::Property { scope: scope.into(), key: key.to_owned() }),
        top_n: args.top,
        at_entry: args.at_entry && scope != v1::PropertyScope::Event,
    }
}

fn comparison(text: &str, zone: &TimeZone) -> Result<v1::Comparison, Failure> {
    use v1::comparison::With;
    if text == "previous" {
        return Ok(v1::Comparison { with: Some(With::PreviousPeriod(true)) });
    }
    let (from, until) = text.split_once("..").ok_or_else(|| {
        Failure::Invalid(format!("--compare: `{text}` is neither `previous` nor FROM..UNTIL"))
    })?;
    let end = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let earlier = period("--compare", end(from), "--compare", end(until), zone)?;
    Ok(v1::Comparison { with: Some(With::Period(earlier.unwrap_or_default())) })
}

const fn granularity(trend: Trend) -> v1::Granularity {
    match trend {
        Trend::Day => v1::Granularity::Day,
        Trend::Week => v1::Granularity::Week,
        Trend::Month => v1::Granularity::Month,
    }
}

const fn proto_unit(unit: Unit) -> v1::Unit {
    match unit {
        Unit::Conversation => v1::Unit::Conversation,
        Unit::Episode => v1::Unit::Episode,
        Unit::Customer => v1::Unit::Customer,
        Unit::Attempt => v1::Unit::Attempt,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn asked(flags: &[&str]) -> Result<v1::QueryFunnelRequest, Failure> {
        let words = [&["x", "funnel", "support"], flags].concat();
        let program = Program::try_parse_from(words).map_err(|error| Failure::Invalid(error.to_string()))?;
        let What::Funnel(args) = program.args.what else {
            panic!("it says funnel");
        };
        question(&args)
    }

    #[test]
    fn flags_become_the_question() {
        let question = asked(&[
            "--from",
            "2026-01-01",
            "--until",
            "2026-02-01",
            "--zone",
            "Europe/Berlin",
            "--as-of",
            "2026-03-01T00:00:00Z",
            "--by",
            "plan",
            "--by",
            "customer.plan",
            "--top",
            "3",
            "--at-entry",
            "--trend",
            "week",
            "--unit",
            "customer",
            "--compare",
            "previous",
            "--filter",
            "event.properties.n > 1",
        ])
        .expect("right flags");
        assert_eq!(question.funnel, "workspaces/default/funnels/support");
        let period = question.period.as_ref().expect("a period");
        // Midnight in Berlin is 23:00 UTC in winter.
        assert_eq!(period.start_time.expect("from").seconds, 1_767_222_000);
        assert_eq!(question.as_of_time.expect("as of").seconds, 1_772_323_200);
        assert_eq!(question.unit(), v1::Unit::Customer);
        assert_eq!(question.trend.as_ref().expect("a trend").zone, "Europe/Berlin");
        let scopes: Vec<(i32, bool)> = question
            .breakdowns
            .iter()
            .map(|by| (by.property.as_ref().expect("a property").scope, by.at_entry))
            .collect();
        assert_eq!(
            scopes,
            [(v1::PropertyScope::Event.into(), false), (v1::PropertyScope::Customer.into(), true)]
        );
        assert_eq!(
            question.compare_to.expect("a comparison").with,
            Some(v1::comparison::With::PreviousPeriod(true))
        );
    }

    #[test]
    fn a_wrong_time_is_told_with_its_flag() {
        let failure = asked(&["--from", "soon"]).expect_err("no time");
        assert!(failure.to_string().starts_with("--from: `soon` "), "{failure}");
        assert!(asked(&["--compare", "earlier"]).is_err());
        assert!(asked(&["--zone", "Nowhere/Here"]).is_err());
    }

    #[test]
    fn a_plain_question_asks_for_everything_until_now() {
        let question = asked(&[]).expect("right flags");
        assert_eq!(question.period, None);
        assert_eq!(question.as_of_time, None);
        assert!(question.breakdowns.is_empty());
    }
}
