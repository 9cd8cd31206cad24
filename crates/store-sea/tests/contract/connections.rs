//! What goes wrong between a program and its `PostgreSQL` server.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use rekindle_core::scope::Scope;
use rekindle_ports::rows::NameKind;
use rekindle_ports::{Store, StoreError};
use rekindle_store_sea::{StoreOptions, open};
use rekindle_testkit::database::{empty_postgres, postgres};
use sea_orm::ConnectionTrait;

use crate::rows::{begin, key, scope};

/// F1: a future dropped inside `BEGIN` leaves an open transaction on the connection, and
/// the next user's writes would vanish with it. The pool takes it back before it lends.
#[tokio::test]
async fn a_begin_that_is_dropped_half_way_costs_the_next_user_nothing() {
    let Some(database) = postgres().await else {
        return;
    };
    let options = StoreOptions { max_connections: 1, ..database.options.clone() };
    let store = open(&options, false).await.expect("the schema is there");
    for polls in 1..=20u32 {
        drop(begin(&store).await);
        {
            let mut begin = store.begin(scope());
            for _ in 0..polls {
                if poll_fn(|context| Poll::Ready(begin.as_mut().poll(context).is_ready())).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Outside a transaction of its own, where a left-over one would swallow it.
        let name = format!("customer-{polls}");
        let Scope { bucket, workspace } = scope();
        let insert = format!(
            "INSERT INTO identities (bucket, workspace, kind, name, key) \
             VALUES ({bucket}, {workspace}, 1, '{name}', '{}')",
            key(polls.into())
        );
        store.writer().execute_unprepared(&insert).await.expect("acknowledged");
        let mut elsewhere = begin(&database.store).await;
        let found = elsewhere.key_of(NameKind::Customer, &name).await.expect("an answer");
        assert_eq!(
            found,
            Some(key(polls.into())),
            "dropped after {polls} polls: what was acknowledged is there"
        );
    }
}

#[tokio::test]
async fn replicas_that_migrate_an_empty_database_at_once_all_succeed() {
    let Some((_database, options)) = empty_postgres().await else {
        return;
    };
    let opened = futures_util::future::join_all((0..5).map(|_| open(&options, true))).await;
    for store in opened {
        let store = store.expect("every replica starts");
        store.ping().await.expect("and works");
    }
    open(&options, false).await.expect("the schema is current");
}

/// What is read for a caller who no longer waits is read no longer.
#[tokio::test]
async fn a_statement_that_takes_longer_than_its_limit_is_ended_and_the_connection_goes_on() {
    let Some(database) = postgres().await else {
        return;
    };
    let lock = database.lock("fills").await;
    let mut read = database.store.read(scope()).await.expect("a snapshot");
    read.limit(Duration::from_millis(50)).await.expect("a setting");
    let ended = read.running_fills().await.expect_err("the table is locked");
    assert!(matches!(ended, StoreError::OutOfTime(_)), "{ended:?}");
    drop(read);
    lock.release().await;
    let mut next = database.store.read(scope()).await.expect("a snapshot");
    assert_eq!(next.running_fills().await.expect("no limit of somebody else's").len(), 0);
}
