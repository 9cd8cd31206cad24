//! `rekindle report recovery NAME`: what a sequence was worth.

use std::fmt::Write;

use jiff::tz::TimeZone;
use rekindle_proto::v1;
use serde_json::Value;

use super::{period, time};
use crate::cli::Failure;
use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format, Sheet};
use crate::render::number;
use crate::render::paint::Paint;
use crate::render::table::{Align, Grid};

mod timing;

/// Arguments of `report recovery`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id or full name of the sequence
    name: String,
    /// Only runs that began at or after this instant
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only runs that began before this instant
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What had happened by this instant; without it, by now
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// Days after its first message in which a run can be recovered
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    window: u32,
    /// Show in the table, too, what came back by delay and by hour of the first message
    #[arg(long)]
    timing: bool,
    #[command(flatten)]
    target: Target,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Asks, and prints the answer.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let zone = TimeZone::UTC;
    let request = v1::QueryRecoveryRequest {
        sequence: Kind::Sequence.name(&args.target.workspace, &args.name),
        period: period("--from", args.from.as_deref(), "--until", args.until.as_deref(), &zone)?,
        recovery_window: Some(pbjson_types::Duration { seconds: i64::from(args.window) * 86_400, nanos: 0 }),
        as_of_time: time("--as-of", args.as_of.as_deref(), &zone)?,
    };
    let connection = Connection::open(&args.target).await?;
    let answer = connection.metrics().query_recovery(request).await?.into_inner();
    match args.output {
        Format::Table => {
            let mut text = told(&answer);
            if args.timing {
                text += &timing::tables(answer.timing.as_ref());
            }
            output::print_text(&text)
        }
        Format::Json => output::print_json(&output::value(&answer)?),
        Format::Jsonl | Format::Csv => {
            let lines = lines(&answer);
            let values =
                lines.iter().map(|line| output::value(line.counts)).collect::<Result<Vec<Value>, _>>()?;
            output::print(args.output, &values, &sheet(&lines))
        }
    }
}

/// An arm, or a variant in it.
struct Line<'a> {
    way: String,
    arm: &'static str,
    counts: &'a v1::RecoveryCounts,
}

fn lines(answer: &v1::QueryRecoveryResponse) -> Vec<Line<'_>> {
    let variants = answer.variants.iter().map(|it| (format!("{} {}", it.step, it.variant), it.arms.as_ref()));
    let all = std::iter::once((String::new(), answer.arms.as_ref())).chain(variants);
    let both = all.flat_map(|(way, arms)| {
        let treated = (way.clone(), "treated", arms.and_then(|arms| arms.treated.as_ref()));
        [treated, (way, "held out", arms.and_then(|arms| arms.held_out.as_ref()))]
    });
    both.filter_map(|(way, arm, counts)| Some(Line { way, arm, counts: counts? })).collect()
}

fn sheet(lines: &[Line<'_>]) -> Sheet {
    let header = [
        "way",
        "arm",
        "eligible",
        "reached",
        "returned",
        "recovered",
        "rate",
        "95 %",
        "unsubscribed",
        "complained",
        "voided",
        "open",
        "rated",
        "satisfied",
    ];
    let cells = lines.iter().map(|line| {
        let it = line.counts;
        let mut cells = vec![line.way.clone(), line.arm.to_owned()];
        cells.extend([it.eligible, it.reached, it.returned, it.recovered].map(number::count));
        cells.push(number::percent(it.recovery_rate.as_ref()));
        cells.push(it.recovery_interval.as_ref().map(number::interval).unwrap_or_default());
        cells.extend([it.unsubscribed, it.complained, it.voided, it.open].map(number::count));
        cells.extend([it.rated, it.satisfied].map(number::count));
        cells
    });
    let aligns = [Align::Left; 2].into_iter().chain([Align::Right; 12]);
    Sheet { header: header.map(str::to_owned).into(), cells: cells.collect(), aligns: aligns.collect() }
}

/// The answer for people.
pub fn told(answer: &v1::QueryRecoveryResponse) -> String {
    // Taken out again where they are not wanted.
    let paint = Paint { colors: true };
    let mut text = String::new();
    let name = answer.sequence.rsplit('/').next().unwrap_or_default();
    let title = format!("Recovery by {name}, as of {}", number::instant(answer.as_of_time.as_ref()));
    let _ = writeln!(text, "{}", paint.heading(&title));
    if let Some(sample) = answer.sample_ratio.as_ref().filter(|sample| sample.mismatch) {
        let warning = format!(
            "{} of {} customers are held out where {:.0} should be: do not trust what follows",
            sample.held_out, sample.assigned, sample.expected_held_out
        );
        let _ = writeln!(text, "{}", paint.warning(&warning));
    }
    let lines = lines(answer);
    let Sheet { header, cells, aligns } = sheet(&lines);
    let _ = writeln!(text, "{}", Grid::new(&header, &cells, &aligns));
    let arms = answer.arms.unwrap_or_default();
    let _ = writeln!(text, "{}", worth(&arms));
    if let Some(credit) = answer.credit.as_ref().and_then(last_touch) {
        let _ = writeln!(text, "{}", paint.aside(&credit));
    }
    for line in answer.timing.iter().flat_map(timing::advice) {
        let _ = writeln!(text, "{line}");
    }
    if !answer.mature {
        let _ =
            writeln!(text, "{}", paint.aside("some runs can still be recovered: the figures will change"));
    }
    text
}

/// The uplift in words.
fn worth(arms: &v1::ArmComparison) -> String {
    let Some(uplift) = &arms.uplift else {
        return "nobody to compare with: hold some customers out to know what it is worth".to_owned();
    };
    let interval = uplift.interval.unwrap_or_default();
    let (low, high) = (100.0 * interval.low, 100.0 * interval.high);
    let p = uplift.p_value.map(|p| format!(", p = {p:.4}")).unwrap_or_default();
    let verdict = match arms.verdict() {
        v1::RecoveryVerdict::Better => {
            format!("about {:.0} recoveries that would not have been", arms.incremental_recoveries())
        }
        v1::RecoveryVerdict::Harmful => format!("not to be called better: {}", harm(arms)),
        v1::RecoveryVerdict::Worse => "it keeps customers away".to_owned(),
        v1::RecoveryVerdict::Untrusted => "the arms are not what they should be".to_owned(),
        v1::RecoveryVerdict::Undecided
        | v1::RecoveryVerdict::Incomparable
        | v1::RecoveryVerdict::Unspecified => "no difference can be told yet".to_owned(),
    };
    format!("uplift {:+.1} points, 95 % from {low:+.1} to {high:+.1}{p}: {verdict}", 100.0 * uplift.value)
}

/// Which guard rail is broken, in words.
fn harm(arms: &v1::ArmComparison) -> String {
    let mut broken = Vec::new();
    let more = |it: &v1::ShareDifference| it.interval.is_some_and(|interval| interval.low > 0.0);
    if let Some(it) = arms.unsubscribed.filter(more) {
        broken.push(format!("more unsubscribe, by {:.1} points", 100.0 * it.value));
    }
    let fewer = |it: &v1::ShareDifference| it.interval.is_some_and(|interval| interval.high < 0.0);
    if let Some(it) = arms.satisfied.filter(fewer) {
        broken.push(format!("fewer are satisfied, by {:.1} points", -100.0 * it.value));
    }
    broken.join("; ")
}

/// Which messages came last before the returns.
fn last_touch(credit: &v1::RecoveryCredit) -> Option<String> {
    let mut parts: Vec<String> =
        credit.steps.iter().map(|it| format!("{} {}", it.step, number::count(it.credited))).collect();
    if credit.credited_elsewhere > 0 {
        parts.push(format!("another sequence {}", number::count(credit.credited_elsewhere)));
    }
    (!parts.is_empty()).then(|| format!("last message before a return: {}", parts.join(", ")))
}
