//! The scripted relay, and one attempt against it.

use std::future::pending;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::super::*;

pub(super) const CERTIFICATE: &str = include_str!("../testdata/localhost.pem");
pub(super) const MESSAGE: &[u8] = b"Subject: hi\r\n\r\nhello\r\n.\r\n.dot\r\n";

/// What the relay does instead of its part in one phase.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Close,
    Hang,
    Say(&'static str),
}

/// A relay that behaves but for one fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script {
    pub(super) fault: Option<(Phase, Fault)>,
    pub(super) extensions: &'static str,
}

pub(super) const WELL: Script =
    Script { fault: None, extensions: "250-relay\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME\r\n" };

pub(super) fn failing(phase: Phase, fault: Fault) -> Script {
    Script { fault: Some((phase, fault)), ..WELL }
}

/// What the relay saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) commands: Vec<String>,
    pub(super) message: Vec<u8>,
    /// The client closed the connection, as opposed to the relay.
    pub(super) client_left: bool,
}

/// Plays the script on one stream; returns when it closes or the client leaves.
pub(super) async fn play<S: AsyncRead + AsyncWrite + Unpin>(stream: S, script: Script) -> Seen {
    let mut stream = BufReader::new(stream);
    let mut seen = Seen::default();
    if !answer(&mut stream, &script, Phase::Greeting, "220 relay ready\r\n", &mut seen).await {
        return seen;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            seen.client_left = true;
            return seen;
        }
        let command = line.trim_end().to_owned();
        seen.commands.push(command.clone());
        let (phase, reply) = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => (Phase::Ehlo, script.extensions),
            "AUTH" => (Phase::Auth, "235 2.7.0 welcome\r\n"),
            "MAIL" => (Phase::MailFrom, "250 2.1.0 ok\r\n"),
            "RCPT" => (Phase::RcptTo, "250 2.1.5 ok\r\n"),
            "DATA" => (Phase::Data, "354 go\r\n"),
            "STARTTLS" => (Phase::StartTls, "220 go ahead\r\n"),
            _ => (Phase::Check, "221 bye\r\n"),
        };
        if !answer(&mut stream, &script, phase, reply, &mut seen).await {
            return seen;
        }
        if phase == Phase::StartTls {
            return seen;
        }
        let refused = matches!(script.fault, Some((Phase::Data, Fault::Say(_))));
        if phase != Phase::Data || refused {
            continue;
        }
        if let Some((Phase::Body, fault)) = script.fault {
            if matches!(fault, Fault::Hang) {
                pending::<()>().await;
            }
            return seen;
        }
        if !read_message(&mut stream, &mut seen.message).await {
            seen.client_left = true;
            return seen;
        }
        if !answer(&mut stream, &script, Phase::FinalReply, "250 2.0.0 queued\r\n", &mut seen).await {
            return seen;
        }
    }
}

/// Replies, or does what the script has for this phase; `false` ends the connection.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    script: &Script,
    phase: Phase,
    reply: &str,
    seen: &mut Seen,
) -> bool {
    let reply = match script.fault {
        Some((at, fault)) if at == phase => match fault {
            Fault::Close => return false,
            Fault::Hang => {
                // Until the client gives up and leaves.
                let mut rest = Vec::new();
                seen.client_left = stream.read_to_end(&mut rest).await.is_ok();
                return false;
            }
            Fault::Say(words) => words,
        },
        _ => reply,
    };
    stream.write_all(reply.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}

async fn read_message<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    message: &mut Vec<u8>,
) -> bool {
    loop {
        let start = message.len();
        if stream.read_until(b'\n', message).await.unwrap_or(0) == 0 {
            return false;
        }
        if &message[start..] == b".\r\n" {
            return true;
        }
    }
}

pub(super) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// Time enough for a relay that behaves, even on a busy machine.
pub(super) fn patient(port: u16) -> SmtpConfig {
    let long = Duration::from_secs(30);
    SmtpConfig {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::PlaintextLoopback,
        username: Some("user".into()),
        password: Some("secret".to_owned().into()),
        hello: "client.example.com".into(),
        timeouts: SmtpTimeouts {
            connect: long,
            greeting: long,
            command: long,
            data: long,
            block: long,
            final_reply: long,
            quit: long,
        },
        ca_pem: Some(CERTIFICATE.into()),
    }
}

/// Patient but for the limit that governs one phase.
pub(super) fn impatient(port: u16, phase: Phase) -> SmtpConfig {
    let mut config = patient(port);
    let limits = &mut config.timeouts;
    let limit = match phase {
        Phase::Greeting => &mut limits.greeting,
        Phase::Data => &mut limits.data,
        Phase::Body => &mut limits.block,
        Phase::FinalReply => &mut limits.final_reply,
        _ => &mut limits.command,
    };
    *limit = Duration::from_millis(150);
    config
}

pub(super) fn envelope() -> Envelope {
    Envelope { from: "shop@example.com".into(), to: "ann@example.invalid".into() }
}

/// One attempt against one scripted relay.
pub(super) async fn attempt(script: Script, bytes: &[u8]) -> (Outcome, Seen) {
    let (listener, port) = listen().await;
    let config = match script.fault {
        Some((phase, Fault::Hang)) => impatient(port, phase),
        _ => patient(port),
    };
    let relay = async {
        let (stream, _) = listener.accept().await.expect("the client connects");
        play(stream, script).await
    };
    let envelope = envelope();
    let client = send(&config, &envelope, bytes);
    tokio::pin!(relay, client);
    tokio::select! {
        outcome = &mut client => (outcome, relay.await),
        seen = &mut relay => (client.await, seen),
    }
}

pub(super) fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered { .. } => "delivered",
        Outcome::Retry { .. } => "retry",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Unknown { .. } => "unknown",
    }
}

pub(super) const SOFT: Fault = Fault::Say("450 4.2.0 later\r\n");
pub(super) const HARD: Fault = Fault::Say("550 5.7.1 never\r\n");
pub(super) const JUNK: Fault = Fault::Say("!! what is this\r\n");
pub(super) const DROP: Fault = Fault::Close;
pub(super) const HANG: Fault = Fault::Hang;
