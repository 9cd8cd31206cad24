//! Failures that are done again, each once.

use std::sync::Arc;

use rekindle_core::ingest::NewEvent;
use rekindle_core::sequence::{Action, Sequence};
use rekindle_core::time::SECOND;
use rekindle_engine::runs::Whom;
use rekindle_engine::{Creation, EngineError, Precondition};
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{DeliveryState, EndReason, RunState};
use rekindle_ports::store::replays::{Covers, Failures, ReplayRow, ReplayState};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::{TestDatabase, databases};
use uuid::Uuid;

use crate::house::{House, email, sequence, step};

/// Two pages and a part of one.
const MANY: usize = 120;
/// Failures of one page.
const PAGE: i64 = 50;

fn refused() -> SendOutcome {
    SendOutcome::Rejected {
        phase: "data".into(),
        code: Some(554),
        response: "not today".into(),
        suppress: false,
        disable_destination: false,
    }
}

/// A mail at once, and nothing more.
fn one_mail() -> Sequence {
    sequence(vec![step("ask", Action::SendEmail(email()))])
}

/// Everything that failed until a second.
fn until(seconds: i64) -> Covers {
    Covers::Failures(Failures { from: Some(at(0)), until: Some(at(seconds)), ..Failures::default() })
}

impl House {
    /// Begins a replay at a second.
    async fn replay(&self, seconds: i64, covers: Covers) -> ReplayRow {
        self.clock.set(at(seconds));
        let begun = self.engine.create_replay(self.scope, covers, Creation::default()).await;
        begun.expect("something failed")
    }

    /// Works on replays until nothing is left, and does what follows; the replay as it is then.
    async fn replayed(&self, id: Uuid) -> ReplayRow {
        while self.engine.replay_step(self.scope).await.expect("replays go on") {}
        self.loops.drain().await.expect("the loops can work");
        self.engine.replay(self.scope, id).await.expect("it is there")
    }

    /// What the ledger of the one run says of replays.
    async fn told(&self) -> Vec<String> {
        let id = self.the_run().await.run.id;
        let lines = self.engine.run_events(self.scope, id).await.expect("readable");
        lines.into_iter().filter(|line| line.kind == "replayed").map(|line| line.detail).collect()
    }

    /// As many conversations that go quiet at 600.
    async fn crowd(&self, count: usize) {
        let quiet = |place: usize| -> [NewEvent; 3] {
            let (who, what) = (format!("who-{place}"), format!("what-{place}"));
            let known = event(&format!("k-{place}"), "customer_updated", 0).only(&who);
            let known = known.with("email", format!("{who}@example.invalid")).with("name", who.clone());
            let asks = event(&format!("a-{place}"), "customer_message", 0).of(&what).from_customer(&who);
            let answer = event(&format!("b-{place}"), "agent_message", 0).of(&what).from_customer(&who);
            [known, asks, answer]
        };
        let events: Vec<NewEvent> = (0..count).flat_map(quiet).collect();
        let report = self.engine.ingest(self.scope, events).await.expect("it can be stored");
        assert_eq!(report.accepted as usize, 3 * count, "{report:?}");
        for _ in 0..count {
            self.courier.answer(refused());
        }
        self.go(600).await;
        assert_eq!(self.courier.sent().len(), count, "each is tried once");
    }
}

/// The counts of a replay: failures, looked at, replayed, skipped.
fn counts(row: &ReplayRow) -> [i64; 4] {
    [row.total, row.done(), row.replayed, row.skipped]
}

async fn crowded(database: &TestDatabase, count: usize) -> House {
    let house = House::with(database, one_mail()).await;
    house.crowd(count).await;
    house
}

#[tokio::test]
async fn a_failed_mail_is_replayed_once_and_arrives_under_the_same_id() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.courier.answer(refused());
        house.answer_ann().await;
        house.go(600).await;
        house.go(4_200).await;
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Failed);
        house.clock.set(at(5_000));
        let check = house.engine.create_replay(house.scope, until(5_000), Creation::check_only()).await;
        assert_eq!(check.expect("a good question").total, 1);
        assert!(house.engine.replays(house.scope, None, 10).await.expect("readable").is_empty());
        let once = || house.engine.create_replay(house.scope, until(5_000), Creation::once("again"));
        let begun = once().await.expect("something failed");
        assert_eq!(once().await.expect("the same").id, begun.id);
        let done = house.replayed(begun.id).await;
        assert_eq!((done.state, counts(&done)), (ReplayState::Done, [1, 1, 1, 0]));
        let sent = house.courier.sent();
        assert_eq!(sent.len(), 2, "{}: {sent:#?}", database.name);
        assert_eq!((&sent[0].id, &sent[0].message), (&sent[1].id, &sent[1].message));
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Delivered);
        assert_eq!(house.told().await, [format!("{}: it is sent again", sent[0].id)]);
        assert_eq!(house.replay(5_100, until(5_100)).await.total, 0, "nothing is left");
        let over = house.engine.cancel_replay(house.scope, begun.id).await;
        let reason = Precondition::ReplayNotCancellable;
        assert!(matches!(over, Err(EngineError::Precondition { reason: it, .. }) if it == reason));
    }
}

#[tokio::test]
async fn a_mail_that_could_not_be_written_is_written_anew() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        for (id, kind) in [("z1", "customer_message"), ("z2", "agent_message")] {
            house.hear(event(id, kind, 0).of("c9").from_customer("zoe")).await;
        }
        house.go(600).await;
        house.go(4_200).await;
        let failed = house.deliveries().await.remove(0);
        assert_eq!((failed.state, failed.attempts), (DeliveryState::Failed, 0));
        let run = house.the_run().await.run.id;
        let still = house.replay(4_300, Covers::Run(run)).await;
        assert_eq!(counts(&house.replayed(still.id).await), [1, 1, 0, 1], "she has no address yet");
        let known = event("z3", "customer_updated", 5_000).only("zoe");
        house.hear(known.with("email", "zoe@example.invalid").with("name", "Zoe")).await;
        let begun = house.replay(5_001, Covers::Delivery(failed.id.clone())).await;
        assert_eq!(counts(&house.replayed(begun.id).await), [1, 1, 1, 0]);
        let sent = house.courier.sent();
        assert_eq!(sent.len(), 1, "{}: {sent:#?}", database.name);
        assert_eq!((&sent[0].id, sent[0].recipient.as_str()), (&failed.id, "zoe@example.invalid"));
        assert_eq!(house.deliveries().await[0].created_at, failed.created_at);
        assert!(house.told().await[1].ends_with("it is written anew"));
        let again =
            house.engine.create_replay(house.scope, Covers::Delivery(failed.id), Creation::default()).await;
        let reason = Precondition::DeliveryNotReplayable;
        assert!(matches!(again, Err(EngineError::Precondition { reason: it, .. }) if it == reason));
    }
}

#[tokio::test]
async fn whoever_came_back_is_not_written_to_and_the_ledger_says_so() {
    for database in databases().await {
        let house = House::with(&database, one_mail()).await;
        house.courier.answer(refused());
        house.answer_ann().await;
        house.go(600).await;
        house.assert_run(RunState::Completed).await;
        house.word("e3", "customer_message", 1_000).await;
        let begun = house.replay(2_000, until(2_000)).await;
        let done = house.replayed(begun.id).await;
        assert_eq!((done.state, counts(&done)), (ReplayState::Done, [1, 1, 0, 1]));
        assert_eq!(house.courier.sent().len(), 1, "{}", database.name);
        let told = house.told().await;
        assert!(told[0].contains("not replayed: the customer came back"), "{told:?}");
    }
}

/// Ends the one run as one that could not be worked on.
async fn fail(house: &House) -> Uuid {
    let run = house.the_run().await.run.id;
    let mut tx = house.store.begin(house.scope).await.expect("it answers");
    tx.end_runs(&[(run, EndReason::Failed)], at(700)).await.expect("written");
    tx.commit().await.expect("committed");
    house.assert_run(RunState::Ended).await;
    run
}

#[tokio::test]
async fn a_failed_run_goes_on_where_it_stood() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        fail(&house).await;
        let begun = house.replay(5_000, until(5_000)).await;
        assert_eq!(counts(&house.replayed(begun.id).await), [1, 1, 1, 0]);
        house.assert_run(RunState::Running).await;
        let run = house.the_run().await.run;
        assert_eq!((run.end_reason, run.ended_at), (None, None));
        house.go(5_000 + 3_600).await;
        assert_eq!(house.sent(), ["ask", "tell"], "{}", database.name);
        house.assert_run(RunState::Completed).await;
        assert_eq!(house.told().await, ["it goes on where it stood"]);
    }
}

#[tokio::test]
async fn a_failed_run_stays_so_beside_another_of_its_sequence() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let failed = fail(&house).await;
        house.clock.set(at(800));
        let ann = Whom::Conversation("c1".into());
        house.engine.start_run(house.scope, "nudge", ann, Creation::default()).await.expect("it is active");
        let begun = house.replay(900, Covers::Run(failed)).await;
        assert_eq!(counts(&house.replayed(begun.id).await), [1, 1, 0, 1], "{}", database.name);
        let view = house.engine.run(house.scope, failed).await.expect("it is there");
        assert_eq!(view.run.end_reason, Some(EndReason::Failed));
    }
}

#[tokio::test]
async fn what_a_dead_process_left_is_finished_and_each_is_done_once() {
    for database in databases().await {
        let house = crowded(&database, MANY).await;
        let begun = house.replay(1_000, until(1_000)).await;
        assert_eq!(begun.total, MANY as i64);
        // No run failed; then a page of messages.
        for _ in 0..2 {
            assert!(house.engine.replay_step(house.scope).await.expect("it goes on"));
        }
        let halfway = house.engine.replay(house.scope, begun.id).await.expect("it is there");
        assert_eq!((halfway.state, counts(&halfway)), (ReplayState::Running, [MANY as i64, PAGE, PAGE, 0]));
        let House { clock, courier, store, .. } = house;
        let second = House::over(store, clock, Arc::clone(&courier), 2, 30 * SECOND);
        let done = second.replayed(begun.id).await;
        let many = MANY as i64;
        assert_eq!((done.state, counts(&done)), (ReplayState::Done, [many, many, many, 0]));
        let mut ids = courier.ids();
        assert_eq!(ids.len(), 2 * MANY, "{}: each failed once and arrived once", database.name);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), MANY);
    }
}

#[tokio::test]
async fn a_cancelled_replay_stops_and_keeps_what_it_did() {
    for database in databases().await {
        let house = crowded(&database, MANY / 2).await;
        let begun = house.replay(1_000, until(1_000)).await;
        for _ in 0..2 {
            assert!(house.engine.replay_step(house.scope).await.expect("it goes on"));
        }
        for _ in 0..2 {
            let row = house.engine.cancel_replay(house.scope, begun.id).await.expect("as often as one likes");
            assert_eq!((row.state, row.replayed), (ReplayState::Cancelled, PAGE));
        }
        assert!(!house.engine.replay_step(house.scope).await.expect("nothing to do"));
        house.loops.drain().await.expect("the loops can work");
        let sent = house.courier.sent().len() as i64;
        assert_eq!(sent, (MANY / 2) as i64 + PAGE, "{}", database.name);
    }
}
