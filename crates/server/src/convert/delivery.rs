//! Deliveries and their attempts. Addresses leave masked.

use rekindle_core::Timestamp;
use rekindle_engine::runs::DeliveryView;
use rekindle_ports::ledger::{AttemptOutcome, AttemptRow, DeliveryRow, DeliveryState, Message};
use rekindle_proto::v1;

use super::run::named;
use super::time;
use crate::name::Collection;

/// A delivery with its attempts, oldest first, as a message.
pub fn to_delivery(view: &DeliveryView) -> v1::Delivery {
    let (row, attempts) = (&view.delivery, &view.attempts);
    let (kind, message_id, recipient) = match &row.message {
        Message::Email { message_id, .. } => (v1::DeliveryKind::Email, message_id, masked(&row.recipient)),
        Message::Webhook { .. } => (v1::DeliveryKind::Webhook, &row.id, row.recipient.clone()),
        Message::Event { id, .. } => (v1::DeliveryKind::Event, id, row.recipient.clone()),
    };
    v1::Delivery {
        name: Collection::Deliveries.name(&row.id),
        run: Collection::Runs.name(&row.run.to_string()),
        step: row.step.clone(),
        kind: kind.into(),
        destination: match row.destination.as_str() {
            "" => String::new(),
            id => Collection::Destinations.name(id),
        },
        recipient,
        message_id: message_id.clone(),
        state: to_state(row.state).into(),
        reason: row.reason.clone(),
        attempts: attempts.iter().map(to_attempt).collect(),
        overtaken: row.overtaken,
        next_attempt_time: next_attempt(row).map(time::to_instant),
        create_time: Some(time::to_instant(row.created_at)),
        update_time: Some(time::to_instant(last_touched(row, attempts))),
        conversation: named(Collection::Conversations, view.conversation.as_deref()),
        customer: named(Collection::Customers, view.customer.as_deref()),
    }
}

/// An attempt as a message.
pub fn to_attempt(row: &AttemptRow) -> v1::DeliveryAttempt {
    v1::DeliveryAttempt {
        number: row.number,
        start_time: Some(time::to_instant(row.started_at)),
        end_time: row.ended_at.map(time::to_instant),
        phase: to_phase(&row.phase).into(),
        outcome: row.outcome.map(to_outcome).unwrap_or_default().into(),
        code: row.code.unwrap_or_default(),
        response: row.response.clone(),
        duration: row.ended_at.map(|end| time::to_duration(end.since(row.started_at).max(0))),
    }
}

/// Which states a filter means: none for any.
pub fn states(state: v1::delivery::State) -> Vec<DeliveryState> {
    use v1::delivery::State;
    match state {
        State::Unspecified => Vec::new(),
        State::Scheduled => vec![DeliveryState::Scheduled],
        State::Sending => vec![DeliveryState::Sending],
        State::Delivered => vec![DeliveryState::Delivered],
        State::Failed => vec![DeliveryState::Failed],
        State::Suppressed => vec![DeliveryState::Suppressed],
        State::Cancelled => vec![DeliveryState::Cancelled],
        State::Expired => vec![DeliveryState::Expired],
        State::Unknown => vec![DeliveryState::Unknown],
        State::HeldOut => vec![DeliveryState::HeldOut],
    }
}

/// An address of which only the first letter and the domain show: `a***@example.com`.
pub fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        None => "***".to_owned(),
    }
}

fn next_attempt(row: &DeliveryRow) -> Option<Timestamp> {
    row.next_at.filter(|_| row.state == DeliveryState::Scheduled)
}

fn last_touched(row: &DeliveryRow, attempts: &[AttemptRow]) -> Timestamp {
    let attempt = attempts.last().map(|attempt| attempt.ended_at.unwrap_or(attempt.started_at));
    row.ended_at.or(attempt).unwrap_or(row.created_at)
}

fn to_state(state: DeliveryState) -> v1::delivery::State {
    match state {
        DeliveryState::Scheduled => v1::delivery::State::Scheduled,
        DeliveryState::Sending => v1::delivery::State::Sending,
        DeliveryState::Delivered => v1::delivery::State::Delivered,
        DeliveryState::Failed => v1::delivery::State::Failed,
        DeliveryState::Suppressed => v1::delivery::State::Suppressed,
        DeliveryState::Cancelled => v1::delivery::State::Cancelled,
        DeliveryState::Expired => v1::delivery::State::Expired,
        DeliveryState::Unknown => v1::delivery::State::Unknown,
        DeliveryState::HeldOut => v1::delivery::State::HeldOut,
    }
}

fn to_outcome(outcome: AttemptOutcome) -> v1::delivery_attempt::Outcome {
    match outcome {
        AttemptOutcome::Delivered => v1::delivery_attempt::Outcome::Delivered,
        AttemptOutcome::Retry => v1::delivery_attempt::Outcome::Retry,
        AttemptOutcome::Rejected => v1::delivery_attempt::Outcome::Rejected,
        AttemptOutcome::Unknown => v1::delivery_attempt::Outcome::Unknown,
    }
}

/// The names that senders give to their phases.
fn to_phase(name: &str) -> v1::DeliveryPhase {
    match name {
        "check" | "resolve" => v1::DeliveryPhase::Prepare,
        "connect" => v1::DeliveryPhase::Connect,
        "tls" | "starttls" => v1::DeliveryPhase::Tls,
        "greeting" | "ehlo" => v1::DeliveryPhase::Greeting,
        "auth" => v1::DeliveryPhase::Authenticate,
        "mail_from" => v1::DeliveryPhase::Sender,
        "rcpt_to" => v1::DeliveryPhase::Recipient,
        "data" => v1::DeliveryPhase::Data,
        "body" => v1::DeliveryPhase::Body,
        "final_reply" | "response" => v1::DeliveryPhase::Reply,
        _ => v1::DeliveryPhase::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_its_first_letter_and_its_domain() {
        assert_eq!(masked("ada@example.com"), "a***@example.com");
        assert_eq!(masked("é@x@example.com"), "é***@example.com");
        assert_eq!(masked("nonsense"), "***");
    }
}
