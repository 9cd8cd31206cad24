//! `rekindle simulate -f FILE`, `rekindle simulate NAME`: what a sequence would have done to stored
//! history. Nothing is written, and nothing sent.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use rekindle_proto::v1;
use rekindle_proto::v1::simulate_sequence_request::Simulated;
use tonic::Request;

use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format, Sheet};
use crate::cli::{Failure, Surroundings, apply, names, report};
use crate::render::bar::bar;
use crate::render::number;
use crate::render::paint::Paint;
use crate::render::table::Align;

/// The longest that a server works on one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Cells of the longest bar.
const BAR_WIDTH: usize = 40;
const HOURS_OF_A_DAY: i64 = 24;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id or full name of a stored sequence
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// A definition file, as for apply, with one sequence in it; - is stdin
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only silences that came due at or after this instant
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only silences that came due before this instant
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Messages to show, 0 to 10
    #[arg(long, value_name = "N", default_value_t = 3)]
    samples: i32,
    #[command(flatten)]
    target: Target,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Asks, and prints the answer.
pub async fn run(args: &Args, surroundings: &Surroundings<'_>) -> Result<(), Failure> {
    let workspace = &args.target.workspace;
    let (title, simulated) = match (&args.file, &args.name) {
        (Some(file), _) => {
            let (id, draft) = apply::read_sequence(file, surroundings.variable)?;
            let name = Kind::Sequence.name(workspace, &id);
            (id, Simulated::Draft(v1::Sequence { name, ..draft }))
        }
        (None, name) => {
            let name = Kind::Sequence.name(workspace, name.as_deref().unwrap_or_default());
            (names::short(&name), Simulated::Sequence(name))
        }
    };
    let (from, until) = (args.from.as_deref(), args.until.as_deref());
    let period = report::period("--from", from, "--until", until, &TimeZone::UTC)?;
    let connection = Connection::open(&args.target).await?;
    let mut request = Request::new(v1::SimulateSequenceRequest {
        parent: connection.parent(),
        simulated: Some(simulated),
        period,
        sample_count: Some(args.samples),
    });
    request.set_timeout(PATIENCE);
    let waiting = spinner();
    let answer = connection.sequences().simulate_sequence(request).await;
    waiting.finish_and_clear();
    let answer = answer?.into_inner();
    match args.output {
        Format::Table => output::print_text(&told(&title, &answer)),
        Format::Json => output::print_json(&output::value(&answer)?),
        Format::Jsonl => output::print_jsonl(&[output::value(&answer)?]),
        Format::Csv => output::print_csv(&sheet(&answer)),
    }
}

/// How long it takes so far, on a terminal.
fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} running it over history  {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// The counts, each with its words.
fn lines(found: &v1::Simulation) -> [(&'static str, i64); 15] {
    [
        ("silences came due", found.due_count),
        ("in which our side owed the next word", found.agent_owed_count),
        ("for which the sequence is meant", found.eligible_count),
        ("not let in by the entry filter", found.filtered_count),
        ("not let in so soon after another run", found.cooling_down_count),
        ("held out for comparison", found.held_out_count),
        ("came back unaided before the first message", found.came_back_count),
        ("moved on otherwise before the first message", found.moved_on_count),
        ("written to", found.written_to_count),
        ("through without a message", found.wrote_nothing_count),
        ("still waiting without a message", found.open_count),
        ("came back after the first message", found.came_back_after_count),
        ("messages", found.message_count),
        ("mails left out by quiet hours or limits", found.left_out_count),
        ("mails that had to wait for them", found.deferred_count),
    ]
}

fn sheet(answer: &v1::SimulateSequenceResponse) -> Sheet {
    let found = answer.simulation.clone().unwrap_or_default();
    let cells = lines(&found).into_iter().map(|(words, count)| vec![words.to_owned(), count.to_string()]);
    Sheet {
        header: ["what", "count"].map(str::to_owned).into(),
        cells: cells.collect(),
        aligns: vec![Align::Left, Align::Right],
    }
}

/// The answer for people.
fn told(title: &str, answer: &v1::SimulateSequenceResponse) -> String {
    // Taken out again where they are not wanted.
    let paint = Paint { colors: true };
    let mut text = String::new();
    let as_of = number::instant(answer.as_of_time.as_ref());
    let heading = format!("What {title} would have done by {as_of}; nothing was sent");
    let _ = writeln!(text, "{}", paint.heading(&heading));
    let found = answer.simulation.clone().unwrap_or_default();
    for (words, count) in lines(&found).iter().filter(|(_, count)| *count != 0) {
        let _ = writeln!(text, "{:>12}  {words}", number::count(*count));
    }
    if found.due_count == 0 {
        let _ = writeln!(text, "no silence came due");
    }
    text += &by_hour_of_day(paint, &found.hours);
    for sample in &answer.samples {
        text += &sampled(paint, sample);
    }
    if !answer.complete {
        let _ = writeln!(text, "{}", paint.aside("the funnel is still being filled: more is to come"));
    }
    text
}

/// When messages would have gone, over all days.
fn by_hour_of_day(paint: Paint, hours: &[v1::HourCount]) -> String {
    let mut sent = [0_i64; HOURS_OF_A_DAY as usize];
    for hour in hours {
        let seconds = hour.start_time.as_ref().map_or(0, |at| at.seconds);
        sent[(seconds / 3_600).rem_euclid(HOURS_OF_A_DAY) as usize] += hour.message_count;
    }
    let most = sent.iter().copied().max().unwrap_or_default();
    let mut text = String::new();
    if most == 0 {
        return text;
    }
    let _ = writeln!(text, "{}", paint.heading("Messages by hour of the day, UTC"));
    for (hour, count) in sent.iter().enumerate().filter(|(_, count)| **count > 0) {
        let _ =
            writeln!(text, "{hour:02}:00  {:>9}  {}", number::count(*count), bar(*count, most, BAR_WIDTH));
    }
    text
}

/// One message as it would have gone.
fn sampled(paint: Paint, sample: &v1::SimulatedMessage) -> String {
    let mut text = String::new();
    let about = if sample.conversation.is_empty() { &sample.customer } else { &sample.conversation };
    let at = number::instant(sample.send_time.as_ref());
    let _ = writeln!(text, "{}", paint.heading(&format!("{at}, {}", names::short(about))));
    let Some(message) = &sample.message else {
        return text;
    };
    for violation in &message.violations {
        let _ =
            writeln!(text, "{}", paint.warning(&format!("{}: {}", violation.field, violation.description)));
    }
    let parts = [("To: ", &message.recipient), ("Subject: ", &message.subject)];
    for (label, part) in parts.iter().filter(|(_, part)| !part.is_empty()) {
        let _ = writeln!(text, "{label}{part}");
    }
    for part in [&message.text, &message.body].into_iter().filter(|part| !part.is_empty()) {
        let _ = writeln!(text, "{part}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_have_happened_is_told_and_what_would_not_is_left_out() {
        let hour = |seconds| v1::HourCount {
            start_time: Some(pbjson_types::Timestamp { seconds, nanos: 0 }),
            message_count: 600,
        };
        let answer = v1::SimulateSequenceResponse {
            complete: true,
            simulation: Some(v1::Simulation {
                due_count: 1_500,
                written_to_count: 1_200,
                message_count: 1_200,
                // Nine o'clock of two days.
                hours: vec![hour(9 * 3_600), hour(33 * 3_600)],
                ..v1::Simulation::default()
            }),
            ..v1::SimulateSequenceResponse::default()
        };
        let text = told("nudge", &answer);
        assert!(text.contains("1,500  silences came due"), "{text}");
        assert!(text.contains("1,200  written to"), "{text}");
        assert!(text.contains("09:00"), "{text}");
        for absent in ["held out", "10:00", "still being filled"] {
            assert!(!text.contains(absent), "{text}");
        }
    }
}
