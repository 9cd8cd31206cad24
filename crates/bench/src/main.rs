//! How fast the program is, row by row, each beside a baseline that runs on the same machine in
//! the same minute: ratios can be compared between machines, absolute figures cannot.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::postgres::Server;
use crate::report::{Line, table};
use crate::rows::Bench;

mod baseline;
mod client;
mod definitions;
mod draws;
mod machine;
mod multiply;
mod postgres;
mod program;
mod receiver;
mod report;
mod rows;
mod stopwatch;
mod workload;

/// Whatever goes wrong ends the measuring and is told.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures rekindle, the real program over real gRPC, beside bare baselines.
#[derive(Debug, Parser)]
#[command(name = "rekindle-bench", version)]
struct Arguments {
    /// What to measure
    #[arg(value_enum, required = true)]
    rows: Vec<Row>,
    /// 1 is the full size: 1,000,000 conversations, 8,000,000 events
    #[arg(long, default_value_t = 0.05)]
    scale: f64,
    /// Seed of every draw
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Streams at once in ingest
    #[arg(long, default_value_t = 4)]
    streams: usize,
    /// Most events that an ingest row sends
    #[arg(long, default_value_t = usize::MAX)]
    events: usize,
    /// The program [default: the `rekindle` beside this one]
    #[arg(long)]
    program: Option<PathBuf>,
    /// `postgres://USER@HOST:PORT` of a server to use [default: one of our own]
    #[arg(long)]
    postgres: Option<String>,
    /// Where databases of our own go [default: the system's temporary folder]
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Every row
    All,
    /// Events over streams into `PostgreSQL`, and memory
    Ingest,
    /// Events over streams into an `SQLite` file
    Sqlite,
    /// 64 callers of one event
    Unary,
    /// Shuffled events of one customer
    Customer,
    /// Many stalls at one instant
    Stalls,
    /// Runs that go from a wait by a branch to a queued send
    Steps,
    /// A hundred thousand runs that wake at one instant
    Waking,
    /// Claims beside five million ended runs
    Ended,
    /// A question about a million journeys
    Query,
    /// A sequence over a million journeys of the past
    Simulate,
    /// Webhooks delivered
    Webhooks,
    /// Ingest beside ten million journeys
    Large,
}

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("a TLS provider is installed already");
    }
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Fallible<()> {
    let program = match arguments.program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("rekindle"),
    };
    if !program.is_file() {
        return Err(format!("there is no program at {}: build it first", program.display()).into());
    }
    let folder = arguments.folder.unwrap_or_else(std::env::temp_dir);
    let server = Server::at(arguments.postgres.as_deref(), &folder)?;
    println!("{}", machine::describe());
    println!("{}", server.describe().await?);
    println!("scale {}, seed {}, {} streams", arguments.scale, arguments.seed, arguments.streams);
    let bench = Bench {
        program,
        server,
        folder,
        scale: arguments.scale,
        seed: arguments.seed,
        streams: arguments.streams.max(1),
        events: arguments.events,
    };
    let mut lines: Vec<Line> = Vec::new();
    for row in chosen(&arguments.rows) {
        eprintln!("measuring {row:?} …");
        lines.extend(measure(&bench, row).await?);
    }
    println!("{}", table(&lines));
    Ok(())
}

fn chosen(asked: &[Row]) -> Vec<Row> {
    let all = Row::value_variants().iter().copied().filter(|row| *row != Row::All);
    all.filter(|row| asked.contains(row) || asked.contains(&Row::All)).collect()
}

async fn measure(bench: &Bench, row: Row) -> Fallible<Vec<Line>> {
    match row {
        Row::All => Ok(Vec::new()),
        Row::Ingest => rows::ingest::postgres(bench).await,
        Row::Sqlite => rows::ingest::sqlite(bench).await,
        Row::Unary => rows::unary::rate(bench).await,
        Row::Customer => rows::customer::rate(bench).await,
        Row::Stalls => rows::stalls::time(bench).await,
        Row::Steps => rows::steps::rate(bench).await,
        Row::Waking => rows::waking::lateness(bench).await,
        Row::Ended => rows::ended::growth(bench).await,
        Row::Query => rows::query::time(bench).await,
        Row::Simulate => rows::simulate::time(bench).await,
        Row::Webhooks => rows::webhooks::rate(bench).await,
        Row::Large => rows::large::rate(bench).await,
    }
}
