//! The rekindle program: conversations that do not go cold.

mod cli;
mod clock;
mod config;
mod dev;
mod doctor;
mod drill;
mod http;
mod import;
mod log;
mod owner;
mod render;
mod serve;
mod shutdown;
mod sink;
mod upkeep;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::{Failure, Surroundings};
use crate::clock::DatabaseClock;
use crate::config::Config;
use crate::shutdown::Signals;
use crate::wire::causes;

/// Keeps conversations from going cold: funnels, stalls, re-engagement, figures.
#[derive(Debug, Parser)]
#[command(name = "rekindle", version, after_help = cli::EXIT_CODES)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment, at the start")]
enum Command {
    /// Show the whole path on sample conversations, then keep serving
    Dev(dev::Args),
    /// Serve gRPC and HTTP, and do the work
    Serve(ServeArgs),
    /// Bring a database's schema up to date
    Migrate(DatabaseArgs),
    /// Try the configuration, the database and the destinations, and say what is found
    Doctor(DatabaseArgs),
    #[command(flatten)]
    Client(cli::Command),
}

/// Which database, and where settings are.
#[derive(Debug, clap::Args)]
struct DatabaseArgs {
    /// TOML file with settings
    #[arg(long, env = "REKINDLE_CONFIG")]
    config: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://…`
    #[arg(long)]
    database_url: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Address for gRPC
    #[arg(long)]
    listen: Option<std::net::SocketAddr>,
    /// Address for HTTP
    #[arg(long)]
    http_listen: Option<std::net::SocketAddr>,
    /// Bring the schema up to date first
    #[arg(long)]
    migrate: bool,
}

fn main() -> ExitCode {
    // Every TLS user of the process takes its cryptography from here.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("a TLS provider is installed already");
    }
    let program = Program::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(program.command));
    // Whatever had to be waited for was: a name lookup that hangs in a thread of its own is not.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => run_server(args).await,
        Command::Migrate(args) => migrate(&args).await,
        Command::Doctor(args) => doctor::run(&settings(&args)?).await,
        Command::Client(command) => {
            let surroundings = Surroundings { variable: &variable, program: Program::command };
            cli::run(command, &surroundings).await
        }
    }
}

/// `rekindle serve`.
async fn run_server(args: ServeArgs) -> Result<(), Failure> {
    let mut config = settings(&args.database)?;
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    config.http.listen = args.http_listen.unwrap_or(config.http.listen);
    config.database.migrate |= args.migrate;
    log::start(&config.log).map_err(Failure::Invalid)?;
    let mut signals = Signals::listen()?;
    let (store, _owner) = wire::open(&config).await.map_err(|error| broken(&error))?;
    let clock = drill::clock(Arc::new(DatabaseClock::new(store.clone()))).map_err(Failure::Invalid)?;
    let running = serve::start(&config, store, clock, None, true).await.map_err(|error| broken(&error))?;
    eprintln!("gRPC on {}, HTTP on {}", running.grpc, running.http);
    eprintln!("There is no authentication yet: whoever reaches these addresses can do everything.");
    running.until(async || signals.next().await).await.map_err(|error| broken(&error))
}

/// `rekindle migrate`.
async fn migrate(args: &DatabaseArgs) -> Result<(), Failure> {
    let mut config = settings(args)?;
    config.database.migrate = true;
    wire::open(&config).await.map_err(|error| broken(&error))?;
    eprintln!("the schema is up to date");
    Ok(())
}

fn settings(args: &DatabaseArgs) -> Result<Config, Failure> {
    let mut config = config::load(args.config.as_deref(), &variables())
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    if let Some(url) = &args.database_url {
        config.database.url.clone_from(url);
    }
    Ok(config)
}

/// A failure with everything that caused it.
fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::Failed(causes(error))
}

#[expect(clippy::disallowed_methods, reason = "the binary is the one place that reads the environment")]
fn variables() -> Vec<(String, String)> {
    std::env::vars().collect()
}

fn variable(name: &str) -> Option<String> {
    variables().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}
