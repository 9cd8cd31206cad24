//! Ways through sequences, told by what a run does and what it notes.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::*;
use crate::calendar::{CalendarSpec, next_time, zone_named};
use crate::event::Author;
use crate::funnel::TimeBasis;
use crate::sequence::fixtures::{at, call, mail, sequence, step, wait};
use crate::sequence::{
    Branch, Case, MessageClass, QuietHours, QuietPolicy, Repeat, Sequence, Split, Variant, Wait, WaitFor,
    WaitUntil,
};
use crate::time::{DAY, HOUR, MINUTE};
use crate::violation::Violations;

/// A draw that is always the same.
#[derive(Debug)]
struct Fixed(u32);

impl Draw for Fixed {
    fn of(&self, _: &str) -> u32 {
        self.0
    }
}

/// A run and what surrounds it, driven by hand.
struct Drive {
    program: Program,
    place: usize,
    progress: Progress,
    now: Timestamp,
    customer: Properties,
    event: Option<Event>,
    arrivals: Vec<Event>,
    zone: Zone,
    business: Option<Calendar>,
    draw: Fixed,
}

/// What a run did: a wait's end, or a message and its visit.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    Waits(Timestamp),
    Sends(String, u32),
    Completed,
    Quiet,
    Stuck,
}

impl Drive {
    fn through(sequence: &Sequence) -> Self {
        Self {
            program: Program::compile(sequence).expect("a valid sequence"),
            place: 0,
            progress: Progress::default(),
            now: at("2026-03-02T10:00:00Z"),
            customer: Properties::new(),
            event: None,
            arrivals: Vec::new(),
            zone: zone("UTC"),
            business: None,
            draw: Fixed(0),
        }
    }

    /// Walks on; the messages that it sends are delivered at once.
    fn next(&mut self) -> Did {
        self.next_with_notes().0
    }

    fn next_with_notes(&mut self) -> (Did, Vec<Note>) {
        let (seen, mut notes) = (
            Situation {
                now: self.now,
                event: self.event.as_ref(),
                conversation: &Properties::new(),
                customer: &self.customer,
                arrivals: &self.arrivals,
                zone: &self.zone,
                business: self.business.as_ref(),
                arm: "treated",
                draw: &self.draw,
            },
            Vec::new(),
        );
        let next = walk(&self.program, &mut self.place, &mut self.progress, &seen, &mut notes);
        let did = match next {
            Next::At(at) => Did::Waits(at),
            Next::Send(step, visit) => {
                self.progress.awaits = Some(Awaits::Delivery { step: step.id.clone(), visit });
                self.progress.delivered("delivered");
                Did::Sends(step.id.clone(), visit)
            }
            Next::Completed => Did::Completed,
            Next::Quiet => Did::Quiet,
            Next::Stuck(_) => Did::Stuck,
        };
        (did, notes)
    }

    /// Everything it does, with every wait sat out.
    fn all(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        loop {
            match self.next() {
                Did::Waits(at) => self.now = at,
                Did::Sends(step, visit) => done.push(format!("{step}/{visit}")),
                end => {
                    done.push(format!("{end:?}"));
                    return done;
                }
            }
        }
    }
}

fn zone(name: &str) -> Zone {
    Zone { zone: zone_named(name).expect("a zone"), words: name.into() }
}

fn event(id: &str, kind: &str, received: Timestamp) -> Event {
    Event {
        id: id.into(),
        kind: kind.into(),
        conversation: Some(Uuid::from_u128(1)),
        customer: None,
        occurred_at: received,
        effective_at: received,
        received_at: received,
        sequence: 0,
        author: Author::System,
        public: true,
        automated: false,
        closing: false,
        text: None,
        properties: Properties::new(),
    }
}

#[test]
fn steps_come_in_order_and_waits_end_when_they_say() {
    let mut drive = Drive::through(&sequence(vec![wait("rest", 2 * HOUR), mail("ask"), call("tell")]));
    let began = drive.now;
    assert_eq!(drive.next(), Did::Waits(began.plus(2 * HOUR)));
    assert_eq!(drive.all(), ["ask/1", "tell/1", "Completed"]);
}

#[test]
fn the_first_case_that_holds_is_taken_and_no_other() {
    let branch = |otherwise| {
        let case = |when: &str, id| Case { when: when.into(), steps: vec![mail(id)] };
        let cases = vec![case("customer.plan == 'pro'", "pro"), case("customer.paid > 0", "paid")];
        sequence(vec![step("which", Action::Branch(Branch { cases, otherwise })), mail("all")])
    };
    let way = |customer: &[(&str, Value)]| {
        let mut drive = Drive::through(&branch(vec![mail("else")]));
        drive.customer = customer.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let done = drive.all();
        (done[0].clone(), drive.progress.steps["which"].outcome.clone(), done.len())
    };
    let (pro, paid) = (("plan", Value::Text("pro".into())), ("paid", Value::Number(1.0)));
    assert_eq!(way(&[pro, paid.clone()]), ("pro/1".into(), "cases[0]".into(), 3));
    assert_eq!(way(&[paid]), ("paid/1".into(), "cases[1]".into(), 3));
    assert_eq!(way(&[]), ("else/1".into(), "otherwise".into(), 3));
    assert_eq!(Drive::through(&branch(Vec::new())).all(), ["all/1", "Completed"]);
}

#[test]
fn rules_see_the_event_that_started_the_run_and_what_became_of_steps() {
    let case = |when: &str, id| Case { when: when.into(), steps: vec![mail(id)] };
    let branch = |id, cases| step(id, Action::Branch(Branch { cases, otherwise: Vec::new() }));
    let mut drive = Drive::through(&sequence(vec![
        mail("first"),
        branch("seen", vec![case("event.type == 'asked' && run.arm == 'treated'", "second")]),
        branch(
            "known",
            vec![
                case("run.steps.first.outcome == 'failed'", "no"),
                case("run.steps.second.visits == 1", "third"),
            ],
        ),
    ]));
    drive.event = Some(event("e1", "asked", drive.now));
    assert_eq!(drive.all(), ["first/1", "second/1", "third/1", "Completed"]);
}

#[test]
fn a_split_gives_every_draw_to_one_variant_by_its_weight() {
    let variant = |id: &str, weight| Variant { id: id.into(), weight, steps: vec![mail(id)] };
    let split = Split { variants: vec![variant("a", 1), variant("b", 2), variant("c", 1)] };
    let split = sequence(vec![step("toss", Action::Split(split))]);
    let way = |draw| {
        let mut drive = Drive::through(&split);
        drive.draw = Fixed(draw);
        drive.all().remove(0)
    };
    let edges = [0, 2_499, 2_500, 7_499, 7_500, 9_999].map(way);
    assert_eq!(edges, ["a/1", "a/1", "b/1", "b/1", "c/1", "c/1"]);
}

#[test]
fn repetitions_end_by_their_number_or_their_rule_and_begin_anew_inside_others() {
    let repeat = |id: &str, times, until: &str, steps| {
        step(id, Action::Repeat(Repeat { times, until: until.into(), steps }))
    };
    let inner = repeat("inner", 2, "", vec![mail("ask")]);
    let outer = sequence(vec![repeat("outer", 2, "", vec![inner, call("tell")])]);
    let expected = ["ask/1", "ask/2", "tell/1", "ask/3", "ask/4", "tell/2", "Completed"];
    assert_eq!(Drive::through(&outer).all(), expected);
    let until = "run.steps.ask.visits >= 3";
    let bounded = sequence(vec![repeat("nag", 10, until, vec![mail("ask")]), call("tell")]);
    assert_eq!(Drive::through(&bounded).all(), ["ask/1", "ask/2", "ask/3", "tell/1", "Completed"]);
}

#[test]
fn an_end_ends_the_run_wherever_it_stands() {
    let case = Case { when: "!has(customer.name)".into(), steps: vec![step("stop", Action::End)] };
    let branch = Branch { cases: vec![case], otherwise: Vec::new() };
    let sequence = sequence(vec![step("known", Action::Branch(branch)), mail("ask")]);
    assert_eq!(Drive::through(&sequence).all(), ["Completed"]);
    let mut named = Drive::through(&sequence);
    named.customer.insert("name".into(), Value::Text("Ada".into()));
    assert_eq!(named.all(), ["ask/1", "Completed"]);
}

fn waiting_for(rule: &str) -> Sequence {
    let wait =
        WaitFor { rule: rule.into(), within: DAY, then: vec![mail("met")], otherwise: vec![mail("late")] };
    sequence(vec![step("hear", Action::WaitFor(wait)), call("tell")])
}

#[test]
fn an_event_that_comes_in_time_leads_one_way_and_silence_the_other() {
    let heard = |received: i64| {
        let mut drive = Drive::through(&waiting_for("event.type == 'invoice_paid'"));
        let began = drive.now;
        // What was there before the wait counts for nothing.
        drive.arrivals = vec![event("e0", "invoice_paid", began.plus(-1))];
        assert_eq!(drive.next(), Did::Waits(began.plus(DAY)));
        drive.arrivals =
            vec![event("e1", "opened", began), event("e2", "invoice_paid", began.plus(received))];
        drive.now = began.plus(received.min(DAY));
        drive.next()
    };
    assert_eq!(heard(HOUR), Did::Sends("met".into(), 1));
    assert_eq!(heard(DAY - 1), Did::Sends("met".into(), 1));
    assert_eq!(heard(DAY), Did::Sends("late".into(), 1));
}

#[test]
fn woken_by_something_else_it_goes_on_waiting_until_the_same_instant() {
    let mut drive = Drive::through(&waiting_for("event.type == 'invoice_paid'"));
    let until = drive.now.plus(DAY);
    assert_eq!(drive.next(), Did::Waits(until));
    drive.now = drive.now.plus(HOUR);
    drive.arrivals = vec![event("e1", "opened", drive.now)];
    assert_eq!(drive.next_with_notes(), (Did::Waits(until), Vec::new()));
    drive.now = until;
    assert_eq!(drive.all(), ["late/1", "tell/1", "Completed"]);
}

#[test]
fn a_rule_without_an_event_is_asked_at_once() {
    let mut drive = Drive::through(&waiting_for("customer.plan == 'pro'"));
    drive.customer.insert("plan".into(), Value::Text("pro".into()));
    assert_eq!(drive.all(), ["met/1", "tell/1", "Completed"]);
}

#[test]
fn business_time_is_that_of_the_calendar() {
    let rest = Wait { span: 2 * HOUR, basis: TimeBasis::Business };
    let mut drive = Drive::through(&sequence(vec![step("rest", Action::Wait(rest)), mail("ask")]));
    assert_eq!(drive.next(), Did::Stuck);
    let spec = CalendarSpec {
        hours: "Mo-Fr 09:00-17:00".into(),
        holidays: Vec::new(),
        zone: "Europe/Berlin".into(),
    };
    drive = Drive { business: Calendar::compile(&spec, &mut Violations::new()), place: 0, ..drive };
    // A Friday at 16:00 in Berlin.
    drive.now = at("2026-03-06T15:00:00Z");
    assert_eq!(drive.next(), Did::Waits(at("2026-03-09T09:00:00Z")));
}

#[test]
fn a_wait_stays_in_its_step_and_is_told_anew_from_when_it_began() {
    let mut drive = Drive::through(&sequence(vec![wait("rest", 2 * HOUR), mail("ask")]));
    let began = drive.now;
    assert_eq!(drive.next(), Did::Waits(began.plus(2 * HOUR)));
    assert_eq!(drive.program.step_at(drive.place), Some("rest"));
    // Somebody looks before it is time: nothing begins again, and nothing is noted again.
    drive.now = began.plus(HOUR);
    assert_eq!(drive.next_with_notes(), (Did::Waits(began.plus(2 * HOUR)), Vec::new()));
    // The definition is another one now.
    drive.program = Program::compile(&sequence(vec![wait("rest", 3 * HOUR), mail("ask")])).expect("valid");
    let (did, notes) = drive.next_with_notes();
    assert_eq!(did, Did::Waits(began.plus(3 * HOUR)));
    let words: Vec<_> = notes.iter().map(|note| (note.kind, note.detail.as_str())).collect();
    assert_eq!(words, [("waiting", "now waits 3h, until 2026-03-02T13:00:00Z")]);
    drive.program = Program::compile(&sequence(vec![wait("rest", 30 * MINUTE), mail("ask")])).expect("valid");
    assert_eq!(drive.next(), Did::Sends("ask".into(), 1), "that is over");
    assert_eq!(drive.progress.steps["rest"].visits, 1);
}

#[test]
fn a_wait_that_stood_behind_its_step_goes_on_behind_it() {
    let mut drive = Drive::through(&sequence(vec![wait("rest", 2 * HOUR), mail("ask")]));
    (drive.place, drive.now) = (1, drive.now.plus(2 * HOUR));
    drive.progress.visit("rest");
    assert_eq!(drive.all(), ["ask/1", "Completed"]);
}

#[test]
fn a_wait_in_business_time_goes_by_the_calendar_as_it_is_and_stays_where_there_is_none() {
    let rest = Wait { span: 2 * HOUR, basis: TimeBasis::Business };
    let office = |hours: &str| {
        let spec = CalendarSpec { hours: hours.into(), holidays: Vec::new(), zone: "UTC".into() };
        Calendar::compile(&spec, &mut Violations::new())
    };
    let mut drive = Drive::through(&sequence(vec![step("rest", Action::Wait(rest)), mail("ask")]));
    drive.business = office("Mo-Fr 09:00-17:00");
    // A Friday at 16:00.
    drive.now = at("2026-03-06T16:00:00Z");
    assert_eq!(drive.next(), Did::Waits(at("2026-03-09T10:00:00Z")));
    drive.business = office("Mo-Fr 12:00-17:00");
    drive.now = at("2026-03-09T10:00:00Z");
    assert_eq!(drive.next(), Did::Waits(at("2026-03-09T13:00:00Z")));
    drive.business = None;
    assert_eq!(drive.next(), Did::Waits(at("2026-03-09T13:00:00Z")));
    drive.now = at("2026-03-09T13:00:00Z");
    assert_eq!(drive.all(), ["ask/1", "Completed"]);
}

#[test]
fn a_change_of_zone_moves_the_moment_that_a_run_waits_for() {
    let morning = || WaitUntil::Time { minute: 9 * 60, days: BTreeSet::new() };
    let moved = |moment: WaitUntil, to: &str, now: &str| {
        let mut drive = Drive::through(&until(moment));
        drive.now = at("2026-03-02T20:00:00Z");
        assert_eq!(drive.next(), Did::Waits(at("2026-03-03T09:00:00Z")));
        (drive.zone, drive.now) = (zone(to), at(now));
        (drive.next(), drive.progress)
    };
    let later = moved(morning(), "America/New_York", "2026-03-02T21:00:00Z");
    assert_eq!(later.0, Did::Waits(at("2026-03-03T14:00:00Z")));
    let earlier = moved(morning(), "Asia/Tokyo", "2026-03-02T21:00:00Z");
    assert_eq!(earlier.0, Did::Waits(at("2026-03-03T00:00:00Z")));
    // Two hours past nine there: the moment has come.
    let past = moved(morning(), "Asia/Tokyo", "2026-03-03T02:00:00Z");
    assert_eq!((past.0, past.1.awaits), (Did::Sends("ask".into(), 1), None));
    let hours = || WaitUntil::Hours("Mo-Su 09:00-17:00".into());
    let open = moved(hours(), "Asia/Tokyo", "2026-03-03T02:00:00Z");
    assert_eq!(open.0, Did::Sends("ask".into(), 1));
    // When the wait began it was noon there; it is night by now.
    let closed = moved(hours(), "America/Los_Angeles", "2026-03-03T06:00:00Z");
    assert_eq!(closed.0, Did::Waits(at("2026-03-03T17:00:00Z")));
}

fn until(moment: WaitUntil) -> Sequence {
    sequence(vec![step("moment", Action::WaitUntil(moment)), mail("ask")])
}

#[test]
fn moments_are_those_of_the_customers_clock() {
    let morning = |days: &[u8]| WaitUntil::Time { minute: 9 * 60, days: days.iter().copied().collect() };
    let waits = |zoned: &str, moment, now: &str| {
        let mut drive = Drive::through(&until(moment));
        (drive.zone, drive.now) = (zone(zoned), at(now));
        drive.next()
    };
    let until = |text| Did::Waits(at(text));
    // The two of `semantics.md` Q10 that others get wrong: over a change of the clock, and a weekday
    // that is another one in UTC.
    let spring = waits("America/New_York", morning(&[]), "2026-03-08T02:00:00Z");
    assert_eq!(spring, until("2026-03-08T13:00:00Z"));
    let tokyo = WaitUntil::Time { minute: 8 * 60, days: BTreeSet::from([1, 2, 3, 4, 5]) };
    assert_eq!(waits("Asia/Tokyo", tokyo, "2026-03-06T22:59:00Z"), until("2026-03-08T23:00:00Z"));
    assert_eq!(waits("Asia/Kolkata", morning(&[7]), "2026-03-02T00:00:00Z"), until("2026-03-08T03:30:00Z"));
    // It is nine now, and within the hours now.
    let sends = Did::Sends("ask".into(), 1);
    assert_eq!(waits("UTC", morning(&[]), "2026-03-02T09:00:00Z"), sends);
    let hours = || WaitUntil::Hours("Mo-Fr 09:00-17:00".into());
    assert_eq!(waits("UTC", hours(), "2026-03-02T12:00:00Z"), sends);
    assert_eq!(waits("Pacific/Apia", hours(), "2026-03-06T04:00:00Z"), until("2026-03-08T20:00:00Z"));
}

#[test]
fn a_time_that_the_zone_skips_or_repeats_comes_once() {
    let next = |zoned: &str, minute, now: &str| {
        next_time(minute, &BTreeSet::new(), &zone_named(zoned).expect("a zone"), at(now)).expect("a time")
    };
    let berlin = |now| next("Europe/Berlin", 150, now);
    // Skipped on 2026-03-29: the first instant after the gap.
    assert_eq!(berlin("2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"));
    assert_eq!(berlin("2026-03-29T01:00:00.000001Z"), at("2026-03-30T00:30:00Z"));
    // Repeated on 2026-10-25: the first.
    assert_eq!(berlin("2026-10-24T12:00:00Z"), at("2026-10-25T00:30:00Z"));
    assert_eq!(berlin("2026-10-25T00:30:00.000001Z"), at("2026-10-26T01:30:00Z"));
    // Half an hour is skipped on 2026-10-04.
    assert_eq!(next("Australia/Lord_Howe", 135, "2026-10-03T10:00:00Z"), at("2026-10-03T15:30:00Z"));
    // A whole day is, 2011-12-30: its ten o'clock is the first instant of the day after.
    assert_eq!(next("Pacific/Apia", 600, "2011-12-30T09:00:00Z"), at("2011-12-30T10:00:00Z"));
    assert_eq!(next("Pacific/Apia", 600, "2011-12-30T10:00:00.000001Z"), at("2011-12-30T20:00:00Z"));
}

fn resting(policy: QuietPolicy, max_deferral: i64) -> Sequence {
    let hours = "Mo-Su 22:00-08:00; Sa,Su 00:00-24:00; PH 00:00-24:00".into();
    let quiet = QuietHours { hours, holidays: vec!["2026-03-09".into()], policy, max_deferral };
    Sequence { quiet: Some(quiet), ..sequence(vec![mail("ask"), call("tell")]) }
}

#[test]
fn mail_waits_until_hours_weekdays_and_holidays_together_allow_it() {
    let mut drive = Drive::through(&resting(QuietPolicy::Defer, 5 * DAY));
    drive.zone = zone("Europe/Berlin");
    // A Friday evening before a weekend and a holiday; an end is no part of the hours.
    drive.now = at("2026-03-06T21:00:00Z");
    let tuesday = at("2026-03-10T07:00:00Z");
    let (did, notes) = drive.next_with_notes();
    assert_eq!((did, notes[0].kind), (Did::Waits(tuesday), "deferred"));
    drive.now = tuesday.plus(-1);
    assert_eq!(drive.next(), Did::Waits(tuesday));
    drive.now = tuesday;
    assert_eq!(drive.all(), ["ask/1", "tell/1", "Completed"]);
}

#[test]
fn mail_in_quiet_hours_is_left_out_or_ends_the_run_where_the_policy_says_so() {
    let night = |policy, longest| {
        let mut drive = Drive::through(&resting(policy, longest));
        drive.now = at("2026-03-02T23:00:00Z");
        drive.all()
    };
    assert_eq!(night(QuietPolicy::Skip, DAY), ["tell/1", "Completed"]);
    assert_eq!(night(QuietPolicy::Abort, DAY), ["Quiet"]);
    // Nine hours are left of the night.
    assert_eq!(night(QuietPolicy::Defer, 9 * HOUR), ["ask/1", "tell/1", "Completed"]);
    assert_eq!(night(QuietPolicy::Defer, 9 * HOUR - 1), ["tell/1", "Completed"]);
}

#[test]
fn what_the_customer_asked_for_and_machines_know_no_night() {
    let night = |sequence: &Sequence| {
        let mut drive = Drive::through(sequence);
        drive.now = at("2026-03-02T23:00:00Z");
        drive.next()
    };
    let transactional = Sequence { class: MessageClass::Transactional, ..resting(QuietPolicy::Abort, DAY) };
    assert_eq!(night(&transactional), Did::Sends("ask".into(), 1));
    let machine = Sequence { steps: vec![call("tell")], ..resting(QuietPolicy::Abort, DAY) };
    assert_eq!(night(&machine), Did::Sends("tell".into(), 1));
}

#[test]
fn a_change_of_zone_while_a_mail_waits_is_heeded_on_waking() {
    let mut drive = Drive::through(&resting(QuietPolicy::Defer, 2 * DAY));
    drive.now = at("2026-03-02T23:00:00Z");
    let morning = at("2026-03-03T08:00:00Z");
    assert_eq!(drive.next(), Did::Waits(morning));
    (drive.zone, drive.now) = (zone("America/New_York"), morning);
    // Three at night there.
    assert_eq!(drive.next(), Did::Waits(at("2026-03-03T13:00:00Z")));
    drive.now = morning.plus(10 * MINUTE);
    drive.zone = zone("Asia/Tokyo");
    assert_eq!(drive.next(), Did::Sends("ask".into(), 1));
}

#[test]
fn the_same_arguments_give_the_same_step() {
    let mut drive = Drive::through(&waiting_for("event.type == 'invoice_paid'"));
    let before = (drive.place, drive.progress.clone());
    let first = (drive.next_with_notes(), drive.place, drive.progress.clone());
    (drive.place, drive.progress) = before;
    assert_eq!((drive.next_with_notes(), drive.place, drive.progress.clone()), first);
    let text = serde_json::to_string(&drive.progress).expect("JSON");
    assert_eq!(serde_json::from_str::<Progress>(&text).expect("what we wrote"), drive.progress);
}
