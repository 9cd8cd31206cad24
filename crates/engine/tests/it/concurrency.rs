//! Several committers and replicas at once: any interleaving gives the same rows.

use std::sync::Arc;
use std::time::Duration;

use rekindle_core::scope::Scope;
use rekindle_engine::Options;
use rekindle_ports::Store;
use rekindle_testkit::build::RECEIVED;
use rekindle_testkit::{Dump, Fault, FaultyStore, TestEngine, databases};

use crate::example::{example_batches, example_funnel};
use crate::histories::question;

const FUNNEL: &str = "journey";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_ingest_the_same_events_at_once_write_the_same_rows() {
    for database in databases().await {
        let alone = Scope::of("alone");
        let one = TestEngine::new(Arc::new(database.store.clone()), 1);
        one.define(alone, FUNNEL, &example_funnel()).await;
        for batch in example_batches() {
            one.ingest(alone, &batch).await;
        }
        one.fill(alone).await;
        let whole = Dump::of(&*one.store, alone, FUNNEL).await;
        for round in 0..6 {
            let scope = Scope::of(&format!("round-{round}"));
            let options = Options { committers: 2, group_size: 8, ..Options::default() };
            let two = TestEngine::with_options(Arc::new(database.store.clone()), 2 + round * 2, options);
            let three = TestEngine::with_options(Arc::new(database.store.clone()), 3 + round * 2, options);
            two.define(scope, FUNNEL, &example_funnel()).await;
            let calls = [&two, &three].into_iter().flat_map(|engine| {
                example_batches()
                    .into_iter()
                    .map(move |batch| async move { engine.ingest(scope, &batch).await })
            });
            let reports = futures_util::future::join_all(calls).await;
            let accepted: u64 = reports.iter().map(|report| report.accepted).sum();
            let events: usize = example_batches().iter().map(Vec::len).sum();
            // Two events stand twice among the batches.
            assert_eq!(accepted, events as u64 - 2, "{} round {round}: each is stored once", database.name);
            two.fill(scope).await;
            assert_eq!(Dump::of(&*two.store, scope, FUNNEL).await, whole, "{} round {round}", database.name);
        }
    }
}

#[tokio::test]
async fn callers_that_send_the_same_event_at_once_are_all_answered() {
    // The worker commits the first call and leaves the second for later; no third ever comes.
    let options = Options { committers: 4, ..Options::default() };
    for database in databases().await {
        let engine = TestEngine::with_options(Arc::new(database.store.clone()), 1, options);
        let batch = example_batches().swap_remove(0);
        let scope = Scope::of("both");
        let both = async { tokio::join!(engine.ingest(scope, &batch), engine.ingest(scope, &batch)) };
        let (one, other) = tokio::time::timeout(Duration::from_mins(1), both).await.expect("both");
        let whole = batch.len() as u64;
        assert_eq!(one.accepted + other.accepted, whole, "{}", database.name);
        assert_eq!(one.duplicates + other.duplicates, whole, "{}", database.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fill_beside_live_events_gives_the_same_rows() {
    for database in databases().await {
        let mut dumps = Vec::new();
        for beside in [false, true] {
            let scope = Scope::of(&format!("beside-{beside}"));
            let live = TestEngine::new(Arc::new(database.store.clone()), 10);
            let filler = TestEngine::new(Arc::new(database.store.clone()), 11);
            let batches = example_batches();
            let (history, news) = batches.split_at(3);
            for batch in history {
                live.ingest(scope, batch).await;
            }
            live.define(scope, FUNNEL, &example_funnel()).await;
            let ingest = async {
                for batch in news {
                    live.ingest(scope, batch).await;
                }
            };
            if beside {
                tokio::join!(ingest, filler.fill(scope));
            } else {
                ingest.await;
            }
            filler.fill(scope).await;
            dumps.push(Dump::of(&*live.store, scope, FUNNEL).await);
        }
        assert_eq!(dumps[0], dumps[1], "{}", database.name);
    }
}

#[tokio::test]
async fn what_is_being_stored_while_a_funnel_is_defined_and_filled_is_in_it() {
    // SQLite has one writer: nobody defines anything while something is being stored.
    for database in databases().await.into_iter().filter(|database| database.name == "postgres") {
        let scope = Scope::of("meanwhile");
        let held = Arc::new(FaultyStore::new(Arc::new(database.store.clone()), 0, Fault::Held));
        let slow = TestEngine::new(Arc::clone(&held) as Arc<dyn Store>, 1);
        let quick = TestEngine::new(Arc::new(database.store.clone()), 2);
        let batch = example_batches().swap_remove(0);
        let define = async {
            held.until_held().await;
            let mut defined = std::pin::pin!(async {
                quick.define(scope, FUNNEL, &example_funnel()).await;
                quick.fill(scope).await;
            });
            // Whoever defines may have to wait for what is being stored: it is let go then.
            let in_time = tokio::time::timeout(Duration::from_millis(500), &mut defined).await;
            held.release();
            if in_time.is_err() {
                defined.await;
            }
        };
        tokio::join!(slow.ingest(scope, &batch), define);
        quick.fill(scope).await;
        let answer = quick.engine.query_funnel(scope, question(RECEIVED)).await.expect("an answer");
        assert_eq!((answer.complete, answer.figures.known), (true, batch.len() as i64));
    }
}
