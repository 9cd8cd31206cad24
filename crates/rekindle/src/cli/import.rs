//! `rekindle import FILE...`: events from files.

mod arguments;
mod progress;
mod rejects;
mod summary;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

pub use arguments::Args;
use progress::{Bar, Watch};
use rejects::Rejects;
use summary::{Preview, Summary};

use crate::cli::Failure;
use crate::cli::connection::Connection;
use crate::import::reader::{Plan, Produced, Progress, ReadError, read_all};
use crate::import::send::Sender;
use crate::import::window::Tally;

/// What the reader may be ahead of the sender, in batches.
const AHEAD: usize = 4;

/// Imports, or with `--dry-run` only reads and maps, and prints a summary.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let plan = args.plan()?;
    let total = total_size(&plan)?;
    let rejects = Rejects::create(args.rejects.as_deref())?;
    if args.dry_run {
        return dry_run(args, &plan, total, rejects).await;
    }
    let connection = Connection::open(&args.target).await?;
    let progress = Progress::default();
    let began = Instant::now();
    let (sink, produced) = mpsc::channel(AHEAD);
    let reader = read_aside(plan.clone(), progress.clone(), sink);
    let mut watch = Watch::new(Bar::new(total, progress.clone()), rejects);
    let files = names(&plan);
    let sender = Sender::new(&connection, produced, files, &mut watch, args.strict);
    let (tally, sent) = sender.run().await;
    let read = finished(reader).await;
    watch.finish()?;
    let summary = Summary::new(&progress, tally, began.elapsed());
    summary.print(args.output)?;
    // A sender that stopped early is why the reader stopped, so its failure comes first.
    sent?;
    read?;
    summary.verdict()
}

/// Reads and maps everything, and shows the first events. No server is asked.
async fn dry_run(args: &Args, plan: &Plan, total: Option<u64>, rejects: Rejects) -> Result<(), Failure> {
    let progress = Progress::default();
    let began = Instant::now();
    let (sink, mut produced) = mpsc::channel(AHEAD);
    let reader = read_aside(plan.clone(), progress.clone(), sink);
    let mut watch = Watch::new(Bar::new(total, progress.clone()), rejects);
    let mut preview = Preview::default();
    let mut tally = Tally::default();
    let mut strict = Ok(());
    while let Some(next) = produced.recv().await {
        match next {
            Produced::Batch(batch) => preview.add(batch),
            Produced::Rejected(rejected) => {
                tally.rejected += 1;
                watch.reject(&rejected)?;
                if args.strict {
                    strict = Err(Failure::Invalid(format!(
                        "{}:{}: {}; --strict ends the import here",
                        rejected.file, rejected.line, rejected.reason
                    )));
                    break;
                }
            }
        }
        watch.tick(&tally);
    }
    drop(produced);
    let read = finished(reader).await;
    watch.finish()?;
    let summary = Summary::new(&progress, tally, began.elapsed()).dry(&preview);
    preview.print(args.output)?;
    summary.print(args.output)?;
    strict?;
    read?;
    summary.verdict()
}

/// Reads on a thread where waiting for a disk or a pipe holds nobody up.
fn read_aside(
    plan: Plan,
    progress: Progress,
    sink: mpsc::Sender<Produced>,
) -> JoinHandle<Result<(), ReadError>> {
    spawn_blocking(move || {
        read_all(&plan, &progress, &mut |produced| match sink.blocking_send(produced) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    })
}

async fn finished(reader: JoinHandle<Result<(), ReadError>>) -> Result<(), Failure> {
    match reader.await {
        Ok(result) => result.map_err(|error| Failure::Invalid(error.to_string())),
        Err(error) => Err(Failure::Failed(format!("reading stopped: {error}"))),
    }
}

fn names(plan: &Plan) -> Vec<String> {
    let names = plan.files.iter().map(|path| path.display().to_string());
    names.collect()
}

/// Bytes of all files; nothing if one is a pipe. A file that is not there is told at once.
fn total_size(plan: &Plan) -> Result<Option<u64>, Failure> {
    let mut total = Some(0);
    for path in &plan.files {
        if path == Path::new("-") {
            total = None;
            continue;
        }
        let data = std::fs::metadata(path)
            .map_err(|error| Failure::Invalid(format!("{}: {error}", path.display())))?;
        if data.is_dir() {
            return Err(Failure::Invalid(format!("{}: is a directory", path.display())));
        }
        total = total.filter(|_| data.is_file()).map(|total| total + data.len());
    }
    Ok(total)
}
