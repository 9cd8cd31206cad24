//! When a commit fails before or after it took effect, a client that sends again loses
//! nothing and does nothing twice.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rekindle_core::scope::Scope;
use rekindle_core::time::DAY;
use rekindle_engine::error::EngineResult;
use rekindle_engine::{Creation, EngineError, budget};
use rekindle_ports::rows::NameKind;
use rekindle_ports::{Store, StoreError};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::{Dump, Fault, FaultyStore, TestDatabase, TestEngine, databases};
use uuid::Uuid;

use crate::example::{example_batches, example_funnel};
use crate::histories::question;

const FUNNEL: &str = "journey";

#[tokio::test]
async fn a_commit_that_breaks_costs_an_answer_and_no_event() {
    for database in databases().await {
        let whole = undisturbed(&database).await;
        for fault in [Fault::Before, Fault::After] {
            let mut good = 0;
            loop {
                let scope = Scope::of(&format!("{fault:?}-{good}"));
                let faulty = Arc::new(FaultyStore::new(Arc::new(database.store.clone()), good, fault));
                let engine = TestEngine::new(Arc::clone(&faulty) as Arc<dyn Store>, 100 + u64::from(good));
                let errors = send_until_stored(&engine, scope).await;
                assert_eq!(
                    Dump::of(&*engine.store, scope, FUNNEL).await,
                    whole,
                    "{} {fault:?} {good}",
                    database.name
                );
                if faulty.commits() <= u64::from(good) {
                    assert_eq!(errors, 0, "nothing failed, so nobody was told of a failure");
                    break;
                }
                assert_eq!(
                    errors, 1,
                    "{} {fault:?} {good}: whoever waited for the commit is told",
                    database.name
                );
                good += 1;
            }
            assert!(good > 6, "the fault struck {good} times: at every commit of the history");
        }
    }
}

#[tokio::test]
async fn a_conflict_is_tried_again_and_nobody_hears_of_it() {
    for database in databases().await {
        let whole = undisturbed(&database).await;
        for good in 0..8 {
            let scope = Scope::of(&format!("conflict-{good}"));
            let faulty: Arc<dyn Store> =
                Arc::new(FaultyStore::new(Arc::new(database.store.clone()), good, Fault::Conflict));
            let engine = TestEngine::new(faulty, 200 + u64::from(good));
            assert_eq!(send_until_stored(&engine, scope).await, 0);
            assert_eq!(Dump::of(&*engine.store, scope, FUNNEL).await, whole, "{} {good}", database.name);
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_while_its_events_are_committed_loses_nothing() {
    for database in databases().await {
        let scope = Scope::of("gone");
        let faulty = Arc::new(FaultyStore::new(Arc::new(database.store.clone()), 1, Fault::Held));
        let engine = TestEngine::new(Arc::clone(&faulty) as Arc<dyn Store>, 300);
        engine.define(scope, FUNNEL, &example_funnel()).await;
        let batch = example_batches().swap_remove(0);
        tokio::select! {
            _ = engine.ingest(scope, &batch) => panic!("the commit is held"),
            () = faulty.until_held() => {}
        }
        faulty.release();
        let report = engine.ingest(scope, &batch).await;
        assert_eq!((report.accepted, report.duplicates), (0, batch.len() as u64), "{}", database.name);
        let answer = engine.engine.query_funnel(scope, question(at(0).plus(DAY))).await.expect("an answer");
        assert_eq!(answer.figures.stages[0].reached, batch.len() as i64);
    }
}

/// `SQLite` cannot be told how long to read.
#[tokio::test]
async fn what_is_read_for_a_caller_is_read_no_longer_than_it_waits() {
    for database in databases().await.into_iter().filter(|database| database.name == "postgres") {
        let scope = Scope::of("waiting");
        let engine = TestEngine::new(Arc::new(database.store.clone()), 700);
        let lock = database.lock("workspaces").await;
        let ended = budget::within(Duration::from_millis(50), engine.engine.workspace(scope)).await;
        assert!(matches!(ended, Err(EngineError::Store(StoreError::OutOfTime(_)))), "{ended:?}");
        lock.release().await;
        engine.engine.workspace(scope).await.expect("nobody is in the way");
    }
}

/// F1 and F2: units of work run in tasks of their own, so a caller may go at any moment.
#[tokio::test]
async fn callers_that_go_away_at_any_moment_cost_neither_their_own_work_nor_anybody_elses() {
    for database in databases().await {
        let scope = Scope::of("going");
        let engine = TestEngine::new(Arc::new(database.store.clone()), 400);
        engine.define(scope, FUNNEL, &example_funnel()).await;
        for polls in 1..=20u32 {
            let name = format!("going-{polls}");
            let mut call = Box::pin(engine.engine.write(scope, move |tx, now| {
                let names = [(name.clone(), Uuid::from_u128(polls.into()))];
                Box::pin(async move { Ok(tx.resolve(NameKind::Customer, &names, now).await?) })
            }));
            for _ in 0..polls {
                if poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(call);
            let asked = event(&format!("e{polls}"), "customer_message", 0).of(&format!("staying-{polls}"));
            assert_eq!(engine.ingest(scope, &[asked]).await.accepted, 1);
        }
        let TestEngine { engine, tracker, store, .. } = engine;
        let answer = engine.query_funnel(scope, question(at(0).plus(DAY))).await.expect("an answer");
        assert_eq!(answer.figures.stages[0].reached, 20, "{}: all that was acknowledged", database.name);
        drop(engine);
        tracker.close();
        tracker.wait().await;
        let mut tx = store.begin(scope).await.expect("the database answers");
        for polls in 1..=20u32 {
            let key = tx.key_of(NameKind::Customer, &format!("going-{polls}")).await.expect("an answer");
            assert_eq!(
                key,
                Some(Uuid::from_u128(polls.into())),
                "{}: what was begun went to its end",
                database.name
            );
        }
    }
}

#[tokio::test]
async fn a_panic_is_told_apart_from_a_shutdown_and_costs_nobody_else_anything() {
    for database in databases().await {
        let scope = Scope::of("panic");
        let engine = TestEngine::new(Arc::new(database.store.clone()), 500);
        let write = engine.engine.write::<(), _>(scope, |tx, now| {
            let names = [("nobody".to_owned(), Uuid::from_u128(1))];
            Box::pin(async move {
                tx.resolve(NameKind::Customer, &names, now).await?;
                fall_over()
            })
        });
        let answer = write.await;
        assert!(
            matches!(&answer, Err(EngineError::Panicked(said)) if said == "on purpose"),
            "{}: {answer:?}",
            database.name
        );
        let read = engine.engine.read::<(), _>(scope, |_, _| panic!("on purpose, {}", "too")).await;
        assert!(matches!(&read, Err(EngineError::Panicked(said)) if said == "on purpose, too"), "{read:?}");
        let asked = event("e1", "customer_message", 0);
        assert_eq!(engine.ingest(scope, &[asked]).await.accepted, 1, "{}: the store works", database.name);
        let mut tx = engine.store.begin(scope).await.expect("the database answers");
        let key = tx.key_of(NameKind::Customer, "nobody").await.expect("an answer");
        assert_eq!(key, None, "{}: nothing of it was kept", database.name);
    }
}

fn fall_over() -> EngineResult<()> {
    panic!("on purpose")
}

async fn undisturbed(database: &TestDatabase) -> Dump {
    let scope = Scope::of("undisturbed");
    let engine = TestEngine::new(Arc::new(database.store.clone()), 1);
    assert_eq!(send_until_stored(&engine, scope).await, 0);
    let dump = Dump::of(&*engine.store, scope, FUNNEL).await;
    assert_eq!(dump.journeys.len(), 6);
    dump
}

/// Does everything again until it succeeds; how often it failed.
async fn send_until_stored(engine: &TestEngine, scope: Scope) -> u32 {
    let mut errors = 0;
    while let Err(error) =
        engine.engine.create_funnel(scope, FUNNEL, example_funnel(), Creation::default()).await
    {
        match error {
            EngineError::Store(StoreError::Unavailable(_)) => errors += 1,
            EngineError::Exists { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    for batch in example_batches() {
        while let Err(error) = engine.engine.ingest(scope, batch.clone()).await {
            assert!(matches!(error, EngineError::Store(StoreError::Unavailable(_))), "{error:?}");
            errors += 1;
        }
    }
    loop {
        match engine.engine.fill_step(scope).await {
            Ok(true) => {}
            Ok(false) => return errors,
            Err(_) => errors += 1,
        }
    }
}
