//! Sequences: trigger, steps, and what is known of the present revision.

use rekindle_core::sequence::{
    LimitPolicy, MessageClass, QuietHours, QuietPolicy, ReentryPer, ReentryRule, Sequence, SequenceState,
};
use rekindle_core::time::{DAY, HOUR};
use rekindle_core::violation::{Violation, Violations};
use rekindle_ports::resources::SequenceRow;
use rekindle_proto::v1;

use super::path::{each, named, within};
use super::step::{step, to_step};
use super::trigger::{to_trigger, trigger};
use super::{choice, share, time};
use crate::name::Collection;

/// Longest delay after which a silence still starts a run, in microseconds.
const LONGEST_DELAY: i64 = 30 * DAY;
/// How long a mail waits for quiet hours to end where nothing is said, in microseconds.
const USUAL_DEFERRAL: i64 = 3 * DAY;

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
        quiet: message
            .quiet_hours
            .as_ref()
            .map(|quiet| within(&mut v, "quietHours", |v| quiet_hours(quiet, v))),
        holdout: share::held_out(message.holdout, "holdout", &mut v),
        entry: message.entry_filter.clone(),
        reentry: message.reentry.as_ref().map(|rule| within(&mut v, "reentry", |v| reentry(rule, v))),
        when_limited: limit_policy(message.limit_policy, &mut v),
        priority: message.priority,
        outlasts_return: message.outlasts_return,
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
        trigger: Some(to_trigger(&sequence.trigger)),
        steps: sequence.steps.iter().map(to_step).collect(),
        max_delay: Some(time::to_duration(sequence.max_delay)),
        message_class: match sequence.class {
            MessageClass::Marketing => v1::MessageClass::Marketing,
            MessageClass::Transactional => v1::MessageClass::Transactional,
        }
        .into(),
        quiet_hours: sequence.quiet.as_ref().map(to_quiet_hours),
        holdout: share::to_share(sequence.holdout),
        entry_filter: sequence.entry.clone(),
        reentry: sequence.reentry.map(to_reentry),
        limit_policy: to_limit_policy(sequence.when_limited).into(),
        priority: sequence.priority,
        outlasts_return: sequence.outlasts_return,
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

fn quiet_hours(message: &v1::QuietHours, v: &mut Violations) -> QuietHours {
    use v1::quiet_hours::Policy;
    let span = message.max_deferral.as_ref();
    QuietHours {
        hours: message.hours.clone(),
        holidays: message.holidays.clone(),
        policy: match choice::known(message.policy, "policy", v) {
            Policy::Unspecified | Policy::Defer => QuietPolicy::Defer,
            Policy::Skip => QuietPolicy::Skip,
            Policy::Abort => QuietPolicy::Abort,
        },
        max_deferral: span.and_then(|span| time::duration(span, "maxDeferral", v)).unwrap_or(USUAL_DEFERRAL),
    }
}

fn to_quiet_hours(quiet: &QuietHours) -> v1::QuietHours {
    use v1::quiet_hours::Policy;
    v1::QuietHours {
        hours: quiet.hours.clone(),
        holidays: quiet.holidays.clone(),
        policy: match quiet.policy {
            QuietPolicy::Defer => Policy::Defer,
            QuietPolicy::Skip => Policy::Skip,
            QuietPolicy::Abort => Policy::Abort,
        }
        .into(),
        max_deferral: Some(time::to_duration(quiet.max_deferral)),
    }
}

fn reentry(message: &v1::ReentryRule, v: &mut Violations) -> ReentryRule {
    use v1::reentry_rule::Per;
    ReentryRule {
        per: match choice::known(message.per, "per", v) {
            Per::Unspecified | Per::Conversation => ReentryPer::Conversation,
            Per::Attempt => ReentryPer::Attempt,
            Per::Customer => ReentryPer::Customer,
        },
        cool_down: message.cool_down.as_ref().and_then(|span| time::duration(span, "coolDown", v)),
    }
}

fn to_reentry(rule: ReentryRule) -> v1::ReentryRule {
    use v1::reentry_rule::Per;
    v1::ReentryRule {
        per: match rule.per {
            ReentryPer::Conversation => Per::Conversation,
            ReentryPer::Attempt => Per::Attempt,
            ReentryPer::Customer => Per::Customer,
        }
        .into(),
        cool_down: rule.cool_down.map(time::to_duration),
    }
}

fn limit_policy(number: i32, v: &mut Violations) -> LimitPolicy {
    match choice::known(number, "limitPolicy", v) {
        v1::LimitPolicy::Unspecified | v1::LimitPolicy::Defer => LimitPolicy::Defer,
        v1::LimitPolicy::Skip => LimitPolicy::Skip,
    }
}

fn to_limit_policy(policy: LimitPolicy) -> v1::LimitPolicy {
    match policy {
        LimitPolicy::Defer => v1::LimitPolicy::Defer,
        LimitPolicy::Skip => v1::LimitPolicy::Skip,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rekindle_core::funnel::{OwedBy, TimeBasis};
    use rekindle_core::mark::MarkKind;
    use rekindle_core::sequence::{
        Action, Branch, CallWebhook, Case, EmitEvent, Repeat, SendEmail, Split, Step, Trigger, UnknownPolicy,
        Variant, Wait, WaitFor, WaitUntil,
    };

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
        let call = CallWebhook {
            destination: "hook".into(),
            body: "{}".into(),
            unknown: UnknownPolicy::Resend,
            variables: [("code".to_owned(), "/coupon/code".to_owned())].into(),
        };
        let told = EmitEvent { kind: "nudged".into(), properties: r#"{"a": 1}"#.into() };
        let step = |id: &str, action| Step { id: id.into(), action };
        Sequence {
            display_name: "Nudge".into(),
            trigger: Trigger {
                funnel: "support".into(),
                stage: "waiting".into(),
                on: MarkKind::Abandoned.into(),
                owed_by: OwedBy::Customer,
            },
            steps: vec![
                step("wait", Action::Wait(Wait { span: 2 * HOUR, basis: TimeBasis::Business })),
                step("mail", Action::SendEmail(mail)),
                step("call", Action::CallWebhook(call)),
                step("told", Action::EmitEvent(told)),
                step("hours", Action::WaitUntil(WaitUntil::Hours("Mo-Fr 09:00-17:00".into()))),
                step(
                    "morning",
                    Action::WaitUntil(WaitUntil::Time { minute: 545, days: BTreeSet::from([1, 7]) }),
                ),
                step(
                    "read",
                    Action::WaitFor(WaitFor {
                        rule: "event.type == \"opened\"".into(),
                        within: HOUR,
                        then: vec![step("done", Action::End)],
                        otherwise: Vec::new(),
                    }),
                ),
                step(
                    "which",
                    Action::Branch(Branch {
                        cases: vec![Case { when: "customer.vip".into(), steps: Vec::new() }],
                        otherwise: Vec::new(),
                    }),
                ),
                step(
                    "toss",
                    Action::Split(Split {
                        variants: ["a", "b"]
                            .map(|id| Variant { id: id.into(), weight: 1, steps: Vec::new() })
                            .into(),
                    }),
                ),
                step(
                    "again",
                    Action::Repeat(Repeat {
                        times: 3,
                        until: "customer.done".into(),
                        steps: vec![step("rest", Action::Wait(Wait { span: HOUR, basis: TimeBasis::Wall }))],
                    }),
                ),
            ],
            max_delay: 2 * HOUR,
            class: MessageClass::Transactional,
            quiet: Some(QuietHours {
                hours: "Mo-Su 22:00-08:00; PH 00:00-24:00".into(),
                holidays: vec!["2026-12-25".into()],
                policy: QuietPolicy::Skip,
                max_deferral: DAY,
            }),
            holdout: 1_234,
            entry: "customer.plan == 'pro'".into(),
            reentry: Some(ReentryRule { per: ReentryPer::Customer, cool_down: Some(DAY) }),
            when_limited: LimitPolicy::Skip,
            priority: 7,
            outlasts_return: true,
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
        message.steps[4].action = Some(v1::step::Action::WaitUntil(v1::WaitUntil {
            moment: Some(v1::wait_until::Moment::Time(v1::TimeOfDay {
                clock: "24:00".into(),
                days: vec![0, 9],
            })),
        }));
        message.steps[8].action = Some(v1::step::Action::Repeat(v1::Repeat {
            times: 2,
            until: String::new(),
            steps: vec![v1::Step::default()],
        }));
        message.holdout = 0.00005;
        let found = sequence(&message, "nudge").expect_err("wrong fields");
        let fields: Vec<_> = found.iter().map(|violation| violation.field.as_str()).collect();
        let expected = [
            "trigger.funnel",
            "trigger.on",
            "steps[0].wait.duration",
            "steps[1].sendEmail.destination",
            "steps[2]",
            "steps[4].waitUntil.time.clock",
            "steps[4].waitUntil.time.days[0]",
            "steps[4].waitUntil.time.days[1]",
            "steps[8].repeat.steps[0]",
            "maxDelay",
            "holdout",
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
