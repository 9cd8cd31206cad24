//! Silences that came due, and what a sequence would have made of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::event::Author;
use crate::sequence::contact::LimitPeriod;
use crate::sequence::fixtures::{at, mail, sequence, step, wait};
use crate::sequence::{
    Action, Escalate, LimitPolicy, QuietHours, QuietPolicy, ReentryRule, UnknownPolicy, WaitFor,
};
use crate::time::{DAY, HOUR, MINUTE};

/// A Monday's noon: the instant at which silences come due unless a test says otherwise.
fn noon() -> Timestamp {
    at("2026-03-02T12:00:00Z")
}

/// Half an hour, then a mail.
fn nudge() -> Sequence {
    sequence(vec![wait("patience", 30 * MINUTE), mail("ask")])
}

/// A silence and its run's end, told by hand.
#[derive(Debug, Clone)]
struct Quiet {
    subject: u128,
    customer: Option<u128>,
    due_at: Timestamp,
    owed_by: OwedBy,
    end: Option<RunEnd>,
    events: Vec<Event>,
    attributes: Properties,
}

impl Quiet {
    fn of(subject: u128) -> Self {
        Self {
            subject,
            customer: Some(1_000),
            due_at: noon(),
            owed_by: OwedBy::Customer,
            end: None,
            events: Vec::new(),
            attributes: Properties::new(),
        }
    }

    fn due(self, due_at: Timestamp) -> Self {
        Self { due_at, ..self }
    }

    fn customer(self, customer: u128) -> Self {
        Self { customer: Some(customer), ..self }
    }

    fn ends(self, after: i64, returned: bool) -> Self {
        let at = self.due_at.plus(after);
        Self { end: Some(RunEnd { at, returned }), ..self }
    }

    fn owed_by(self, owed_by: OwedBy) -> Self {
        Self { owed_by, ..self }
    }
}

/// Runs silences through a sequence; a week later history ends.
fn simulate(sequence: &Sequence, limits: &[ContactLimit], silences: &[Quiet]) -> (Simulation, Vec<Sample>) {
    let program = Program::compile(sequence).expect("a valid sequence");
    let entry = Some(sequence.entry.as_str()).filter(|rule| !rule.is_empty());
    let entry = entry.map(|rule| crate::predicate::parse(rule).expect("a valid rule"));
    let rules = Rules {
        holdouts: Holdouts::of(sequence, 0),
        sequence,
        program: &program,
        entry: entry.as_ref(),
        limits,
        business: None,
        key: &[7; 32],
        experiment: "nudge",
        as_of: noon().plus(7 * DAY),
    };
    let (zone, nothing) = (Zone::of(None, "UTC"), Properties::new());
    let mut simulator = Simulator::new(rules, 2);
    for it in silences {
        let subject = Uuid::from_u128(it.subject);
        simulator.take(&Candidate {
            subject,
            conversation: Some(subject),
            customer: it.customer.map(Uuid::from_u128),
            since: it.due_at.plus(-HOUR),
            due_at: it.due_at,
            owed_by: it.owed_by,
            end: it.end,
            anchor: None,
            events: &it.events,
            conversation_attributes: &nothing,
            customer_attributes: &it.attributes,
            zone: &zone,
        });
    }
    simulator.finish()
}

fn word(kind: &str, effective_at: Timestamp) -> Event {
    Event {
        id: format!("{kind}-{}", effective_at.0),
        kind: kind.into(),
        conversation: None,
        customer: None,
        occurred_at: effective_at,
        effective_at,
        received_at: effective_at,
        sequence: 0,
        author: Author::implied_by(kind),
        public: true,
        automated: false,
        closing: false,
        text: None,
        properties: Properties::new(),
    }
}

fn one_a_day() -> ContactLimit {
    ContactLimit { count: 1, period: LimitPeriod::Rolling(DAY) }
}

fn hours(found: &Simulation) -> Vec<(Timestamp, i64)> {
    found.hourly.hours().collect()
}

#[test]
fn a_wait_and_a_mail_are_counted_in_the_hour_of_the_mail() {
    let (found, samples) = simulate(&nudge(), &[], &[Quiet::of(1), Quiet::of(2).due(noon().plus(HOUR))]);
    assert_eq!((found.due, found.eligible, found.written_to, found.messages), (2, 2, 2, 2));
    assert_eq!(hours(&found), [(noon(), 1), (noon().plus(HOUR), 1)]);
    assert_eq!((samples[0].subject, samples[0].step.as_str()), (Uuid::from_u128(2), "ask"));
    assert_eq!(samples[0].sent_at, noon().plus(90 * MINUTE));
}

#[test]
fn who_comes_back_before_the_mail_gets_none_and_at_its_very_instant_neither() {
    let silences = [
        Quiet::of(1).ends(MINUTE, true),
        Quiet::of(2).ends(30 * MINUTE, true),
        Quiet::of(3).ends(29 * MINUTE, false),
        Quiet::of(4).ends(31 * MINUTE, true),
    ];
    let (found, _) = simulate(&nudge(), &[], &silences);
    assert_eq!((found.came_back, found.moved_on, found.written_to, found.messages), (2, 1, 1, 1));
    // Its one mail was its last step: by then there was nothing left to end.
    assert_eq!(found.came_back_after, 0);
}

#[test]
fn a_return_between_two_mails_ends_a_run_after_its_first() {
    let twice = sequence(vec![mail("ask"), wait("patience", DAY), mail("again")]);
    let silences = [Quiet::of(1).ends(HOUR, true), Quiet::of(2).ends(HOUR, false), Quiet::of(3)];
    let (found, _) = simulate(&twice, &[], &silences);
    assert_eq!((found.written_to, found.came_back_after, found.messages), (3, 1, 4));
}

#[test]
fn only_silences_of_the_party_that_the_trigger_names_are_eligible() {
    let mut for_customers = nudge();
    for_customers.trigger.owed_by = OwedBy::Customer;
    let silences = [Quiet::of(1), Quiet::of(2).owed_by(OwedBy::Agent), Quiet::of(3).owed_by(OwedBy::Anyone)];
    let (found, _) = simulate(&for_customers, &[], &silences);
    assert_eq!((found.due, found.agent_owed, found.eligible, found.messages), (3, 1, 1, 1));
    let (found, _) = simulate(&nudge(), &[], &silences);
    assert_eq!((found.due, found.agent_owed, found.eligible, found.messages), (3, 1, 3, 3));
}

#[test]
fn who_is_held_out_is_counted_and_only_our_own_side_hears_of_them() {
    let mut half = nudge();
    half.holdout = 5_000;
    let silences: Vec<Quiet> = (0..200).map(|number| Quiet::of(number).customer(number)).collect();
    let (found, samples) = simulate(&half, &[], &silences);
    assert!((60..140).contains(&found.held_out), "{}", found.held_out);
    assert_eq!(found.held_out + found.written_to, 200);
    assert_eq!(found.messages, found.written_to);
    let held = |sample: &Sample| {
        let subject = sample.customer.unwrap_or(sample.subject);
        Chance { key: &[7; 32], experiment: "nudge", subject }.arm(5_000) == Arm::HeldOut
    };
    assert!(samples.len() == 2 && !samples.iter().any(held));
    let escalate = Escalate {
        destination: "relay".into(),
        to: "boss@example.invalid".into(),
        subject: "Look".into(),
        text: "Look".into(),
        body: String::new(),
        unknown: UnknownPolicy::Resend,
    };
    half.steps.push(step("escalate", Action::Escalate(escalate)));
    let (found, _) = simulate(&half, &[], &silences);
    assert_eq!(found.messages, 2 * found.written_to + found.held_out);
}

#[test]
fn quiet_hours_defer_leave_out_or_end() {
    let night = |policy| {
        let hours = "Mo-Su 12:00-20:00".into();
        let quiet = QuietHours { hours, holidays: Vec::new(), policy, max_deferral: 3 * DAY };
        Sequence { quiet: Some(quiet), ..sequence(vec![mail("ask"), wait("rest", DAY / 2), mail("again")]) }
    };
    // Noon is quiet: the first waits for the evening, the second need not.
    let (found, _) = simulate(&night(QuietPolicy::Defer), &[], &[Quiet::of(1)]);
    assert_eq!((found.deferred, found.left_out, found.messages), (1, 0, 2));
    assert_eq!(hours(&found), [(at("2026-03-02T20:00:00Z"), 1), (at("2026-03-03T08:00:00Z"), 1)]);
    let (found, _) = simulate(&night(QuietPolicy::Skip), &[], &[Quiet::of(1)]);
    assert_eq!((found.deferred, found.left_out, found.messages), (0, 1, 1));
    let (found, _) = simulate(&night(QuietPolicy::Abort), &[], &[Quiet::of(1)]);
    assert_eq!((found.left_out, found.messages, found.wrote_nothing), (1, 0, 1));
    // Whoever comes back while a mail waits gets none.
    let (found, _) = simulate(&night(QuietPolicy::Defer), &[], &[Quiet::of(1).ends(HOUR, true)]);
    assert_eq!((found.deferred, found.messages, found.came_back), (1, 0, 1));
}

#[test]
fn a_rule_that_is_waited_for_is_met_by_the_event_that_it_names() {
    let wait_for = WaitFor {
        rule: "event.type == 'agent_message'".into(),
        within: 2 * HOUR,
        then: vec![mail("met")],
        otherwise: vec![wait("more", HOUR), mail("late")],
    };
    let waiting = sequence(vec![step("answer", Action::WaitFor(wait_for))]);
    let heard = |after: &[(&str, i64)]| {
        let events = after.iter().map(|(kind, after)| word(kind, noon().plus(*after))).collect();
        simulate(&waiting, &[], &[Quiet { events, ..Quiet::of(1) }])
    };
    let (found, samples) = heard(&[("note", MINUTE), ("agent_message", 90 * MINUTE)]);
    assert_eq!(hours(&found), [(noon().plus(HOUR), 1)]);
    assert_eq!((samples[0].step.as_str(), samples[0].sent_at), ("met", noon().plus(90 * MINUTE)));
    let late = noon().plus(3 * HOUR);
    for words in [vec![], vec![("note", MINUTE)], vec![("agent_message", 2 * HOUR)]] {
        let (_, samples) = heard(&words);
        assert_eq!((samples[0].step.as_str(), samples[0].sent_at), ("late", late), "{words:?}");
    }
}

#[test]
fn one_mail_too_many_waits_for_room_or_is_left_out() {
    let silences: Vec<Quiet> = (0..3).map(Quiet::of).collect();
    let (found, _) = simulate(&nudge(), &[one_a_day()], &silences);
    assert_eq!((found.messages, found.deferred, found.left_out), (3, 2, 0));
    assert_eq!(hours(&found), [(noon(), 1), (noon().plus(DAY), 1), (noon().plus(2 * DAY), 1)]);
    let skipping = Sequence { when_limited: LimitPolicy::Skip, ..nudge() };
    let (found, _) = simulate(&skipping, &[one_a_day()], &silences);
    assert_eq!((found.messages, found.left_out, found.wrote_nothing), (1, 2, 2));
    // Another customer has room of their own.
    let others = [Quiet::of(1), Quiet::of(2).customer(7), Quiet::of(3).customer(8)];
    let (found, _) = simulate(&nudge(), &[one_a_day()], &others);
    assert_eq!((found.messages, found.deferred), (3, 0));
    // What would have to wait longer than it is worth does not wait.
    let weeks = ContactLimit { count: 1, period: LimitPeriod::Rolling(20 * DAY) };
    let (found, _) = simulate(&nudge(), &[weeks], &silences);
    assert_eq!((found.messages, found.deferred, found.left_out), (1, 0, 2));
    // Whoever comes back before there is room is not written to.
    let returning = [Quiet::of(1), Quiet::of(2).ends(2 * HOUR, true)];
    let (found, _) = simulate(&nudge(), &[one_a_day()], &returning);
    assert_eq!((found.messages, found.deferred, found.came_back), (1, 1, 1));
}

#[test]
fn filters_and_cool_downs_let_in_who_they_should() {
    let reentry = |per, cool_down| Sequence { reentry: Some(ReentryRule { per, cool_down }), ..nudge() };
    let silences = [
        Quiet::of(1),
        Quiet::of(2).due(noon().plus(HOUR)),
        Quiet::of(3).due(noon().plus(DAY)),
        Quiet::of(4).customer(5),
    ];
    let (found, _) = simulate(&reentry(ReentryPer::Customer, Some(DAY)), &[], &silences);
    assert_eq!((found.cooling_down, found.written_to), (1, 3));
    let (found, _) = simulate(&reentry(ReentryPer::Customer, None), &[], &silences);
    assert_eq!((found.cooling_down, found.written_to), (2, 2));
    let (found, _) = simulate(&reentry(ReentryPer::Conversation, None), &[], &silences);
    assert_eq!((found.cooling_down, found.written_to), (0, 4));
    let filtered = Sequence { entry: "customer.plan == 'pro'".into(), ..nudge() };
    let pro = Properties::from([("plan".to_owned(), crate::value::Value::Text("pro".into()))]);
    let silences = [Quiet::of(1), Quiet { attributes: pro, ..Quiet::of(2) }];
    let (found, _) = simulate(&filtered, &[], &silences);
    assert_eq!((found.filtered, found.written_to), (1, 1));
}

#[test]
fn a_run_that_history_does_not_see_the_end_of_is_open() {
    let patient = sequence(vec![wait("patience", 8 * DAY), mail("ask")]);
    let (found, _) = simulate(&patient, &[], &[Quiet::of(1)]);
    assert_eq!((found.open, found.messages), (1, 0));
}

proptest! {
    /// Whatever becomes of a silence, it is counted once, and so is every message.
    #[test]
    fn every_silence_and_every_message_is_counted_once(
        ends in vec(proptest::option::of((1..200_i64, any::<bool>())), 1..40),
        holdout in prop_oneof![Just(0_u16), Just(5_000)],
        limited in any::<bool>(),
    ) {
        let mut twice = nudge();
        twice.steps.extend([wait("more", HOUR), mail("again")]);
        twice.holdout = holdout;
        twice.reentry = Some(ReentryRule { per: ReentryPer::Customer, cool_down: Some(HOUR) });
        let limits = if limited { vec![one_a_day()] } else { Vec::new() };
        let silences: Vec<Quiet> = (0_u128..)
            .zip(&ends)
            .map(|(number, end)| {
                let minutes = i64::try_from(number % 5).unwrap_or_default() * 50;
                let quiet = Quiet::of(number).customer(number / 5).due(noon().plus(minutes * MINUTE));
                match end {
                    Some((after, returned)) => quiet.ends(after * MINUTE, *returned),
                    None => quiet,
                }
            })
            .collect();
        let (found, _) = simulate(&twice, &limits, &silences);
        let parts = [
            found.filtered, found.cooling_down, found.held_out, found.came_back, found.moved_on,
            found.written_to, found.wrote_nothing, found.open,
        ];
        prop_assert_eq!(found.due, ends.len() as i64);
        prop_assert_eq!(found.eligible, parts.iter().sum::<i64>());
        let by_hour: i64 = found.hourly.hours().map(|(_, sent)| sent).sum();
        prop_assert_eq!(by_hour + found.hourly.later(), found.messages);
        prop_assert!(found.messages >= found.written_to && found.messages <= 2 * found.written_to);
    }
}
