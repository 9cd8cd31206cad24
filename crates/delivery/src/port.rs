//! The port that the engine calls, over everything else in this crate.
//!
//! A message is a value that was written once; what is added per attempt is the
//! instant of a webhook's signature and the connection, nothing else, so that
//! every attempt of a mail sends the same bytes.

use std::time::Duration;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::Deliver;
use rekindle_ports::deliver::{SendOutcome, TemplateError, TemplateKind};
use rekindle_ports::ledger::{DeliveryRow, Message};
use rekindle_ports::resources::{DestinationKind, DestinationRow};
use uuid::Uuid;

use crate::smtp::{self, SmtpTimeouts};
use crate::ssrf::Egress;
use crate::template::Templates;
use crate::webhook::{WebhookClient, WebhookError, WebhookTimeouts};
use crate::{Outcome, Phase, email};

mod check;
mod links;
mod mail;
mod outcome;
mod post;
mod recipients;

pub use links::{UnsubscribeLinks, open_token};
pub use recipients::Recipients;

/// Most steps of an SMTP dialogue that wait for the reply to a command:
/// `EHLO` twice, `STARTTLS`, `AUTH` with its two answers, `MAIL`, `RCPT`.
const COMMANDS: u32 = 8;
/// Most blocks of 64 KiB in a mail: two bodies of 256 KiB, encoded.
const BLOCKS: u32 = 32;

/// Sends mails and webhooks, and writes and checks what they say.
#[derive(Debug)]
pub struct Sender {
    client: WebhookClient,
    egress: Egress,
    templates: Templates,
    recipients: Recipients,
    hello: String,
    links: UnsubscribeLinks,
}

/// What the operator decides about sending.
#[derive(Clone)]
pub struct SenderOptions {
    /// Addresses and domains that may be written to; empty means all.
    pub allow_recipients: Vec<String>,
    /// Networks, such as `127.0.0.0/8`, that webhooks may reach although they are not public.
    pub allow_networks: Vec<String>,
    /// Ports that webhooks may use beside 443 and 8443.
    pub allow_ports: Vec<u16>,
    /// Whether destinations may ask for plain HTTP.
    pub allow_http: bool,
    /// The name given to mail relays: a domain name or `[address]`.
    pub hello: String,
    /// How the outside reaches the HTTP port; unsubscribe links begin with it.
    pub public_url: String,
    /// Signs unsubscribe links; the same for all replicas.
    pub link_key: [u8; 32],
}

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// A network is not written as one.
    #[error("{0:?} is not a network such as 10.0.0.0/8")]
    Network(String),
    /// An entry of the list of recipients is neither an address nor a domain.
    #[error("{0:?} is neither an address nor a domain")]
    Recipient(String),
    /// Links could not be followed.
    #[error("{0:?} is not a web address that links can begin with")]
    PublicUrl(String),
    /// The HTTP client.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}

impl Sender {
    /// A sender that resolves names through the operating system.
    pub fn new(options: SenderOptions) -> Result<Self, SenderError> {
        let networks = options.allow_networks.iter();
        let allow = networks
            .map(|text| text.parse().map_err(|_| SenderError::Network(text.clone())))
            .collect::<Result<_, _>>()?;
        let egress = Egress { allow, allow_http: options.allow_http, ports: options.allow_ports };
        Ok(Self {
            client: WebhookClient::new(egress.clone(), WebhookTimeouts::default())?,
            egress,
            templates: Templates,
            recipients: Recipients::parse(&options.allow_recipients).map_err(SenderError::Recipient)?,
            hello: options.hello,
            links: UnsubscribeLinks::new(&options.public_url, options.link_key)
                .ok_or(SenderError::PublicUrl(options.public_url))?,
        })
    }

    async fn attempt(&self, delivery: &DeliveryRow, destination: &DestinationRow, now: Timestamp) -> Outcome {
        match (&delivery.message, &destination.kind) {
            (Message::Email { .. }, DestinationKind::Smtp { .. }) => {
                let config = mail::config(destination, &self.hello, now);
                let written = mail::inputs(&delivery.message).map(|inputs| (email::build(&inputs), inputs));
                match (config, written) {
                    (Some(config), Some((Ok(bytes), inputs))) => {
                        smtp::send(&config, &mail::envelope(&inputs), &bytes).await
                    }
                    (_, Some((Err(error), _))) => refused(&error.to_string()),
                    _ => refused("the destination sends no such message"),
                }
            }
            (Message::Webhook { body, .. }, DestinationKind::Webhook { .. }) => {
                post::call(&self.client, &delivery.id, body, destination, now).await
            }
            _ => refused("the destination sends no such message"),
        }
    }
}

#[async_trait]
impl Deliver for Sender {
    async fn send(
        &self,
        delivery: &DeliveryRow,
        destination: &DestinationRow,
        now: Timestamp,
    ) -> SendOutcome {
        outcome::translate(self.attempt(delivery, destination, now).await)
    }

    fn render(
        &self,
        source: &str,
        kind: TemplateKind,
        context: &serde_json::Value,
    ) -> Result<String, TemplateError> {
        self.templates.render(source, outcome::kind(kind), context).map_err(outcome::template_error)
    }

    fn check_template(&self, source: &str, kind: TemplateKind) -> Result<(), TemplateError> {
        self.templates.check(source, outcome::kind(kind)).map_err(outcome::template_error)
    }

    fn check_destination(&self, destination: &DestinationRow) -> Vec<(String, String)> {
        check::destination(&self.egress, destination)
    }

    fn check_message(&self, message: &Message) -> Result<(), String> {
        check::message(message)
    }

    fn may_write_to(&self, address: &str) -> bool {
        self.recipients.include(address)
    }

    fn unsubscribe_url(&self, workspace: i64, customer: Uuid) -> String {
        self.links.url(workspace, customer)
    }

    fn longest_send(&self) -> Duration {
        let SmtpTimeouts { connect, greeting, command, data, block, final_reply, quit } =
            SmtpTimeouts::default();
        let mail = connect * 2 + greeting + command * COMMANDS + data + block * BLOCKS + final_reply + quit;
        mail.max(WebhookTimeouts::default().total)
    }
}

/// Refused by ourselves, before any packet.
fn refused(what: &str) -> Outcome {
    Outcome::rejected(Phase::Check, None, what)
}

#[cfg(test)]
mod tests;
