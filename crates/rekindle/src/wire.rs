//! The wiring: one process's parts, put together.

use std::sync::Arc;
use std::time::Duration;

use rekindle_core::scope::Scope;
use rekindle_delivery::port::{Sender, SenderOptions};
use rekindle_engine::loops::{LoopOptions, Loops};
use rekindle_engine::{Engine, Options, Parts};
use rekindle_ports::rows::Lease;
use rekindle_ports::{Clock, Deliver, Minter, Store, StoreError};
use rekindle_store_sea::{SeaStore, StoreOptions};
use tokio_util::task::TaskTracker;

use crate::clock::SystemMinter;
use crate::config::Config;
use crate::owner::Owner;

/// The workspace that exists from the first day.
pub const DEFAULT_WORKSPACE: &str = "default";

/// A process's parts.
pub struct App {
    /// The engine.
    pub engine: Engine,
    /// The loops, not yet started.
    pub loops: Loops,
    /// Every task of the process.
    pub tracker: TaskTracker,
    /// Key under which page tokens are signed; shared by all replicas.
    pub token_key: [u8; 32],
    /// Key under which unsubscribe links are signed; shared by all replicas.
    pub link_key: [u8; 32],
}

/// Why a process cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The database.
    #[error("the database: {}", causes(.0))]
    Store(#[from] StoreError),
    /// The configuration of deliveries.
    #[error("delivery: {0}")]
    Delivery(String),
    /// What a test asked for.
    #[error("{0}")]
    Drill(String),
}

/// An error with everything that caused it.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Opens the database of a configuration, and owns it where there can be one owner only.
///
/// # Errors
/// When another process owns it, it cannot be reached, or its schema does not fit.
pub async fn open(config: &Config) -> Result<(SeaStore, Owner), StoreError> {
    let owner = Owner::of(&config.database.url)?;
    let options =
        StoreOptions { url: config.database.url.clone(), max_connections: config.database.max_connections };
    let migrate = config.database.migrate || config.database.url.starts_with("sqlite:");
    Ok((rekindle_store_sea::open(&options, migrate).await?, owner))
}

/// Puts the parts together over an open database.
///
/// # Errors
/// When the database does not answer, or a setting of deliveries is wrong.
pub async fn assemble(
    config: &Config,
    store: SeaStore,
    clock: Arc<dyn Clock>,
    public_url: String,
) -> Result<App, WireError> {
    let tracker = TaskTracker::new();
    let minter = SystemMinter;
    let token_key = shared_key(&store, "page-tokens").await?;
    let link_key = shared_key(&store, "unsubscribe-links").await?;
    let experiment_key = shared_key(&store, "experiments").await?;
    let deliver: Arc<dyn Deliver> = Arc::new(sender(config, public_url, link_key)?);
    let is_sqlite = config.database.url.starts_with("sqlite:");
    let options = Options { committers: if is_sqlite { 1 } else { 4 }, ..Options::default() };
    let owner = minter.mint().simple().to_string();
    let parts = Parts {
        store: Arc::new(store),
        clock,
        minter: Arc::new(minter),
        deliver: Arc::clone(&deliver),
        tracker: tracker.clone(),
        experiment_key,
        options,
    };
    let engine = crate::drill::engine(parts).map_err(WireError::Drill)?;
    let loops = Loops::new(
        &engine,
        deliver,
        LoopOptions {
            lease: Lease { owner, ttl: (config.lease.ttl_ms * 1_000) as i64 },
            poll: Duration::from_millis(config.lease.poll_ms),
            concurrency: config.delivery.concurrency,
            side_by_side: if is_sqlite {
                1
            } else {
                (config.database.max_connections / 4).clamp(1, 4) as usize
            },
        },
    );
    Ok(App { engine, loops, tracker, token_key, link_key })
}

fn sender(config: &Config, public_url: String, link_key: [u8; 32]) -> Result<Sender, WireError> {
    let delivery = &config.delivery;
    Sender::new(SenderOptions {
        allow_recipients: delivery.allow_recipients.clone(),
        allow_networks: delivery.allow_networks.clone(),
        allow_ports: delivery.allow_ports.clone(),
        allow_http: delivery.allow_http,
        hello: "rekindle".into(),
        public_url,
        link_key,
    })
    .map_err(|error| WireError::Delivery(error.to_string()))
}

/// A key that all replicas share: made by whoever comes first.
async fn shared_key(store: &SeaStore, name: &str) -> Result<[u8; 32], StoreError> {
    let fresh = format!("{}{}", SystemMinter::secret().simple(), SystemMinter::secret().simple());
    let mut tx = store.begin(Scope::of(DEFAULT_WORKSPACE)).await?;
    let key = tx.shared_key(name, &fresh).await?;
    tx.commit().await?;
    Ok(digest(&key))
}

fn digest(key: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(key.as_bytes()).into()
}
