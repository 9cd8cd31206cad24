//! `rekindle report target FUNNEL STAGE`: what the response-time targets of a stage did.

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

/// Arguments of `report target`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id or full name of the funnel
    funnel: String,
    /// Id of the stage that tries out targets
    stage: String,
    /// Only attempts that begin at or after this instant; without it, since the revision was published
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only attempts that begin before this instant
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What had happened by this instant; without it, by now
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// A revision; without it the latest
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    revision: i32,
    #[command(flatten)]
    target: Target,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Asks, and prints the answer.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let zone = TimeZone::UTC;
    let request = v1::QueryTargetExperimentRequest {
        funnel: Kind::Funnel.name(&args.target.workspace, &args.funnel),
        revision: args.revision,
        stage: args.stage.clone(),
        period: period("--from", args.from.as_deref(), "--until", args.until.as_deref(), &zone)?,
        as_of_time: time("--as-of", args.as_of.as_deref(), &zone)?,
    };
    let connection = Connection::open(&args.target).await?;
    let answer = connection.metrics().query_target_experiment(request).await?.into_inner();
    match args.output {
        Format::Table => output::print_text(&told(&answer)),
        Format::Json => output::print_json(&output::value(&answer)?),
        Format::Jsonl | Format::Csv => {
            let values = answer.arms.iter().map(output::value).collect::<Result<Vec<Value>, _>>()?;
            let sheet = sheet(&answer.arms, "target seconds", |seconds| seconds.to_string());
            output::print(args.output, &values, &sheet)
        }
    }
}

/// A line for every arm; targets stand under `target`, as `span` writes so many seconds.
fn sheet(arms: &[v1::TargetArmResult], target: &str, span: fn(f64) -> String) -> Sheet {
    let header = [
        "arm",
        target,
        "weight",
        "entered",
        "stalled",
        "progressed",
        "rate",
        "rate 95 %",
        "difference",
        "difference 95 %",
        "p",
    ];
    let aligns = [Align::Left].into_iter().chain([Align::Right; 10]);
    Sheet {
        header: header.map(str::to_owned).into(),
        cells: arms.iter().map(|arm| cells(arm, span)).collect(),
        aligns: aligns.collect(),
    }
}

fn cells(arm: &v1::TargetArmResult, span: fn(f64) -> String) -> Vec<String> {
    let after = arm.after.unwrap_or_default();
    let seconds = after.seconds as f64 + f64::from(after.nanos) / 1e9;
    let mut cells = vec![arm.arm.clone(), span(seconds), arm.weight.to_string()];
    cells.extend([arm.entered, arm.stalled, arm.progressed].map(number::count));
    cells.push(number::percent(arm.progress_rate.as_ref()));
    cells.push(arm.progress_interval.as_ref().map(number::interval).unwrap_or_default());
    let difference = arm.difference.as_ref();
    cells.push(difference.map(|it| format!("{:+.1}", 100.0 * it.value)).unwrap_or_default());
    let interval = difference.and_then(|it| it.interval.as_ref());
    cells.push(interval.map(number::points).unwrap_or_default());
    let p = difference.and_then(|it| it.p_value);
    cells.push(p.map(|p| format!("{p:.4}")).unwrap_or_default());
    cells
}

/// The answer for people.
fn told(answer: &v1::QueryTargetExperimentResponse) -> String {
    // Taken out again where they are not wanted.
    let paint = Paint { colors: true };
    let mut text = String::new();
    let funnel = answer.funnel.rsplit('/').next().unwrap_or_default();
    let period = answer.period.unwrap_or_default();
    let until = period.end_time.map(|end| format!(", until {}", number::instant(Some(&end))));
    let title = format!(
        "Targets of {} in {funnel}, revision {}, experiment {}, attempts since {}{}, as of {}",
        answer.stage,
        answer.revision,
        answer.experiment,
        number::instant(period.start_time.as_ref()),
        until.unwrap_or_default(),
        number::instant(answer.as_of_time.as_ref()),
    );
    let _ = writeln!(text, "{}", paint.heading(&title));
    if answer.sample_ratio.is_some_and(|sample| sample.mismatch) {
        let warning = "the arms are not as large as their weights say: do not trust what follows";
        let _ = writeln!(text, "{}", paint.warning(warning));
    }
    if !answer.complete {
        let missing = "incomplete: an earlier revision, or stored history is not folded yet";
        let _ = writeln!(text, "{}", paint.warning(missing));
    }
    let Sheet { header, cells, aligns } = sheet(&answer.arms, "target", number::duration);
    let _ = writeln!(text, "{}", Grid::new(&header, &cells, &aligns));
    if let Some((first, others)) = answer.arms.split_first() {
        for arm in others {
            let _ = writeln!(text, "{} against {}: {}", arm.arm, first.arm, verdict(arm, others.len()));
        }
    }
    if !answer.mature {
        let _ = writeln!(text, "{}", paint.aside("some may still go on: the figures will change"));
    }
    text
}

/// What comes of the comparison with the first arm, which is one of so many (Bonferroni).
fn verdict(arm: &v1::TargetArmResult, comparisons: usize) -> &'static str {
    let Some(difference) = arm.difference else {
        return "nobody to compare with yet";
    };
    let is_told = difference.p_value.is_some_and(|p| p < 0.05 / comparisons as f64);
    match difference.interval.filter(|_| is_told) {
        Some(interval) if interval.low > 0.0 => "more go on",
        Some(interval) if interval.high < 0.0 => "fewer go on",
        _ => "no difference can be told yet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(id: &str, minutes: i64, progressed: i64, low_and_high: Option<(f64, f64)>) -> v1::TargetArmResult {
        let interval = low_and_high.map(|(low, high)| v1::Interval { low, high });
        let difference = interval.map(|interval| v1::ShareDifference {
            value: 0.1,
            interval: Some(interval),
            p_value: Some(0.02),
        });
        v1::TargetArmResult {
            arm: id.into(),
            after: Some(pbjson_types::Duration { seconds: minutes * 60, nanos: 0 }),
            weight: 1,
            entered: 1_000,
            stalled: 40,
            progressed,
            progress_rate: Some(v1::Ratio { numerator: progressed, denominator: 1_000 }),
            progress_interval: Some(v1::Interval { low: 0.25, high: 0.75 }),
            difference,
        }
    }

    fn answer(interval: Option<(f64, f64)>) -> v1::QueryTargetExperimentResponse {
        v1::QueryTargetExperimentResponse {
            funnel: "workspaces/default/funnels/support".into(),
            revision: 2,
            stage: "asked".into(),
            experiment: "faster".into(),
            complete: true,
            arms: vec![arm("as-before", 60, 500, None), arm("half", 30, 600, interval)],
            ..Default::default()
        }
    }

    fn words(line: &str) -> String {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_arm_is_a_line_and_is_compared_with_the_first() {
        let text = told(&answer(Some((0.05, 0.15))));
        let lines: Vec<String> = text.lines().map(words).collect();
        assert!(lines[0].contains("Targets of asked in support, revision 2, experiment faster"), "{text}");
        assert_eq!(lines[2], "as-before 1h 00m 1 1,000 40 500 50.0% 25.0 – 75.0 %");
        let expected = "half 30m 00s 1 1,000 40 600 60.0% 25.0 – 75.0 % +10.0 +5.0 to +15.0 0.0200";
        assert_eq!(lines[3], expected);
        assert!(text.contains("half against as-before: more go on\n"), "{text}");
        assert!(text.contains("some may still go on"), "{text}");
        for (interval, words) in [
            (None, "nobody to compare with yet"),
            (Some((-0.2, -0.1)), "fewer go on"),
            (Some((-0.1, 0.1)), "no difference can be told yet"),
        ] {
            let text = told(&answer(interval));
            assert!(text.contains(&format!("half against as-before: {words}\n")), "{text}");
        }
    }

    #[test]
    fn of_many_comparisons_each_needs_more_to_be_told() {
        let mut answer = answer(Some((0.05, 0.15)));
        let verdicts = |answer: &v1::QueryTargetExperimentResponse| {
            let text = told(answer);
            ["more go on", "no difference can be told yet"].map(|words| text.matches(words).count())
        };
        answer.arms.push(arm("quarter", 15, 600, Some((0.05, 0.15))));
        assert_eq!(verdicts(&answer), [2, 0]);
        answer.arms.push(arm("minute", 1, 600, Some((0.05, 0.15))));
        assert_eq!(verdicts(&answer), [0, 3]);
        // Too few for a test.
        answer.arms.truncate(2);
        answer.arms[1].difference.as_mut().expect("as given").p_value = None;
        assert_eq!(verdicts(&answer), [0, 1]);
    }

    #[test]
    fn the_title_says_when_a_period_ends() {
        let at = |seconds| Some(pbjson_types::Timestamp { seconds, nanos: 0 });
        let mut answer = answer(None);
        answer.as_of_time = at(1_767_225_602);
        answer.period = Some(v1::Period { start_time: at(1_767_225_600), end_time: None });
        let open = told(&answer);
        assert!(open.contains("since 2026-01-01 00:00:00 UTC, as of 2026-01-01 00:00:02 UTC"), "{open}");
        answer.period = Some(v1::Period { start_time: at(1_767_225_600), end_time: at(1_767_225_601) });
        let closed = told(&answer);
        assert!(closed.contains("00:00:00 UTC, until 2026-01-01 00:00:01 UTC, as of"), "{closed}");
    }

    #[test]
    fn what_makes_figures_doubtful_is_said_before_them() {
        let mut doubtful = answer(None);
        doubtful.complete = false;
        doubtful.mature = true;
        doubtful.sample_ratio = Some(v1::TargetSampleRatio { mismatch: true, ..Default::default() });
        let text = told(&doubtful);
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is not in {text}"));
        let places = ["do not trust what follows", "incomplete", "ARM"].map(place);
        assert!(places.is_sorted(), "{text}");
        assert!(!text.contains("will change"), "{text}");
    }

    #[test]
    fn every_line_of_the_sheet_has_a_cell_for_every_column() {
        let arms = answer(Some((0.05, 0.15))).arms;
        let Sheet { header, cells, aligns } = sheet(&arms, "target seconds", |seconds| seconds.to_string());
        assert_eq!([&header[1], &cells[0][1], &cells[1][1]], ["target seconds", "3600", "1800"]);
        assert!(cells.iter().all(|row| row.len() == header.len()), "{cells:?}");
        assert_eq!(aligns.len(), header.len());
    }
}
