//! Replays, and the failures that they are about.

use rekindle_core::funnel::OwedBy;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Cause, Origin, Progress};
use rekindle_ports::ledger::{DeliveryRow, DeliveryState, EndReason, Message, RunRow, RunState};
use rekindle_ports::store::replays::{Covers, FailureKind, Failures, ReplayPlace, ReplayRow, ReplayState};
use rekindle_ports::{Store, StoreError, Tx};
use rekindle_testkit::build::at;
use rekindle_testkit::database::postgres;
use rekindle_testkit::databases;
use uuid::Uuid;

use crate::rows::{begin, key, scope};

/// A replay of everything, that began at a second.
fn replay(number: u128, began: i64) -> ReplayRow {
    ReplayRow {
        id: key(number),
        covers: Covers::Failures(Failures::default()),
        state: ReplayState::Running,
        total: 0,
        replayed: 0,
        skipped: 0,
        place: ReplayPlace::default(),
        created_at: at(began),
        ended_at: None,
    }
}

/// A run of `nudge` that was over at a second.
fn run(number: u128, reason: EndReason, ended: i64) -> RunRow {
    RunRow {
        id: key(number),
        sequence: "nudge".into(),
        sequence_revision: 1,
        trigger: Origin {
            funnel: "support".into(),
            subject: key(100 + number),
            stage: "answered".into(),
            cause: Cause::Hand,
            anchor: format!("hand:{number}"),
        },
        conversation: Some(key(100 + number)),
        customer: None,
        since: at(0),
        due_at: at(0),
        noticed_at: at(0),
        owed_by: OwedBy::Anyone,
        state: RunState::Ended,
        end_reason: Some(reason),
        arm: Arm::Treated,
        step: 0,
        progress: Progress::default(),
        next_at: None,
        paused_at: None,
        created_at: at(0),
        ended_at: Some(at(ended)),
    }
}

/// A call of a run, over at a second; one of run 0 is a test, and belongs to none.
fn delivery(id: &str, run: u128, state: DeliveryState, ended: i64) -> DeliveryRow {
    DeliveryRow {
        id: id.into(),
        run: key(run),
        step: "tell".into(),
        destination: "relay".into(),
        customer: None,
        conversation: None,
        recipient: "hook.invalid".into(),
        message: Message::webhook("{}".into()),
        park_unknown: false,
        internal: false,
        state,
        reason: String::new(),
        overtaken: false,
        next_at: None,
        expires_at: at(1_000),
        attempts: 1,
        created_at: at(0),
        ended_at: Some(at(ended)),
    }
}

/// Runs 1 and 2 failed, the latter of another sequence; of the messages `a`, `b` and `d` did, two of
/// them at once.
async fn fail(tx: &mut dyn Tx) {
    let other = RunRow { sequence: "other".into(), ..run(2, EndReason::Failed, 20) };
    let returned = [3, 4].map(|number| run(number, EndReason::CustomerReturned, 15));
    let [third, fourth] = returned;
    let runs = [run(1, EndReason::Failed, 10), other, third, fourth];
    assert_eq!(tx.insert_runs(&runs).await.expect("new").len(), 4);
    let deliveries = [
        delivery("a", 1, DeliveryState::Failed, 12),
        DeliveryRow { destination: "hook".into(), ..delivery("b", 3, DeliveryState::Expired, 30) },
        delivery("c", 3, DeliveryState::Delivered, 12),
        delivery("d", 4, DeliveryState::Failed, 12),
        delivery("test", 0, DeliveryState::Failed, 12),
    ];
    assert_eq!(tx.insert_deliveries(&deliveries).await.expect("new"), 5);
}

fn period(from: i64, until: i64) -> Failures {
    Failures { from: Some(at(from)), until: Some(at(until)), ..Failures::default() }
}

async fn saved(store: &dyn Store, rows: &[ReplayRow]) {
    let mut tx = begin(store).await;
    for row in rows {
        tx.save_replay(row).await.expect("written");
    }
    tx.commit().await.expect("committed");
}

#[tokio::test]
async fn a_replay_reads_back_as_it_was_written_last_and_only_in_its_workspace() {
    for database in databases().await {
        let named = Failures {
            sequence: Some("nudge".into()),
            destination: Some("hook".into()),
            ..period(-5, 1_000_000)
        };
        let all = [
            Covers::Delivery("a-tell-1".into()),
            Covers::Run(key(7)),
            Covers::Failures(named),
            Covers::Failures(Failures::default()),
        ];
        for (covers, number) in all.into_iter().zip(1..) {
            let begun = ReplayRow { covers, total: 9, ..replay(number, 10) };
            let after = Some((at(12), "d".to_owned()));
            let further = ReplayRow {
                state: ReplayState::Cancelled,
                replayed: 3,
                skipped: 2,
                place: ReplayPlace { of: FailureKind::Delivery, after },
                ended_at: Some(at(40)),
                ..begun.clone()
            };
            for row in [begun, further] {
                saved(&database.store, std::slice::from_ref(&row)).await;
                let mut tx = begin(&database.store).await;
                assert_eq!(tx.replay(row.id).await.expect("readable"), Some(row.clone()));
                assert_eq!(tx.lock_replay(row.id).await.expect("readable"), Some(row), "{}", database.name);
            }
        }
        // The same bucket, so that nothing but the workspace keeps them apart.
        let other = Scope { workspace: scope().workspace + 1, ..scope() };
        let mut tx = database.store.begin(other).await.expect("the database answers");
        assert_eq!(tx.replay(key(1)).await.expect("readable"), None);
        assert_eq!(tx.lock_replay(key(1)).await.expect("readable"), None);
        assert!(tx.replays(None, 10).await.expect("readable").is_empty());
    }
}

#[tokio::test]
async fn replays_are_listed_newest_first_and_worked_on_oldest_first() {
    for database in databases().await {
        let over = [(3, ReplayState::Done), (4, ReplayState::Cancelled)].map(|(number, state)| ReplayRow {
            state,
            ended_at: Some(at(50)),
            ..replay(number, 20)
        });
        let [done, cancelled] = over;
        saved(&database.store, &[replay(5, 10), done, cancelled, replay(1, 30), replay(2, 30)]).await;
        let mut tx = begin(&database.store).await;
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = tx.replays(before.as_ref(), 2).await.expect("readable");
            let ids: Vec<Uuid> = page.iter().map(|row| row.id).collect();
            let Some(last) = page.last() else { break };
            before = Some((last.created_at, last.id));
            pages.push(ids);
        }
        let expected = [vec![key(2), key(1)], vec![key(4), key(3)], vec![key(5)]];
        assert_eq!(pages, expected, "{}", database.name);
        let running = tx.running_replays().await.expect("readable");
        let ids: Vec<Uuid> = running.iter().map(|row| row.id).collect();
        assert_eq!(ids, [key(5), key(1), key(2)], "{}", database.name);
    }
}

#[tokio::test]
async fn failures_are_counted_by_what_a_replay_is_about() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        fail(&mut *tx).await;
        let named = |sequence: Option<&str>, destination: Option<&str>| {
            let (sequence, destination) = (sequence.map(str::to_owned), destination.map(str::to_owned));
            Covers::Failures(Failures { sequence, destination, ..Failures::default() })
        };
        let of = |id: &str| Covers::Delivery(id.into());
        let expected = [
            (Covers::Failures(Failures::default()), 5),
            // The beginning belongs to it, and the end does not.
            (Covers::Failures(period(10, 30)), 4),
            (Covers::Failures(period(11, 20)), 2),
            (Covers::Failures(period(11, 31)), 4),
            (named(Some("nudge"), None), 4),
            (named(Some("other"), None), 1),
            (named(None, Some("hook")), 1),
            (named(None, Some("relay")), 2),
            (named(Some("other"), Some("relay")), 0),
            (of("a"), 1),
            (of("c"), 0),
            (of("test"), 0),
            // A run that failed with its messages; the messages of one that did not.
            (Covers::Run(key(1)), 2),
            (Covers::Run(key(2)), 1),
            (Covers::Run(key(3)), 1),
            (Covers::Run(key(9)), 0),
        ];
        for (covers, count) in expected {
            let found = tx.count_failures(&covers).await.expect("readable");
            assert_eq!(found, count, "{}: {covers:?}", database.name);
        }
    }
}

#[tokio::test]
async fn failures_come_in_the_order_of_their_ends_behind_the_place_of_their_replay() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        fail(&mut *tx).await;
        let everything = Covers::Failures(Failures::default());
        let [first, second] = [(10, 1), (20, 2)].map(|(ended, run)| (at(ended), key(run).to_string()));
        let [a, d, b] = [(12, "a"), (12, "d"), (30, "b")].map(|(ended, id)| (at(ended), id.to_owned()));
        let (runs, messages) = (FailureKind::Run, FailureKind::Delivery);
        let expected = [
            (runs, None, 1, vec![first.clone()]),
            (runs, Some(first), 10, vec![second.clone()]),
            (runs, Some(second), 10, Vec::new()),
            (messages, None, 2, vec![a.clone(), d.clone()]),
            (messages, Some(a), 10, vec![d, b.clone()]),
            (messages, Some(b), 10, Vec::new()),
        ];
        for (of, after, limit, found) in expected {
            let place = ReplayPlace { of, after };
            let page = tx.failures(&everything, &place, limit).await.expect("readable");
            assert_eq!(page, found, "{}: {place:?}", database.name);
        }
        let hook = Covers::Failures(Failures { destination: Some("hook".into()), ..Failures::default() });
        let at_runs = ReplayPlace::default();
        assert!(tx.failures(&hook, &at_runs, 10).await.expect("readable").is_empty());
        let nowhere = ReplayPlace { after: Some((at(1), "no id".into())), ..at_runs };
        let refused = tx.failures(&everything, &nowhere, 10).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_replay_that_somebody_works_on_is_left_to_them() {
    // On SQLite whoever writes is alone.
    let Some(database) = postgres().await else {
        return;
    };
    saved(&database.store, &[replay(1, 10), replay(2, 10)]).await;
    let mut holder = begin(&database.store).await;
    assert_eq!(holder.lock_replay(key(1)).await.expect("readable"), Some(replay(1, 10)));
    let mut other = begin(&database.store).await;
    assert_eq!(other.lock_replay(key(1)).await.expect("readable"), None);
    assert_eq!(other.lock_replay(key(2)).await.expect("readable"), Some(replay(2, 10)));
    assert_eq!(other.running_replays().await.expect("readable").len(), 2, "it is there all the same");
    holder.commit().await.expect("committed");
    assert_eq!(other.lock_replay(key(1)).await.expect("readable"), Some(replay(1, 10)));
}
