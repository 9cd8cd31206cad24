//! What makes a sequence definition valid, as far as it can be seen without anything else;
//! all violations at once.

use jiff::tz::TimeZone;

use super::{CallWebhook, EmitEvent, Escalate, Occasion, QuietHours, ReentryPer, SendEmail, Sequence};
use crate::calendar::Hours;
use crate::event::{Author, CONVERSATION_UPDATED, CUSTOMER_UPDATED};
use crate::funnel::validate::is_user_id;
use crate::ingest::NewEvent;
use crate::predicate;
use crate::time::{DAY, Timestamp};
use crate::value::Properties;
use crate::violation::{Violations, quoted};

mod blocks;
mod trigger;

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
/// Longest time over which the runs of a schedule are spread, in microseconds.
pub const LONGEST_JITTER: i64 = DAY;
/// Most variables that one answer gives.
pub const MOST_VARIABLES: usize = 20;
/// Longest JSON Pointer, in bytes.
pub const MOST_POINTER: usize = 256;
/// Most holidays of quiet hours.
pub const MOST_HOLIDAYS: usize = 500;
/// A day on which hours are asked whether they ever begin and end.
const ANY_DAY: Timestamp = Timestamp::EARLIEST.plus(25 * 365 * DAY);
/// Most bytes of a name for people.
const MOST_NAME: usize = 256;

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
        outlasts_return,
    } = sequence;
    v.require_text(display_name, MOST_NAME, "displayName");
    v.within("trigger", |v| trigger::check(trigger, v));
    let ends_with_return = trigger.on.silence().is_none() || !outlasts_return;
    v.require(ends_with_return, "outlastsReturn", "a silence is over when the customer comes back");
    blocks::check(sequence, v);
    let does = sequence.each_step().iter().any(|(_, step)| step.action.has_effect());
    v.require(does || steps.is_empty(), "steps", "no step sends anything");
    let delay_fits = (1..=LONGEST_DELAY).contains(max_delay);
    v.require(delay_fits, "maxDelay", "takes a duration above 0 and of at most 30 days");
    if let Some(quiet) = quiet {
        v.within("quietHours", |v| check_quiet(quiet, v));
    }
    v.require((-100..=100).contains(priority), "priority", "takes -100 to 100");
    v.require(*holdout <= MOST_HELD_OUT, "holdout", "takes a share of at most 0.5");
    if !entry.is_empty() {
        match predicate::parse(entry) {
            Ok(rule) => {
                let has_event = !matches!(trigger.on, Occasion::Schedule(_)) || !rule.reads().event;
                v.require(has_event, "entryFilter", "names an event: a schedule comes with none");
            }
            Err(error) => v.add("entryFilter", error.to_string()),
        }
    }
    let is_of_an_attempt = reentry.is_some_and(|reentry| reentry.per == ReentryPer::Attempt);
    let has_attempts = trigger.on.silence().is_some() || !is_of_an_attempt;
    v.require(has_attempts, "reentry.per", "attempts are told apart only where a silence starts the runs");
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
    let CallWebhook { destination, body, unknown: _, variables } = webhook;
    v.require(is_user_id(destination), "destination", "names no destination");
    check_size(body, "body", v);
    v.require(variables.len() <= MOST_VARIABLES, "variables", "more than 20");
    for (name, pointer) in variables.iter().take(MOST_VARIABLES) {
        let field = format!("variables.{}", quoted(name));
        v.require(is_variable(name), &field, "a name is a letter, then up to 31 letters, digits or _");
        let fits = pointer.len() <= MOST_POINTER && (pointer.is_empty() || pointer.starts_with('/'));
        v.require(fits, &field, "takes a JSON Pointer of at most 256 bytes, such as /coupon/code");
    }
}

fn is_variable(name: &str) -> bool {
    let is_word = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_word && name.len() <= 32 && name.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn check_event(event: &EmitEvent, v: &mut Violations) {
    let EmitEvent { kind, properties } = event;
    check_size(properties, "properties", v);
    for wrong in emitted(kind, Properties::new()).check() {
        if wrong.field == "type" {
            v.add("type", wrong.message);
        }
    }
    let is_ours = CONVERSATION_UPDATED == kind || CUSTOMER_UPDATED == kind;
    v.require(!is_ours, "type", "sets attributes: takes a type of your own");
}

/// An event as a run adds it, about nobody yet.
pub fn emitted(kind: &str, properties: Properties) -> NewEvent {
    NewEvent {
        id: "id".into(),
        conversation: None,
        customer: None,
        kind: kind.to_owned(),
        occurred_at: ANY_DAY,
        sequence: 0,
        author: Some(Author::System),
        public: Some(false),
        automated: Some(true),
        closing: false,
        text: None,
        properties,
    }
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::sequence::fixtures::{email, mail, sequence, wait};
    use crate::sequence::{Action, Step, UnknownPolicy, Wait};
    use crate::time::HOUR;

    fn good() -> Sequence {
        sequence(vec![wait("patience", 2 * HOUR), mail("ask")])
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
        let webhook = CallWebhook {
            destination: "hook".into(),
            body: large,
            unknown: UnknownPolicy::Park,
            variables: BTreeMap::from([("1st".to_owned(), "id".to_owned())]),
        };
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
            "steps[2].callWebhook.variables.\"1st\"",
            "steps[2].callWebhook.variables.\"1st\"",
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
        sequence.steps = (0..101).map(|place| mail(&format!("ask-{place}"))).collect();
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
