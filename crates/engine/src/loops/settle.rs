//! What becomes of a delivery after an attempt: a plain function of the outcome.

use rekindle_core::Timestamp;
use rekindle_core::sequence::answer;
use rekindle_core::time::{DAY, HOUR, MINUTE, SECOND};
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{AttemptOutcome, AttemptRow, DeliveryRow, DeliveryState, Message};
use xxhash_rust::xxh3::xxh3_64;

/// Waits between webhook attempts: the example of Standard Webhooks 1.0.0, 75 h 35 m in all.
const WEBHOOK_WAITS: [i64; 9] =
    [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Waits between mail attempts; the last one repeats until the message expires.
const MAIL_WAITS: [i64; 5] = [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR];

/// Longest wait a receiver may ask for.
const LONGEST_WISH: i64 = DAY;

/// Attempts whose sender vanished before the delivery is left to an operator.
pub(super) const MOST_VANISHED: usize = 3;

/// The attempt with its outcome.
pub(crate) fn ended(attempt: &AttemptRow, outcome: &SendOutcome, now: Timestamp) -> AttemptRow {
    let (kind, phase, code, response) = match outcome {
        SendOutcome::Delivered { code, response, .. } => {
            (AttemptOutcome::Delivered, "response", Some(*code), response)
        }
        SendOutcome::Retry { phase, code, response, .. } => {
            (AttemptOutcome::Retry, phase.as_str(), *code, response)
        }
        SendOutcome::Rejected { phase, code, response, .. } => {
            (AttemptOutcome::Rejected, phase.as_str(), *code, response)
        }
        SendOutcome::Unknown { phase, detail } => (AttemptOutcome::Unknown, phase.as_str(), None, detail),
    };
    AttemptRow {
        ended_at: Some(now),
        outcome: Some(kind),
        phase: phase.into(),
        code,
        response: response.clone(),
        ..attempt.clone()
    }
}

/// The delivery after an attempt that ended so.
pub(super) fn settle(delivery: DeliveryRow, outcome: &SendOutcome, now: Timestamp) -> DeliveryRow {
    match outcome {
        SendOutcome::Delivered { answer, .. } => {
            over(with_answer(delivery, answer), DeliveryState::Delivered, String::new(), now)
        }
        SendOutcome::Rejected { response, .. } => {
            over(delivery, DeliveryState::Failed, response.clone(), now)
        }
        SendOutcome::Unknown { detail, .. } if delivery.park_unknown => {
            over(delivery, DeliveryState::Unknown, detail.clone(), now)
        }
        SendOutcome::Unknown { detail, .. } => again(delivery, None, detail, now),
        SendOutcome::Retry { response, after, .. } => {
            let wish = after.map(|after| (after.as_micros() as i64).min(LONGEST_WISH));
            again(delivery, wish, response, now)
        }
    }
}

/// The delivery with what its run wants to know of the answer.
fn with_answer(mut delivery: DeliveryRow, answer: &str) -> DeliveryRow {
    if let Message::Webhook { wants, said, .. } = &mut delivery.message
        && !wants.is_empty()
    {
        // Keys are texts and numbers are finite: it can always be written.
        *said = serde_json::to_string(&answer::values(wants, answer)).unwrap_or_default();
    }
    delivery
}

/// The delivery, over.
pub(crate) fn over(
    delivery: DeliveryRow,
    state: DeliveryState,
    reason: String,
    now: Timestamp,
) -> DeliveryRow {
    DeliveryRow { state, reason, next_at: None, ended_at: Some(now), ..delivery }
}

/// The delivery, to be tried again; given up when its time is over before the next try.
fn again(delivery: DeliveryRow, wish: Option<i64>, reason: &str, now: Timestamp) -> DeliveryRow {
    let made = (delivery.attempts - 1).max(0) as usize;
    let wait = match &delivery.message {
        Message::Webhook { .. } | Message::Event { .. } => WEBHOOK_WAITS.get(made).copied(),
        Message::Email { .. } => Some(MAIL_WAITS[made.min(MAIL_WAITS.len() - 1)]),
    };
    let next = wait.map(|wait| now.plus(jittered(wait, &delivery).max(wish.unwrap_or(0))));
    match next {
        Some(next) if next < delivery.expires_at && !delivery.overtaken => DeliveryRow {
            state: DeliveryState::Scheduled,
            reason: reason.into(),
            next_at: Some(next),
            ..delivery
        },
        Some(_) if delivery.overtaken => {
            over(delivery, DeliveryState::Cancelled, "the customer came back".into(), now)
        }
        Some(_) => over(delivery, DeliveryState::Expired, reason.into(), now),
        None => over(delivery, DeliveryState::Failed, format!("given up: {reason}"), now),
    }
}

/// A wait 20 % shorter to 20 % longer, the same for the same attempt: every decision replays.
fn jittered(wait: i64, delivery: &DeliveryRow) -> i64 {
    let draw = xxh3_64(format!("{}/{}", delivery.id, delivery.attempts).as_bytes()) % 401;
    wait + wait / 1_000 * (draw as i64 - 200)
}
