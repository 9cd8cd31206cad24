//! HTTP/2, frame by frame: what no well-behaved client would send.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Types of frames (RFC 9113, section 6).
pub mod kind {
    /// Bytes of a body.
    pub const DATA: u8 = 0;
    /// The head of a call or of its answer, and trailers.
    pub const HEADERS: u8 = 1;
    /// The end of a stream, for a reason.
    pub const RST_STREAM: u8 = 3;
    /// Settings.
    pub const SETTINGS: u8 = 4;
    /// Are you there?
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GOAWAY: u8 = 7;
    /// More may be sent.
    pub const WINDOW_UPDATE: u8 = 8;
}

/// Flag of a frame after which the sender says nothing more on the stream.
const END_STREAM: u8 = 1;
/// Flag of a frame that holds all headers.
const END_HEADERS: u8 = 4;
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream; 0 for the connection.
    pub stream: u32,
    /// Content.
    pub payload: Vec<u8>,
}

/// A connection that speaks HTTP/2 as badly as it is told to.
pub struct RawHttp2 {
    stream: TcpStream,
}

impl RawHttp2 {
    /// Connects and sends the preface with these settings.
    ///
    /// # Errors
    /// When nobody listens, or the connection is closed at once.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> std::io::Result<Self> {
        Self::greet(TcpStream::connect(address).await?, settings).await
    }

    /// The same from an address of this machine: every one of 127/8 is another peer.
    ///
    /// # Errors
    /// When nobody listens, or the connection is closed at once.
    pub async fn connect_from(
        local: IpAddr,
        address: SocketAddr,
        settings: &[(u16, u32)],
    ) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((local, 0).into())?;
        Self::greet(socket.connect(address).await?, settings).await
    }

    async fn greet(mut stream: TcpStream, settings: &[(u16, u32)]) -> std::io::Result<Self> {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        stream.write_all(&frame(kind::SETTINGS, 0, 0, &payload)).await?;
        Ok(Self { stream })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame; `None` when the connection was closed. Panics when neither comes.
    pub async fn next(&mut self) -> Option<Frame> {
        let read = tokio::time::timeout(PATIENCE, read(&mut self.stream)).await;
        read.expect("a frame, or the end").ok()
    }

    /// The next frame of a type, whatever comes before it; `None` when the connection was closed.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, stream_id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream_id), payload })
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a gRPC call, with further headers; its messages follow.
pub fn call(stream: u32, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS, stream, &head(path, headers))
}

/// Bytes of a call's body, the last of it if `end`.
pub fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    frame(kind::DATA, if end { END_STREAM } else { 0 }, stream, bytes)
}

/// The end of a stream that is cancelled.
pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The answer to a ping.
pub fn pong(ping: &Frame) -> Vec<u8> {
    const ACK: u8 = 1;
    frame(kind::PING, ACK, 0, &ping.payload)
}

/// A header block (RFC 7541): names of the static table, values as they are.
fn head(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    // `:method POST` and `:scheme http` are whole entries of the static table.
    let mut block = vec![0x83, 0x86];
    // `:path` and `:authority` are names of it.
    for (name, value) in [(0x04, path), (0x01, "localhost")] {
        block.push(name);
        block.extend(text(value));
    }
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")].iter().chain(headers) {
        block.push(0x00);
        block.extend(text(name));
        block.extend(text(value));
    }
    block
}

/// A string, not compressed: its length in an integer of seven bits and more, then its bytes.
fn text(value: &str) -> Vec<u8> {
    const FULL: usize = 127;
    let mut bytes = Vec::new();
    if value.len() < FULL {
        bytes.push(value.len() as u8);
    } else {
        bytes.push(FULL as u8);
        let mut rest = value.len() - FULL;
        while rest >= 128 {
            bytes.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        bytes.push(rest as u8);
    }
    bytes.extend(value.as_bytes());
    bytes
}
