//! `rekindle dev`: the whole path on real conversations, in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rekindle_core::scope::Scope;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broken;
use crate::cli::Failure;
use crate::config::Config;
use crate::serve;
use crate::shutdown::Signals;
use crate::sink::{self, Inbox};
use crate::wire::{self, DEFAULT_WORKSPACE};

mod clock;
mod definitions;
mod replay;
mod sample;
mod show;

use clock::DevClock;

/// What `rekindle dev` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End after the show, for scripts; all ports are chosen freely then
    #[arg(long)]
    exit: bool,
    /// Keep the database in this file, which must not exist; a temporary one otherwise
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Address for gRPC
    #[arg(long, default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// Address for HTTP: the inbox and unsubscribe links
    #[arg(long, default_value = "127.0.0.1:8080")]
    http_listen: SocketAddr,
    /// Address of the mail sink
    #[arg(long, default_value = "127.0.0.1:1025")]
    smtp_listen: SocketAddr,
}

/// Runs the show.
pub async fn run(args: Args) -> Result<(), Failure> {
    let file = new_file(args.database.clone())?;
    let outcome = perform(&args, &file.path).await;
    file.clean();
    outcome
}

async fn perform(args: &Args, file: &std::path::Path) -> Result<(), Failure> {
    crate::log::start(&crate::config::LogConfig { filter: "warn".into(), json: false })
        .map_err(Failure::Failed)?;
    let sample = sample::events().map_err(Failure::Failed)?;
    let clock = Arc::new(DevClock::at(sample.starts_at));
    let inbox = Inbox::default();
    let free = |address: SocketAddr| if args.exit { SocketAddr::from(([127, 0, 0, 1], 0)) } else { address };
    let sink_listener = serve::listen(free(args.smtp_listen)).await.map_err(|error| broken(&error))?;
    let sink = sink_listener.local_addr()?;
    let config = config(file, free(args.listen), free(args.http_listen));
    let mut signals = Signals::listen()?;
    let (store, _owner) = wire::open(&config).await.map_err(|error| broken(&error))?;
    let running = serve::start(&config, store, clock.clone(), Some(inbox.clone()), false)
        .await
        .map_err(|error| broken(&error))?;
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    tracker.spawn(sink::run(sink_listener, inbox.clone(), tracker.clone(), stop.clone()));

    let scope = Scope::of(DEFAULT_WORKSPACE);
    definitions::create(&running.app.engine, scope, sink).await.map_err(|error| broken(&error))?;
    show::opening(&sample, file);
    replay::run(&running.app, scope, &clock, &sample).await.map_err(|error| broken(&error))?;
    show::closing(&running, scope, &inbox).await?;
    if args.exit {
        stop.cancel();
        return Ok(());
    }
    show::what_next(&running, sink);
    clock.let_run();
    running.turn_loops();
    let served = running.until(async || signals.next().await).await.map_err(|error| broken(&error));
    stop.cancel();
    served
}

fn config(file: &std::path::Path, listen: SocketAddr, http_listen: SocketAddr) -> Config {
    let mut config = Config::default();
    config.database.url = format!("sqlite:{}", file.display());
    config.server.listen = listen;
    config.server.notice_seconds = 0;
    config.server.grace_seconds = 2;
    config.http.listen = http_listen;
    // Nobody but the sample's addresses, which cannot exist, is ever written to.
    config.delivery.allow_recipients = vec!["irc.invalid".into()];
    config
}

/// The database file, and whether it goes when the program does.
struct File {
    path: PathBuf,
    temporary: bool,
}

fn new_file(asked: Option<PathBuf>) -> Result<File, Failure> {
    let temporary = asked.is_none();
    let path =
        asked.unwrap_or_else(|| std::env::temp_dir().join(format!("rekindle-dev-{}.db", std::process::id())));
    if path.exists() {
        return Err(Failure::Invalid(format!("{} exists; the show begins with a new file", path.display())));
    }
    Ok(File { path, temporary })
}

impl File {
    fn clean(&self) {
        if self.temporary {
            for suffix in ["", "-wal", "-shm", ".lock"] {
                let path = format!("{}{suffix}", self.path.display());
                // What is not there needs no removing.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
