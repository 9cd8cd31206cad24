//! The development mail sink: an SMTP server on loopback that keeps what it is given.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A mail that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipient.
    pub to: String,
    /// The message as it came, with dot-stuffing undone.
    pub message: String,
}

/// The mails that arrived, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Inbox(Arc<Mutex<Vec<Mail>>>);

/// Mails kept; older ones make room.
const MOST_MAILS: usize = 1_000;
/// Longest line and largest message accepted, in bytes.
const MOST_LINE: u64 = 64 * 1_024;
const MOST_MESSAGE: usize = 1_024 * 1_024;

impl Inbox {
    /// All mails.
    pub fn mails(&self) -> Vec<Mail> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn keep(&self, mail: Mail) {
        let mut mails = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if mails.len() == MOST_MAILS {
            mails.remove(0);
        }
        mails.push(mail);
    }
}

impl Mail {
    /// A header's value, unfolded; empty when absent.
    pub fn header(&self, name: &str) -> String {
        let mut lines = self.message.lines().take_while(|line| !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            let Some((found, value)) = line.split_once(':') else {
                continue;
            };
            if found.eq_ignore_ascii_case(name) {
                let mut value = value.trim().to_owned();
                while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
                    value.push(' ');
                    value.push_str(more.trim());
                }
                return value;
            }
        }
        String::new()
    }
}

/// Accepts mail until `stop`.
pub async fn run(listener: TcpListener, inbox: Inbox, tracker: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        if let Ok((stream, _)) = accepted {
            let (inbox, stop) = (inbox.clone(), stop.clone());
            tracker.spawn(async move {
                tokio::select! {
                    served = converse(stream, &inbox) => {
                        if let Err(error) = served {
                            tracing::debug!(%error, "a mail connection broke");
                        }
                    }
                    () = stop.cancelled() => {}
                }
            });
        }
    }
}

/// One SMTP conversation (RFC 5321), as much of it as a client that sends needs.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, inbox: &Inbox) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut from, mut to) = (String::new(), String::new());
    say(&mut stream, "220 rekindle development sink").await?;
    while let Some(line) = read_line(&mut stream).await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say(&mut stream, "250-rekindle\r\n250-8BITMIME\r\n250 SIZE 1048576").await?,
            "HELO" | "NOOP" => say(&mut stream, "250 rekindle").await?,
            "RSET" => {
                (from, to) = (String::new(), String::new());
                say(&mut stream, "250 forgotten").await?;
            }
            "MAIL" => {
                from = address(&line);
                say(&mut stream, "250 go on").await?;
            }
            "RCPT" => {
                to = address(&line);
                say(&mut stream, "250 known").await?;
            }
            "DATA" if to.is_empty() => say(&mut stream, "503 nobody to write to").await?,
            "DATA" => {
                say(&mut stream, "354 end with a dot").await?;
                let Some(message) = read_message(&mut stream).await? else {
                    return say(&mut stream, "552 too large").await;
                };
                inbox.keep(Mail { from: from.clone(), to: to.clone(), message });
                (from, to) = (String::new(), String::new());
                say(&mut stream, "250 kept").await?;
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            _ => say(&mut stream, "502 not understood").await?,
        }
    }
    Ok(())
}

async fn read_message(stream: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<String>> {
    let mut message = String::new();
    while let Some(line) = read_line(stream).await? {
        if line == "." {
            return Ok(Some(message));
        }
        if message.len() + line.len() > MOST_MESSAGE {
            return Ok(None);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
        message.push('\n');
    }
    Ok(None)
}

async fn read_line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<String>> {
    use tokio::io::AsyncReadExt;
    let mut line = Vec::new();
    let read = stream.take(MOST_LINE).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// The address between angle brackets.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mail_is_kept_as_it_was_before_dot_stuffing() {
        let (mut client, server) = tokio::io::duplex(64 * 1_024);
        let inbox = Inbox::default();
        let script = "EHLO me\r\nMAIL FROM:<a@x.invalid>\r\nRCPT TO:<b@x.invalid>\r\nDATA\r\nSubject: one\r\n two\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        client.write_all(script.as_bytes()).await.expect("the pipe holds the script");
        converse(server, &inbox).await.expect("the conversation ends with QUIT");
        let mails = inbox.mails();
        assert_eq!((mails[0].from.as_str(), mails[0].to.as_str()), ("a@x.invalid", "b@x.invalid"));
        assert_eq!(mails[0].header("subject"), "one two");
        assert!(mails[0].message.ends_with("\n.dot\n"));
    }
}
