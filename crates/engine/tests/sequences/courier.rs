//! A receiver that remembers, answers what it is told, and knows a little of templates.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::Deliver;
use rekindle_ports::deliver::{SendOutcome, TemplateError, TemplateKind};
use rekindle_ports::ledger::{DeliveryRow, Message};
use rekindle_ports::resources::{DestinationKind, DestinationRow};
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

/// Nobody of this domain may be written to.
pub const FORBIDDEN: &str = "@forbidden.invalid";

#[derive(Debug, Default)]
pub struct Courier {
    sent: Mutex<Vec<DeliveryRow>>,
    answers: Mutex<VecDeque<SendOutcome>>,
    hangs: AtomicBool,
    hung: Notify,
}

impl Courier {
    /// What arrived, in order; what was sent twice is there twice.
    pub fn sent(&self) -> Vec<DeliveryRow> {
        self.sent.lock().expect("no holder of the lock panics").clone()
    }

    /// Ids of what arrived, in order.
    pub fn ids(&self) -> Vec<String> {
        self.sent().into_iter().map(|delivery| delivery.id).collect()
    }

    /// Takes the next message and never says so.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Waits until somebody waits for an answer that never comes.
    pub async fn hung(&self) {
        self.hung.notified().await;
    }

    /// Answers the next send so instead of accepting it.
    pub fn answer(&self, outcome: SendOutcome) {
        self.answers.lock().expect("no holder of the lock panics").push_back(outcome);
    }
}

#[async_trait]
impl Deliver for Courier {
    async fn send(&self, delivery: &DeliveryRow, _: &DestinationRow, _: Timestamp) -> SendOutcome {
        self.sent.lock().expect("no holder of the lock panics").push(delivery.clone());
        if self.hangs.swap(false, Ordering::SeqCst) {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
        let answer = self.answers.lock().expect("no holder of the lock panics").pop_front();
        answer.unwrap_or(SendOutcome::Delivered {
            code: 250,
            response: "accepted".into(),
            answer: String::new(),
        })
    }

    /// Replaces `{{ a.b }}` by the text at that place.
    fn render(&self, source: &str, _: TemplateKind, context: &Value) -> Result<String, TemplateError> {
        let mut parts = source.split("{{");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").expect("braces in pairs");
            let pointer = format!("/{}", name.trim().replace('.', "/"));
            let Some(Value::String(value)) = context.pointer(&pointer) else {
                return Err(TemplateError { message: format!("{} is undefined", name.trim()) });
            };
            text.push_str(value);
            text.push_str(rest);
        }
        Ok(text)
    }

    fn check_template(&self, source: &str, _: TemplateKind) -> Result<(), TemplateError> {
        if source.matches("{{").count() == source.matches("}}").count() {
            return Ok(());
        }
        Err(TemplateError { message: "braces do not match".into() })
    }

    fn check_destination(&self, destination: &DestinationRow) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        match &destination.kind {
            DestinationKind::Smtp { host, .. } if host.is_empty() => {
                wrong.push(("smtp.host".into(), "empty".into()));
            }
            DestinationKind::Webhook { .. } => {
                for (place, secret) in destination.secrets.iter().enumerate() {
                    if !secret.value.starts_with("whsec_") {
                        wrong.push((format!("webhook.secrets[{place}]"), "no secret".into()));
                    }
                }
            }
            DestinationKind::Smtp { .. } => {}
        }
        wrong
    }

    fn check_message(&self, message: &Message) -> Result<(), String> {
        let Message::Email { from, reply_to, to, unsubscribe_mailto, .. } = message else {
            return Ok(());
        };
        let reply_to = reply_to.as_ref().map(|mailbox| mailbox.address.as_str());
        let mailto = Some(unsubscribe_mailto.as_str()).filter(|address| !address.is_empty());
        let all = [Some(from.address.as_str()), reply_to, Some(to.as_str()), mailto];
        match all.into_iter().flatten().find(|address| !address.contains('@')) {
            Some(address) => Err(format!("{address:?} is no address")),
            None => Ok(()),
        }
    }

    fn may_write_to(&self, address: &str) -> bool {
        !address.ends_with(FORBIDDEN)
    }

    fn unsubscribe_url(&self, workspace: i64, customer: Uuid) -> String {
        format!("https://mail.invalid/u/{workspace}/{customer}")
    }

    fn longest_send(&self) -> Duration {
        Duration::from_secs(1)
    }
}
