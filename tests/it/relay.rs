//! A slow link: a relay on loopback that hands on every byte later.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes taken up at once.
const PIECE: usize = 64 * 1_024;

/// A relay in front of an address; it goes, with everything that runs through it, when this does.
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    _relaying: JoinSet<()>,
}

impl Relay {
    /// A link to `target` on which every byte takes `delay`, in both directions.
    pub async fn start(target: String, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let mut relaying = JoinSet::new();
        relaying.spawn(async move {
            let mut links = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                // Whoever is not there is not there on the other side either.
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                // What is delayed must not be delayed once more by the kernel.
                if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
                    continue;
                }
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                links.spawn(carry(near_read, far_write, delay));
                links.spawn(carry(far_read, near_write, delay));
                while links.try_join_next().is_some() {}
            }
        });
        Self { address, _relaying: relaying }
    }
}

/// Carries bytes one way, each so much later; an end is carried like a byte.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (pieces, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            if pieces.send((Instant::now() + delay, piece[..length].to_vec())).is_err() {
                return;
            }
        }
        tokio::time::sleep(delay).await;
    };
    let write = async move {
        while let Some((arrives, piece)) = under_way.recv().await {
            tokio::time::sleep_until(arrives).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        // It is shut down as it goes.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
