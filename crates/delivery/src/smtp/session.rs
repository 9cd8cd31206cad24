//! The steps of one delivery, from the greeting to the reply to the final dot.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::email::Address;
use crate::outcome::{Outcome, Phase};
use crate::text::is_unsafe;

use super::dialogue::Dialogue;
use super::failure::{Failure, judge};
use super::reply::Reply;
use super::stuffing::stuffed;
use super::{SmtpConfig, Tls, connect};

/// What is sent, and to whom.
pub(super) struct Mail<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) bytes: &'a [u8],
}

/// Runs the whole dialogue on a connection of its own.
pub(super) async fn run(config: &SmtpConfig, mail: &Mail<'_>) -> Result<Outcome, Failure> {
    check_hello(&config.hello)?;
    let stream = connect::open(config).await?;
    match config.tls {
        Tls::PlaintextLoopback => {
            let mut dialogue = Dialogue::new(stream);
            let extensions = greet(&mut dialogue, config).await?;
            transact(dialogue, &extensions, config, mail).await
        }
        Tls::Implicit => {
            let mut dialogue = Dialogue::new(connect::secure(config, stream).await?);
            let extensions = greet(&mut dialogue, config).await?;
            transact(dialogue, &extensions, config, mail).await
        }
        Tls::StartTls => {
            let mut plain = Dialogue::new(stream);
            let offered = greet(&mut plain, config).await?;
            if !offered.has("STARTTLS") {
                return Err(Failure::broken(Phase::StartTls, "the relay does not offer STARTTLS"));
            }
            let limit = config.timeouts.command;
            plain.command(Phase::StartTls, "STARTTLS", 220, limit).await?;
            // Bytes that came with the reply were not protected: refuse to go on.
            let stream = plain
                .into_stream()
                .ok_or_else(|| Failure::broken(Phase::StartTls, "the relay spoke out of turn"))?;
            let mut dialogue = Dialogue::new(connect::secure(config, stream).await?);
            let extensions = hello(&mut dialogue, config).await?;
            transact(dialogue, &extensions, config, mail).await
        }
    }
}

/// Everything after the greeting; says goodbye once the outcome is known.
async fn transact<S: AsyncRead + AsyncWrite + Unpin>(
    mut dialogue: Dialogue<S>,
    extensions: &Extensions,
    config: &SmtpConfig,
    mail: &Mail<'_>,
) -> Result<Outcome, Failure> {
    let result = match log_in(&mut dialogue, extensions, config).await {
        Ok(()) => deliver(&mut dialogue, extensions, config, mail).await,
        Err(failure) => Err(failure),
    };
    dialogue.quit(config.timeouts.quit).await;
    result
}

async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    extensions: &Extensions,
    config: &SmtpConfig,
    mail: &Mail<'_>,
) -> Result<Outcome, Failure> {
    let limits = &config.timeouts;
    let body = body_parameter(extensions, mail.bytes)?;
    let from = format!("MAIL FROM:<{}>{body}", mail.from);
    dialogue.command(Phase::MailFrom, from, 2, limits.command).await?;
    let to = format!("RCPT TO:<{}>", mail.to);
    dialogue.command(Phase::RcptTo, to, 2, limits.command).await?;
    dialogue.command(Phase::Data, "DATA", 354, limits.data).await?;
    dialogue.message(&stuffed(mail.bytes), limits.block).await?;
    // From here on the relay may have the message: no answer is no refusal.
    Ok(match dialogue.reply(limits.final_reply).await {
        Ok(reply) => conclude(&reply),
        Err(detail) => Outcome::unknown(Phase::FinalReply, &detail),
    })
}

fn conclude(reply: &Reply) -> Outcome {
    match reply.code {
        200..300 => Outcome::delivered(reply.code, &reply.text()),
        400.. => judge(Phase::FinalReply, reply),
        _ => {
            let detail = format!("unexpected reply {} {}", reply.code, reply.text());
            Outcome::unknown(Phase::FinalReply, &detail)
        }
    }
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    config: &SmtpConfig,
) -> Result<Extensions, Failure> {
    dialogue.expect(Phase::Greeting, 220, config.timeouts.greeting).await?;
    hello(dialogue, config).await
}

async fn hello<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    config: &SmtpConfig,
) -> Result<Extensions, Failure> {
    let line = format!("EHLO {}", config.hello);
    let reply = dialogue.command(Phase::Ehlo, line, 250, config.timeouts.command).await?;
    Ok(Extensions::parse(&reply))
}

/// `PLAIN` (RFC 4616) or else `LOGIN`; nothing if no user name is configured.
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    dialogue: &mut Dialogue<S>,
    extensions: &Extensions,
    config: &SmtpConfig,
) -> Result<(), Failure> {
    let Some(user) = &config.username else {
        return Ok(());
    };
    let Some(password) = &config.password else {
        return Err(Failure::broken(Phase::Auth, "a user name without a password"));
    };
    let password = password.expose_secret();
    let limit = config.timeouts.command;
    if extensions.has_auth("PLAIN") {
        let token = STANDARD.encode(format!("\0{user}\0{password}"));
        dialogue.command(Phase::Auth, format!("AUTH PLAIN {token}"), 235, limit).await?;
        return Ok(());
    }
    if extensions.has_auth("LOGIN") {
        dialogue.command(Phase::Auth, "AUTH LOGIN", 334, limit).await?;
        dialogue.command(Phase::Auth, STANDARD.encode(user), 334, limit).await?;
        dialogue.command(Phase::Auth, STANDARD.encode(password), 235, limit).await?;
        return Ok(());
    }
    Err(Failure::broken(Phase::Auth, "the relay offers neither AUTH PLAIN nor AUTH LOGIN"))
}

/// What the relay said it can do, in upper case, one line each.
struct Extensions(Vec<String>);

impl Extensions {
    fn parse(reply: &Reply) -> Self {
        Self(reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect())
    }

    fn has(&self, keyword: &str) -> bool {
        self.0.iter().any(|line| line.split_whitespace().next() == Some(keyword))
    }

    fn has_auth(&self, mechanism: &str) -> bool {
        let offers = |line: &String| {
            let mut words = line.split([' ', '=']);
            words.next() == Some("AUTH") && words.any(|word| word == mechanism)
        };
        self.0.iter().any(offers)
    }
}

/// RFC 6152: eight-bit content needs the relay's consent.
fn body_parameter(extensions: &Extensions, bytes: &[u8]) -> Result<&'static str, Failure> {
    if bytes.is_ascii() {
        return Ok("");
    }
    if extensions.has("8BITMIME") {
        return Ok(" BODY=8BITMIME");
    }
    Err(Failure::Unsendable { detail: "eight-bit content, and the relay does not take it" })
}

fn check_hello(name: &str) -> Result<(), Failure> {
    let plain = !name.is_empty() && name.len() <= 255 && name.is_ascii();
    if plain && !name.chars().any(|c| c == ' ' || is_unsafe(c)) {
        return Ok(());
    }
    Err(Failure::broken(Phase::Check, "the EHLO name is not a domain name or an address"))
}
