//! Lines back and forth over one stream, each step under its time limit.
//!
//! A timeout, an IO error, an unreadable reply or words out of turn break the
//! dialogue; a broken one says nothing more, so that a late reply can never be
//! taken for the answer to a later command.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::outcome::Phase;

use super::failure::Failure;
use super::reply::{Line, Reply};

/// Longest line read; RFC 5321 allows 512, relays exceed it.
const LINE_BYTES: usize = 4 * 1024;
/// Longest reply read, all lines.
const REPLY_BYTES: usize = 64 * 1024;
/// Bytes written per block of the message.
const BLOCK_BYTES: usize = 64 * 1024;

/// One side of an SMTP connection.
pub(super) struct Dialogue<S> {
    stream: S,
    /// Read but not yet consumed.
    pending: Vec<u8>,
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, pending: Vec::new(), broken: false }
    }

    /// Waits for a reply whose code is `expected`, as a class (`2` for 2xx) or whole.
    pub(super) async fn expect(
        &mut self,
        phase: Phase,
        expected: u16,
        limit: Duration,
    ) -> Result<Reply, Failure> {
        let reply = self.reply(limit).await.map_err(|detail| Failure::broken(phase, &detail))?;
        if reply.code == expected || reply.code / 100 == expected {
            return Ok(reply);
        }
        Err(Failure::Refused { phase, reply })
    }

    /// Sends one command (without line end) and waits for the reply it needs.
    pub(super) async fn command(
        &mut self,
        phase: Phase,
        line: impl Display,
        expected: u16,
        limit: Duration,
    ) -> Result<Reply, Failure> {
        let line = format!("{line}\r\n");
        self.write(line.as_bytes(), limit).await.map_err(|detail| Failure::broken(phase, &detail))?;
        self.expect(phase, expected, limit).await
    }

    /// Writes the stuffed message, block by block; the final dot is in the last.
    ///
    /// An error means that the dot was not fully handed over.
    pub(super) async fn message(&mut self, wire: &[u8], limit: Duration) -> Result<(), Failure> {
        for block in wire.chunks(BLOCK_BYTES) {
            self.write(block, limit).await.map_err(|detail| Failure::broken(Phase::Body, &detail))?;
        }
        Ok(())
    }

    /// Reads one whole reply.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, String> {
        let result = match timeout(limit, self.read_reply()).await {
            Ok(result) => result,
            Err(_) => Err("timed out waiting for a reply".to_owned()),
        };
        self.broken |= result.is_err();
        result
    }

    /// Says goodbye if the dialogue is whole; whatever happens is of no interest.
    pub(super) async fn quit(mut self, limit: Duration) {
        if !self.broken && self.write(b"QUIT\r\n", limit).await.is_ok() {
            let _ = self.reply(limit).await;
        }
    }

    /// The bare stream, for an upgrade; `None` if the other side has already
    /// said more than it was asked.
    pub(super) fn into_stream(self) -> Option<S> {
        (self.pending.is_empty() && !self.broken).then_some(self.stream)
    }

    async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), String> {
        if !self.pending.is_empty() {
            self.broken = true;
            return Err("the relay spoke out of turn".to_owned());
        }
        let stream = &mut self.stream;
        let written = timeout(limit, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        });
        let result = match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(describe(&error)),
            Err(_) => Err("timed out writing".to_owned()),
        };
        self.broken |= result.is_err();
        result
    }

    async fn read_reply(&mut self) -> Result<Reply, String> {
        let mut lines = Vec::new();
        let mut size = 0;
        let mut code = None;
        loop {
            let raw = self.read_line().await?;
            size += raw.len();
            let line = Line::parse(&raw)
                .ok_or_else(|| format!("not an SMTP reply: {}", String::from_utf8_lossy(&raw)))?;
            if *code.get_or_insert(line.code) != line.code || size > REPLY_BYTES {
                return Err("a reply of mixed codes or without end".to_owned());
            }
            lines.push(line.text);
            if !line.more {
                return Ok(Reply { code: line.code, lines });
            }
        }
    }

    /// One line without its line end, which may be CRLF or LF.
    async fn read_line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.pending.len() > LINE_BYTES {
                return Err("a reply line without end".to_owned());
            }
            let read = self.stream.read_buf(&mut self.pending).await.map_err(|e| describe(&e))?;
            if read == 0 {
                return Err("the relay closed the connection".to_owned());
            }
        }
    }
}

fn describe(error: &io::Error) -> String {
    format!("connection lost: {error}")
}
