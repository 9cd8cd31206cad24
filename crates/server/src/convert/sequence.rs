//! Sequences: trigger, steps, and what is known of the present revision.

use rekindle_core::funnel::TimeBasis;
use rekindle_core::mark::MarkKind;
use rekindle_core::sequence::{
    Action, CallWebhook, MessageClass, SendEmail, Sequence, SequenceState, Step, Trigger, UnknownPolicy,
};
use rekindle_core::time::{DAY, HOUR};
use rekindle_core::violation::{Violation, Violations};
use rekindle_ports::resources::SequenceRow;
use rekindle_proto::v1;

use super::path::{each, named, within};
use super::{choice, time};
use crate::name::Collection;

/// Longest delay after which a silence still starts a run, in microseconds.
const LONGEST_DELAY: i64 = 30 * DAY;
/// Longest wait, in microseconds.
const LONGEST_WAIT: i64 = 366 * DAY;

/// Reads a definition. Output-only fields are ignored; the name for people is `id` unless the
/// message says otherwise.
pub fn sequence(message: &v1::Sequence, id: &str) -> Result<Sequence, Vec<Violation>> {
    let mut v = Violations::new();
    v.require(message.trigger.is_some(), "trigger", "is required");
    let read = Sequence {
        display_name: named(&message.display_name, id),
        trigger: within(&mut v, "trigger", |v| trigger(&message.trigger.clone().unwrap_or_default(), v)),
        steps: each(&message.steps, "steps", &mut v, step),
        max_delay: max_delay(message.max_delay.as_ref(), &mut v),
        class: class(message.message_class, &mut v),
    };
    v.into_result(read)
}

/// A sequence in its newest revision, as a message.
pub fn to_sequence(row: &SequenceRow) -> v1::Sequence {
    v1::Sequence {
        name: Collection::Sequences.name(&row.id),
        state: to_state(row.state).into(),
        revision: row.revision,
        etag: row.etag.clone(),
        create_time: Some(time::to_instant(row.created_at)),
        update_time: Some(time::to_instant(row.updated_at)),
        start_time: row.started_at.map(time::to_instant),
        ..to_definition(&row.body)
    }
}

/// A definition as a message, without what is known of its revision.
pub fn to_definition(sequence: &Sequence) -> v1::Sequence {
    v1::Sequence {
        display_name: sequence.display_name.clone(),
        trigger: Some(v1::SequenceTrigger {
            funnel: Collection::Funnels.name(&sequence.trigger.funnel),
            stage: sequence.trigger.stage.clone(),
            on: choice::to_silence_kind(sequence.trigger.on).into(),
            owed_by: choice::to_owed_by(sequence.trigger.owed_by).into(),
        }),
        steps: sequence.steps.iter().map(to_step).collect(),
        max_delay: Some(time::to_duration(sequence.max_delay)),
        message_class: match sequence.class {
            MessageClass::Marketing => v1::MessageClass::Marketing,
            MessageClass::Transactional => v1::MessageClass::Transactional,
        }
        .into(),
        ..v1::Sequence::default()
    }
}

fn to_state(state: SequenceState) -> v1::sequence::State {
    match state {
        SequenceState::Draft => v1::sequence::State::Draft,
        SequenceState::Active => v1::sequence::State::Active,
        SequenceState::Paused => v1::sequence::State::Paused,
        SequenceState::Archived => v1::sequence::State::Archived,
    }
}

fn trigger(message: &v1::SequenceTrigger, v: &mut Violations) -> Trigger {
    v.require(!message.stage.is_empty(), "stage", "is required");
    Trigger {
        funnel: Collection::Funnels.parse_within(&message.funnel, "funnel", v),
        stage: message.stage.clone(),
        // With a violation noted, what stands here is never used.
        on: choice::silence_kind(message.on, "on", v).unwrap_or(MarkKind::Stalled),
        owed_by: choice::owed_by(message.owed_by, "owedBy", v),
    }
}

fn max_delay(span: Option<&pbjson_types::Duration>, v: &mut Violations) -> i64 {
    let read = span.map_or(Some(HOUR), |span| time::duration(span, "maxDelay", v));
    v.require(read.is_none_or(|delay| delay <= LONGEST_DELAY), "maxDelay", "takes at most 30 days");
    read.unwrap_or(HOUR)
}

fn class(number: i32, v: &mut Violations) -> MessageClass {
    match choice::known(number, "messageClass", v) {
        v1::MessageClass::Unspecified | v1::MessageClass::Marketing => MessageClass::Marketing,
        v1::MessageClass::Transactional => MessageClass::Transactional,
    }
}

fn step(message: &v1::Step, v: &mut Violations) -> Step {
    let unknown = unknown(message.unknown_outcome, v);
    let action = match &message.action {
        Some(v1::step::Action::Wait(wait)) => Action::Wait(within(v, "wait", |v| waiting(wait, v))),
        Some(v1::step::Action::SendEmail(mail)) => {
            Action::SendEmail(within(v, "sendEmail", |v| send_email(mail, unknown, v)))
        }
        Some(v1::step::Action::CallWebhook(call)) => {
            Action::CallWebhook(within(v, "callWebhook", |v| call_webhook(call, unknown, v)))
        }
        None => {
            v.add("", "takes wait, sendEmail or callWebhook");
            Action::Wait(0)
        }
    };
    Step { id: message.id.clone(), action }
}

fn waiting(message: &v1::Wait, v: &mut Violations) -> i64 {
    if choice::basis(message.basis, "basis", v) == TimeBasis::Business {
        v.add("basis", "waits are measured in wall time for now");
    }
    let span = message.duration.as_ref().and_then(|span| time::duration(span, "duration", v));
    let fits = span.is_some_and(|span| (1..=LONGEST_WAIT).contains(&span));
    v.require(fits, "duration", "takes a duration above 0 and of at most a year");
    span.unwrap_or_default()
}

fn send_email(message: &v1::SendEmail, unknown: UnknownPolicy, v: &mut Violations) -> SendEmail {
    SendEmail {
        destination: Collection::Destinations.parse_within(&message.destination, "destination", v),
        subject: message.subject.clone(),
        text: message.text.clone(),
        html: message.html.clone(),
        to: message.to.clone(),
        unknown,
    }
}

fn call_webhook(message: &v1::CallWebhook, unknown: UnknownPolicy, v: &mut Violations) -> CallWebhook {
    CallWebhook {
        destination: Collection::Destinations.parse_within(&message.destination, "destination", v),
        body: message.body.clone(),
        unknown,
    }
}

fn unknown(number: i32, v: &mut Violations) -> UnknownPolicy {
    match choice::known(number, "unknownOutcome", v) {
        v1::UnknownOutcome::Unspecified | v1::UnknownOutcome::Resend => UnknownPolicy::Resend,
        v1::UnknownOutcome::Park => UnknownPolicy::Park,
    }
}

fn to_unknown(policy: UnknownPolicy) -> v1::UnknownOutcome {
    match policy {
        UnknownPolicy::Resend => v1::UnknownOutcome::Resend,
        UnknownPolicy::Park => v1::UnknownOutcome::Park,
    }
}

fn to_step(step: &Step) -> v1::Step {
    use v1::step::Action as Message;
    let (action, unknown) = match &step.action {
        Action::Wait(span) => {
            let wait =
                v1::Wait { duration: Some(time::to_duration(*span)), basis: v1::TimeBasis::Wall.into() };
            (Message::Wait(wait), v1::UnknownOutcome::Unspecified)
        }
        Action::SendEmail(mail) => {
            let message = v1::SendEmail {
                destination: Collection::Destinations.name(&mail.destination),
                subject: mail.subject.clone(),
                text: mail.text.clone(),
                html: mail.html.clone(),
                to: mail.to.clone(),
            };
            (Message::SendEmail(message), to_unknown(mail.unknown))
        }
        Action::CallWebhook(call) => {
            let message = v1::CallWebhook {
                destination: Collection::Destinations.name(&call.destination),
                body: call.body.clone(),
            };
            (Message::CallWebhook(message), to_unknown(call.unknown))
        }
    };
    v1::Step { id: step.id.clone(), action: Some(action), unknown_outcome: unknown.into() }
}

#[cfg(test)]
mod tests {
    use rekindle_core::funnel::OwedBy;

    use super::*;

    fn elaborate() -> Sequence {
        let mail = SendEmail {
            destination: "relay".into(),
            subject: "Still there?".into(),
            text: "Hello".into(),
            html: "<p>Hello</p>".into(),
            to: "{{ customer.email }}".into(),
            unknown: UnknownPolicy::Park,
        };
        let call =
            CallWebhook { destination: "hook".into(), body: "{}".into(), unknown: UnknownPolicy::Resend };
        let step = |id: &str, action| Step { id: id.into(), action };
        Sequence {
            display_name: "Nudge".into(),
            trigger: Trigger {
                funnel: "support".into(),
                stage: "waiting".into(),
                on: MarkKind::Abandoned,
                owed_by: OwedBy::Customer,
            },
            steps: vec![
                step("wait", Action::Wait(2 * HOUR)),
                step("mail", Action::SendEmail(mail)),
                step("call", Action::CallWebhook(call)),
            ],
            max_delay: 2 * HOUR,
            class: MessageClass::Transactional,
        }
    }

    #[test]
    fn a_definition_survives_the_message_with_every_field() {
        let written = elaborate();
        assert_eq!(sequence(&to_definition(&written), "nudge").expect("our own message"), written);
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named_by_its_path() {
        let mut message = to_definition(&elaborate());
        message.max_delay = Some(time::to_duration(LONGEST_DELAY + 1));
        message.trigger.as_mut().expect("a trigger").funnel = "support".into();
        message.trigger.as_mut().expect("a trigger").on = 0;
        message.steps[0].action = Some(v1::step::Action::Wait(v1::Wait::default()));
        message.steps[1].action = Some(v1::step::Action::SendEmail(v1::SendEmail::default()));
        message.steps[2].action = None;
        let found = sequence(&message, "nudge").expect_err("six wrong fields");
        let fields: Vec<_> = found.iter().map(|violation| violation.field.as_str()).collect();
        let expected = [
            "trigger.funnel",
            "trigger.on",
            "steps[0].wait.duration",
            "steps[1].sendEmail.destination",
            "steps[2]",
            "maxDelay",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn what_is_left_out_becomes_the_documented_default() {
        let message = v1::Sequence { max_delay: None, message_class: 0, ..to_definition(&elaborate()) };
        let read = sequence(&message, "nudge").expect("valid");
        assert_eq!((read.max_delay, read.class), (HOUR, MessageClass::Marketing));
    }
}
