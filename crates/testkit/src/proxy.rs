//! A proxy between the program and a server, which does to connections what networks do.
//!
//! It knows no protocol: it passes bytes on, late, one by one, not at all, or only so many; it
//! resets and half-closes; and it lets a request arrive and swallows the reply, so that what was
//! done is reported as failed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

mod link;
#[cfg(test)]
mod tests;
mod unanswered;

use unanswered::Unanswered;

/// What happens to bytes, on connections that are there and on those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They are passed on.
    Clear,
    /// Each piece waits this long before it is passed on, either way.
    Late(Duration),
    /// They are passed on one by one, each after this long, either way.
    Drip(Duration),
    /// Nothing is passed on, and nobody is told; what waits is passed on when it clears up.
    Silent,
    /// A connection is reset once this many bytes of it went to the server.
    CutAfter(u64),
    /// New connections are reset at once.
    Refuse,
}

/// What is done to every open connection at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Reset,
    HalfClose,
}

/// A running proxy; its connections break off when it goes.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
    _listening: JoinSet<()>,
}

struct State {
    weather: watch::Sender<Weather>,
    blows: broadcast::Sender<Blow>,
    unanswered: Unanswered,
    /// Connections that were reset, half-closed or refused.
    broken: AtomicU64,
}

impl Proxy {
    /// A proxy on a free port of loopback, to a server.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let state = Arc::new(State {
            weather: watch::Sender::new(Weather::Clear),
            blows: broadcast::Sender::new(16),
            unanswered: Unanswered::default(),
            broken: AtomicU64::new(0),
        });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, server, Arc::clone(&state)));
        Self { port, state, _listening: listening }
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this happens to bytes.
    pub fn set(&self, weather: Weather) {
        self.state.weather.send_replace(weather);
    }

    /// Resets every open connection.
    pub fn reset(&self) {
        self.strike(Blow::Reset);
    }

    /// Tells the client of every open connection that the server has nothing more to say;
    /// what the client says is still passed on.
    pub fn half_close(&self) {
        self.strike(Blow::HalfClose);
    }

    fn strike(&self, blow: Blow) {
        // No connection may be open.
        let _ = self.state.blows.send(blow);
    }

    /// The next `times` requests that contain these bytes are passed on; their replies are
    /// swallowed when they come, and the connection is reset. `what` must not be empty.
    pub fn swallow_replies(&self, what: &[u8], times: u64) {
        self.state.unanswered.arm(what, times);
    }

    /// From now on every request has its reply again.
    pub fn answer(&self) {
        self.state.unanswered.disarm();
    }

    /// Replies that were swallowed so far.
    pub fn swallowed(&self) -> u64 {
        self.state.unanswered.count()
    }

    /// Connections that were reset, half-closed or refused so far.
    pub fn broken(&self) -> u64 {
        self.state.broken.load(Ordering::SeqCst)
    }
}

async fn listen(listener: TcpListener, server: SocketAddr, state: Arc<State>) {
    // Connections end with the listener.
    let mut links = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a bound listener accepts");
        while links.try_join_next().is_some() {}
        if *state.weather.borrow() == Weather::Refuse {
            state.broken.fetch_add(1, Ordering::SeqCst);
            reset(&client);
            continue;
        }
        // Subscribed here, so that a blow which comes while the server is reached hits it too.
        let blows = state.blows.subscribe();
        links.spawn(link::run(client, server, Arc::clone(&state), blows));
    }
}

/// Lets a connection end with a reset when it is dropped.
fn reset(stream: &TcpStream) {
    // One that broke already cannot be reset, and need not be.
    let _ = stream.set_zero_linger();
}
