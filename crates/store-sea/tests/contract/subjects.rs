//! Names, subjects and their events.

use std::collections::{BTreeSet, HashMap};

use rekindle_core::event::{Author, Event, OrderKey};
use rekindle_core::scope::Scope;
use rekindle_core::value::Value;
use rekindle_ports::Store;
use rekindle_ports::rows::{NameKind, StoredEvent};
use rekindle_testkit::build::at;
use rekindle_testkit::database::postgres;
use rekindle_testkit::databases;
use uuid::Uuid;

use crate::rows::{begin, key, now, scope, stored};

#[tokio::test]
async fn transactions_that_name_the_same_people_at_once_agree_on_their_keys() {
    for database in databases().await {
        let store = &database.store;
        for round in 0..5u128 {
            let calls = (0..6u128).map(|worker| async move {
                let mint = |name: &str, number| {
                    (format!("{name}-{round}"), key(round * 1_000 + worker * 10 + number))
                };
                let names = [mint("ada", 1), mint("bob", 2), mint("cyd", 3)];
                let mut tx = begin(store).await;
                let keys = tx.resolve(NameKind::Customer, &names, now()).await.expect("keys");
                tx.commit().await.expect("committed");
                keys
            });
            let answers = futures_util::future::join_all(calls).await;
            assert!(answers.iter().all(|keys| *keys == answers[0]), "{} {answers:?}", database.name);
            assert_eq!(answers[0].len(), 3);
            let keys: Vec<Uuid> = answers[0].values().copied().collect();
            let mut tx = begin(store).await;
            assert_eq!(tx.lock_customers(&keys).await.expect("rows").len(), 3, "each has one row");
        }
    }
}

#[tokio::test]
async fn what_is_not_committed_never_was() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        tx.resolve(NameKind::Customer, &[("ada".into(), key(1))], now()).await.expect("a key");
        tx.insert_events(&[stored("e1", None, Some(key(1)), 0)]).await.expect("inserted");
        drop(tx);
        let mut tx = begin(&database.store).await;
        assert_eq!(tx.key_of(NameKind::Customer, "ada").await.expect("an answer"), None, "{}", database.name);
        assert_eq!(tx.digests(&["e1".into()]).await.expect("an answer"), HashMap::new());
        let keys = tx.resolve(NameKind::Customer, &[("ada".into(), key(2))], now()).await.expect("a key");
        assert_eq!(keys["ada"], key(2));
    }
}

#[tokio::test]
async fn a_customer_and_a_conversation_of_one_name_are_two() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        for (kind, number) in [(NameKind::Customer, 1), (NameKind::Conversation, 2)] {
            let keys = tx.resolve(kind, &[("same".into(), key(number))], now()).await.expect("a key");
            assert_eq!(keys["same"], key(number), "{}", database.name);
        }
    }
}

#[tokio::test]
async fn workspaces_know_nothing_of_each_other_even_in_one_bucket() {
    for database in databases().await {
        let here = scope();
        let there = Scope { workspace: here.workspace + 1, ..here };
        let mut tx = begin(&database.store).await;
        tx.resolve(NameKind::Customer, &[("ada".into(), key(1))], now()).await.expect("a key");
        tx.insert_events(&[stored("e1", None, Some(key(1)), 0)]).await.expect("inserted");
        tx.commit().await.expect("committed");
        let mut tx = database.store.begin(there).await.expect("the database answers");
        assert_eq!(tx.key_of(NameKind::Customer, "ada").await.expect("an answer"), None, "{}", database.name);
        assert!(tx.customer_events(&[key(1)]).await.expect("events").is_empty());
        let new = tx.insert_events(&[stored("e1", None, Some(key(1)), 0)]).await.expect("inserted");
        assert_eq!(new, ["e1"], "an id is unique in its workspace");
    }
}

#[tokio::test]
async fn an_event_is_inserted_once_and_its_digest_stays() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        let (one, two, three) = (
            stored("1", None, Some(key(1)), 1),
            stored("2", None, Some(key(1)), 2),
            stored("3", None, Some(key(1)), 3),
        );
        let new: BTreeSet<String> =
            tx.insert_events(&[one.clone(), two.clone()]).await.expect("inserted").into_iter().collect();
        assert_eq!(new, ["1".into(), "2".into()].into());
        let changed = StoredEvent { digest: key(99), ..two.clone() };
        let new = tx.insert_events(&[changed, three.clone()]).await.expect("inserted");
        assert_eq!(new, ["3"], "{}", database.name);
        assert!(tx.insert_events(std::slice::from_ref(&one)).await.expect("inserted").is_empty());
        let ids: Vec<String> = ["1", "2", "3", "4"].map(Into::into).into();
        let digests = tx.digests(&ids).await.expect("digests");
        let expected = [&one, &two, &three].map(|row| (row.event.id.clone(), row.digest));
        assert_eq!(digests, expected.into_iter().collect());
    }
}

#[tokio::test]
async fn an_event_reads_back_as_it_was_written() {
    for database in databases().await {
        let nested =
            Value::List(vec![Value::Map([("k\"ey".to_owned(), Value::Number(-0.1))].into()), Value::Null]);
        let properties = [
            ("text".to_owned(), Value::Text("quote \" back\\slash \n tab\t é 𝄞 {} $1 ?1".into())),
            ("far".to_owned(), Value::Number(1.797_693_134_862_315_7e308)),
            ("near".to_owned(), Value::Number(5e-324)),
            ("flag".to_owned(), Value::Bool(false)),
            ("nested".to_owned(), nested),
        ];
        let mut row = stored("an id / with % everything ü", Some(key(1)), Some(key(2)), 5);
        row.event = Event {
            kind: "custom type".into(),
            sequence: i64::MIN,
            author: Author::Bot,
            public: false,
            automated: true,
            closing: true,
            text: Some("line\nline 'quoted' \u{ffff}".into()),
            properties: properties.into(),
            ..row.event
        };
        let plain = Event { sequence: i64::MAX, ..stored("plain", Some(key(1)), None, 5).event };
        let other = StoredEvent { event: plain.clone(), ..stored("plain", None, None, 5) };
        let mut tx = begin(&database.store).await;
        tx.insert_events(&[row.clone(), other]).await.expect("inserted");
        tx.commit().await.expect("committed");
        let mut tx = begin(&database.store).await;
        let read = tx.conversation_events(&[key(1)]).await.expect("events");
        assert_eq!(read, [(key(1), row.event), (key(1), plain)], "{}", database.name);
    }
}

#[tokio::test]
async fn every_text_is_kept_and_told_from_none() {
    let texts =
        [None, Some(""), Some("\u{1}"), Some("="), Some("=="), Some("\u{1}\u{1}"), Some("é"), Some("\\")];
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        let rows: Vec<StoredEvent> = (0i64..)
            .zip(texts)
            .map(|(place, text)| {
                let row = stored(&format!("e{place}"), Some(key(1)), None, place);
                StoredEvent { event: Event { text: text.map(Into::into), ..row.event }, ..row }
            })
            .collect();
        tx.insert_events(&rows).await.expect("inserted");
        let read = tx.conversation_events(&[key(1)]).await.expect("events");
        let read: Vec<Option<&str>> = read.iter().map(|(_, event)| event.text.as_deref()).collect();
        assert_eq!(read, texts, "{}", database.name);
    }
}

#[tokio::test]
async fn streams_come_in_the_order_of_instant_sequence_and_bytes() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        let places = [
            ("b", 1, 0),
            ("B", 1, 0),
            ("é", 1, 0),
            ("a", 1, 0),
            ("z", 1, -1),
            ("A", 1, 0),
            ("0", 2, 0),
            ("_", 1, 0),
        ];
        let rows = places.map(|(id, seconds, sequence)| {
            let row = stored(id, Some(key(1)), None, seconds);
            StoredEvent { event: Event { sequence, ..row.event }, ..row }
        });
        tx.insert_events(&rows).await.expect("inserted");
        let read = tx.conversation_events(&[key(1)]).await.expect("events");
        let ids: Vec<&str> = read.iter().map(|(_, event)| event.id.as_str()).collect();
        assert_eq!(ids, ["z", "A", "B", "_", "a", "b", "é", "0"], "{}", database.name);
    }
}

#[tokio::test]
async fn a_customers_stream_is_what_they_own_and_what_names_only_them() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        tx.resolve(NameKind::Customer, &[("ada".into(), key(1)), ("bob".into(), key(2))], now())
            .await
            .expect("keys");
        tx.resolve(NameKind::Conversation, &[("c1".into(), key(11)), ("c2".into(), key(12))], now())
            .await
            .expect("keys");
        let mut conversations = tx.lock_conversations(&[key(11)]).await.expect("rows");
        let order = OrderKey { at: at(0), sequence: 0, id: "1".into() };
        conversations[0].owner = Some((key(1), order));
        tx.save_conversations(&conversations).await.expect("saved");
        tx.insert_events(&[
            stored("1", Some(key(11)), Some(key(1)), 1),
            stored("2", Some(key(11)), Some(key(2)), 2),
            stored("3", Some(key(12)), Some(key(1)), 3),
            stored("4", None, Some(key(1)), 4),
            stored("5", None, Some(key(2)), 5),
        ])
        .await
        .expect("inserted");
        let read = tx.customer_events(&[key(1), key(2)]).await.expect("events");
        let read: Vec<(Uuid, &str)> =
            read.iter().map(|(subject, event)| (*subject, event.id.as_str())).collect();
        assert_eq!(read, [(key(1), "1"), (key(1), "2"), (key(1), "4"), (key(2), "5")], "{}", database.name);
        assert_eq!(tx.owners_of(&[key(11), key(12)]).await.expect("owners"), [(key(11), key(1))].into());
    }
}

#[tokio::test]
async fn what_customers_own_is_found_by_their_keys_but_for_what_was_erased() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        let names = ["c1", "c2", "c3", "c4"];
        let names: Vec<(String, Uuid)> = (11..).zip(names).map(|(n, name)| (name.into(), key(n))).collect();
        tx.resolve(NameKind::Conversation, &names, now()).await.expect("keys");
        let keys: Vec<Uuid> = names.iter().map(|(_, key)| *key).collect();
        let mut conversations = tx.lock_conversations(&keys).await.expect("rows");
        conversations.sort_by_key(|row| row.key);
        // The last one is nobody's.
        for (row, owner) in conversations.iter_mut().zip([1, 2, 2]) {
            row.owner = Some((key(owner), OrderKey { at: at(0), sequence: 0, id: "1".into() }));
        }
        tx.save_conversations(&conversations).await.expect("saved");
        tx.commit().await.expect("committed");
        assert_eq!(database.execute("UPDATE conversations SET erased_at = 1 WHERE name = 'c3'").await, 1);
        let mut tx = database.store.read(scope()).await.expect("the database answers");
        let mut owned = tx.conversations_owned(&[key(2), key(1), key(9)]).await.expect("keys");
        owned.sort_unstable();
        assert_eq!(owned, [key(11), key(12)], "{}", database.name);
        assert!(tx.conversations_owned(&[]).await.expect("keys").is_empty());
        assert_eq!(tx.conversations_unowned(None, 9).await.expect("keys"), [key(14)]);
        assert!(tx.conversations_unowned(Some(key(14)), 9).await.expect("keys").is_empty());
    }
}

#[tokio::test]
async fn a_subject_that_somebody_else_has_locked_is_left_out_where_that_is_asked() {
    let Some(database) = postgres().await else {
        return;
    };
    let store = &database.store;
    let mut tx = begin(store).await;
    let names = [("ann".to_owned(), key(1)), ("bob".to_owned(), key(2))];
    tx.resolve(NameKind::Customer, &names, at(0)).await.expect("resolved");
    tx.commit().await.expect("committed");
    let mut holder = begin(store).await;
    assert_eq!(holder.lock_customers(&[key(1)]).await.expect("rows").len(), 1);
    let mut other = begin(store).await;
    let free = other.lock_free_customers(&[key(1), key(2)]).await.expect("rows");
    assert_eq!(free.iter().map(|row| row.key).collect::<Vec<_>>(), [key(2)]);
    holder.commit().await.expect("committed");
    assert_eq!(other.lock_free_customers(&[key(1), key(2)]).await.expect("rows").len(), 2);
}
