//! A receiver that takes everything and remembers it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::Deliver;
use rekindle_ports::deliver::{SendOutcome, TemplateError, TemplateKind};
use rekindle_ports::ledger::{DeliveryRow, Message};
use rekindle_ports::resources::DestinationRow;
use uuid::Uuid;

/// Accepts every delivery, or answers what it was told to answer.
#[derive(Debug, Default)]
pub struct Outbox {
    sent: Mutex<Vec<DeliveryRow>>,
    answers: Mutex<VecDeque<SendOutcome>>,
}

impl Outbox {
    /// The deliveries that arrived, in the order of their arrival; one sent twice is there twice.
    pub fn sent(&self) -> Vec<DeliveryRow> {
        self.sent.lock().expect("no test panics while it holds the lock").clone()
    }

    /// Answers the next send so instead of accepting it.
    pub fn answer(&self, outcome: SendOutcome) {
        self.answers.lock().expect("no test panics while it holds the lock").push_back(outcome);
    }
}

#[async_trait]
impl Deliver for Outbox {
    async fn send(&self, delivery: &DeliveryRow, _: &DestinationRow, _: Timestamp) -> SendOutcome {
        self.sent.lock().expect("no test panics while it holds the lock").push(delivery.clone());
        let answer = self.answers.lock().expect("no test panics while it holds the lock").pop_front();
        answer.unwrap_or(SendOutcome::Delivered {
            code: 250,
            response: "accepted".into(),
            answer: String::new(),
        })
    }

    fn render(&self, source: &str, _: TemplateKind, _: &serde_json::Value) -> Result<String, TemplateError> {
        Ok(source.to_owned())
    }

    fn check_template(&self, _: &str, _: TemplateKind) -> Result<(), TemplateError> {
        Ok(())
    }

    fn check_destination(&self, _: &DestinationRow) -> Vec<(String, String)> {
        Vec::new()
    }

    fn check_message(&self, _: &Message) -> Result<(), String> {
        Ok(())
    }

    fn may_write_to(&self, _: &str) -> bool {
        true
    }

    fn unsubscribe_url(&self, workspace: i64, customer: Uuid) -> String {
        format!("https://unsubscribe.invalid/{workspace}/{customer}")
    }

    fn longest_send(&self) -> Duration {
        Duration::from_secs(30)
    }
}
