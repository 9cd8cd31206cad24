//! What a connection may do, and for how long: the limits that the library leaves off.

use std::collections::BTreeMap;
use std::time::Duration;

use rekindle_proto::v1;
use rekindle_server::{ConnectionLimits, Options};
use rekindle_testkit::http2::{self, RawHttp2, kind};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::{Code, Request};

use crate::harness::{Server, WORKSPACE};

/// So short that a test can wait for it.
const SHORT: Duration = Duration::from_millis(100);
/// Far longer than any test takes.
const LONG: Duration = Duration::from_mins(10);
const LIST: &str = "/rekindle.v1.FunnelService/ListFunnels";
const STREAM: &str = "/rekindle.v1.IngestService/StreamEvents";
/// Error code of HTTP/2 for clients that ask for too much.
const ENHANCE_YOUR_CALM: u32 = 11;

async fn server(connections: ConnectionLimits) -> Server {
    Server::with(Options { connections, ..Options::default() }).await
}

async fn raw(server: &Server) -> RawHttp2 {
    RawHttp2::connect(server.address, &[]).await.expect("the server listens")
}

/// Why the server ends a connection, by its last word.
async fn goodbye(connection: &mut RawHttp2) -> u32 {
    let frame = connection.next_of(kind::GOAWAY).await.expect("a word before the end");
    u32::from_be_bytes(frame.payload[4..8].try_into().expect("an error code"))
}

async fn is_answering(server: &Server) {
    let list = v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() };
    server.funnels().list_funnels(list).await.expect("others are answered");
}

#[tokio::test]
async fn the_settings_frame_says_every_limit() {
    /// Settings of HTTP/2 (RFC 9113, section 6.5.2).
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const MAX_HEADER_LIST_SIZE: u16 = 6;
    /// The window of a connection that nobody has changed.
    const DEFAULT_WINDOW: u32 = 65_535;

    let server = Server::start().await;
    let mut connection = raw(&server).await;
    let frame = connection.next().await.expect("a frame");
    assert_eq!(frame.kind, kind::SETTINGS, "the first frame holds the settings");
    let setting = |entry: &[u8]| {
        let name = u16::from_be_bytes([entry[0], entry[1]]);
        (name, u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    };
    let settings: BTreeMap<u16, u32> = frame.payload.chunks_exact(6).map(setting).collect();
    assert_eq!(settings.get(&MAX_CONCURRENT_STREAMS), Some(&100));
    assert_eq!(settings.get(&INITIAL_WINDOW_SIZE), Some(&(256 * 1_024)));
    assert_eq!(settings.get(&MAX_HEADER_LIST_SIZE), Some(&(16 * 1_024)));
    let window = connection.next_of(kind::WINDOW_UPDATE).await.expect("the connection's own window");
    let more = u32::from_be_bytes(window.payload.try_into().expect("an increment"));
    assert_eq!((window.stream, more + DEFAULT_WINDOW), (0, 1_024 * 1_024));
}

#[tokio::test]
async fn headers_beyond_the_list_are_refused() {
    let server = Server::start().await;
    let mut request = Request::new(v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() });
    request.metadata_mut().insert("x-long", "x".repeat(17 * 1_024).parse().expect("a header value"));
    let refused = server.funnels().list_funnels(request).await.expect_err("more than 16 KB");
    assert!(refused.message().contains("431"), "{refused:?}");
    is_answering(&server).await;
}

#[tokio::test]
async fn metadata_beyond_its_entries_is_refused() {
    let server = Server::start().await;
    let mut request = Request::new(v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() });
    for _ in 0..64 {
        request.metadata_mut().append("x-many", "x".parse().expect("a header value"));
    }
    let refused = server.funnels().list_funnels(request).await.expect_err("more than 64 entries");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    is_answering(&server).await;
}

#[tokio::test]
async fn a_connection_that_never_says_what_it_speaks_is_closed() {
    let server = server(ConnectionLimits { preface: 5 * SHORT, ..ConnectionLimits::default() }).await;
    let mut silent = TcpStream::connect(server.address).await.expect("the server listens");
    let mut nothing = [0];
    // Closed in order or not, nothing comes.
    assert_eq!(silent.read(&mut nothing).await.unwrap_or(0), 0);
    is_answering(&server).await;
}

#[tokio::test]
async fn a_peer_that_does_not_answer_pings_is_left() {
    let limits = ConnectionLimits { ping_every: SHORT, ping_answered: SHORT, ..ConnectionLimits::default() };
    let server = server(limits).await;
    let mut dead = raw(&server).await;
    let ping = dead.next_of(kind::PING).await.expect("a ping");
    assert_eq!(ping.flags, 0, "a question, no answer");
    assert_eq!(dead.next_of(kind::DATA).await, None, "the connection is closed");
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_then_cut() {
    let limits = ConnectionLimits { age: SHORT, age_grace: 3 * SHORT, ..ConnectionLimits::default() };
    let server = server(limits).await;
    let mut busy = raw(&server).await;
    // A stream of events that is never ended.
    busy.send(&http2::call(1, STREAM, &[])).await.expect("open");
    assert_eq!(goodbye(&mut busy).await, 0, "no error");
    assert_eq!(busy.next_of(kind::DATA).await, None, "the connection is cut");
    // A client that connects anew is served.
    let mut next = raw(&server).await;
    assert_eq!(next.next().await.expect("a frame").kind, kind::SETTINGS);
}

#[tokio::test]
async fn an_old_connection_whose_calls_are_through_just_ends() {
    let limits = ConnectionLimits { age: SHORT, age_grace: LONG, ..ConnectionLimits::default() };
    let server = server(limits).await;
    let mut idle = raw(&server).await;
    assert_eq!(goodbye(&mut idle).await, 0, "no error");
    // The server ends when it knows that the client has heard it.
    let ping = idle.next_of(kind::PING).await.expect("a question behind the last word");
    idle.send(&http2::pong(&ping)).await.expect("open");
    assert_eq!(idle.next_of(kind::DATA).await, None, "nobody waits for the grace period");
}

#[tokio::test]
async fn streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection() {
    let server = Server::start().await;
    let mut rapid = raw(&server).await;
    let calls = (0..200).map(|call| 2 * call + 1);
    let flood: Vec<u8> =
        calls.flat_map(|id| [http2::call(id, LIST, &[]), http2::reset(id)].concat()).collect();
    rapid.send(&flood).await.expect("open");
    assert_eq!(goodbye(&mut rapid).await, ENHANCE_YOUR_CALM);
    is_answering(&server).await;
}

#[tokio::test]
async fn streams_that_we_must_reset_end_the_connection_in_the_end() {
    let server = Server::start().await;
    let mut wrong = raw(&server).await;
    // A header that HTTP/2 forbids: each is reset by us.
    let calls = (0..300).map(|call| 2 * call + 1);
    let flood: Vec<u8> = calls.flat_map(|id| http2::call(id, LIST, &[("connection", "close")])).collect();
    // The connection may end before all of it is written.
    let _ = wrong.send(&flood).await;
    assert_eq!(goodbye(&mut wrong).await, ENHANCE_YOUR_CALM);
    is_answering(&server).await;
}
