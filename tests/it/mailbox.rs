//! A mail server on loopback that keeps every mail, whatever becomes of the answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::arrivals::{Arrival, Arrivals};
use crate::surroundings::{Draws, now};

/// The answer to a mail takes up to this long, so that processes die while they wait for it.
const SLOWEST_MS: u64 = 60;

/// A running mail server; it goes when this does.
pub struct Mailbox {
    port: u16,
    mails: Arrivals,
    _serving: JoinSet<()>,
}

impl Mailbox {
    /// A mail server that takes every mail.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let mails = Arrivals::default();
        let kept = mails.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut dialogues = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a bound listener accepts");
                let kept = kept.clone();
                // A client that breaks off is what these tests are about.
                dialogues.spawn(async move { drop(converse(stream, &kept).await) });
                while dialogues.try_join_next().is_some() {}
            }
        });
        Self { port, mails, _serving: serving }
    }

    /// Where it listens on loopback.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The mails, as they come.
    pub fn arrivals(&self) -> &Arrivals {
        &self.mails
    }
}

/// Answers one client by RFC 5321, as far as a client that makes no mistakes needs it.
async fn converse(stream: TcpStream, mails: &Arrivals) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mailbox\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let command = line.trim_end().to_ascii_uppercase();
        line.clear();
        let answer: &[u8] = match command.split([' ', ':']).next().unwrap_or_default() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let place = mails.keep(mail(data(&mut stream).await?));
                tokio::time::sleep(Duration::from_millis(Draws::new(place as u64).between(0, SLOWEST_MS)))
                    .await;
                b"250 2.0.0 kept\r\n"
            }
            "EHLO" => b"250-mailbox\r\n250 8BITMIME\r\n",
            "QUIT" => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            _ => b"250 2.0.0 fine\r\n",
        };
        stream.write_all(answer).await?;
    }
    Ok(())
}

/// The lines up to the final dot; an end before it is an error: such a mail did not arrive.
async fn data(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let begins = message.len();
        if stream.read_until(b'\n', &mut message).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if message[begins..] == *b".\r\n" {
            message.truncate(begins);
            return Ok(message);
        }
    }
}

fn mail(body: Vec<u8>) -> Arrival {
    let text = String::from_utf8_lossy(&body).into_owned();
    let header = |name: &str| {
        let head = text.lines().take_while(|line| !line.is_empty());
        head.filter_map(|line| line.split_once(": ")).find(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let value = |name| header(name).map(|(_, value)| value.to_owned()).unwrap_or_default();
    let one_click = value("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click";
    let fault = if one_click { "" } else { "nobody can unsubscribe with one click" };
    Arrival {
        id: value("Message-ID").trim_matches(['<', '>']).to_owned(),
        conversation: value("Subject"),
        body,
        arrived: now(),
        fault: fault.to_owned(),
    }
}
