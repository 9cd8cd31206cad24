//! What `PostgreSQL` makes of our statements where it knows nothing of our tables.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::Store;
use rekindle_ports::rows::NameKind;
use rekindle_ports::store::Queue;
use rekindle_store_sea::{SeaStore, StoreOptions, open};
use rekindle_testkit::database::postgres;
use rekindle_testkit::databases;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use crate::rows::{begin, scope};

const EVENTS: i64 = 20_000;

async fn fill(store: &SeaStore) {
    let Scope { bucket, workspace } = scope();
    let insert = format!(
        "INSERT INTO events (bucket, workspace, id, conversation, kind, occurred_at, effective_at, received_at, \
                             sequence, author, flags, properties, digest) \
         SELECT {bucket}, {workspace}, 'event-' || n, md5((n / 4)::text)::uuid, 'said', n, n, n, 0, 0, 0, '{{}}', \
                md5(n::text)::uuid FROM generate_series(1, {EVENTS}) AS n"
    );
    store.writer().execute_unprepared(&insert).await.expect("stored");
}

/// Entries of the table and its indexes that were read so far.
async fn entries_read(store: &SeaStore, table: &str) -> i64 {
    store.writer().execute_unprepared("SELECT pg_stat_force_next_flush()").await.expect("PostgreSQL 15");
    let question = format!(
        "SELECT (seq_tup_read + (SELECT SUM(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::bigint \
         AS entries FROM pg_stat_user_tables t WHERE relname = '{table}'"
    );
    let statement = Statement::from_string(DatabaseBackend::Postgres, question);
    let row = store.writer().query_one_raw(statement).await.expect("an answer").expect("a row");
    row.try_get("", "entries").expect("a number")
}

/// Rows of `events` that were read so far, by whichever index or none.
async fn rows_read(store: &SeaStore) -> i64 {
    store.writer().execute_unprepared("SELECT pg_stat_force_next_flush()").await.expect("PostgreSQL 15");
    let question = "SELECT (seq_tup_read + COALESCE(idx_tup_fetch, 0))::bigint AS rows \
                    FROM pg_stat_user_tables WHERE relname = 'events'";
    let statement = Statement::from_string(DatabaseBackend::Postgres, question);
    let row = store.writer().query_one_raw(statement).await.expect("an answer").expect("a row");
    row.try_get("", "rows").expect("a number")
}

#[tokio::test]
async fn keys_are_looked_up_one_by_one_in_a_table_without_statistics() {
    let Some(database) = postgres().await else {
        return;
    };
    // One connection: what it read is what we count.
    let options = StoreOptions { max_connections: 1, ..database.options.clone() };
    let store = open(&options, false).await.expect("the schema is there");
    fill(&store).await;
    let before = rows_read(&store).await;
    let ids: Vec<String> = (0..100).map(|n| format!("event-{}", n * 7 + 1)).collect();
    let mut tx = begin(&store).await;
    assert_eq!(tx.digests(&ids).await.expect("digests").len(), 100);
    tx.commit().await.expect("committed");
    let after_ids = rows_read(&store).await;
    assert_eq!(after_ids - before, 100, "a row for each id that was found");
    let conversations: Vec<_> = (1..=50).map(|n: u32| md5_uuid(&store, n)).collect();
    let conversations = futures_util::future::join_all(conversations).await;
    let mut tx = store.read(scope()).await.expect("a transaction");
    assert_eq!(tx.conversation_events(&conversations).await.expect("events").len(), 200);
    drop(tx);
    let after_events = rows_read(&store).await;
    assert_eq!(after_events - after_ids, 200, "a row for each event of those conversations");
    // Nobody of those did anything: each look goes to the end of its conversation.
    let looks: Vec<_> = conversations.iter().map(|key| (*key, Timestamp(0))).collect();
    let mut tx = store.read(scope()).await.expect("a transaction");
    assert!(tx.returns(NameKind::Conversation, &looks).await.expect("returns").is_empty());
    drop(tx);
    let after_looks = rows_read(&store).await;
    assert_eq!(after_looks - after_events, 200, "a row for each event that may be a return");
    let mut tx = store.read(scope()).await.expect("a transaction");
    assert!(tx.returns(NameKind::Customer, &looks).await.expect("returns").is_empty());
    drop(tx);
    assert_eq!(rows_read(&store).await, after_looks, "they are no customers and own nothing");
}

#[tokio::test]
async fn an_index_by_owner_is_no_way_to_conversations_by_key() {
    let Some(database) = postgres().await else {
        return;
    };
    let options = StoreOptions { max_connections: 1, ..database.options.clone() };
    let store = open(&options, false).await.expect("the schema is there");
    let Scope { bucket, workspace } = scope();
    let insert = format!(
        "INSERT INTO conversations (bucket, workspace, key, name, owner, attributes, latest, state, owed_by, \
                                    resolved, event_count, created_at) \
         SELECT {bucket}, {workspace}, md5(n::text)::uuid, 'conversation-' || n, md5((n / 4)::text)::uuid, '{{}}', \
                '{{}}', '{{}}', 0, FALSE, 0, n FROM generate_series(1, {EVENTS}) AS n"
    );
    let keys = futures_util::future::join_all((1..=50).map(|n: u32| md5_uuid(&store, n))).await;
    let ask = async || {
        let mut tx = begin(&store).await;
        let found = tx.owners_of(&keys).await.expect("owners").len();
        tx.commit().await.expect("committed");
        found
    };
    // The plan that a connection keeps is made after a few times, while there is nothing yet.
    for _ in 0..10 {
        assert_eq!(ask().await, 0);
    }
    store.writer().execute_unprepared(&insert).await.expect("stored");
    let before = entries_read(&store, "conversations").await;
    assert_eq!(ask().await, 50);
    assert_eq!(entries_read(&store, "conversations").await - before, 50, "an entry for each key");
}

async fn md5_uuid(store: &SeaStore, n: u32) -> uuid::Uuid {
    let statement =
        Statement::from_string(DatabaseBackend::Postgres, format!("SELECT md5('{n}')::uuid AS key"));
    let row = store.writer().query_one_raw(statement).await.expect("an answer").expect("a row");
    row.try_get("", "key").expect("a key")
}

#[tokio::test]
async fn statistics_are_taken_once_a_table_has_outgrown_them() {
    for database in databases().await {
        let store = &database.store;
        assert!(store.refresh_statistics().await.expect("looked").is_empty(), "there is nothing in it yet");
        if store.backend() != DatabaseBackend::Postgres {
            continue;
        }
        fill(store).await;
        assert_eq!(store.refresh_statistics().await.expect("looked"), ["events"]);
        assert!(store.refresh_statistics().await.expect("looked").is_empty(), "it knows now");
    }
}

#[tokio::test]
async fn what_is_due_is_read_from_an_index() {
    let Some(database) = postgres().await else {
        return;
    };
    // One connection: what it read is what we count.
    let options = StoreOptions { max_connections: 1, ..database.options.clone() };
    let store = &open(&options, false).await.expect("the schema is there");
    let Scope { bucket, workspace } = scope();
    // Everything is in one bucket, and the planner knows it: it expects as much of the others.
    let insert = format!(
        "INSERT INTO timers (bucket, workspace, funnel, subject, due_at, epoch) \
         SELECT {bucket}, {workspace}, 'support', md5(n::text)::uuid, n, 0 FROM generate_series(1, {EVENTS}) AS n"
    );
    store.writer().execute_unprepared(&insert).await.expect("stored");
    store.writer().execute_unprepared("ANALYZE timers").await.expect("looked");
    let before = timers_scanned(store).await;
    let due = store.due_buckets(Queue::Timers, Timestamp(EVENTS)).await.expect("an answer");
    assert_eq!(due, [bucket]);
    assert_eq!(timers_scanned(store).await, before, "the table was read for a bucket that has nothing");
}

/// How often all of `timers` was read.
async fn timers_scanned(store: &SeaStore) -> i64 {
    store.writer().execute_unprepared("SELECT pg_stat_force_next_flush()").await.expect("PostgreSQL 15");
    let question = "SELECT seq_scan AS scans FROM pg_stat_user_tables WHERE relname = 'timers'";
    let statement = Statement::from_string(DatabaseBackend::Postgres, question);
    let row = store.writer().query_one_raw(statement).await.expect("an answer").expect("a row");
    row.try_get("", "scans").expect("a number")
}
