//! The client half of the command line: everything that asks a running server over gRPC.
//!
//! Data goes to stdout and words for people to stderr, so that every command can stand in a pipe.

pub mod apply;
pub mod canonical;
pub mod completion;
pub mod confirm;
pub mod connection;
pub mod delete;
pub mod explain;
pub mod failure;
pub mod get;
pub mod healthcheck;
pub mod import;
pub mod kind;
pub mod list;
pub mod names;
pub mod output;
pub mod replay;
pub mod report;
pub mod simulate;

use clap::Subcommand;

pub use failure::Failure;

/// What `--help` says below the commands.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it failed: the server refused it, or something broke on the way
  2  the command or its input is wrong
  3  no server could be reached";

/// The commands that talk to a running server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create or update what definition files say
    Apply(apply::Args),
    /// Read one resource
    Get(get::Args),
    /// List resources
    List(list::Args),
    /// Delete a resource for good
    Delete(delete::Args),
    /// Import events from CSV or JSONL files
    Import(import::Args),
    /// Ask for figures
    Report(report::Args),
    /// Run a sequence over stored history, and send nothing
    Simulate(simulate::Args),
    /// Do failures again
    Replay(replay::Args),
    /// Say why something was sent, or was not
    Explain(explain::Args),
    /// Ask whether a server serves, for container probes
    Healthcheck(healthcheck::Args),
    /// Print a completion script for a shell
    Completion(completion::Args),
}

/// What a command may know of the process around it.
pub struct Surroundings<'a> {
    /// Looks an environment variable up, for `${NAME}` in definition files.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The whole command line of the program, for completion scripts.
    pub program: fn() -> clap::Command,
}

/// Runs one command to its end.
pub async fn run(command: Command, surroundings: &Surroundings<'_>) -> Result<(), Failure> {
    match command {
        Command::Apply(args) => apply::run(&args, surroundings).await,
        Command::Get(args) => get::run(&args).await,
        Command::List(args) => list::run(&args).await,
        Command::Delete(args) => delete::run(&args).await,
        Command::Import(args) => import::run(&args).await,
        Command::Report(args) => report::run(&args).await,
        Command::Simulate(args) => simulate::run(&args, surroundings).await,
        Command::Replay(args) => replay::run(&args).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::Healthcheck(args) => healthcheck::run(&args).await,
        Command::Completion(args) => completion::run(&args, surroundings),
    }
}
