//! The proxy between a client and a server that says back what it hears.

use std::io::ErrorKind;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

/// For whatever should happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that says back what it hears; everything it hears is in the channel too.
struct Echo {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
    _serving: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (hear, heard) = mpsc::unbounded_channel();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut streams = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a bound listener accepts");
                let hear = hear.clone();
                streams.spawn(async move {
                    let mut piece = vec![0; 1_024];
                    while let Ok(length @ 1..) = stream.read(&mut piece).await {
                        // A test that is over hears nothing.
                        let _ = hear.send(piece[..length].to_vec());
                        if stream.write_all(&piece[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, heard, _serving: serving }
    }

    /// Everything it heard, once it is this much.
    async fn heard(&mut self, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let piece = timeout(PATIENCE, self.heard.recv()).await.expect("the server hears it");
            all.extend(piece.expect("the server goes on"));
        }
        all
    }
}

async fn start() -> (Echo, Proxy, TcpStream) {
    let echo = Echo::start().await;
    let proxy = Proxy::to(echo.address).await;
    let client = connect(&proxy).await;
    (echo, proxy, client)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("the proxy listens")
}

/// Says something and hears it back.
async fn asks(client: &mut TcpStream, what: &[u8]) -> std::io::Result<()> {
    client.write_all(what).await?;
    let mut answer = vec![0; what.len()];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("an answer or a broken connection")?;
    assert_eq!(answer, what);
    Ok(())
}

async fn is_reset(client: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, client.read(&mut [0])).await.expect("the connection breaks");
    read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn in_clear_weather_everything_gets_through_to_the_end() {
    let (mut echo, proxy, mut client) = start().await;
    asks(&mut client, b"hello").await.expect("an answer");
    assert_eq!(echo.heard(5).await, b"hello");
    client.shutdown().await.expect("an open connection");
    let mut rest = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("the end").expect("an orderly one");
    assert_eq!((rest, proxy.broken()), (Vec::new(), 0));
}

#[tokio::test]
async fn a_reset_breaks_what_is_open_and_nothing_else() {
    let (_echo, proxy, mut client) = start().await;
    asks(&mut client, b"one").await.expect("an answer");
    proxy.reset();
    assert!(is_reset(&mut client).await);
    let mut other = connect(&proxy).await;
    asks(&mut other, b"two").await.expect("an answer");
}

#[tokio::test]
async fn a_swallowed_reply_was_asked_for_and_done() {
    let (mut echo, proxy, mut client) = start().await;
    proxy.swallow_replies(b"COMMIT", 1);
    asks(&mut client, b"INSERT").await.expect("an answer");
    // In two pieces, as a network may deliver it.
    client.write_all(b"COM").await.expect("an open connection");
    assert_eq!(echo.heard(9).await, b"INSERTCOM");
    let mut answer = [0; 3];
    client.read_exact(&mut answer).await.expect("the answer to the first piece");
    client.write_all(b"MIT").await.expect("an open connection");
    assert!(is_reset(&mut client).await);
    assert_eq!(echo.heard(3).await, b"MIT");
    assert_eq!(proxy.swallowed(), 1);
    let mut other = connect(&proxy).await;
    asks(&mut other, b"COMMIT").await.expect("an answer, for it was asked for once");
}

#[tokio::test]
async fn a_connection_is_cut_after_so_many_bytes() {
    let (mut echo, proxy, mut client) = start().await;
    proxy.set(Weather::CutAfter(7));
    asks(&mut client, b"hello").await.expect("an answer");
    client.write_all(b"world").await.expect("an open connection");
    assert!(is_reset(&mut client).await);
    assert_eq!(echo.heard(7).await, b"hellowo");
}

#[tokio::test]
async fn silence_keeps_bytes_until_it_clears_up() {
    let (mut echo, proxy, mut client) = start().await;
    proxy.set(Weather::Silent);
    client.write_all(b"hello").await.expect("an open connection");
    // What the other direction does meanwhile shows that time passed for the proxy.
    let mut other = connect(&proxy).await;
    other.write_all(b"again").await.expect("an open connection");
    assert!(timeout(Duration::from_millis(100), client.read(&mut [0])).await.is_err());
    assert!(echo.heard.try_recv().is_err());
    proxy.set(Weather::Clear);
    let mut answer = [0; 5];
    timeout(PATIENCE, client.read_exact(&mut answer)).await.expect("an answer").expect("an open connection");
    assert_eq!(&answer, b"hello");
}

#[tokio::test]
async fn late_and_dripping_bytes_arrive_whole() {
    let (_echo, proxy, mut client) = start().await;
    let wait = Duration::from_millis(20);
    proxy.set(Weather::Late(wait));
    let began = Instant::now();
    asks(&mut client, b"late").await.expect("an answer");
    assert!(began.elapsed() >= 2 * wait);
    proxy.set(Weather::Drip(Duration::from_millis(2)));
    let began = Instant::now();
    asks(&mut client, b"0123456789").await.expect("an answer");
    assert!(began.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn half_closed_the_server_still_hears() {
    let (mut echo, proxy, mut client) = start().await;
    asks(&mut client, b"one").await.expect("an answer");
    proxy.half_close();
    let end = timeout(PATIENCE, client.read(&mut [0])).await.expect("the end is told");
    assert_eq!(end.expect("an orderly one"), 0);
    client.write_all(b"two").await.expect("an open connection");
    assert_eq!(echo.heard(6).await, b"onetwo");
}

#[tokio::test]
async fn a_refused_connection_is_reset() {
    let (_echo, proxy, mut client) = start().await;
    asks(&mut client, b"one").await.expect("an answer");
    proxy.set(Weather::Refuse);
    // Whether connecting or reading fails is a matter of when the reset arrives.
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).await;
    if let Ok(mut refused) = refused {
        assert!(is_reset(&mut refused).await);
    }
    asks(&mut client, b"two").await.expect("an answer, for it was there before");
}
