//! `rekindle serve`: the service, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rekindle_core::scope::Scope;
use rekindle_ports::{Clock, Store};
use rekindle_server::{Options, Services};
use rekindle_store_sea::SeaStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::http::{self, Pages};
use crate::shutdown::Shutdown;
use crate::sink::Inbox;
use crate::upkeep::keep_statistics;
use crate::wire::{App, DEFAULT_WORKSPACE, WireError, assemble, causes};

/// How often health asks the database.
const HEALTH_LOOK: Duration = Duration::from_secs(1);

/// Why the service ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not be put together.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An address cannot be listened on.
    #[error("{address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The gRPC server failed.
    #[error("{}", causes(.0))]
    Server(#[from] rekindle_server::ServeError),
}

/// A service that listens and works.
pub struct Running {
    /// Its parts.
    pub app: App,
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), rekindle_server::ServeError>>,
}

/// Listens on an address.
///
/// # Errors
/// When it is taken or not ours.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Starts everything: gRPC, HTTP, loops, fills, health.
///
/// `with_loops` is false where somebody else turns them, step by step.
///
/// # Errors
/// When an address is taken, or the parts do not fit.
pub async fn start(
    config: &Config,
    store: SeaStore,
    clock: Arc<dyn Clock>,
    inbox: Option<Inbox>,
    with_loops: bool,
) -> Result<Running, ServeError> {
    let grpc_listener = listen(config.server.listen).await?;
    let http_listener = listen(config.http.listen).await?;
    let (grpc, http) =
        (local(&grpc_listener, config.server.listen), local(&http_listener, config.http.listen));
    let public_url = match config.http.public_url.trim_end_matches('/') {
        "" => format!("http://{http}"),
        url => url.to_owned(),
    };
    let app = assemble(config, store.clone(), clock, public_url).await?;
    let server = &config.server;
    let shutdown =
        Shutdown::new(Duration::from_secs(server.notice_seconds), Duration::from_secs(server.grace_seconds));
    let (stop, drain) = (shutdown.loops.claims.clone(), shutdown.drain.clone());
    app.tracker.spawn(keep_statistics(store, stop.clone()));
    let options =
        Options { drain: shutdown.calls(), admission: config.admission.rate(), ..Options::default() };
    let services = Services::new(app.engine.clone(), app.token_key, options);
    let pages = Pages { engine: app.engine.clone(), link_key: app.link_key, inbox, stopping: stop.clone() };
    let scope = Scope::of(DEFAULT_WORKSPACE);
    let engine = app.engine.clone();
    let fills_stop = stop.clone();
    app.tracker.spawn(async move { engine.run_fills(scope, fills_stop).await });
    let (engine, replays_stop) = (app.engine.clone(), stop.clone());
    app.tracker.spawn(async move { engine.run_replays(scope, replays_stop).await });
    app.tracker.spawn(health(services.clone(), Arc::clone(app.engine.store()), app.tracker.clone(), stop));
    let http_drain = drain.clone();
    app.tracker.spawn(async move {
        if let Err(error) = http::serve(http_listener, pages, http_drain).await {
            tracing::error!(%error, "the HTTP port failed");
        }
    });
    let serving = app.tracker.spawn(rekindle_server::serve(grpc_listener, services, drain));
    let running = Running { app, grpc, http, shutdown, serving };
    if with_loops {
        running.turn_loops();
    }
    Ok(running)
}

impl Running {
    /// Turns the loops until shutdown.
    pub fn turn_loops(&self) {
        self.app.tracker.spawn(self.app.loops.clone().run(self.shutdown.loops.clone()));
    }

    /// Serves until `signal`, then lets what is under way finish, for as long as the grace
    /// period lasts; a second signal ends at once.
    ///
    /// # Errors
    /// When the gRPC server failed.
    pub async fn until(mut self, mut signal: impl AsyncFnMut()) -> Result<(), ServeError> {
        tokio::select! {
            () = signal() => {}
            served = &mut self.serving => return flatten(served),
        }
        let Self { app, serving, shutdown, .. } = self;
        let tracker = app.tracker.clone();
        // The engine's workers end when the last handle to it is gone.
        drop(app);
        tracker.close();
        let finished = async {
            let served = serving.await;
            tracker.wait().await;
            served
        };
        tokio::select! {
            served = shutdown.run(finished) => served.map_or(Ok(()), flatten),
            () = signal() => Ok(()),
        }
    }
}

fn flatten(
    served: Result<Result<(), rekindle_server::ServeError>, tokio::task::JoinError>,
) -> Result<(), ServeError> {
    match served {
        Ok(served) => Ok(served?),
        // The task was torn down with the runtime.
        Err(_) => Ok(()),
    }
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Tells health the truth: serving while the database answers and nobody asked to stop.
async fn health(services: Services, store: Arc<dyn Store>, tracker: TaskTracker, stop: CancellationToken) {
    use tonic_health::ServingStatus;
    loop {
        let asked = Arc::clone(&store);
        // A task of its own: a database that hangs must not keep anybody from hearing of the stop.
        let answered = tracker.spawn(async move { asked.ping().await });
        let status = tokio::select! {
            biased;
            () = stop.cancelled() => ServingStatus::NotServing,
            answered = answered => match answered {
                Ok(Ok(())) => ServingStatus::Serving,
                _ => ServingStatus::NotServing,
            },
        };
        for service in rekindle_server::service_names() {
            services.health().set_service_status(service, status).await;
        }
        if stop.is_cancelled() && status == ServingStatus::NotServing {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(HEALTH_LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}
