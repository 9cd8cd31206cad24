//! A webhook receiver on loopback that keeps every call, whatever becomes of the answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::arrivals::{Arrival, Arrivals};
use crate::desk::Ports;
use crate::surroundings::{Draws, now};

/// The secret that calls are signed with.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// An answer takes up to this long, so that processes die while they wait for one.
const SLOWEST_MS: u64 = 60;

/// A running receiver; it goes when this does.
pub struct Receiver {
    port: u16,
    calls: Arrivals,
    gate: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Desk {
    calls: Arrivals,
    open: watch::Receiver<bool>,
}

impl Receiver {
    /// A receiver that takes calls and answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let (gate, open) = watch::channel(true);
        let calls = Arrivals::default();
        let desk = Desk { calls: calls.clone(), open };
        let router = Router::new().route("/hook", post(take)).with_state(desk);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, router).await.expect("a bound listener accepts");
        });
        Self { port, calls, gate, _serving: serving }
    }

    /// Where it listens on loopback.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A sequence that sends to nobody else.
    pub fn only(&self) -> Ports {
        Ports { hook: self.port, mail: None }
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Arrival> {
        self.calls.all()
    }

    /// The same for whoever looks again and again.
    pub fn arrivals(&self) -> &Arrivals {
        &self.calls
    }

    /// From now on calls are kept and not answered.
    pub fn hold_answers(&self) {
        self.gate.send_replace(false);
    }

    /// Answers those that wait, and all that come.
    pub fn answer(&self) {
        self.gate.send_replace(true);
    }
}

/// Where calls to a receiver go that is reached through a port on loopback.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/hook")
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let place = desk.keep(&headers, &body);
    let mut open = desk.open.clone();
    if open.wait_for(|open| *open).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let wait = Draws::new(place as u64).between(0, SLOWEST_MS);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    StatusCode::NO_CONTENT
}

impl Desk {
    /// Keeps a call; its place in the log.
    fn keep(&self, headers: &HeaderMap, body: &Bytes) -> usize {
        let header = |name: &str| {
            let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            value.unwrap_or_default()
        };
        let payload: Value = serde_json::from_slice(body).unwrap_or_default();
        self.calls.keep(Arrival {
            id: header("webhook-id"),
            body: body.to_vec(),
            conversation: payload["data"]["conversation"].as_str().unwrap_or_default().to_owned(),
            arrived: now(),
            fault: fault(
                &header("webhook-id"),
                &header("webhook-timestamp"),
                &header("webhook-signature"),
                body,
            ),
        })
    }
}

/// What is wrong with a signature; empty when nothing is. Whether the instant is near now is left
/// to receivers with a clock: tests set the sender's ahead.
fn fault(id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> String {
    let Ok(timestamp) = timestamp.parse() else {
        return format!("{timestamp:?} is no instant");
    };
    let webhook = Webhook::new(SECRET).expect("the secret is base64");
    match webhook.sign(id, timestamp, body) {
        Ok(right) if signatures.split(' ').any(|signature| signature == right) => String::new(),
        Ok(_) => format!("{signatures:?} does not sign it"),
        Err(error) => error.to_string(),
    }
}
