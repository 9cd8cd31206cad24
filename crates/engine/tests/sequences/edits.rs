//! Sequences that are edited while runs are in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekindle_core::sequence::{Action, Sequence, WaitUntil};
use rekindle_core::time::{HOUR, MINUTE, SECOND};
use rekindle_engine::error::EngineResult;
use rekindle_engine::sequences::{Published, RunImpact, SequenceChange};
use rekindle_engine::{EngineError, Precondition};
use rekindle_ports::Store;
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_ports::resources::RunPolicy;
use rekindle_ports::rows::Lease;
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::{Fault, FaultyStore, databases};

use crate::house::{House, call, change, edit, mail, nudge, retry, sequence, step, wait, wrong_fields};

#[path = "edits/crowd.rs"]
mod crowd;

/// Like `nudge`, with another first wait.
fn impatient(span: i64) -> Sequence {
    let mut sequence = nudge();
    sequence.steps[0] = wait("patience", span);
    sequence
}

async fn publish(house: &House, change: SequenceChange) -> EngineResult<Published> {
    house.engine.update_sequence(house.scope, "nudge", change).await
}

fn moving(count: i64) -> RunImpact {
    RunImpact { moving: count, ..RunImpact::default() }
}

fn ending(count: i64) -> RunImpact {
    RunImpact { ending: count, ..RunImpact::default() }
}

/// A house in which Ann's run waits in `patience` from 600 to 4200; it is 1000 now.
async fn patient(database: &rekindle_testkit::TestDatabase) -> House {
    let house = House::furnished(database).await;
    house.answer_ann().await;
    house.go(600).await;
    house.clock.set(at(1_000));
    house
}

#[tokio::test]
async fn a_wait_that_is_shortened_ends_early_and_counts_from_when_it_began() {
    for database in databases().await {
        let house = patient(&database).await;
        let migrate = edit(impatient(30 * MINUTE), RunPolicy::Migrate, &[]);
        assert_eq!(house.revise(migrate).await, moving(1));
        house.go(1_000).await;
        let view = house.the_run().await;
        assert_eq!((view.run.sequence_revision, view.current_step.as_str()), (2, "patience"));
        assert_eq!(view.run.next_at, Some(at(2_400)), "{}", database.name);
        assert_eq!(house.lines().await, ["started", "waiting", "migrated", "waiting"]);
        house.go(2_399).await;
        assert!(house.sent().is_empty());
        house.go(2_400).await;
        assert_eq!(house.sent(), ["ask"]);
    }
    for database in databases().await {
        let house = patient(&database).await;
        house.revise(edit(impatient(5 * MINUTE), RunPolicy::Migrate, &[])).await;
        house.go(1_000).await;
        assert_eq!(house.sent(), ["ask"], "it is over by now, {}", database.name);
        let longer = edit(impatient(5 * HOUR), RunPolicy::Migrate, &[]);
        assert_eq!(house.revise(longer).await, moving(1));
        house.go(20_000).await;
        assert_eq!(house.sent(), ["ask", "tell"], "what is behind it is not done again");
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn runs_drain_unless_something_else_is_said() {
    for database in databases().await {
        let house = patient(&database).await;
        let impact = house.revise(change(sequence(vec![call("other")]))).await;
        assert_eq!(impact, RunImpact { staying: 1, ..RunImpact::default() });
        house.go(4_200).await;
        house.go(7_800).await;
        assert_eq!(house.sent(), ["ask", "tell"], "{}", database.name);
        let run = house.the_run().await.run;
        assert_eq!((run.sequence_revision, run.state), (1, RunState::Completed));
    }
}

#[tokio::test]
async fn runs_of_former_revisions_are_cancelled_where_that_is_said() {
    for database in databases().await {
        let house = patient(&database).await;
        house.revise(change(nudge())).await;
        let cancel = edit(nudge(), RunPolicy::Cancel, &[]);
        let check = SequenceChange { validate_only: true, ..cancel.clone() };
        assert_eq!(house.revise(check).await, ending(1));
        house.assert_run(RunState::Running).await;
        assert_eq!(house.revise(cancel).await, ending(1));
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::SequenceChanged)));
        house.go(100_000).await;
        assert!(house.sent().is_empty(), "{}", database.name);
    }
}

#[tokio::test]
async fn a_step_does_not_go_without_a_word_while_runs_stand_in_it() {
    let shorter = || sequence(vec![mail("ask"), call("tell")]);
    for database in databases().await {
        let house = House::with_two_quiet(&database).await;
        house.go(600).await;
        let answer = publish(&house, edit(shorter(), RunPolicy::Migrate, &[])).await;
        let Err(EngineError::Precondition { reason, message, metadata }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(reason, Precondition::StepInUse);
        assert!(message.ends_with("patience (2)"), "{message}");
        let expected = [("steps", "patience"), ("runs", "2")];
        assert_eq!(metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(house.engine.sequence(house.scope, "nudge").await.expect("there").revision, 1);
        let elsewhere = edit(shorter(), RunPolicy::Migrate, &[("patience", "tell")]);
        let check = SequenceChange { validate_only: true, ..elsewhere.clone() };
        assert_eq!(house.revise(check).await, moving(2));
        assert_eq!(house.runs().await[0].run.sequence_revision, 1, "it was only asked");
        assert_eq!(house.revise(elsewhere).await, moving(2));
        house.go(600).await;
        assert_eq!(house.sent(), ["tell", "tell"], "{}", database.name);
    }
    for database in databases().await {
        let house = patient(&database).await;
        let over = edit(shorter(), RunPolicy::Migrate, &[("patience", "")]);
        assert_eq!(house.revise(over).await, ending(1));
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::StepRemoved)));
    }
}

#[tokio::test]
async fn a_map_names_steps_that_there_are_and_goes_with_a_migration_alone() {
    for database in databases().await {
        let house = patient(&database).await;
        let wrong = edit(nudge(), RunPolicy::Migrate, &[("nobody", "ask"), ("patience", "nowhere")]);
        assert_eq!(wrong_fields(publish(&house, wrong).await), ["stepMap.nobody", "stepMap.patience"]);
        for policy in [RunPolicy::Drain, RunPolicy::Cancel] {
            let lone = edit(nudge(), policy, &[("patience", "ask")]);
            assert_eq!(wrong_fields(publish(&house, lone).await), ["stepMap.patience"]);
        }
        // Steps of a revision that runs still walk may be named too.
        house.revise(change(sequence(vec![call("tell")]))).await;
        let old = edit(sequence(vec![call("tell")]), RunPolicy::Migrate, &[("patience", "tell")]);
        assert_eq!(house.revise(old).await, moving(1));
        house.go(1_000).await;
        assert_eq!(house.sent(), ["tell"], "{}", database.name);
    }
}

#[tokio::test]
async fn a_message_under_way_is_awaited_and_sent_once() {
    // What comes behind it, or what the map says.
    let without_rest = || sequence(vec![wait("patience", HOUR), mail("ask"), call("tell")]);
    let without_mail = || sequence(vec![wait("patience", HOUR), call("tell"), call("ring")]);
    for (edited, map, expected) in [
        (without_rest(), [].as_slice(), ["ask", "ask", "tell"]),
        (without_mail(), [("ask", "ring")].as_slice(), ["ask", "ask", "ring"]),
    ] {
        for database in databases().await {
            let house = patient(&database).await;
            house.courier.answer(retry());
            house.go(4_200).await;
            assert_eq!(house.sent(), ["ask"]);
            let migrate = edit(edited.clone(), RunPolicy::Migrate, map);
            assert_eq!(house.revise(migrate).await, moving(1));
            house.go(4_300).await;
            assert_eq!(house.sent(), ["ask"], "it waits for its second attempt");
            house.go(6_000).await;
            assert_eq!(house.sent(), expected, "{}", database.name);
            assert_eq!(house.deliveries().await.len(), 2);
            house.assert_run(RunState::Completed).await;
        }
    }
}

/// Publishes a change by a process that dies before it reaches the first run.
async fn publish_and_die(house: &House, change: SequenceChange) {
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(Arc::clone(&house.store), 1, Fault::Before));
    let (clock, courier) = (house.clock.clone(), Arc::clone(&house.courier));
    let doomed = House::over(store, clock, courier, 2, 30 * SECOND);
    publish(&doomed, change).await.expect("it is published");
    assert_eq!(house.the_run().await.run.sequence_revision, 1, "nobody came by");
}

#[tokio::test]
async fn a_run_that_nobody_reached_follows_when_it_is_woken() {
    let shorter = || sequence(vec![mail("ask"), call("ring")]);
    for database in databases().await {
        let house = patient(&database).await;
        publish_and_die(&house, edit(shorter(), RunPolicy::Migrate, &[("patience", "ring")])).await;
        // A later revision counts it where it will have gone.
        let later = sequence(vec![call("ring"), call("tell")]);
        let check = SequenceChange { validate_only: true, ..edit(later, RunPolicy::Migrate, &[]) };
        assert_eq!(house.revise(check).await, moving(1));
        house.go(4_200).await;
        assert_eq!(house.sent(), ["ring"], "{}", database.name);
        let run = house.the_run().await.run;
        assert_eq!((run.sequence_revision, run.state), (2, RunState::Completed));
        assert!(house.lines().await.contains(&"migrated".to_owned()));
    }
    for (policy, map, reason) in [
        (RunPolicy::Cancel, [].as_slice(), EndReason::SequenceChanged),
        (RunPolicy::Migrate, [("patience", "")].as_slice(), EndReason::StepRemoved),
    ] {
        for database in databases().await {
            let house = patient(&database).await;
            publish_and_die(&house, edit(shorter(), policy, map)).await;
            // What is published after it lets runs be, and takes nothing of it back.
            house.revise(change(nudge())).await;
            house.go(4_200).await;
            assert!(house.sent().is_empty(), "{}", database.name);
            let run = house.the_run().await.run;
            assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(reason)));
        }
    }
}

#[tokio::test]
async fn whoever_holds_a_run_that_is_moved_writes_nothing_more() {
    for database in databases().await {
        let house = patient(&database).await;
        house.clock.set(at(4_200));
        let lease = Lease { owner: "slow".into(), ttl: HOUR };
        let mut tx = house.store.begin(house.scope).await.expect("it answers");
        let claims = tx.claim_runs(house.scope.bucket, at(4_200), &lease, 10).await.expect("it answers");
        tx.commit().await.expect("it answers");
        let [claim] = claims.as_slice() else { panic!("one run: {claims:?}") };
        let before = house.the_run().await.run;
        house.revise(edit(impatient(2 * HOUR), RunPolicy::Migrate, &[])).await;
        let mut tx = house.store.begin(house.scope).await.expect("it answers");
        assert!(tx.hold_runs(&claims).await.expect("it answers").is_empty());
        let stale = [(claim.clone(), before)];
        assert!(tx.release_runs(&stale).await.expect("it answers").is_empty());
        tx.commit().await.expect("it answers");
        // And the run is free for the others at once.
        house.go(4_200).await;
        let run = house.the_run().await.run;
        assert_eq!((run.sequence_revision, run.next_at), (2, Some(at(7_800))), "{}", database.name);
        house.go(7_800).await;
        assert_eq!(house.sent(), ["ask"]);
    }
}

#[tokio::test]
async fn a_change_of_zone_moves_the_morning_that_a_run_waits_for() {
    let morning = WaitUntil::Time { minute: 9 * 60, days: std::collections::BTreeSet::new() };
    let steps = vec![step("morning", Action::WaitUntil(morning)), call("tell")];
    // Ten past midnight in UTC is ten past seven in the evening in New York, and twenty to six in the
    // morning in Kolkata.
    for (zone, moment) in [("America/New_York", 50_400), ("Asia/Kolkata", 12_600)] {
        for database in databases().await {
            let house = House::with(&database, sequence(steps.clone())).await;
            house.answer_ann().await;
            house.go(600).await;
            let view = house.the_run().await;
            assert_eq!((view.current_step.as_str(), view.run.next_at), ("morning", Some(at(32_400))));
            house.hear(event("z1", "customer_updated", 700).only("ann").with("plan", "pro")).await;
            assert_eq!(house.the_run().await.run.next_at, Some(at(32_400)), "no clock was named");
            house.hear(event("z2", "customer_updated", 800).only("ann").with("zone", zone)).await;
            house.go(800).await;
            assert_eq!(house.the_run().await.run.next_at, Some(at(moment)), "{zone}, {}", database.name);
            assert_eq!(house.lines().await, ["started", "waiting", "waiting"]);
            house.go(moment - 1).await;
            assert!(house.sent().is_empty());
            house.go(moment).await;
            assert_eq!(house.sent(), ["tell"]);
        }
    }
}

#[tokio::test]
async fn the_story_of_a_run_says_that_its_sequence_changed() {
    for database in databases().await {
        let house = patient(&database).await;
        house.revise(edit(impatient(2 * HOUR), RunPolicy::Migrate, &[])).await;
        let id = house.the_run().await.run.id;
        let told = house.engine.explain(house.scope, rekindle_engine::runs::Subject::Run(id)).await;
        let told = told.expect("on record");
        let expected = "The sequence changed, and the run goes on in revision 2 at step \"patience\".";
        assert!(told.iter().any(|statement| statement.text == expected), "{told:#?}");
        let began = told.iter().find(|statement| statement.text == "Sequence \"nudge\" began.");
        let inputs = &began.expect("it began").inputs;
        assert!(inputs.contains(&("sequence", "nudge".to_owned())), "in another revision: {inputs:?}");
    }
}

/// Counts by name.
type Counts = BTreeMap<String, i64>;
