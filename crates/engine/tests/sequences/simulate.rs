//! A sequence over the past does what it would have done in the present.

use rekindle_core::event::Author;
use rekindle_core::funnel::OwedBy;
use rekindle_core::ingest::NewEvent;
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::Period;
use rekindle_core::sequence::contact::{ContactLimit, LimitPeriod};
use rekindle_core::sequence::simulate::Simulation;
use rekindle_core::sequence::{Action, SendEmail, Sequence, Wait};
use rekindle_core::time::{DAY, MINUTE};
use rekindle_engine::sequences::{Simulated, SimulationAnswer, SimulationQuestion};
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_engine::{Creation, EngineError};
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, email, sequence, step, support, wrong_fields};

/// Half an hour, then a mail to one address for all.
fn patient() -> Sequence {
    let mail = SendEmail {
        to: "all@example.invalid".into(),
        subject: "Still there?".into(),
        text: "You were last heard of at {{ silence.since }}.".into(),
        ..email()
    };
    sequence(vec![
        step("patience", Action::Wait(Wait::wall(30 * MINUTE))),
        step("ask", Action::SendEmail(mail)),
    ])
}

/// Seven conversations, each of a customer of its own, in the order of their instants.
fn history() -> Vec<(i64, NewEvent)> {
    let mut words = Vec::new();
    let mut say = |conversation: &str, seconds: i64, kind: &str| {
        let word = event(&format!("{conversation}-{seconds}-{kind}"), kind, seconds).of(conversation);
        words.push((seconds, word.from_customer(&format!("of-{conversation}"))));
    };
    for conversation in ["stays", "returns", "in-time", "buys", "is-sold", "is-told", "looks"] {
        say(conversation, 0, "customer_message");
        say(conversation, 100, "agent_message");
    }
    // Due at 700, and back before the mail; due again at 1,800.
    say("returns", 1_050, "customer_message");
    say("returns", 1_200, "agent_message");
    // Never due: back in time, and then it is our turn.
    say("in-time", 550, "customer_message");
    // What the customer does is a return, and what our side does for them is not.
    say("buys", 2_050, "purchase");
    say("is-sold", 2_050, "purchase");
    // A word of ours ends the silence and not the run, and another silence begins.
    say("is-told", 1_300, "agent_message");
    // No word, but the customer.
    say("looks", 950, "page_viewed");
    for (_, word) in &mut words {
        if word.id == "is-sold-2050-purchase" {
            word.author = Some(Author::Agent);
        }
    }
    words.sort_by_key(|(seconds, _)| *seconds);
    words
}

async fn simulated(house: &House, simulated: Simulated, period: Period) -> SimulationAnswer {
    let question = SimulationQuestion { simulated, period, samples: 2 };
    house.engine.simulate_sequence(house.scope, question).await.expect("a good question")
}

fn draft(body: Sequence) -> Simulated {
    Simulated::Draft { id: "nudge".into(), body: Box::new(body) }
}

#[tokio::test]
async fn what_is_simulated_is_what_happened() {
    for database in databases().await {
        let house = House::with(&database, patient()).await;
        let mut words = history().into_iter().peekable();
        for now in (0..8_000).step_by(100) {
            while let Some((_, word)) = words.next_if(|(seconds, _)| *seconds <= now) {
                house.hear(word).await;
            }
            house.go(now).await;
        }
        let answer = simulated(&house, Simulated::Stored("nudge".into()), Period::default()).await;
        let found = &answer.simulation;
        let expected = Simulation {
            due: 8,
            eligible: 8,
            came_back: 3,
            moved_on: 1,
            written_to: 4,
            messages: 4,
            hourly: found.hourly.clone(),
            ..Simulation::default()
        };
        assert_eq!(*found, expected, "{}", database.name);
        // Of "stays" at 2,500, twice of "is-told" at 2,500 and 3,700, and of "returns" at 3,600.
        let hours: Vec<_> = found.hourly.hours().collect();
        assert_eq!(hours, [(at(0), 2), (at(3_600), 2)]);
        assert!(answer.complete);
        assert_eq!(answer.as_of, at(7_900));

        assert_eq!(house.courier.sent().len(), 4, "{}", database.name);
        let runs = house.runs().await;
        let returned = runs.iter().filter(|view| view.run.end_reason == Some(EndReason::CustomerReturned));
        assert_eq!((runs.len(), returned.count()), (8, 3));
        let through = runs.iter().filter(|view| view.run.state == RunState::Completed);
        assert_eq!(through.count(), 4);

        assert_eq!(answer.messages.len(), 2);
        let newest = &answer.messages[0];
        assert_eq!(newest.conversation.as_deref(), Some("is-told"));
        assert_eq!(newest.customer.as_deref(), Some("of-is-told"));
        assert_eq!((newest.sent_at, newest.message.wall_delay), (at(3_700), 30 * MINUTE));
        assert_eq!(newest.message.recipient, "all@example.invalid");
        let since = at(1_300).to_rfc3339();
        assert_eq!(newest.message.text, format!("You were last heard of at {since}."));
        assert_eq!(answer.messages[1].sent_at, at(3_600));
    }
}

#[tokio::test]
async fn history_is_simulated_though_it_started_nothing_and_a_simulation_starts_nothing() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        house.clock.set(at(8_000));
        let words: Vec<NewEvent> = history().into_iter().map(|(_, word)| word).collect();
        let all = words.len() as u64;
        let report = house.engine.ingest(house.scope, words).await.expect("it can be stored");
        assert_eq!(report.accepted, all, "{}: {report:?}", database.name);
        let all = simulated(&house, draft(patient()), Period::default()).await.simulation;
        assert_eq!((all.due, all.came_back, all.moved_on, all.messages), (8, 3, 1, 4), "{}", database.name);
        // Those that came due at 1,800 and 1,900 alone.
        let later = Period { from: Some(at(1_800)), until: Some(at(1_901)) };
        let found = simulated(&house, draft(patient()), later).await.simulation;
        assert_eq!((found.due, found.written_to), (2, 2));
        let before = Period { from: Some(at(701)), until: Some(at(1_800)) };
        assert_eq!(simulated(&house, draft(patient()), before).await.simulation, Simulation::default());
        house.go(8_000).await;
        assert!(house.runs().await.is_empty() && house.courier.sent().is_empty());
    }
}

#[tokio::test]
async fn who_waits_for_our_own_side_may_ask_once_more_and_is_told_apart() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let mut ours = patient();
        ours.trigger.stage = "asked".into();
        for conversation in ["unanswered", "answered"] {
            let word = event(&format!("{conversation}-1"), "customer_message", 0).of(conversation);
            house.hear(word.from_customer(conversation)).await;
        }
        let again = event("unanswered-2", "customer_message", 6_500).of("unanswered");
        house.hear(again.from_customer("unanswered")).await;
        let answer = event("answered-2", "agent_message", 7_000).of("answered");
        house.hear(answer.from_customer("answered")).await;
        house.clock.set(at(10_000));
        let found = simulated(&house, draft(ours.clone()), Period::default()).await.simulation;
        assert_eq!((found.due, found.agent_owed, found.eligible), (2, 2, 2), "{}", database.name);
        assert_eq!((found.moved_on, found.written_to, found.came_back), (1, 1, 0));
        // Of these the customer owed none.
        ours.trigger.owed_by = OwedBy::Customer;
        let found = simulated(&house, draft(ours), Period::default()).await.simulation;
        assert_eq!((found.due, found.agent_owed, found.eligible, found.messages), (2, 2, 0, 0));
    }
}

/// Customers of more than one page.
const MANY: usize = 1_100;

#[tokio::test]
async fn limits_hold_for_every_customer_of_a_crowd_over_all_of_their_conversations() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
        body.contact_limits = vec![ContactLimit { count: 1, period: LimitPeriod::Rolling(DAY) }];
        let change = WorkspaceChange { body, etag: None };
        house.engine.update_workspace(house.scope, change).await.expect("good limits");
        let quiet = |conversation: String, customer: Option<usize>| {
            [("a", "customer_message"), ("b", "agent_message")].map(|(letter, kind)| {
                let word = event(&format!("{letter}-{conversation}"), kind, 0).of(&conversation);
                match customer {
                    Some(number) => word.from_customer(&format!("who-{number}")),
                    None => word,
                }
            })
        };
        house.clock.set(at(0));
        let once = (0..MANY).flat_map(|number| quiet(format!("one-{number}"), Some(number)));
        // Some have another, whose key comes behind those of all the others, and some nobody knows.
        let twice = [0, 1, 500, MANY - 1].map(|number| quiet(format!("two-{number}"), Some(number)));
        let strangers = (0..3).flat_map(|number| quiet(format!("nobodys-{number}"), None));
        for batch in [once.collect(), twice.concat(), strangers.collect::<Vec<NewEvent>>()] {
            let all = batch.len() as u64;
            let report = house.engine.ingest(house.scope, batch).await.expect("it can be stored");
            assert_eq!(report.accepted, all, "{report:?}");
        }
        house.clock.set(at(10 * 86_400));
        let found = simulated(&house, draft(patient()), Period::default()).await.simulation;
        let all = (MANY + 4 + 3) as i64;
        assert_eq!((found.due, found.written_to, found.messages), (all, all, all), "{}", database.name);
        assert_eq!((found.deferred, found.left_out), (4, 0), "each of the four waits a day for one of two");
        let hours: Vec<_> = found.hourly.hours().collect();
        assert_eq!(hours, [(at(0), all - 4), (at(86_400), 4)], "{}", database.name);
    }
}

#[tokio::test]
async fn what_cannot_be_simulated_is_named() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let ask = async |simulated: Simulated, period: Period| {
            let question = SimulationQuestion { simulated, period, samples: 0 };
            house.engine.simulate_sequence(house.scope, question).await
        };
        let mut wrong = patient();
        wrong.trigger.stage = "nowhere".into();
        assert_eq!(wrong_fields(ask(draft(wrong), Period::default()).await), ["trigger.stage"]);
        // The stage does warn: that is not what is missing.
        let mut warning = support();
        warning.stages[1].warn_at = Some(800);
        let created = house.engine.create_funnel(house.scope, "warning", warning, Creation::default()).await;
        created.expect("a good funnel");
        let mut warned = patient();
        (warned.trigger.funnel, warned.trigger.on) = ("warning".into(), MarkKind::Warned.into());
        assert_eq!(wrong_fields(ask(draft(warned), Period::default()).await), ["trigger.on"]);
        let backwards = Period { from: Some(at(1)), until: Some(at(1)) };
        assert_eq!(wrong_fields(ask(draft(patient()), backwards).await), ["period.endTime"]);
        let unknown = ask(Simulated::Stored("nobody".into()), Period::default()).await;
        assert!(matches!(unknown, Err(EngineError::NotFound { .. })), "{unknown:?}");
    }
}
