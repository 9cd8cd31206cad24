//! The listener: who is let in, for how long, and under which limits of HTTP.
//!
//! The library's own loop ends an old connection without asking it to end first when it has a
//! grace period (tonic 0.14.9, `connection_timeout_future`), and gives every connection the same
//! age, so that clients that came together leave together. Ours asks, waits, and then cuts.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::TcpIncoming;
use tower::{Service, ServiceExt};
use uuid::Uuid;

use crate::connection::Connection;
use crate::limits::ConnectionLimits;
use crate::peers::{PeerPlace, Peers};

/// How long nobody is accepted after the system refused to: it is out of something.
const BREATH: Duration = Duration::from_millis(100);

/// The two ends of a service's life.
#[derive(Debug, Clone)]
pub struct Ends {
    /// No more connections, no more calls; what is under way goes on.
    pub stopping: CancellationToken,
    /// Nothing goes on.
    pub cut: CancellationToken,
}

/// Places that a connection holds while it is open.
type Places = (OwnedSemaphorePermit, PeerPlace);

/// Serves connections until `ends.stopping`, and then those that are open until they are
/// through or `ends.cut`. `draw` yields the random bits by which their ages differ.
pub async fn listen<S>(
    listener: TcpListener,
    service: S,
    limits: ConnectionLimits,
    draw: impl Fn() -> Uuid + Send,
    ends: Ends,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut door = Door::new(listener, limits);
    let conversations = TaskTracker::new();
    loop {
        let admitted = tokio::select! {
            biased;
            () = ends.stopping.cancelled() => break,
            admitted = door.admit() => admitted,
        };
        let (stream, places) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let unsent = places.1.unsent();
        let service = service.clone().map_request(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(unsent.clone());
            request
        });
        let connection = Connection::new(stream, places, limits.preface, ends.cut.clone());
        let age = aged(limits.age, draw());
        conversations.spawn(converse(connection, service, limits, age, ends.stopping.clone()));
    }
    // From here on the system refuses connections instead of letting them wait.
    drop(door);
    conversations.close();
    conversations.wait().await;
}

/// Where connections come in.
struct Door {
    incoming: TcpIncoming,
    places: Arc<Semaphore>,
    peers: Peers,
}

impl Door {
    fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        let incoming =
            TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(limits.tcp_keepalive));
        let places = Arc::new(Semaphore::new(limits.connections));
        Self { incoming, places, peers: Peers::new(limits.per_peer, limits.unsent_per_peer) }
    }

    /// The next connection that there is a place for; those of a peer that has all of its own
    /// are closed.
    async fn admit(&mut self) -> io::Result<(TcpStream, Places)> {
        // Who finds no place waits in the listener's queue, at no cost to us.
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        loop {
            let stream = accepted(&mut self.incoming).await?;
            let Ok(address) = stream.peer_addr() else {
                continue; // Gone already.
            };
            if let Some(peer_place) = self.peers.enter(address.ip()) {
                return Ok((stream, (place, peer_place)));
            }
            tracing::debug!(peer = %address.ip(), "a peer has all the connections it may have");
        }
    }
}

async fn accepted(
    incoming: &mut (impl Stream<Item = io::Result<TcpStream>> + Unpin),
) -> io::Result<TcpStream> {
    match incoming.next().await {
        Some(accepted) => accepted,
        // A listener never runs dry.
        None => std::future::pending().await,
    }
}

/// Serves one connection until it ends, is asked to end and has, or is too old.
async fn converse<S>(
    connection: Connection<Places>,
    service: S,
    limits: ConnectionLimits,
    age: Duration,
    stopping: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let http = protocol(limits);
    let mut conversation =
        pin!(http.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service)));
    tokio::select! {
        ended = conversation.as_mut() => return told(ended),
        () = stopping.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            return told(conversation.await);
        }
        () = tokio::time::sleep(age) => conversation.as_mut().graceful_shutdown(),
    }
    if let Ok(ended) = tokio::time::timeout(limits.age_grace, conversation).await {
        told(ended);
    }
}

fn told(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The limits of HTTP that the library leaves off.
fn protocol(limits: ConnectionLimits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.preface);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .keep_alive_interval(limits.ping_every)
        .keep_alive_timeout(limits.ping_answered)
        .max_header_list_size(limits.header_list)
        .max_pending_accept_reset_streams(limits.pending_accept_resets)
        .max_local_error_reset_streams(limits.local_error_resets);
    http
}

/// An age give or take a tenth, by the random bits of an id: those of its end.
fn aged(age: Duration, draw: Uuid) -> Duration {
    let (_, bits) = draw.as_u64_pair();
    let share = f64::from(bits as u32) / f64::from(u32::MAX);
    age.mul_f64(0.9 + 0.2 * share)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;

    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let half_an_hour = Duration::from_mins(30);
        let age = |bits| aged(half_an_hour, Uuid::from_u64_pair(0, bits)).as_secs();
        assert_eq!([age(0), age(u64::from(u32::MAX) / 2), age(u64::MAX)], [27 * 60, 29 * 60 + 59, 33 * 60]);
    }

    #[tokio::test]
    async fn an_accepted_connection_has_no_delay_and_is_asked_by_tcp_whether_it_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let mut door = Door::new(listener, ConnectionLimits::default());
        let _client = TcpStream::connect(address).await.expect("our own port");
        let (stream, _places) = door.admit().await.expect("accepted");
        assert!(stream.nodelay().expect("an option"));
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), Duration::from_mins(1));
    }

    #[tokio::test]
    async fn a_peer_beyond_its_connections_is_closed_and_others_are_let_in() {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let mut door = Door::new(listener, ConnectionLimits { per_peer: 1, ..ConnectionLimits::default() });
        let _first = TcpStream::connect(("127.0.0.1", port)).await.expect("our own port");
        let _held = door.admit().await.expect("accepted");
        let mut second = TcpStream::connect(("127.0.0.1", port)).await.expect("our own port");
        let other = TcpSocket::new_v4().expect("a socket");
        other.bind("127.0.0.2:0".parse().expect("an address")).expect("all of 127/8 is ours");
        let other = other.connect(([127, 0, 0, 1], port).into()).await.expect("our own port");
        let (accepted, _places) = door.admit().await.expect("accepted");
        assert_eq!(accepted.peer_addr().ok(), other.local_addr().ok());
        assert_eq!(second.read(&mut [0]).await.expect("closed in order"), 0);
    }

    #[tokio::test]
    async fn connections_beyond_the_most_wait_for_a_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let mut door =
            Door::new(listener, ConnectionLimits { connections: 1, ..ConnectionLimits::default() });
        let _first = TcpStream::connect(address).await.expect("our own port");
        let (first, places) = door.admit().await.expect("accepted");
        let waits = TcpStream::connect(address).await.expect("the listener's queue");
        assert!(door.admit().now_or_never().is_none(), "there is no place");
        drop((first, places));
        let (second, _places) = door.admit().await.expect("accepted");
        assert_eq!(second.peer_addr().ok(), waits.local_addr().ok());
    }
}
