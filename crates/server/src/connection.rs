//! A connection that we own: cut when it does not say what it speaks, cut when the drain is over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes of HTTP/2's preface (RFC 9113, section 3.4); no request of HTTP/1 to us is shorter.
const PREFACE: usize = 24;

/// An accepted connection, in its places among the others.
pub struct Connection<P> {
    stream: TcpStream,
    /// Until the preface is there; `None` afterwards.
    preface: Option<Preface>,
    /// Taken when it is through.
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _places: P,
}

/// What is still to be read of a preface, and until when.
struct Preface {
    missing: usize,
    due: Pin<Box<Sleep>>,
}

impl<P> Connection<P> {
    /// A connection that holds `places` while it is open, has `preface` to say what it speaks,
    /// and ends when it is `cut`.
    pub fn new(stream: TcpStream, places: P, preface: Duration, cut: CancellationToken) -> Self {
        Self {
            stream,
            preface: Some(Preface { missing: PREFACE, due: Box::pin(tokio::time::sleep(preface)) }),
            cut: Some(Box::pin(cut.cancelled_owned())),
            _places: places,
        }
    }

    /// Fails from the moment on at which the connection is cut.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(context).is_pending()
        {
            return Ok(());
        }
        self.cut = None;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Counts what was read; fails when the preface is not there in time.
    fn listen(&mut self, heard: usize, context: &mut Context<'_>) -> io::Result<()> {
        let Some(preface) = &mut self.preface else {
            return Ok(());
        };
        preface.missing = preface.missing.saturating_sub(heard);
        if preface.missing == 0 {
            self.preface = None;
        } else if preface.due.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl<P: Unpin> AsyncRead for Connection<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.listen(buffer.filled().len() - before, context)?;
        read
    }
}

impl<P: Unpin> AsyncWrite for Connection<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Far longer than any test takes.
    const LONG: Duration = Duration::from_mins(5);
    const SHORT: Duration = Duration::from_millis(20);

    async fn pair(preface: Duration, cut: CancellationToken) -> (TcpStream, Connection<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let client = TcpStream::connect(address).await.expect("our own port");
        let (server, _) = listener.accept().await.expect("accepted");
        (client, Connection::new(server, (), preface, cut))
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_reads_and_writes_no_more() {
        let cut = CancellationToken::new();
        let (mut client, mut server) = pair(LONG, cut.clone()).await;
        client.write_all(b"x").await.expect("open");
        assert_eq!(server.read_u8().await.expect("open"), b'x');
        cut.cancel();
        let read = server.read_u8().await.expect_err("cut");
        assert_eq!(read.kind(), io::ErrorKind::ConnectionAborted);
        assert!(server.write_all(b"x").await.is_err());
    }

    #[tokio::test]
    async fn a_read_that_waits_is_woken_by_the_cut() {
        let cut = CancellationToken::new();
        let (_client, mut server) = pair(LONG, cut.clone()).await;
        let (read, ()) = tokio::join!(server.read_u8(), async { cut.cancel() });
        assert_eq!(read.expect_err("cut").kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_connection_that_says_half_of_what_it_speaks_is_left() {
        let (mut client, mut server) = pair(SHORT, CancellationToken::new()).await;
        client.write_all(&[b'P'; PREFACE - 1]).await.expect("open");
        let mut heard = Vec::new();
        let read = server.read_to_end(&mut heard).await.expect_err("it never goes on");
        assert_eq!((read.kind(), heard.len()), (io::ErrorKind::TimedOut, PREFACE - 1));
    }

    #[tokio::test]
    async fn a_connection_that_said_what_it_speaks_may_be_silent() {
        let (mut client, mut server) = pair(LONG, CancellationToken::new()).await;
        client.write_all(&[b'P'; PREFACE - 1]).await.expect("open");
        server.read_exact(&mut [0; PREFACE - 1]).await.expect("in time");
        assert!(server.preface.is_some(), "a byte is missing");
        client.write_all(b"P").await.expect("open");
        server.read_u8().await.expect("in time");
        assert!(server.preface.is_none(), "no deadline is left");
    }
}
