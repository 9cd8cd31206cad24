//! `rekindle replay --since TIME`, `rekindle replay --cancel NAME`: failures that are done again by a
//! job of the server.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use rekindle_proto::v1;
use rekindle_proto::v1::replay::{State, What};

use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format};
use crate::cli::{Failure, names, report};
use crate::render::number::count;

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only failures at or after this instant
    #[arg(long, value_name = "TIME", required_unless_present = "cancel", conflicts_with = "cancel")]
    since: Option<String>,
    /// Only failures before this instant; now, where nothing is said
    #[arg(long, value_name = "TIME", conflicts_with = "cancel")]
    until: Option<String>,
    /// Only failures of this sequence, by id or full name
    #[arg(long, value_name = "NAME", conflicts_with = "cancel")]
    sequence: Option<String>,
    /// Only messages to this destination, by id or full name
    #[arg(long, value_name = "NAME", conflicts_with = "cancel")]
    destination: Option<String>,
    /// Only count what there is to replay
    #[arg(long, conflicts_with = "cancel")]
    dry_run: bool,
    /// Stop a replay, by id or full name; what it has replayed stays so
    #[arg(long, value_name = "NAME")]
    cancel: Option<String>,
    #[command(flatten)]
    target: Target,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Starts one and shows how far it is until it is over, or stops one.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let workspace = &args.target.workspace;
    if let Some(typed) = &args.cancel {
        let name = Kind::Replay.name(workspace, typed);
        let connection = Connection::open(&args.target).await?;
        let answer = connection.replays().cancel_replay(v1::CancelReplayRequest { name }).await?;
        return print(args.output, &answer.into_inner().replay.unwrap_or_default());
    }
    let named =
        |kind: Kind, typed: Option<&str>| typed.map(|typed| kind.name(workspace, typed)).unwrap_or_default();
    let (since, until) = (args.since.as_deref(), args.until.as_deref());
    let failures = v1::ReplayPeriod {
        period: report::period("--since", since, "--until", until, &TimeZone::UTC)?,
        sequence: named(Kind::Sequence, args.sequence.as_deref()),
        destination: named(Kind::Destination, args.destination.as_deref()),
    };
    let connection = Connection::open(&args.target).await?;
    let request = v1::CreateReplayRequest {
        parent: connection.parent(),
        replay: Some(v1::Replay { what: Some(What::Failures(failures)), ..v1::Replay::default() }),
        validate_only: args.dry_run,
        ..v1::CreateReplayRequest::default()
    };
    let begun = connection.replays().create_replay(request).await?.into_inner().replay.unwrap_or_default();
    if args.dry_run {
        return print(args.output, &begun);
    }
    tokio::select! {
        over = watched(&connection, begun.clone()) => print(args.output, &over?),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            let name = names::short(&begun.name);
            eprintln!("the replay goes on; `rekindle replay --cancel {name}` stops it");
            Ok(())
        }
    }
}

/// Shows how far a replay is until it is over.
async fn watched(connection: &Connection, mut replay: v1::Replay) -> Result<v1::Replay, Failure> {
    let bar = ProgressBar::new(replay.total_count.unsigned_abs());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {eta} left") {
        bar.set_style(style);
    }
    while replay.state() == State::Running {
        bar.set_position(replay.done_count.unsigned_abs());
        bar.set_message(format!("{} skipped", count(replay.skipped_count)));
        tokio::time::sleep(LOOK).await;
        let request = v1::GetReplayRequest { name: replay.name.clone() };
        replay = connection.replays().get_replay(request).await?.into_inner().replay.unwrap_or_default();
    }
    bar.finish_and_clear();
    Ok(replay)
}

fn print(format: Format, replay: &v1::Replay) -> Result<(), Failure> {
    let values = [output::value(replay)?];
    output::print(format, &values, &Kind::Replay.rows(&values))
}
