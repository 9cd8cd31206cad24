//! Steps of sequences, those inside others too.

use std::collections::BTreeSet;

use rekindle_core::funnel::TimeBasis;
use rekindle_core::sequence::{
    Action, Branch, CallWebhook, Case, EmitEvent, Escalate, Repeat, SendEmail, Split, Step, UnknownPolicy,
    Variant, Wait, WaitFor, WaitUntil,
};
use rekindle_core::time::DAY;
use rekindle_core::violation::Violations;
use rekindle_proto::v1;
use v1::step::Action as Message;

use super::path::{each, within};
use super::{choice, time};
use crate::name::Collection;

/// Longest wait, in microseconds.
const LONGEST_WAIT: i64 = 366 * DAY;

/// Reads a step.
pub fn step(message: &v1::Step, v: &mut Violations) -> Step {
    let unknown = unknown(message.unknown_outcome, v);
    // With a violation noted, what stands here is never used.
    let action = if let Some(action) = &message.action {
        within(v, field(action), |v| read(action, unknown, v))
    } else {
        v.add("", "takes an action, such as wait, sendEmail or branch");
        Action::End
    };
    Step { id: message.id.clone(), action }
}

/// The name under which an action stands in JSON.
fn field(action: &Message) -> &'static str {
    match action {
        Message::Wait(_) => "wait",
        Message::SendEmail(_) => "sendEmail",
        Message::CallWebhook(_) => "callWebhook",
        Message::Escalate(_) => "escalate",
        Message::WaitUntil(_) => "waitUntil",
        Message::WaitFor(_) => "waitFor",
        Message::Branch(_) => "branch",
        Message::Split(_) => "split",
        Message::Repeat(_) => "repeat",
        Message::EmitEvent(_) => "emitEvent",
        Message::End(_) => "end",
    }
}

fn read(message: &Message, unknown: UnknownPolicy, v: &mut Violations) -> Action {
    match message {
        Message::Wait(wait) => Action::Wait(Wait {
            basis: choice::basis(wait.basis, "basis", v),
            span: span(wait.duration.as_ref(), "duration", v),
        }),
        Message::SendEmail(mail) => Action::SendEmail(send_email(mail, unknown, v)),
        Message::CallWebhook(call) => Action::CallWebhook(call_webhook(call, unknown, v)),
        Message::WaitUntil(until) => Action::WaitUntil(wait_until(until, v)),
        Message::WaitFor(wait) => Action::WaitFor(WaitFor {
            rule: wait.rule.clone(),
            within: span(wait.within.as_ref(), "within", v),
            then: each(&wait.then, "then", v, step),
            otherwise: each(&wait.otherwise, "otherwise", v, step),
        }),
        Message::Branch(branch) => Action::Branch(Branch {
            cases: each(&branch.cases, "cases", v, |case, v| Case {
                when: case.when.clone(),
                steps: each(&case.steps, "steps", v, step),
            }),
            otherwise: each(&branch.otherwise, "otherwise", v, step),
        }),
        Message::Split(split) => Action::Split(Split {
            variants: each(&split.variants, "variants", v, |variant, v| Variant {
                id: variant.id.clone(),
                weight: count(variant.weight, "weight", v),
                steps: each(&variant.steps, "steps", v, step),
            }),
        }),
        Message::Repeat(repeat) => Action::Repeat(Repeat {
            times: count(repeat.times, "times", v),
            until: repeat.until.clone(),
            steps: each(&repeat.steps, "steps", v, step),
        }),
        Message::Escalate(message) => Action::Escalate(escalate(message, unknown, v)),
        Message::EmitEvent(message) => Action::EmitEvent(EmitEvent {
            kind: message.r#type.clone(),
            properties: message.properties.clone(),
        }),
        Message::End(_) => Action::End,
    }
}

/// How long a wait lasts.
fn span(message: Option<&pbjson_types::Duration>, field: &str, v: &mut Violations) -> i64 {
    let span = message.and_then(|span| time::duration(span, field, v));
    let fits = span.is_some_and(|span| (1..=LONGEST_WAIT).contains(&span));
    v.require(fits, field, "takes a duration above 0 and of at most a year");
    span.unwrap_or_default()
}

/// A number that counts something; what it may be is known elsewhere.
pub(super) fn count(number: i32, field: &str, v: &mut Violations) -> u32 {
    v.require(number >= 0, field, "is negative");
    number.unsigned_abs()
}

fn wait_until(message: &v1::WaitUntil, v: &mut Violations) -> WaitUntil {
    use v1::wait_until::Moment;
    match &message.moment {
        Some(Moment::Hours(hours)) => WaitUntil::Hours(hours.clone()),
        Some(Moment::Time(time)) => within(v, "time", |v| {
            let minute = minute(&time.clock);
            v.require(minute.is_some(), "clock", "takes 00:00 to 23:59");
            WaitUntil::Time { minute: minute.unwrap_or_default(), days: days(&time.days, v) }
        }),
        None => {
            v.add("", "takes hours or time");
            WaitUntil::Hours(String::new())
        }
    }
}

/// Minutes since midnight of `HH:MM`.
fn minute(clock: &str) -> Option<u16> {
    let two = |digits: &str| {
        let is_two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_two.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = clock.split_once(':')?;
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn days(numbers: &[i32], v: &mut Violations) -> BTreeSet<u8> {
    let mut days = BTreeSet::new();
    for (place, number) in numbers.iter().enumerate() {
        let field = format!("days[{place}]");
        match u8::try_from(*number) {
            Ok(day @ 1..=7) => {
                days.insert(day);
            }
            _ => v.add(&field, "takes a day of the week"),
        }
    }
    days
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
        variables: message.variables.clone().into_iter().collect(),
    }
}

fn escalate(message: &v1::Escalate, unknown: UnknownPolicy, v: &mut Violations) -> Escalate {
    Escalate {
        destination: Collection::Destinations.parse_within(&message.destination, "destination", v),
        to: message.to.clone(),
        subject: message.subject.clone(),
        text: message.text.clone(),
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

/// A step as a message.
pub fn to_step(step: &Step) -> v1::Step {
    let unknown = match &step.action {
        Action::SendEmail(mail) => to_unknown(mail.unknown),
        Action::CallWebhook(call) => to_unknown(call.unknown),
        Action::Escalate(escalate) => to_unknown(escalate.unknown),
        _ => v1::UnknownOutcome::Unspecified,
    };
    v1::Step { id: step.id.clone(), action: Some(to_action(&step.action)), unknown_outcome: unknown.into() }
}

fn to_action(action: &Action) -> Message {
    match action {
        Action::Wait(wait) => Message::Wait(v1::Wait {
            duration: Some(time::to_duration(wait.span)),
            basis: match wait.basis {
                TimeBasis::Wall => v1::TimeBasis::Wall,
                TimeBasis::Business => v1::TimeBasis::Business,
            }
            .into(),
        }),
        Action::WaitUntil(until) => Message::WaitUntil(to_wait_until(until)),
        Action::WaitFor(wait) => Message::WaitFor(v1::WaitFor {
            rule: wait.rule.clone(),
            within: Some(time::to_duration(wait.within)),
            then: to_steps(&wait.then),
            otherwise: to_steps(&wait.otherwise),
        }),
        Action::Branch(branch) => Message::Branch(v1::Branch {
            cases: branch
                .cases
                .iter()
                .map(|case| v1::branch::Case { when: case.when.clone(), steps: to_steps(&case.steps) })
                .collect(),
            otherwise: to_steps(&branch.otherwise),
        }),
        Action::Split(split) => Message::Split(v1::Split {
            variants: split
                .variants
                .iter()
                .map(|variant| v1::split::Variant {
                    id: variant.id.clone(),
                    weight: variant.weight as i32,
                    steps: to_steps(&variant.steps),
                })
                .collect(),
        }),
        Action::Repeat(repeat) => Message::Repeat(v1::Repeat {
            times: repeat.times as i32,
            until: repeat.until.clone(),
            steps: to_steps(&repeat.steps),
        }),
        Action::SendEmail(mail) => Message::SendEmail(v1::SendEmail {
            destination: Collection::Destinations.name(&mail.destination),
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            html: mail.html.clone(),
            to: mail.to.clone(),
        }),
        Action::CallWebhook(call) => Message::CallWebhook(v1::CallWebhook {
            destination: Collection::Destinations.name(&call.destination),
            body: call.body.clone(),
            variables: call.variables.clone().into_iter().collect(),
        }),
        Action::Escalate(escalate) => Message::Escalate(v1::Escalate {
            destination: Collection::Destinations.name(&escalate.destination),
            to: escalate.to.clone(),
            subject: escalate.subject.clone(),
            text: escalate.text.clone(),
            body: escalate.body.clone(),
        }),
        Action::EmitEvent(event) => Message::EmitEvent(v1::EmitEvent {
            r#type: event.kind.clone(),
            properties: event.properties.clone(),
        }),
        Action::End => Message::End(v1::End {}),
    }
}

fn to_steps(steps: &[Step]) -> Vec<v1::Step> {
    steps.iter().map(to_step).collect()
}

fn to_wait_until(until: &WaitUntil) -> v1::WaitUntil {
    use v1::wait_until::Moment;
    let moment = match until {
        WaitUntil::Hours(hours) => Moment::Hours(hours.clone()),
        WaitUntil::Time { minute, days } => Moment::Time(v1::TimeOfDay {
            clock: format!("{:02}:{:02}", minute / 60, minute % 60),
            days: days.iter().map(|day| i32::from(*day)).collect(),
        }),
    };
    v1::WaitUntil { moment: Some(moment) }
}
