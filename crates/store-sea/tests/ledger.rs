//! Marks, runs and deliveries: claims, fences and what may be there only once.
//!
//! Postgres takes part when `TEST_DATABASE_URL` is set: each test creates a database
//! of its own there and drops it.

use std::collections::BTreeMap;
use std::slice::from_ref;

use rekindle_core::Timestamp;
use rekindle_core::event::OrderKey;
use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::{Mark, MarkFate, MarkKey, MarkKind};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::progress::Awaits;
use rekindle_core::sequence::{Progress, Sequence, SequenceState, Trigger};
use rekindle_core::value::Value;
use rekindle_ports::ledger::{
    AttemptOutcome, AttemptRow, DeliveryKey, DeliveryRow, DeliveryState, EndReason, LedgerFilter, Message,
    RunCrowd, RunEvent, RunKey, RunRow, RunState,
};
use rekindle_ports::resources::{
    DestinationKind, DestinationRow, RunChange, RunPolicy, SecretValue, SequenceRow, SmtpTls,
    SuppressionKind, SuppressionReason, SuppressionRow,
};
use rekindle_ports::rows::{Claimed, Lease, NameKind};
use rekindle_ports::store::{Queue, Store};
use rekindle_ports::{StoreError, StoreResult, Tx};
use rekindle_store_sea::{SeaStore, StoreOptions, open};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000_000);
const LONG: i64 = 3_600_000_000;
/// No bucket has anything due.
const NOWHERE: [i16; 0] = [];

/// One row at a time, of what the store writes and reads in batches.
trait One {
    async fn hold_run(&mut self, claim: &Claimed<RunKey>) -> StoreResult<Option<RunRow>>;
    async fn release_run(&mut self, claim: &Claimed<RunKey>, run: &RunRow) -> StoreResult<bool>;
    async fn insert_delivery(&mut self, delivery: &DeliveryRow) -> StoreResult<bool>;
    async fn hold_delivery(&mut self, claim: &Claimed<DeliveryKey>) -> StoreResult<Option<DeliveryRow>>;
    async fn save_delivery(
        &mut self,
        claim: &Claimed<DeliveryKey>,
        delivery: &DeliveryRow,
        release: bool,
    ) -> StoreResult<bool>;
}

impl<T: Tx + ?Sized> One for T {
    async fn hold_run(&mut self, claim: &Claimed<RunKey>) -> StoreResult<Option<RunRow>> {
        Ok(self.hold_runs(from_ref(claim)).await?.pop())
    }

    async fn release_run(&mut self, claim: &Claimed<RunKey>, run: &RunRow) -> StoreResult<bool> {
        Ok(self.release_runs(&[(claim.clone(), run.clone())]).await? == [run.id])
    }

    async fn insert_delivery(&mut self, delivery: &DeliveryRow) -> StoreResult<bool> {
        Ok(self.insert_deliveries(from_ref(delivery)).await? == 1)
    }

    async fn hold_delivery(&mut self, claim: &Claimed<DeliveryKey>) -> StoreResult<Option<DeliveryRow>> {
        Ok(self.hold_deliveries(from_ref(claim)).await?.pop())
    }

    async fn save_delivery(
        &mut self,
        claim: &Claimed<DeliveryKey>,
        delivery: &DeliveryRow,
        release: bool,
    ) -> StoreResult<bool> {
        let held = [(claim.clone(), delivery.clone())];
        Ok(self.save_deliveries(&held, release).await? == from_ref(&delivery.id))
    }
}

/// Calls a scenario with a fresh store: on SQLite, and on Postgres where there is one.
macro_rules! on_both {
    ($($name:ident => $scenario:ident;)+) => {
        $(#[tokio::test]
        async fn $name() {
            let directory = tempfile::tempdir().expect("a directory");
            let url = format!("sqlite:{}", directory.path().join("ledger.db").display());
            $scenario(&store(url).await).await;
            if let Some((server, url, name)) = postgres(stringify!($scenario)).await {
                let store = store(url).await;
                $scenario(&store).await;
                store.writer().clone().close().await.expect("closed");
                server.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("dropped");
            }
        })+
    };
}

on_both! {
    a_claim_holds_until_it_is_released_and_no_longer => claims;
    a_mark_and_a_run_of_it_exist_once => once;
    ending_a_run_cancels_what_is_scheduled_and_overtakes_what_is_sent => ends;
    a_delivery_whose_sender_is_gone_is_claimed_again_after_its_lease => senders;
    an_operators_decision_fences_the_sender => decisions;
    lists_combine_their_filters_and_go_on_where_they_stopped => lists;
    a_run_that_awaits_a_delivery_is_woken_and_its_ledger_keeps_its_order => wakes;
    a_run_that_is_moved_is_nobodys_and_one_that_is_over_stays_so => moves;
    runs_that_go_on_are_counted_by_where_they_stand => crowds;
    resources_come_back_as_they_were_written => resources;
    workspaces_do_not_see_each_other => strangers;
}

async fn claims(store: &SeaStore) {
    let mut tx = begin(store).await;
    assert_eq!(tx.insert_runs(&[run(1)]).await.unwrap(), [id(1)]);
    tx.commit().await.unwrap();
    assert_eq!(store.due_buckets(Queue::Runs, NOW).await.unwrap(), [scope().bucket]);
    assert_eq!(store.due_buckets(Queue::Deliveries, NOW).await.unwrap(), NOWHERE);
    assert_eq!(store.due_buckets(Queue::Runs, Timestamp(0)).await.unwrap(), NOWHERE);

    let mut tx = begin(store).await;
    let claim = tx.claim_runs(scope().bucket, NOW, &lease(LONG), 10).await.unwrap().remove(0);
    assert_eq!((claim.key.scope, claim.key.id), (scope(), id(1)));
    assert!(tx.claim_runs(scope().bucket, NOW, &lease(LONG), 10).await.unwrap().is_empty(), "it is held");
    assert_eq!(tx.hold_run(&claim).await.unwrap(), Some(run(1)));
    tx.commit().await.unwrap();
    assert_eq!(store.due_buckets(Queue::Runs, NOW).await.unwrap(), NOWHERE);

    let mut tx = begin(store).await;
    let waiting = RunRow { step: 1, next_at: Some(NOW.plus(5)), ..run(1) };
    assert!(tx.release_run(&claim, &waiting).await.unwrap());
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(waiting.clone()));
    assert!(!tx.release_run(&claim, &run(1)).await.unwrap(), "the claim is over");
    assert_eq!(tx.hold_run(&claim).await.unwrap(), None);
    assert!(
        tx.claim_runs(scope().bucket, NOW.plus(4), &lease(LONG), 10).await.unwrap().is_empty(),
        "too early"
    );

    let lost = tx.claim_runs(scope().bucket, NOW.plus(5), &lease(-1), 10).await.unwrap().remove(0);
    assert!(tx.claim_runs(scope().bucket, NOW.plus(5), &lease(LONG), 10).await.unwrap().is_empty());
    let taken = tx.claim_lost_run(scope().bucket, NOW.plus(5), &lease(LONG)).await.unwrap().unwrap();
    assert_eq!(taken.crashes, 1, "its claim ran out once");
    assert!(tx.holds_run(&taken).await.unwrap() && !tx.holds_run(&lost).await.unwrap());
    assert!(!tx.release_run(&lost, &run(1)).await.unwrap(), "another worker holds it");
    assert_eq!(tx.hold_run(&taken).await.unwrap(), Some(waiting));
}

async fn once(store: &SeaStore) {
    let mut tx = begin(store).await;
    let mut other = mark(1);
    other.key.stage = "payment".into();
    assert_eq!(tx.insert_marks(&[mark(1)]).await.unwrap(), [mark(1).key]);
    assert_eq!(tx.insert_marks(&[mark(1), other.clone()]).await.unwrap(), std::slice::from_ref(&other.key));
    assert_eq!(tx.marks_of(&[id(101)]).await.unwrap(), [mark(1), other.clone()]);
    tx.void_marks(std::slice::from_ref(&other.key), NOW).await.unwrap();
    (other.fate, other.voided_at) = (MarkFate::Voided, Some(NOW));
    assert_eq!(tx.marks_of(&[id(101), id(102)]).await.unwrap(), [mark(1), other.clone()]);
    // The same silence at the same instant was taken back; at another one it is marked anew.
    (other.fate, other.voided_at) = (MarkFate::TakenOver, None);
    assert!(tx.insert_marks(std::slice::from_ref(&other)).await.unwrap().is_empty());
    other.due_at = Timestamp(60);
    assert_eq!(tx.insert_marks(&[mark(1), other.clone()]).await.unwrap(), std::slice::from_ref(&other.key));
    assert_eq!(tx.marks_of(&[id(101)]).await.unwrap(), [mark(1), other]);

    let again = RunRow { id: id(2), ..run(1) };
    let elsewhere = RunRow { id: id(3), sequence: "other".into(), ..run(1) };
    assert_eq!(tx.insert_runs(&[run(1)]).await.unwrap(), [id(1)]);
    assert_eq!(tx.insert_runs(&[again, elsewhere.clone()]).await.unwrap(), [id(3)]);
    assert_eq!(tx.open_runs(&[id(101)]).await.unwrap(), [run(1), elsewhere]);
    assert!(tx.insert_delivery(&delivery("a", 1)).await.unwrap());
    assert!(!tx.insert_delivery(&delivery("a", 3)).await.unwrap());
}

async fn ends(store: &SeaStore) {
    let mut tx = begin(store).await;
    tx.insert_runs(&[run(1), run(2), run(3)]).await.unwrap();
    for (delivery_id, run) in [("scheduled", 1), ("sending", 1), ("cancelled", 2), ("untouched", 3)] {
        tx.insert_delivery(&delivery(delivery_id, run)).await.unwrap();
    }
    let bucket = scope().bucket;
    let runs = tx.claim_runs(bucket, NOW, &lease(LONG), 1).await.unwrap();
    let claims = tx.claim_deliveries(bucket, NOW, &lease(LONG), 10).await.unwrap();
    let claim = |name: &str| claims.iter().find(|claim| claim.key.id == name).cloned().expect("it was due");
    let sending = DeliveryRow { state: DeliveryState::Sending, attempts: 1, ..delivery("sending", 1) };
    assert!(tx.save_delivery(&claim("sending"), &sending, false).await.unwrap());

    let later = NOW.plus(7);
    tx.end_runs(&[(id(1), EndReason::CustomerReturned), (id(2), EndReason::Cancelled)], later).await.unwrap();
    let over = |number, state, reason| RunRow {
        state,
        end_reason: Some(reason),
        next_at: None,
        ended_at: Some(later),
        ..run(number)
    };
    let returned = over(1, RunState::Ended, EndReason::CustomerReturned);
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(returned.clone()));
    assert_eq!(tx.run(id(2)).await.unwrap(), Some(over(2, RunState::Cancelled, EndReason::Cancelled)));
    assert_eq!(tx.open_runs(&[id(101), id(102), id(103)]).await.unwrap(), [run(3)]);
    assert!(!tx.release_run(&runs[0], &run(1)).await.unwrap(), "its holder writes nothing more");

    let cancelled = |name, run, reason: &str| DeliveryRow {
        state: DeliveryState::Cancelled,
        reason: reason.into(),
        next_at: None,
        ended_at: Some(later),
        ..delivery(name, run)
    };
    let scheduled = cancelled("scheduled", 1, "the customer came back");
    assert_eq!(tx.delivery("scheduled").await.unwrap(), Some(scheduled));
    assert_eq!(
        tx.delivery("cancelled").await.unwrap(),
        Some(cancelled("cancelled", 2, "the run was cancelled"))
    );
    assert_eq!(tx.delivery("untouched").await.unwrap(), Some(delivery("untouched", 3)));
    assert_eq!(tx.hold_delivery(&claim("scheduled")).await.unwrap(), None);

    let overtaken = DeliveryRow { overtaken: true, ..sending.clone() };
    assert_eq!(tx.hold_delivery(&claim("sending")).await.unwrap(), Some(overtaken));
    let delivered =
        DeliveryRow { state: DeliveryState::Delivered, next_at: None, ended_at: Some(later), ..sending };
    assert!(tx.save_delivery(&claim("sending"), &delivered, true).await.unwrap());
    let delivered = DeliveryRow { overtaken: true, ..delivered };
    assert_eq!(
        tx.delivery("sending").await.unwrap(),
        Some(delivered),
        "the sender did not know it was overtaken"
    );

    tx.end_runs(&[(id(1), EndReason::Erased)], later.plus(1)).await.unwrap();
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(returned), "a run ends once");
}

async fn senders(store: &SeaStore) {
    let mut tx = begin(store).await;
    let bucket = scope().bucket;
    tx.insert_delivery(&delivery("a", 1)).await.unwrap();
    assert!(
        tx.claim_deliveries(bucket, Timestamp(0), &lease(LONG), 10).await.unwrap().is_empty(),
        "too early"
    );
    let first = tx.claim_deliveries(bucket, NOW, &lease(LONG), 10).await.unwrap().remove(0);
    let sending =
        DeliveryRow { state: DeliveryState::Sending, next_at: None, attempts: 1, ..delivery("a", 1) };
    assert!(tx.save_delivery(&first, &sending, false).await.unwrap());
    assert!(
        tx.claim_deliveries(bucket, NOW, &lease(LONG), 10).await.unwrap().is_empty(),
        "its sender is at work"
    );

    let renewed = tx.renew_deliveries(std::slice::from_ref(&first), &lease(-1)).await.unwrap();
    assert_eq!(renewed, std::slice::from_ref(&first.key));
    let second = tx.claim_deliveries(bucket, NOW, &lease(LONG), 10).await.unwrap().remove(0);
    assert!(tx.renew_deliveries(std::slice::from_ref(&first), &lease(LONG)).await.unwrap().is_empty());
    assert!(!tx.save_delivery(&first, &sending, true).await.unwrap(), "the first sender was given up");
    assert_eq!(tx.hold_delivery(&second).await.unwrap(), Some(sending.clone()));

    let delivered = DeliveryRow { state: DeliveryState::Delivered, ended_at: Some(NOW), ..sending };
    assert!(tx.save_delivery(&second, &delivered, true).await.unwrap());
    assert!(
        tx.claim_deliveries(bucket, NOW.plus(LONG), &lease(LONG), 10).await.unwrap().is_empty(),
        "it is settled"
    );
    tx.commit().await.unwrap();
    assert_eq!(store.due_buckets(Queue::Deliveries, NOW.plus(LONG)).await.unwrap(), NOWHERE);
}

async fn decisions(store: &SeaStore) {
    let mut tx = begin(store).await;
    tx.insert_delivery(&delivery("a", 1)).await.unwrap();
    let claim = tx.claim_deliveries(scope().bucket, NOW, &lease(LONG), 10).await.unwrap().remove(0);
    let decided =
        DeliveryRow { state: DeliveryState::Cancelled, reason: "not needed".into(), ..delivery("a", 1) };
    tx.decide_delivery(&decided).await.unwrap();
    assert_eq!(tx.hold_delivery(&claim).await.unwrap(), None);
    assert!(!tx.save_delivery(&claim, &delivery("a", 1), true).await.unwrap());
    assert_eq!(tx.delivery("a").await.unwrap(), Some(decided));
    tx.decide_delivery(&delivery("a", 1)).await.unwrap();
    assert_eq!(
        tx.claim_deliveries(scope().bucket, NOW, &lease(LONG), 10).await.unwrap().len(),
        1,
        "free again"
    );

    let mut attempt = AttemptRow {
        delivery: "a".into(),
        number: 1,
        started_at: NOW,
        ended_at: None,
        outcome: None,
        phase: "connect".into(),
        code: None,
        response: String::new(),
    };
    let second = AttemptRow { number: 2, ..attempt.clone() };
    tx.save_attempts(&[second, attempt.clone()]).await.unwrap();
    attempt.outcome = Some(AttemptOutcome::Retry);
    attempt.ended_at = Some(NOW.plus(1));
    attempt.code = Some(451);
    attempt.response = "try later".into();
    tx.save_attempts(from_ref(&attempt)).await.unwrap();
    let attempts = tx.attempts_of(&["a".into(), "b".into()]).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts["a"][0], attempt);
    assert_eq!(attempts["a"][1].number, 2);
}

async fn lists(store: &SeaStore) {
    let mut tx = begin(store).await;
    let later = RunRow { created_at: NOW.plus(1), sequence: "other".into(), ..run(3) };
    tx.insert_runs(&[run(1), run(2), later]).await.unwrap();
    tx.end_runs(&[(id(2), EndReason::StageLeft)], NOW).await.unwrap();
    tx.insert_delivery(&delivery("a", 1)).await.unwrap();
    tx.insert_delivery(&delivery("b", 3)).await.unwrap();
    tx.insert_delivery(&DeliveryRow { run: Uuid::nil(), ..delivery("test", 0) }).await.unwrap();

    let ids = |runs: Vec<RunRow>| runs.iter().map(|run| run.id).collect::<Vec<_>>();
    let all = LedgerFilter::default();
    assert_eq!(ids(tx.runs(&all, 10).await.unwrap()), [id(3), id(2), id(1)]);
    let page = LedgerFilter { before: Some((NOW, id(2).to_string())), ..all.clone() };
    assert_eq!(ids(tx.runs(&page, 10).await.unwrap()), [id(1)]);
    let broken = LedgerFilter { before: Some((NOW, "no id".into())), ..all.clone() };
    assert!(matches!(tx.runs(&broken, 10).await, Err(StoreError::Refused(_))));
    let running = LedgerFilter {
        sequence: Some("nudge".into()),
        run_states: vec![RunState::Running, RunState::Skipped],
        ..all.clone()
    };
    assert_eq!(ids(tx.runs(&running, 10).await.unwrap()), [id(1)]);
    let sent = LedgerFilter { delivery_states: vec![DeliveryState::Scheduled], ..all.clone() };
    assert_eq!(ids(tx.runs(&sent, 1).await.unwrap()), [id(3)]);
    let nobody = LedgerFilter { customer: Some(id(999)), conversation: Some(id(101)), ..all.clone() };
    assert!(tx.runs(&nobody, 10).await.unwrap().is_empty());
    let somebody = LedgerFilter { customer: Some(id(201)), conversation: Some(id(101)), ..all.clone() };
    assert_eq!(ids(tx.runs(&somebody, 10).await.unwrap()), [id(1)]);

    let names = |rows: Vec<DeliveryRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(names(tx.deliveries(&all, 10).await.unwrap()), ["test", "b", "a"]);
    let page = LedgerFilter { before: Some((NOW, "test".into())), ..all.clone() };
    assert_eq!(names(tx.deliveries(&page, 1).await.unwrap()), ["b"]);
    assert_eq!(names(tx.deliveries(&running, 10).await.unwrap()), ["a"]);
    let of_run = LedgerFilter { run: Some(id(3)), delivery_states: vec![DeliveryState::Scheduled], ..all };
    assert_eq!(names(tx.deliveries(&of_run, 10).await.unwrap()), ["b"]);
    assert_eq!(tx.delivery("test").await.unwrap().map(|test| test.run), Some(Uuid::nil()));
}

async fn wakes(store: &SeaStore) {
    let mut tx = begin(store).await;
    let waiting = RunRow { next_at: None, ..run(1) };
    tx.insert_runs(&[waiting, run(2)]).await.unwrap();
    assert_eq!(tx.claim_runs(scope().bucket, NOW, &lease(LONG), 10).await.unwrap().len(), 1);
    tx.wake_runs(&[id(1), id(2)], NOW.plus(3)).await.unwrap();
    assert_eq!(tx.run(id(1)).await.unwrap().and_then(|run| run.next_at), Some(NOW.plus(3)));
    assert_eq!(tx.run(id(2)).await.unwrap(), Some(run(2)), "it has a time of its own");
    tx.end_runs(&[(id(1), EndReason::Voided)], NOW).await.unwrap();
    tx.wake_runs(&[id(1)], NOW.plus(4)).await.unwrap();
    assert_eq!(tx.run(id(1)).await.unwrap().and_then(|run| run.next_at), None, "it is over");

    // Run 2 waits for its time, and is let go earlier, never later.
    let mut wiser = progress();
    wiser.visit("hook");
    tx.tell_runs(&[(id(1), wiser.clone()), (id(2), wiser.clone())], NOW.plus(-2)).await.unwrap();
    tx.tell_runs(&[(id(2), wiser.clone())], NOW.plus(9)).await.unwrap();
    let told = tx.run(id(2)).await.unwrap().expect("there");
    assert_eq!((told.next_at, told.progress), (Some(NOW.plus(-2)), wiser));
    assert_eq!(tx.run(id(1)).await.unwrap().and_then(|run| run.next_at), None, "it is over");
    let of_customer = tx.open_runs_of_customers(&[id(201), id(202), id(404)]).await.unwrap();
    assert_eq!(of_customer.iter().map(|run| run.id).collect::<Vec<_>>(), [id(2)]);

    let later = RunRow { created_at: NOW.plus(7), trigger: mark(9).key.into(), id: id(3), ..run(1) };
    let skipped = RunRow {
        state: RunState::Skipped,
        created_at: NOW.plus(8),
        trigger: mark(8).key.into(),
        id: id(4),
        ..run(1)
    };
    tx.insert_runs(&[later, skipped]).await.unwrap();
    for (kind, subject) in [(NameKind::Conversation, id(101)), (NameKind::Customer, id(201))] {
        let last = tx.last_runs("nudge", kind, &[subject, id(404)]).await.unwrap();
        assert_eq!(last, [(subject, NOW.plus(7))].into(), "those that never began do not count");
        assert!(tx.last_runs("other", kind, &[subject]).await.unwrap().is_empty());
    }

    let line = |run, kind: &str| RunEvent {
        run: id(run),
        at: NOW,
        kind: kind.into(),
        step: String::new(),
        detail: "d".into(),
    };
    tx.log_run(&[line(1, "started"), line(2, "started"), line(1, "waited")]).await.unwrap();
    tx.log_run(&[line(1, "ended")]).await.unwrap();
    let lines = [line(1, "started"), line(1, "waited"), line(1, "ended")];
    assert_eq!(tx.run_log(id(1)).await.unwrap(), lines);
}

async fn moves(store: &SeaStore) {
    let mut tx = begin(store).await;
    tx.insert_runs(&[run(1), run(2), RunRow { sequence: "other".into(), ..run(3) }]).await.unwrap();
    assert_eq!(tx.count_runs("nudge").await.unwrap(), 2);
    let claims = tx.claim_runs(scope().bucket, NOW, &lease(LONG), 10).await.unwrap();
    assert_eq!(claims.len(), 3);
    tx.end_runs(&[(id(2), EndReason::StepRemoved)], NOW).await.unwrap();
    assert_eq!(tx.count_runs("nudge").await.unwrap(), 1);
    let mut wiser = progress();
    wiser.visit("rest");
    let gone = |number| {
        let progress = wiser.clone();
        RunRow { sequence_revision: 7, step: 3, next_at: None, progress, ..run(number) }
    };
    tx.move_runs(&[gone(1), gone(2)]).await.unwrap();
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(gone(1)));
    let over = tx.run(id(2)).await.unwrap().expect("there");
    assert_eq!((over.sequence_revision, over.step, over.state), (2, 0, RunState::Ended));
    let stale = RunRow { step: 1, ..run(1) };
    for claim in claims.iter().filter(|claim| claim.key.id == id(1)) {
        assert!(!tx.release_run(claim, &stale).await.unwrap());
    }
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(gone(1)));
    // Whoever holds it from now on writes its revision with it.
    tx.wake_runs(&[id(1)], NOW).await.unwrap();
    let claims = tx.claim_runs(scope().bucket, NOW, &lease(LONG), 10).await.unwrap();
    let claim = claims.iter().find(|claim| claim.key.id == id(1)).expect("it is free");
    let further = RunRow { sequence_revision: 8, ..gone(1) };
    assert!(tx.release_run(claim, &further).await.unwrap());
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(further));
}

/// Everything that a run may wait for in a step, other than a delivery, since an instant.
fn waits(step: &str, since: Timestamp) -> [Awaits; 3] {
    let (until, heard) = (since.plus(9), vec!["e1".to_owned()]);
    [
        Awaits::Moment { step: step.into(), since, until },
        Awaits::Rule { step: step.into(), since, until, heard },
        Awaits::Leave { step: step.into(), since },
    ]
}

async fn crowds(store: &SeaStore) {
    let begun = progress();
    let waiting = |awaits: Awaits| Progress { awaits: Some(awaits), ..begun.clone() };
    let sent = |visit| waiting(Awaits::Delivery { step: "hook".into(), visit });
    // What no text of a database holds, as an answer of a webhook may.
    let mut learnt = waiting(waits("rest", NOW)[0].clone());
    learnt.variables.insert("awaits".into(), Value::Text("nul \0, \\u0000 and \"steps\"".into()));
    let stands = [
        // Two that have not begun, of two revisions.
        (2, 0, Progress::default()),
        (3, 0, Progress { depth: 1, ..Progress::default() }),
        // Two whose message is under way, and two behind it.
        (2, 1, sent(1)),
        (2, 1, sent(2)),
        (2, 1, begun.clone()),
        (2, 1, begun.clone()),
    ];
    let resting = waits("rest", NOW).into_iter().chain(waits("rest", NOW.plus(1))).map(waiting);
    let resting = resting.chain([learnt]).map(|progress| (2, 1, progress));
    let elsewhere = waits("walk", NOW).into_iter().map(waiting).map(|progress| (2, 1, progress));
    let all: Vec<(i32, i32, Progress)> = stands.into_iter().chain(resting).chain(elsewhere).collect();
    let mut runs: Vec<RunRow> = Vec::new();
    for (number, (sequence_revision, step, progress)) in (1..).zip(all) {
        runs.push(RunRow { sequence_revision, step, progress, ..run(number) });
    }
    runs.push(RunRow { sequence: "other".into(), ..run(90) });
    runs.push(RunRow { state: RunState::Completed, next_at: None, ..run(91) });
    let mut tx = begin(store).await;
    tx.insert_runs(&runs).await.unwrap();
    let told = |crowd: RunCrowd| {
        let RunCrowd { revision, step, progress, count } = crowd;
        let delivery = matches!(progress.awaits, Some(Awaits::Delivery { .. }));
        let awaited = progress.awaits.as_ref().map(|awaits| awaits.step().to_owned());
        (revision, step, !progress.steps.is_empty(), delivery, awaited, count)
    };
    let mut found: Vec<_> = tx.run_crowds("nudge").await.unwrap().into_iter().map(told).collect();
    found.sort();
    let in_step = |step: &str| Some(step.to_owned());
    let expected = [
        (2, 0, false, false, None, 1),
        (2, 1, true, false, None, 2),
        (2, 1, true, false, in_step("rest"), 7),
        (2, 1, true, false, in_step("walk"), 3),
        (2, 1, true, true, in_step("hook"), 2),
        (3, 0, false, false, None, 1),
    ];
    assert_eq!(found, expected);
    assert_eq!(tx.count_runs("nudge").await.unwrap(), 16);
}

async fn resources(store: &SeaStore) {
    let mut tx = begin(store).await;
    let sequence = sequence();
    tx.save_sequence(&sequence).await.unwrap();
    let body = Sequence { display_name: "second".into(), ..sequence.body.clone() };
    let second = SequenceRow {
        revision: 2,
        state: SequenceState::Active,
        started_at: Some(NOW),
        body,
        ..sequence.clone()
    };
    tx.save_sequence(&second).await.unwrap();
    assert_eq!(tx.sequence("nudge").await.unwrap(), Some(second.clone()));
    assert_eq!(tx.sequences("a", 10).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(tx.sequences_of("checkout").await.unwrap(), from_ref(&second));
    assert!(tx.sequences_of("other").await.unwrap().is_empty());
    assert_eq!(tx.sequence_revision("nudge", 1).await.unwrap(), Some(sequence.body));
    assert!(tx.run_changes("nudge").await.unwrap().is_empty());
    let third = SequenceRow { revision: 3, changed_by: 3, ..second };
    let step_map = BTreeMap::from([("old".to_owned(), String::new())]);
    let said = RunChange { revision: 3, policy: RunPolicy::Migrate, step_map };
    tx.publish_sequence(&third, &said).await.unwrap();
    assert_eq!(tx.sequence("nudge").await.unwrap(), Some(third));
    assert_eq!(tx.run_changes("nudge").await.unwrap(), [said]);
    tx.delete_sequence("nudge").await.unwrap();
    assert_eq!(tx.sequence("nudge").await.unwrap(), None);

    let mut destination = destination();
    tx.save_destination(&destination).await.unwrap();
    assert_eq!(tx.destination("mail").await.unwrap(), Some(destination.clone()));
    destination.disabled = Some((NOW, "gone".into()));
    tx.save_destination(&destination).await.unwrap();
    assert_eq!(tx.destinations("", 10).await.unwrap(), [destination]);
    tx.delete_destination("mail").await.unwrap();
    assert!(tx.destinations("", 10).await.unwrap().is_empty());

    let entry = |kind, value: &str| SuppressionRow {
        kind,
        value: value.into(),
        reason: SuppressionReason::Complaint,
        note: "n".into(),
        created_at: NOW,
    };
    let (domain, address) =
        (entry(SuppressionKind::Domain, "a.test"), entry(SuppressionKind::Address, "x@b.test"));
    assert!(tx.suppress(&domain).await.unwrap());
    assert!(tx.suppress(&address).await.unwrap());
    let other = SuppressionRow { reason: SuppressionReason::Manual, ..address.clone() };
    assert!(!tx.suppress(&other).await.unwrap());
    assert_eq!(tx.suppressions(None, 10).await.unwrap(), [address.clone(), domain.clone()]);
    let after = (SuppressionKind::Address, "x@b.test".to_owned());
    assert_eq!(tx.suppressions(Some(&after), 10).await.unwrap(), [domain]);
    let asked = [after, (SuppressionKind::Customer, "a.test".into())];
    assert_eq!(tx.suppressed(&asked).await.unwrap(), [address]);
    assert!(tx.unsuppress(SuppressionKind::Domain, "a.test").await.unwrap());
    assert!(!tx.unsuppress(SuppressionKind::Domain, "a.test").await.unwrap());

    let mut workspace = tx.workspace().await.unwrap();
    assert_eq!((workspace.revision, workspace.body.zone.as_str()), (0, "UTC"));
    workspace.revision = 1;
    workspace.body.zone = "Europe/Berlin".into();
    tx.save_workspace(&workspace).await.unwrap();
    assert_eq!(tx.workspace().await.unwrap(), workspace);
    let late = tx.save_workspace(&workspace).await;
    assert!(late.is_err_and(|error| error.is_conflict()), "somebody else wrote revision 1");

    assert_eq!(tx.shared_key("links", "first").await.unwrap(), "first");
    assert_eq!(tx.shared_key("links", "second").await.unwrap(), "first");
}

async fn strangers(store: &SeaStore) {
    let mut tx = begin(store).await;
    tx.insert_runs(&[run(1)]).await.unwrap();
    tx.insert_marks(&[mark(1)]).await.unwrap();
    tx.insert_delivery(&delivery("a", 1)).await.unwrap();
    let claims = tx.claim_deliveries(scope().bucket, NOW, &lease(LONG), 1).await.unwrap();
    tx.commit().await.unwrap();
    // The same bucket, so that nothing but the workspace keeps them apart.
    let other = Scope { workspace: scope().workspace + 1, ..scope() };
    let mut tx = store.begin(other).await.unwrap();
    assert_eq!(tx.run(id(1)).await.unwrap(), None);
    assert!(tx.marks_of(&[id(101)]).await.unwrap().is_empty());
    assert_eq!(tx.delivery("a").await.unwrap(), None);
    assert!(tx.renew_deliveries(&claims, &lease(LONG)).await.unwrap().is_empty());
    assert_eq!(tx.hold_delivery(&claims[0]).await.unwrap(), None);
    tx.end_runs(&[(id(1), EndReason::Cancelled)], NOW).await.unwrap();
    assert_eq!(tx.insert_runs(&[run(1)]).await.unwrap(), [id(1)], "ids are a workspace's own");
    tx.commit().await.unwrap();
    let mut tx = begin(store).await;
    assert_eq!(tx.run(id(1)).await.unwrap(), Some(run(1)));
}

#[tokio::test]
async fn sqlite_finds_the_rows_of_a_batch_by_their_index() {
    const BATCH: &str = "(SELECT value FROM json_each('[]'))";
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", directory.path().join("plans.db").display());
    let store = store(url.clone()).await;
    let stranger = Database::connect(url).await.expect("a second connection");
    for (condition, index) in [
        (
            format!("runs WHERE bucket = 1 AND workspace = 2 AND state = 1 AND subject IN {BATCH}"),
            "runs_open",
        ),
        (format!("marks WHERE bucket = 1 AND workspace = 2 AND subject IN {BATCH}"), "marks_of_subject"),
        (format!("deliveries WHERE bucket = 1 AND workspace = 2 AND run IN {BATCH}"), "deliveries_of_run"),
    ] {
        // The connection that wrote the schema, and one that reads it.
        for pool in [store.writer(), &stranger] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM {condition}");
            let plan =
                pool.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, sql)).await.unwrap();
            let details: Vec<String> = plan.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
            assert!(details.iter().any(|line| line.contains(index)), "{condition}: {details:?}");
        }
    }
}

fn scope() -> Scope {
    Scope::of("ledger")
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn lease(ttl: i64) -> Lease {
    Lease { owner: "a worker".into(), ttl }
}

async fn begin(store: &SeaStore) -> Box<dyn Tx> {
    store.begin(scope()).await.expect("a unit of work")
}

async fn store(url: String) -> SeaStore {
    open(&StoreOptions { url, max_connections: 2 }, true).await.expect("a store")
}

/// A database of its own on the server of `TEST_DATABASE_URL`.
#[expect(clippy::disallowed_methods, reason = "tests learn of the server from the environment")]
async fn postgres(scenario: &str) -> Option<(sea_orm::DatabaseConnection, String, String)> {
    let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
        eprintln!("TEST_DATABASE_URL is not set: {scenario} was not tried on Postgres");
        return None;
    };
    let name = format!("rekindle_ledger_{scenario}_{}", std::process::id());
    let server = Database::connect(&url).await.expect("the server of TEST_DATABASE_URL");
    server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("created");
    let (server_url, options) =
        url.split_once('?').map_or((url.as_str(), ""), |(url, options)| (url, options));
    let (base, _) = server_url.rsplit_once('/').expect("a database in the URL");
    Some((server, format!("{base}/{name}?{options}"), name))
}

fn mark(number: u128) -> Mark {
    Mark {
        key: MarkKey {
            funnel: "checkout".into(),
            subject: id(100 + number),
            stage: "cart".into(),
            kind: MarkKind::Stalled,
            anchor: format!("event {number}"),
        },
        revision: i64::MAX - 3,
        anchor: OrderKey { at: Timestamp(5), sequence: -2, id: format!("event {number}") },
        due_at: Timestamp(6),
        noticed_at: Timestamp(7),
        owed_by: OwedBy::Customer,
        reason: "stalled after 20m".into(),
        fate: MarkFate::Live,
        voided_at: None,
        customer: Some(id(200 + number)),
        conversation: None,
    }
}

fn progress() -> Progress {
    let mut progress = Progress::default();
    progress.visit("hook");
    progress.came_to("hook", "é");
    progress
}

fn run(number: u128) -> RunRow {
    RunRow {
        id: id(number),
        sequence: "nudge".into(),
        sequence_revision: 2,
        trigger: mark(number).key.into(),
        conversation: Some(id(100 + number)),
        customer: Some(id(200 + number)),
        since: Timestamp(5),
        due_at: Timestamp(6),
        noticed_at: Timestamp(7),
        state: RunState::Running,
        end_reason: None,
        owed_by: OwedBy::Agent,
        arm: Arm::HeldOut,
        step: 0,
        progress: progress(),
        next_at: Some(NOW),
        paused_at: None,
        created_at: NOW,
        ended_at: None,
    }
}

fn delivery(name: &str, run: u128) -> DeliveryRow {
    DeliveryRow {
        id: name.into(),
        run: id(run),
        step: "hook".into(),
        destination: "crm".into(),
        customer: None,
        conversation: Some(id(100 + run)),
        recipient: "crm.test".into(),
        message: Message::webhook("{\"a\":\"é\"}".into()),
        park_unknown: true,
        internal: false,
        state: DeliveryState::Scheduled,
        reason: String::new(),
        overtaken: false,
        next_at: Some(NOW),
        expires_at: NOW.plus(LONG),
        attempts: 0,
        created_at: NOW,
        ended_at: None,
    }
}

fn sequence() -> SequenceRow {
    SequenceRow {
        id: "nudge".into(),
        revision: 1,
        changed_by: 0,
        etag: "e".into(),
        state: SequenceState::Draft,
        body: Sequence {
            display_name: "first".into(),
            max_delay: LONG,
            ..Sequence::new(
                Trigger {
                    funnel: "checkout".into(),
                    stage: "cart".into(),
                    on: MarkKind::Abandoned.into(),
                    owed_by: OwedBy::Anyone,
                },
                Vec::new(),
            )
        },
        created_at: NOW,
        updated_at: NOW,
        started_at: None,
    }
}

fn destination() -> DestinationRow {
    DestinationRow {
        id: "mail".into(),
        display_name: "Mail".into(),
        kind: DestinationKind::Smtp {
            host: "relay.test".into(),
            port: 465,
            tls: SmtpTls::Implicit,
            username: "u".into(),
            sender: None,
        },
        secrets: vec![SecretValue { value: "s".into(), created_at: NOW, expires_at: None }],
        disabled: None,
        etag: "e".into(),
        created_at: NOW,
        updated_at: NOW,
    }
}
