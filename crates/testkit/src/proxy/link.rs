//! One connection through the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use super::{Blow, State, Weather, reset};

/// Most bytes passed on at once.
const PIECE: usize = 16 * 1024;

/// A connection that is to be reset.
struct Broken;

/// What became of one way: everything was said, or not.
type Passed = Result<(), Broken>;

/// Passes bytes on until both sides are through or the connection is broken.
pub async fn run(mut client: TcpStream, server: SocketAddr, state: Arc<State>, blows: Receiver<Blow>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        reset(&client);
        return;
    };
    // The proxy delays nothing of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    if pass(&mut client, &mut server, &state, blows).await.is_err() {
        state.broken.fetch_add(1, Ordering::SeqCst);
        reset(&client);
        reset(&server);
    }
}

async fn pass(
    client: &mut TcpStream,
    server: &mut TcpStream,
    state: &State,
    blows: Receiver<Blow>,
) -> Passed {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let swallows = AtomicBool::new(false);
    let half_closed = watch::Sender::new(false);
    let up = Up { state, swallows: &swallows, weather: state.weather.subscribe() };
    let down = Down {
        state,
        swallows: &swallows,
        weather: state.weather.subscribe(),
        half: half_closed.subscribe(),
    };
    tokio::select! {
        passed = async { tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client)) } => {
            passed.map(|_| ())
        }
        () = struck(blows, state, &half_closed) => Err(Broken),
    }
}

/// Returns when the connection is to be reset.
async fn struck(mut blows: Receiver<Blow>, state: &State, half_closed: &watch::Sender<bool>) {
    loop {
        match blows.recv().await {
            Ok(Blow::HalfClose) => {
                state.broken.fetch_add(1, Ordering::SeqCst);
                half_closed.send_replace(true);
            }
            // More blows than could be remembered are as good as a reset.
            Ok(Blow::Reset) | Err(_) => return,
        }
    }
}

/// What the client says.
struct Up<'a> {
    state: &'a State,
    swallows: &'a AtomicBool,
    weather: watch::Receiver<Weather>,
}

impl Up<'_> {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Passed {
        let mut piece = vec![0; PIECE];
        let (mut passed, mut before) = (0, Vec::new());
        loop {
            let length = match from.read(&mut piece).await {
                Ok(0) => return said(&mut to).await,
                Ok(length) => length,
                Err(_) => return Err(Broken),
            };
            let bytes = &piece[..length];
            if self.state.unanswered.strikes(&mut before, bytes) {
                self.swallows.store(true, Ordering::SeqCst);
            }
            let weather = settled(&mut self.weather).await;
            let room = match weather {
                Weather::CutAfter(limit) => limit.saturating_sub(passed).min(length as u64) as usize,
                _ => length,
            };
            if write(&mut to, &bytes[..room], weather).await.is_err() || room < length {
                return Err(Broken);
            }
            passed += length as u64;
        }
    }
}

/// What the server says.
struct Down<'a> {
    state: &'a State,
    swallows: &'a AtomicBool,
    weather: watch::Receiver<Weather>,
    half: watch::Receiver<bool>,
}

impl Down<'_> {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Passed {
        let mut piece = vec![0; PIECE];
        loop {
            let read = tokio::select! {
                read = from.read(&mut piece) => Some(read),
                // The sender lives as long as this connection.
                _ = self.half.wait_for(|half| *half) => None,
            };
            let length = match read {
                None => return unheard(from, to).await,
                Some(Ok(0)) => return said(&mut to).await,
                Some(Ok(length)) => length,
                Some(Err(_)) => return Err(Broken),
            };
            if self.swallows.load(Ordering::SeqCst) {
                self.state.unanswered.swallow();
                return Err(Broken);
            }
            let weather = settled(&mut self.weather).await;
            if write(&mut to, &piece[..length], weather).await.is_err() {
                return Err(Broken);
            }
        }
    }
}

/// One side has said everything.
async fn said(to: &mut WriteHalf<'_>) -> Passed {
    // The other side may be gone already.
    let _ = to.shutdown().await;
    Ok(())
}

/// The client believes that the server has said everything; the server is not heard any more.
async fn unheard(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Passed {
    said(&mut to).await?;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    Ok(())
}

/// The weather, once bytes get through at all.
async fn settled(weather: &mut watch::Receiver<Weather>) -> Weather {
    let now = weather.wait_for(|now| *now != Weather::Silent).await;
    // The proxy is going when nobody makes the weather any more.
    now.map_or(Weather::Clear, |now| *now)
}

async fn write(to: &mut WriteHalf<'_>, bytes: &[u8], weather: Weather) -> io::Result<()> {
    match weather {
        Weather::Drip(gap) => drip(to, bytes, gap).await,
        Weather::Late(by) => {
            tokio::time::sleep(by).await;
            to.write_all(bytes).await
        }
        _ => to.write_all(bytes).await,
    }
}

async fn drip(to: &mut WriteHalf<'_>, bytes: &[u8], gap: Duration) -> io::Result<()> {
    for byte in bytes {
        tokio::time::sleep(gap).await;
        to.write_all(std::slice::from_ref(byte)).await?;
    }
    Ok(())
}
