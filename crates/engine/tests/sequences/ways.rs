//! Runs that take ways: by rules, by chance, by what comes in, and by the customer's clock.

use rekindle_core::event::Author;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{
    Action, Branch, Case, QuietHours, QuietPolicy, ReentryPer, ReentryRule, Repeat, Sequence, Split, Step,
    Variant, Wait, WaitFor,
};
use rekindle_core::time::{DAY, HOUR};
use rekindle_ports::ledger::{DeliveryState, EndReason, RunState};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, call, email, mail, retry, sequence, step, wait, wrong_fields};

fn case(when: &str, steps: Vec<Step>) -> Case {
    Case { when: when.into(), steps }
}

#[tokio::test]
async fn a_branch_is_taken_by_attributes_as_they_are_when_the_run_comes_to_it() {
    let branch = Branch {
        cases: vec![
            case("customer.plan == 'pro' && event.type == 'agent_message'", vec![call("ring")]),
            case("customer.plan == 'pro'", Vec::new()),
        ],
        otherwise: vec![mail("ask")],
    };
    let steps = vec![wait("patience", HOUR), step("which", Action::Branch(branch))];
    for database in databases().await {
        let house = House::with(&database, sequence(steps.clone())).await;
        house.answer_ann().await;
        house.go(600).await;
        // After the run began, and before it comes to the branch.
        house.hear(event("ann-2", "customer_updated", 2_000).only("ann").with("plan", "pro")).await;
        house.go(4_200).await;
        assert_eq!(house.sent(), ["ring"], "{}", database.name);
        house.assert_run(RunState::Completed).await;
        let expected =
            ["started", "waiting", "branched", "delivery_created", "delivery_settled", "completed"];
        assert_eq!(house.lines().await, expected);
    }
}

#[tokio::test]
async fn rules_know_what_became_of_a_message_and_repetitions_write_a_new_one_each_round() {
    let again = Repeat {
        times: 3,
        until: "run.steps.tell.outcome == 'delivered'".into(),
        steps: vec![call("tell"), wait("rest", HOUR)],
    };
    let known =
        Branch { cases: vec![case("run.steps.tell.visits == 2", vec![mail("ask")])], otherwise: Vec::new() };
    let steps = vec![step("again", Action::Repeat(again)), step("known", Action::Branch(known))];
    for database in databases().await {
        let house = House::with(&database, sequence(steps.clone())).await;
        house.answer_ann().await;
        house.courier.answer(rekindle_ports::deliver::SendOutcome::Rejected {
            phase: "response".into(),
            code: Some(400),
            response: "no".into(),
            suppress: false,
            disable_destination: false,
        });
        house.go(600).await;
        house.go(4_200).await;
        house.go(7_800).await;
        assert_eq!(house.sent(), ["tell", "tell", "ask"], "{}", database.name);
        let run = house.the_run().await.run.id.simple().to_string();
        let ids: Vec<String> = house.deliveries().await.into_iter().map(|it| it.id).collect();
        let expected = ["tell-1", "tell-2", "ask-1"].map(|end| format!("{run}-{end}"));
        assert_eq!(ids, expected);
        house.assert_run(RunState::Completed).await;
    }
}

fn waiting(rule: &str) -> Sequence {
    let wait =
        WaitFor { rule: rule.into(), within: DAY, then: vec![call("met")], otherwise: vec![call("late")] };
    sequence(vec![step("hear", Action::WaitFor(wait))])
}

#[tokio::test]
async fn an_event_wakes_the_run_that_waits_for_it_and_others_do_not() {
    for database in databases().await {
        let house = House::with(&database, waiting("event.type == 'invoice_opened'")).await;
        house.answer_ann().await;
        house.go(600).await;
        assert_eq!(house.the_run().await.current_step, "hear");
        house.hear(event("o1", "note", 700).of("c1")).await;
        house.go(700).await;
        assert!(house.sent().is_empty());
        assert_eq!(house.the_run().await.run.next_at, Some(at(600).plus(DAY)));
        house.hear(event("o2", "invoice_opened", 800).of("c1").by(Author::System)).await;
        house.go(800).await;
        assert_eq!(house.sent(), ["met"], "{}", database.name);
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn an_attribute_can_be_what_a_run_waits_for_and_time_runs_out_at_its_instant() {
    for database in databases().await {
        let house = House::with(&database, waiting("customer.plan == 'pro'")).await;
        house.answer_ann().await;
        house.go(600).await;
        house.hear(event("ann-2", "customer_updated", 900).only("ann").with("plan", "pro")).await;
        house.go(900).await;
        assert_eq!(house.sent(), ["met"], "{}", database.name);
    }
    for database in databases().await {
        let house = House::with(&database, waiting("customer.plan == 'pro'")).await;
        house.answer_ann().await;
        house.go(600).await;
        house.go(600 + 86_399).await;
        assert!(house.sent().is_empty());
        house.go(600 + 86_400).await;
        assert_eq!(house.sent(), ["late"], "{}", database.name);
    }
}

#[tokio::test]
async fn a_customer_who_comes_back_ends_a_run_that_waits_for_something_else() {
    for database in databases().await {
        let house = House::with(&database, waiting("event.type == 'invoice_opened'")).await;
        house.answer_ann().await;
        house.go(600).await;
        house.word("e3", "customer_message", 700).await;
        house.go(200_000).await;
        assert!(house.sent().is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
    }
}

#[tokio::test]
async fn who_is_held_out_walks_every_step_and_gets_nothing() {
    let steps = || vec![mail("ask"), wait("rest", HOUR), call("tell")];
    for database in databases().await {
        let held = Sequence { holdout: 5_000, ..sequence(steps()) };
        let house = House::with(&database, held).await;
        // By the hash some of these are held out, and always the same ones.
        for number in 0..24 {
            let (conversation, customer) = (format!("h{number}"), format!("who{number}"));
            let profile = event(&format!("p{number}"), "customer_updated", 0).only(&customer);
            house.hear(profile.with("email", "who@example.invalid").with("name", "Who")).await;
            for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
                let word = event(&format!("{id}{number}"), kind, 0).of(&conversation);
                house.hear(word.from_customer(&customer)).await;
            }
        }
        house.go(600).await;
        house.go(4_200).await;
        let runs = house.runs().await;
        assert_eq!(runs.len(), 24);
        assert!(runs.iter().all(|view| view.run.state == RunState::Completed));
        let held: Vec<_> = runs.iter().filter(|view| view.run.arm == Arm::HeldOut).collect();
        assert!((4..=20).contains(&held.len()), "{}", held.len());
        assert_eq!(house.sent().len(), 2 * (24 - held.len()), "{}", database.name);
        let deliveries = house.deliveries().await;
        let ghosts: Vec<_> = deliveries.iter().filter(|it| it.state == DeliveryState::HeldOut).collect();
        assert_eq!(ghosts.len(), 2 * held.len());
        assert!(ghosts.iter().all(|ghost| held.iter().any(|view| view.run.id == ghost.run)));
        assert!(ghosts.iter().all(|ghost| ghost.attempts == 0));
    }
}

#[tokio::test]
async fn variants_share_the_customers_and_each_keeps_its_own() {
    let variant = |id: &str| Variant { id: id.into(), weight: 1, steps: vec![call(id)] };
    let toss = |id| step(id, Action::Split(Split { variants: vec![variant("a"), variant("b")] }));
    let mut two = vec![toss("toss")];
    two.push(mail("ask"));
    for database in databases().await {
        let house = House::with(&database, sequence(two.clone())).await;
        house.answer_ann().await;
        house.go(600).await;
        let first = house.sent().remove(0);
        // The same customer, in another conversation.
        for (id, kind) in [("n1", "customer_message"), ("n2", "agent_message")] {
            house.hear(event(id, kind, 1_000).of("c9").from_customer("ann")).await;
        }
        house.go(1_600).await;
        assert_eq!(house.sent(), [first.as_str(), "ask", first.as_str(), "ask"], "{}", database.name);
    }
}

/// Quiet from ten at night to eight in the morning, and all Sunday.
fn resting(policy: QuietPolicy) -> Sequence {
    let hours = "Mo-Su 22:00-08:00; Su 00:00-24:00".into();
    let quiet = QuietHours { hours, holidays: Vec::new(), policy, max_deferral: 3 * DAY };
    Sequence { quiet: Some(quiet), ..sequence(vec![mail("ask"), call("tell")]) }
}

/// Seconds from the beginning of the test's time to an instant.
fn seconds(instant: &str) -> i64 {
    let instant = rekindle_core::Timestamp::parse(instant).expect("valid");
    instant.since(at(0)) / rekindle_core::time::SECOND
}

#[tokio::test]
async fn a_mail_waits_for_the_customers_morning() {
    for database in databases().await {
        let house = House::with(&database, resting(QuietPolicy::Defer)).await;
        house.hear(event("z1", "customer_updated", 0).only("ann").with("zone", "Asia/Tokyo")).await;
        // A Saturday, 21:55 in Tokyo; stalled ten minutes later.
        let evening = next_saturday(seconds("2026-01-03T12:55:00Z"));
        house.word("e1", "customer_message", evening).await;
        house.word("e2", "agent_message", evening).await;
        house.go(evening + 600).await;
        assert!(house.sent().is_empty(), "{}", database.name);
        assert_eq!(house.lines().await, ["started", "deferred"]);
        // Monday, eight o'clock there.
        let morning = evening + 34 * 3_600 + 300;
        assert_eq!(house.the_run().await.run.next_at, Some(at(morning)));
        house.go(morning - 1).await;
        assert!(house.sent().is_empty());
        house.go(morning).await;
        assert_eq!(house.sent(), ["ask", "tell"]);
    }
}

/// The same time of a Saturday that lies after the beginning of the test's time.
fn next_saturday(seconds: i64) -> i64 {
    seconds.rem_euclid(7 * 86_400) + 7 * 86_400
}

#[tokio::test]
async fn a_second_attempt_waits_for_the_morning_too() {
    for database in databases().await {
        let house = House::with(&database, resting(QuietPolicy::Defer)).await;
        // A Saturday, 21:45 in UTC; a retry comes 15 minutes later at the soonest.
        let evening = next_saturday(seconds("2026-01-03T21:38:00Z"));
        house.word("e1", "customer_message", evening).await;
        house.word("e2", "agent_message", evening).await;
        house.courier.answer(retry());
        house.go(evening + 600).await;
        assert_eq!(house.sent(), ["ask"]);
        house.go(evening + 7_200).await;
        let waiting = house.deliveries().await.remove(0);
        let monday = evening + 34 * 3_600 + 22 * 60;
        assert_eq!((waiting.reason.as_str(), waiting.next_at), ("quiet hours", Some(at(monday))));
        house.go(monday).await;
        assert_eq!(house.sent(), ["ask", "ask", "tell"], "{}", database.name);
    }
}

#[tokio::test]
async fn quiet_hours_leave_a_mail_out_or_end_the_run() {
    for (policy, expected) in [(QuietPolicy::Skip, vec!["tell"]), (QuietPolicy::Abort, Vec::new())] {
        for database in databases().await {
            let house = House::with(&database, resting(policy)).await;
            let night = next_saturday(seconds("2026-01-03T23:00:00Z"));
            house.word("e1", "customer_message", night).await;
            house.word("e2", "agent_message", night).await;
            house.go(night + 600).await;
            assert_eq!(house.sent(), expected, "{}", database.name);
            let run = house.the_run().await.run;
            let over = match policy {
                QuietPolicy::Abort => (RunState::Ended, Some(EndReason::QuietHours)),
                _ => (RunState::Completed, None),
            };
            assert_eq!((run.state, run.end_reason), over);
        }
    }
}

#[tokio::test]
async fn every_wrong_step_is_named_by_its_path_however_deep_it_stands() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let mut bad = email();
        bad.subject = "{{ oops".into();
        bad.destination = "nowhere".into();
        let branch = Branch {
            cases: vec![case("run.steps.gone.outcome == 'x'", vec![step("deep", Action::SendEmail(bad))])],
            otherwise: vec![step("stop", Action::End), call("never")],
        };
        let split = Split { variants: vec![Variant { id: "a".into(), weight: 0, steps: Vec::new() }] };
        let rounds = Repeat { times: 0, until: "nonsense(".into(), steps: Vec::new() };
        let business = Wait { span: HOUR, basis: rekindle_core::funnel::TimeBasis::Business };
        let wrong = sequence(vec![
            step("which", Action::Branch(branch)),
            step("toss", Action::Split(split)),
            step("again", Action::Repeat(rounds)),
            step("rest", Action::Wait(business)),
        ]);
        let created =
            house.engine.create_sequence(house.scope, "wrong", wrong, rekindle_engine::Creation::default());
        let expected = [
            "steps[0].branch.cases[0].when",
            "steps[0].branch.otherwise[1]",
            "steps[1].split.variants",
            "steps[1].split.variants[0].weight",
            "steps[2].repeat.times",
            "steps[2].repeat.steps",
            "steps[2].repeat.until",
            "steps[0].branch.cases[0].steps[0].sendEmail.subject",
            "steps[3].wait.basis",
            "steps[0].branch.cases[0].steps[0].sendEmail.destination",
        ];
        assert_eq!(wrong_fields(created.await), expected);
    }
}

#[tokio::test]
async fn the_entry_filter_lets_in_whom_it_names_and_the_others_are_on_record() {
    for database in databases().await {
        let filtered = Sequence {
            entry: "customer.name == 'Bob' && event.author == 'agent'".into(),
            ..sequence(vec![call("tell")])
        };
        let house = House::with(&database, filtered).await;
        let bob = event("bob-1", "customer_updated", 0).only("bob");
        house.hear(bob.with("email", "bob@example.invalid").with("name", "Bob")).await;
        house.answer_ann().await;
        for (id, kind) in [("b1", "customer_message"), ("b2", "agent_message")] {
            house.hear(event(id, kind, 0).of("c2").from_customer("bob")).await;
        }
        house.go(600).await;
        let runs = house.runs().await;
        let of = |name: &str| {
            let view = runs.iter().find(|view| view.customer.as_deref() == Some(name)).expect("a run");
            (view.run.state, view.run.end_reason)
        };
        assert_eq!(of("bob"), (RunState::Completed, None), "{}", database.name);
        assert_eq!(of("ann"), (RunState::Skipped, Some(EndReason::Filtered)));
        assert_eq!(house.sent(), ["tell"]);
    }
}

#[tokio::test]
async fn a_subject_has_a_run_no_more_often_than_the_cool_down_says() {
    let rules = [
        (ReentryPer::Conversation, Some(HOUR), vec![true, true, false, true]),
        (ReentryPer::Customer, Some(HOUR), vec![true, false, false, true]),
        (ReentryPer::Customer, None, vec![true, false, false, false]),
        // Each conversation is one attempt, which none of them brings to its end.
        (ReentryPer::Attempt, None, vec![true, true, false, false]),
    ];
    for (per, cool_down, expected) in rules {
        for database in databases().await {
            let reentry = Some(ReentryRule { per, cool_down });
            let house = House::with(&database, Sequence { reentry, ..sequence(vec![call("tell")]) }).await;
            // Ann goes quiet in two conversations, in the first of them twice more.
            let quiet = [("c1", 0), ("c2", 60), ("c1", 1_200), ("c1", 7_200)];
            for (number, (conversation, at)) in quiet.into_iter().enumerate() {
                for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
                    let word = event(&format!("{id}{number}"), kind, at).of(conversation);
                    house.hear(word.from_customer("ann")).await;
                }
                house.go(at + 600).await;
            }
            let mut runs = house.runs().await;
            runs.sort_by_key(|view| view.run.due_at);
            let began: Vec<bool> = runs.iter().map(|view| view.run.state == RunState::Completed).collect();
            assert_eq!(began, expected, "{}: {per:?} {cool_down:?}", database.name);
            let refused = runs.iter().filter(|view| view.run.state == RunState::Skipped);
            assert!(refused.clone().all(|view| view.run.end_reason == Some(EndReason::CoolDown)));
        }
    }
}
