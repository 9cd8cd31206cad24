//! `rekindle doctor`: tries everything the configuration names and says what it finds.

use rekindle_core::scope::Scope;
use rekindle_ports::resources::DestinationKind;
use rekindle_ports::rows::NameKind;
use rekindle_ports::{Store, StoreResult};
use rekindle_store_sea::SeaStore;
use tokio::net::TcpStream;

use crate::cli::Failure;
use crate::config::Config;
use crate::wire::{DEFAULT_WORKSPACE, causes, open};

/// How long an attempt to connect may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Most journeys named that nobody looks at.
const MOST_ASIDE: u32 = 20;

/// One finding.
struct Finding {
    ok: bool,
    what: String,
}

/// Tries the database and every destination; fails when something is broken.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let mut findings = listeners(config);
    match open(config).await {
        Ok((store, _owner)) => {
            findings.push(good(format!("the database answers and its schema fits ({})", backend(config))));
            findings.extend(clock(&store).await);
            findings.extend(destinations(&store).await.unwrap_or_else(|error| vec![bad(causes(&error))]));
            findings.extend(aside(&store).await.unwrap_or_else(|error| vec![bad(causes(&error))]));
        }
        Err(error) => findings.push(bad(format!("the database: {}", causes(&error)))),
    }
    for finding in &findings {
        println!("{} {}", if finding.ok { "ok  " } else { "FAIL" }, finding.what);
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        broken => Err(Failure::Failed(format!("{broken} of {} checks failed", findings.len()))),
    }
}

fn backend(config: &Config) -> &'static str {
    if config.database.url.starts_with("sqlite:") {
        "SQLite: one process, one writer; for production take PostgreSQL"
    } else {
        "PostgreSQL"
    }
}

fn listeners(config: &Config) -> Vec<Finding> {
    [("gRPC", config.server.listen), ("HTTP", config.http.listen)]
        .into_iter()
        .map(|(name, address)| {
            let open_to_all = !address.ip().is_loopback();
            let note = if open_to_all {
                ": reachable from elsewhere, and there is no authentication yet"
            } else {
                ""
            };
            good(format!("{name} listens on {address}{note}"))
        })
        .collect()
}

async fn clock(store: &SeaStore) -> Vec<Finding> {
    let ours = crate::clock::system_now();
    match store.now().await {
        Ok(theirs) => {
            let apart = theirs.since(ours).abs() / 1_000;
            let what = format!("the database's clock is {apart} ms from this machine's");
            vec![if apart < 5_000 { good(what) } else { bad(what) }]
        }
        Err(error) => vec![bad(format!("the database's clock: {}", causes(&error)))],
    }
}

async fn destinations(store: &SeaStore) -> StoreResult<Vec<Finding>> {
    let mut tx = store.read(Scope::of(DEFAULT_WORKSPACE)).await?;
    let mut findings = Vec::new();
    for destination in tx.destinations("", 1_000).await? {
        let id = &destination.id;
        if let Some((_, reason)) = &destination.disabled {
            findings.push(bad(format!("destination {id} is disabled: {reason}")));
            continue;
        }
        let DestinationKind::Smtp { host, port, .. } = &destination.kind else {
            findings.push(good(format!("destination {id} is a webhook; `TestDestination` calls it")));
            continue;
        };
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), *port))).await;
        findings.push(match connected {
            Ok(Ok(_)) => good(format!("destination {id}: {host}:{port} accepts connections")),
            Ok(Err(error)) => bad(format!("destination {id}: {host}:{port}: {error}")),
            Err(_) => bad(format!("destination {id}: {host}:{port} does not answer")),
        });
    }
    Ok(findings)
}

/// Journeys that nobody looks at any more, because every look failed.
async fn aside(store: &SeaStore) -> StoreResult<Vec<Finding>> {
    let mut tx = store.read(Scope::of(DEFAULT_WORKSPACE)).await?;
    let aside = tx.timers_aside(MOST_ASIDE).await?;
    if aside.is_empty() {
        return Ok(vec![good("every journey that is quiet is looked at".into())]);
    }
    let subjects: Vec<_> = aside.iter().map(|timer| timer.key.subject).collect();
    let mut names = tx.names(NameKind::Conversation, &subjects).await?;
    names.extend(tx.names(NameKind::Customer, &subjects).await?);
    let findings = aside.into_iter().map(|timer| {
        let subject = names.get(&timer.key.subject).cloned().unwrap_or_else(|| timer.key.subject.to_string());
        let (funnel, at, reason) = (timer.key.funnel, timer.at.to_rfc3339(), timer.reason);
        bad(format!("the journey of {subject} through {funnel} is not looked at since {at}: {reason}"))
    });
    Ok(findings.collect())
}

fn good(what: String) -> Finding {
    Finding { ok: true, what }
}

fn bad(what: String) -> Finding {
    Finding { ok: false, what }
}
