//! The sentences of a story.

use rekindle_ports::ledger::{AttemptOutcome, AttemptRow, DeliveryRow, DeliveryState, RunEvent, RunRow};

use super::is_held_out;

/// What a line of a run's ledger says; `None` for one that another sentence says already.
pub(super) fn of_line(run: &RunRow, line: &RunEvent, delivery: Option<&DeliveryRow>) -> Option<String> {
    let (sequence, step, detail) = (&run.sequence, &line.step, line.detail.as_str());
    Some(match line.kind.as_str() {
        "started" if is_held_out(run) => format!(
            "Sequence {sequence:?} began, and the customer is held out: every step is taken, nothing is sent."
        ),
        "started" => format!("Sequence {sequence:?} began."),
        "skipped" => format!("Sequence {sequence:?} did not begin: {detail}."),
        "waiting" | "branched" => format!("Step {step:?} {detail}."),
        "repeated" => format!("Step {step:?} was left after {detail}."),
        "met" => format!("What step {step:?} waited for {detail}."),
        "timed_out" => format!("What step {step:?} waited for did not come: {detail}."),
        "deferred" => format!("The message of step {step:?} was not sent yet: {detail}."),
        "left_out" => format!("The message of step {step:?} was left out: {detail}."),
        "migrated" => format!("The sequence changed, and the run {detail}."),
        "ended_here" => format!("Step {step:?} ends the run."),
        "completed" => "The sequence is through: nothing more comes.".to_owned(),
        "learnt" => format!("The answer to step {step:?} gave {detail}."),
        "paused" => "Somebody holds the run: no step is taken, and nothing is sent.".to_owned(),
        "resumed" => "Somebody let the run go on.".to_owned(),
        "ended" => format!("The run ended, and nothing more is sent: {detail}."),
        "cancelled" => "Somebody cancelled the run: nothing more is sent.".to_owned(),
        "delivery_created" => {
            let is_unsent = |it: &DeliveryRow| it.state == DeliveryState::Failed && it.attempts == 0;
            // The line says it also of one that was written anew.
            match detail.split_once(": ") {
                Some((_, why)) => format!("The message of step {step:?} could not be written: {why}."),
                None if delivery.is_some_and(is_unsent) => {
                    format!("The message of step {step:?} could not be written: {detail}.")
                }
                None => format!("The message of step {step:?} was written."),
            }
        }
        "replayed" if step.is_empty() => format!("Somebody had the failed run replayed: {detail}."),
        "replayed" => {
            let what = detail.split_once(": ").map_or(detail, |(_, what)| what);
            format!("Somebody had the message of step {step:?} replayed: {what}.")
        }
        "held_out" => {
            format!("The message of step {step:?} was not sent: the customer is held out.")
        }
        "delivery_settled" => return settled(step, delivery?),
        "resolved" => format!("Somebody decided what became of the message of step {step:?}: {detail}."),
        _ => format!("{detail}."),
    })
}

/// How a message ended that no attempt tells of.
fn settled(step: &str, delivery: &DeliveryRow) -> Option<String> {
    let why = if delivery.reason.is_empty() { "nobody said why" } else { &delivery.reason };
    let ended = match delivery.state {
        DeliveryState::Suppressed => "was not sent, because it may not be",
        DeliveryState::Cancelled => "was not sent",
        DeliveryState::Expired => "was given up, because its time was over",
        DeliveryState::Failed => "failed for good",
        DeliveryState::Unknown => "may or may not have arrived, and is not sent again by itself",
        DeliveryState::Scheduled
        | DeliveryState::Sending
        | DeliveryState::Delivered
        | DeliveryState::HeldOut => return None,
    };
    Some(format!("The message of step {step:?} {ended}: {why}."))
}

/// What became of an attempt to send.
pub(super) fn of_attempt(delivery: &DeliveryRow, attempt: &AttemptRow) -> String {
    let DeliveryRow { step, .. } = delivery;
    let to = masked(&delivery.recipient);
    let said = match (attempt.code, attempt.response.trim()) {
        (Some(code), "") => format!(" ({code})"),
        (Some(code), said) => format!(" ({code} {said})"),
        (None, "") => String::new(),
        (None, said) => format!(" ({said})"),
    };
    let overtaken = if delivery.overtaken { "; the customer came back meanwhile" } else { "" };
    match attempt.outcome {
        None => format!("The message of step {step:?} is being sent to {to}."),
        Some(AttemptOutcome::Delivered) => {
            format!("The message of step {step:?} was sent to {to} and taken{said}{overtaken}.")
        }
        Some(AttemptOutcome::Retry) => {
            format!("Attempt {} of step {step:?} to reach {to} did not succeed{said}.", attempt.number)
        }
        Some(AttemptOutcome::Rejected) => format!("{to} refused the message of step {step:?}{said}."),
        Some(AttemptOutcome::Unknown) => {
            format!("The message of step {step:?} went to {to}, and nobody knows whether it arrived{said}.")
        }
    }
}

/// A recipient as it may be shown: of an address the first letter and the domain, of an endpoint
/// what stands before its path.
fn masked(recipient: &str) -> String {
    if let Some((scheme, rest)) = recipient.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        return format!("{scheme}://{host}");
    }
    match recipient.rsplit_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        None => "its receiver".to_owned(),
    }
}
