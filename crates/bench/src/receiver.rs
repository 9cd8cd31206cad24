//! A receiver of webhooks on loopback that takes everything at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Fallible;

/// A running receiver; it goes when this does.
pub struct Receiver {
    /// Its port on loopback.
    pub port: u16,
    calls: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Receiver {
    /// A receiver that answers 204.
    pub async fn start() -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let calls = Arc::new(AtomicU64::new(0));
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&calls));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the receiver stopped: {error}");
            }
        });
        Ok(Self { port, calls, _serving: serving })
    }

    /// Where calls go.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn take(State(calls): State<Arc<AtomicU64>>, _body: Bytes) -> StatusCode {
    calls.fetch_add(1, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}
