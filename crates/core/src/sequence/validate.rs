//! What makes a sequence definition valid, as far as it can be seen without anything else;
//! all violations at once.

use jiff::tz::TimeZone;

use super::{CallWebhook, Escalate, QuietHours, SendEmail, Sequence};
use crate::calendar::Hours;
use crate::funnel::validate::is_user_id;
use crate::predicate;
use crate::time::{DAY, Timestamp};
use crate::violation::Violations;

mod blocks;

/// Fewest and most steps of a sequence, those inside others counted.
pub const STEPS: std::ops::RangeInclusive<usize> = 1..=100;
/// How deep steps may be inside each other.
pub const MOST_DEPTH: usize = 5;
/// Most ways of a branch or a split.
pub const MOST_WAYS: usize = 10;
/// Most rounds of a repetition.
pub const MOST_ROUNDS: u32 = 100;
/// Most steps that a run can come by, with every repetition walked to its end.
pub const MOST_VISITS: u64 = 1_000;
/// Longest wait, in microseconds: a year, and a leap year's day.
pub const LONGEST_WAIT: i64 = 366 * DAY;
/// Longest delay after which a mark may still start a run, in microseconds.
pub const LONGEST_DELAY: i64 = 30 * DAY;
/// Most bytes of a template.
pub const MOST_TEMPLATE: usize = 64 * 1024;
/// Most customers of ten thousand who are held out: half of them.
pub const MOST_HELD_OUT: u16 = 5_000;
/// Longest time between two runs of a subject, in microseconds: five years.
pub const LONGEST_COOL_DOWN: i64 = 5 * 366 * DAY;
/// Most holidays of quiet hours.
pub const MOST_HOLIDAYS: usize = 500;
/// A day on which hours are asked whether they ever begin and end.
const ANY_DAY: Timestamp = Timestamp::EARLIEST.plus(25 * 365 * DAY);
/// Most bytes of a name for people.
const MOST_NAME: usize = 256;
const ID: &str = "takes 1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'";

/// Checks a definition and notes everything that is wrong with it.
///
/// Paths are those of the proto's JSON, such as `steps[1].sendEmail.subject`. Whether
/// templates can be rendered, and whether what it names exists, is not known here.
pub fn validate(sequence: &Sequence, v: &mut Violations) {
    let Sequence {
        display_name,
        trigger,
        steps,
        max_delay,
        class: _,
        quiet,
        holdout,
        entry,
        reentry,
        when_limited: _,
        priority,
    } = sequence;
    v.require_text(display_name, MOST_NAME, "displayName");
    v.require(is_user_id(&trigger.funnel), "trigger.funnel", "names no funnel");
    v.require(is_user_id(&trigger.stage), "trigger.stage", "names no stage");
    blocks::check(sequence, v);
    let sends = sequence.each_step().iter().any(|(_, step)| step.action.destination().is_some());
    v.require(sends || steps.is_empty(), "steps", "no step sends anything");
    let delay_fits = (1..=LONGEST_DELAY).contains(max_delay);
    v.require(delay_fits, "maxDelay", "takes a duration above 0 and of at most 30 days");
    if let Some(quiet) = quiet {
        v.within("quietHours", |v| check_quiet(quiet, v));
    }
    v.require((-100..=100).contains(priority), "priority", "takes -100 to 100");
    v.require(*holdout <= MOST_HELD_OUT, "holdout", "takes a share of at most 0.5");
    if !entry.is_empty()
        && let Err(error) = predicate::parse(entry)
    {
        v.add("entryFilter", error.to_string());
    }
    let cool_down = reentry.and_then(|reentry| reentry.cool_down);
    let fits = cool_down.is_none_or(|span| (1..=LONGEST_COOL_DOWN).contains(&span));
    v.require(fits, "reentry.coolDown", "takes a duration above 0 and of at most 5 years");
}

fn check_quiet(quiet: &QuietHours, v: &mut Violations) {
    let QuietHours { hours, holidays, policy: _, max_deferral } = quiet;
    v.require(holidays.len() <= MOST_HOLIDAYS, "holidays", "more than 500");
    let known = &holidays[..holidays.len().min(MOST_HOLIDAYS)];
    if let Some(hours) = Hours::compile(hours, known, v) {
        let ends = hours.within(TimeZone::UTC).next_closed(ANY_DAY);
        v.require(ends.is_some(), "hours", "never end within five years");
    }
    let fits = (1..=LONGEST_DELAY).contains(max_deferral);
    v.require(fits, "maxDeferral", "takes a duration above 0 and of at most 30 days");
}

fn check_email(email: &SendEmail, v: &mut Violations) {
    let SendEmail { destination, subject, text, html, to, unknown: _ } = email;
    v.require(is_user_id(destination), "destination", "names no destination");
    v.require(!subject.trim().is_empty(), "subject", "is required");
    v.require(!text.trim().is_empty(), "text", "is required");
    for (field, template) in [("subject", subject), ("text", text), ("html", html), ("to", to)] {
        check_size(template, field, v);
    }
}

fn check_webhook(webhook: &CallWebhook, v: &mut Violations) {
    let CallWebhook { destination, body, unknown: _ } = webhook;
    v.require(is_user_id(destination), "destination", "names no destination");
    check_size(body, "body", v);
}

fn check_escalate(escalate: &Escalate, v: &mut Violations) {
    let Escalate { destination, to, subject, text, body, unknown: _ } = escalate;
    v.require(is_user_id(destination), "destination", "names no destination");
    for (field, template) in [("to", to), ("subject", subject), ("text", text), ("body", body)] {
        check_size(template, field, v);
    }
}

fn check_size(template: &str, field: &str, v: &mut Violations) {
    v.require(template.len() <= MOST_TEMPLATE, field, "longer than 64 KB");
    v.require(!template.contains('\0'), field, "contains NUL");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funnel::OwedBy;
    use crate::mark::MarkKind;
    use crate::sequence::{Action, LimitPolicy, MessageClass, Step, Trigger, UnknownPolicy, Wait};
    use crate::time::HOUR;

    fn email() -> SendEmail {
        SendEmail {
            destination: "relay".into(),
            subject: "Did that help?".into(),
            text: "Hello".into(),
            html: String::new(),
            to: String::new(),
            unknown: UnknownPolicy::Resend,
        }
    }

    fn good() -> Sequence {
        Sequence {
            display_name: String::new(),
            trigger: Trigger {
                funnel: "support".into(),
                stage: "asked".into(),
                on: MarkKind::Stalled,
                owed_by: OwedBy::Anyone,
            },
            steps: vec![
                Step { id: "patience".into(), action: Action::Wait(Wait::wall(2 * HOUR)) },
                Step { id: "ask".into(), action: Action::SendEmail(email()) },
            ],
            max_delay: HOUR,
            class: MessageClass::Marketing,
            quiet: None,
            holdout: 0,
            entry: String::new(),
            reentry: None,
            when_limited: LimitPolicy::Defer,
            priority: 0,
        }
    }

    fn fields(sequence: &Sequence) -> Vec<String> {
        let mut violations = Violations::new();
        validate(sequence, &mut violations);
        violations.into_vec().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_definition_has_no_violations() {
        assert_eq!(fields(&good()), [""; 0]);
    }

    #[test]
    fn every_wrong_field_is_named_by_its_path() {
        let mut sequence = good();
        sequence.display_name = "x".repeat(257);
        sequence.trigger.funnel = "Support".into();
        sequence.trigger.stage = String::new();
        sequence.max_delay = 31 * DAY;
        let blank =
            SendEmail { destination: String::new(), subject: " ".into(), text: String::new(), ..email() };
        let large = "x".repeat(MOST_TEMPLATE + 1);
        let webhook = CallWebhook { destination: "hook".into(), body: large, unknown: UnknownPolicy::Park };
        sequence.steps = vec![
            Step { id: "Wait".into(), action: Action::Wait(Wait::wall(0)) },
            Step { id: "ask".into(), action: Action::SendEmail(blank) },
            Step { id: "ask".into(), action: Action::CallWebhook(webhook) },
        ];
        let expected = [
            "displayName",
            "trigger.funnel",
            "trigger.stage",
            "steps[0].id",
            "steps[0].wait.duration",
            "steps[1].sendEmail.destination",
            "steps[1].sendEmail.subject",
            "steps[1].sendEmail.text",
            "steps[2].callWebhook.body",
            "steps[2].id",
            "maxDelay",
        ];
        assert_eq!(fields(&sequence), expected);
    }

    #[test]
    fn a_sequence_has_steps_and_one_of_them_sends() {
        let mut sequence = good();
        sequence.steps.truncate(1);
        assert_eq!(fields(&sequence), ["steps"]);
        sequence.steps.clear();
        assert_eq!(fields(&sequence), ["steps"]);
        sequence.steps = (0..101)
            .map(|place| Step { id: format!("ask-{place}"), action: Action::SendEmail(email()) })
            .collect();
        assert_eq!(fields(&sequence), ["steps"]);
    }

    #[test]
    fn spans_end_where_they_say() {
        let mut sequence = good();
        for (span, wrong) in [(1, false), (LONGEST_WAIT, false), (LONGEST_WAIT + 1, true), (-1, true)] {
            sequence.steps[0].action = Action::Wait(Wait::wall(span));
            assert_eq!(fields(&sequence) == ["steps[0].wait.duration"], wrong, "{span}");
        }
        sequence = good();
        for (delay, wrong) in [(0, true), (1, false), (LONGEST_DELAY, false), (LONGEST_DELAY + 1, true)] {
            sequence.max_delay = delay;
            assert_eq!(fields(&sequence) == ["maxDelay"], wrong, "{delay}");
        }
    }
}
