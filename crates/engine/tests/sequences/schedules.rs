//! Runs that times start.

use rekindle_core::funnel::OwedBy;
use rekindle_core::sequence::{Action, Cause, Occasion, OnSchedule, Overlap, Sequence, Trigger, Wait};
use rekindle_core::time::{DAY, HOUR};
use rekindle_engine::Creation;
use rekindle_engine::runs::{LedgerQuery, RunChange};
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;

use crate::house::{House, change, email, step, wrong_fields};

/// Every hour on the hour, a mail to those who were answered.
pub fn hourly(steps: Vec<rekindle_core::sequence::Step>) -> Sequence {
    let on = OnSchedule { cron: "0 * * * *".into(), zone: "UTC".into(), overlap: Overlap::Skip, jitter: 0 };
    let trigger = Trigger {
        funnel: "support".into(),
        stage: "answered".into(),
        on: Occasion::Schedule(on),
        owed_by: OwedBy::Anyone,
    };
    Sequence::new(trigger, steps)
}

fn with(change: impl FnOnce(&mut OnSchedule), steps: Vec<rekindle_core::sequence::Step>) -> Sequence {
    let mut sequence = hourly(steps);
    if let Occasion::Schedule(on) = &mut sequence.trigger.on {
        change(on);
    }
    sequence
}

pub fn mail() -> Vec<rekindle_core::sequence::Step> {
    vec![step("ask", Action::SendEmail(email()))]
}

/// Three who were answered, and one who was not.
async fn busy(house: &House) {
    for (place, name) in ["ann", "bob", "cid"].iter().enumerate() {
        let conversation = format!("c{place}");
        let about = event(&format!("{name}-0"), "customer_updated", 0).only(name);
        house.hear(about.with("email", format!("{name}@example.invalid").as_str()).with("name", *name)).await;
        for (id, kind) in [("1-ask", "customer_message"), ("2-answer", "agent_message")] {
            let word = event(&format!("{name}-{id}"), kind, 1).of(&conversation).from_customer(name);
            house.hear(word).await;
        }
    }
    house.hear(event("dan-ask", "customer_message", 2).of("c9").from_customer("dan")).await;
}

#[tokio::test]
async fn everybody_in_the_stage_is_written_to_once_for_each_time() {
    for database in databases().await {
        let house = House::with(&database, hourly(mail())).await;
        busy(&house).await;
        house.go(3_599).await;
        assert!(house.runs().await.is_empty());
        house.go(3_600).await;
        house.go(3_700).await;
        let runs = house.runs().await;
        assert_eq!(runs.len(), 3);
        assert!(runs.iter().all(|run| run.run.trigger.cause == Cause::Schedule));
        assert!(runs[0].run.trigger.anchor.starts_with("schedule:"), "{:?}", runs[0].run.trigger);
        assert_eq!(house.courier.sent().len(), 3);
        // Bob goes on; the others are written to again.
        house.hear(event("bob-buys", "purchase", 3_800).of("c1").from_customer("bob")).await;
        house.go(7_200).await;
        assert_eq!(house.runs().await.len(), 5);
    }
}

#[tokio::test]
async fn of_several_missed_times_the_newest_is_made_up_for_unless_it_is_too_long_ago() {
    for database in databases().await {
        let house = House::with(&database, Sequence { max_delay: HOUR / 2, ..hourly(mail()) }).await;
        busy(&house).await;
        house.go(5 * 3_600 + 60).await;
        let runs = house.runs().await;
        assert_eq!(runs.len(), 3, "one time, not five");
        assert!(runs[0].run.due_at == event("x", "x", 5 * 3_600).occurred_at);
        house.go(7 * 3_600 + 1_801).await;
        assert_eq!(house.runs().await.len(), 3, "more than half an hour ago");
        house.go(8 * 3_600).await;
        assert_eq!(house.runs().await.len(), 6);
    }
}

#[tokio::test]
async fn who_is_under_way_gets_no_other_run_unless_the_schedule_allows_it() {
    let slow =
        || vec![step("patience", Action::Wait(Wait::wall(DAY))), step("ask", Action::SendEmail(email()))];
    for database in databases().await {
        let house = House::with(&database, hourly(slow())).await;
        busy(&house).await;
        house.go(3_600).await;
        house.go(7_200).await;
        let skipped =
            house.runs().await.iter().filter(|run| run.run.end_reason == Some(EndReason::Overlap)).count();
        assert_eq!(skipped, 3);
    }
    for database in databases().await {
        let house = House::with(&database, with(|on| on.overlap = Overlap::Allow, slow())).await;
        busy(&house).await;
        house.go(3_600).await;
        house.go(7_200).await;
        let running = house.runs().await.iter().filter(|run| run.run.state == RunState::Running).count();
        assert_eq!(running, 6);
    }
}

#[tokio::test]
async fn jitter_spreads_the_runs_and_each_keeps_its_place() {
    for database in databases().await {
        let house = House::with(&database, with(|on| on.jitter = HOUR / 2, mail())).await;
        busy(&house).await;
        house.go(3_600).await;
        let mut starts: Vec<_> = house.runs().await.iter().map(|run| run.run.next_at).collect();
        starts.sort();
        starts.dedup();
        assert_eq!(starts.len(), 3, "each at its own instant: {starts:?}");
        assert!(house.courier.sent().is_empty());
        house.go(3_600 + 1_800).await;
        assert_eq!(house.courier.sent().len(), 3);
    }
}

#[tokio::test]
async fn a_run_that_was_held_before_it_began_begins_when_it_was_planned_and_no_earlier() {
    for database in databases().await {
        let house = House::with(&database, with(|on| on.jitter = HOUR / 2, mail())).await;
        busy(&house).await;
        house.go(3_600).await;
        let change = async |change| {
            let changed = house.engine.change_runs(house.scope, LedgerQuery::default(), change).await;
            assert_eq!(changed.expect("open"), 3, "{}", database.name);
        };
        let starts = async || -> Vec<_> {
            house.runs().await.into_iter().map(|view| (view.run.id, view.run.next_at)).collect()
        };
        let planned = starts().await;
        change(RunChange::Pause).await;
        assert!(starts().await.iter().all(|(_, at)| at.is_none()));
        change(RunChange::Resume).await;
        assert_eq!(starts().await, planned, "{}", database.name);
        house.go(3_600).await;
        assert!(house.courier.sent().is_empty());
        // Whoever is let go later than that begins at once.
        change(RunChange::Pause).await;
        house.go(5_400).await;
        assert!(house.courier.sent().is_empty());
        change(RunChange::Resume).await;
        house.go(5_400).await;
        assert_eq!(house.courier.sent().len(), 3, "{}", database.name);
    }
}

#[tokio::test]
async fn a_paused_schedule_waits_for_its_next_time_and_a_new_revision_plans_anew() {
    for database in databases().await {
        let house = House::with(&database, hourly(mail())).await;
        busy(&house).await;
        house.engine.pause_sequence(house.scope, "nudge").await.expect("active");
        house.go(3_700).await;
        house.engine.resume_sequence(house.scope, "nudge").await.expect("paused");
        house.go(3_800).await;
        assert!(house.runs().await.is_empty());
        house.revise(change(with(|on| on.cron = "30 * * * *".into(), mail()))).await;
        house.go(5_400).await;
        assert_eq!(house.runs().await.len(), 3);
        house.engine.archive_sequence(house.scope, "nudge").await.expect("archived");
        house.go(20_000).await;
        assert_eq!(house.runs().await.len(), 3);
    }
}

#[tokio::test]
async fn another_word_in_a_mail_costs_nobody_the_time_that_is_due() {
    for database in databases().await {
        let house = House::with(&database, hourly(mail())).await;
        busy(&house).await;
        house.clock.set(event("x", "x", 3_600).occurred_at);
        let mut changed = hourly(mail());
        changed.display_name = "Hourly".into();
        house.revise(change(changed)).await;
        house.go(3_601).await;
        assert_eq!(house.runs().await.len(), 3);
    }
}

#[tokio::test]
async fn whom_a_schedule_does_not_let_in_is_no_news() {
    for database in databases().await {
        let wanted = Sequence { entry: "customer.name == 'bob'".into(), ..hourly(mail()) };
        let house = House::with(&database, wanted).await;
        busy(&house).await;
        house.go(3_600).await;
        assert_eq!(house.runs().await.len(), 1);
        let wrong = Sequence { entry: "event.type == 'x'".into(), ..hourly(mail()) };
        let answer = house.engine.create_sequence(house.scope, "other", wrong, Creation::default()).await;
        assert_eq!(wrong_fields(answer), ["entryFilter"]);
    }
}

#[tokio::test]
async fn a_time_is_worked_through_in_pages_and_goes_on_where_it_stopped() {
    for database in databases().await {
        let house = House::with(&database, hourly(mail())).await;
        let mut words = Vec::new();
        for number in 0..450 {
            for (id, kind) in [("1-ask", "customer_message"), ("2-answer", "agent_message")] {
                let conversation = format!("n{number}");
                words.push(
                    event(&format!("{id}-{number}"), kind, 0).of(&conversation).from_customer(&conversation),
                );
            }
        }
        house.engine.ingest(house.scope, words).await.expect("stored");
        house.clock.set(event("x", "x", 3_600).occurred_at);
        // One page a turn; then a process that begins anew.
        house.loops.turn().await.expect("a turn");
        house.go(3_601).await;
        let runs = house.engine.runs(house.scope, LedgerQuery::default(), 1_000).await.expect("readable");
        assert_eq!(runs.len(), 450);
    }
}
