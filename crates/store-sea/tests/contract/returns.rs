//! When customers came back, and what is known of them.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, CONVERSATION_UPDATED, CUSTOMER_UPDATED, Event, OrderKey};
use rekindle_core::value::Value;
use rekindle_ports::rows::{NameKind, StoredEvent};
use rekindle_testkit::build::at;
use rekindle_testkit::databases;

use crate::rows::{begin, key, now, scope, stored};

/// An event of every author and kind that matters, by hand and by machine, a second apart.
fn of_every_sort() -> Vec<StoredEvent> {
    let authors = [Author::System, Author::Agent, Author::Customer, Author::Bot];
    let kinds = ["customer_message", CONVERSATION_UPDATED, "page_viewed", CUSTOMER_UPDATED];
    let sorts = authors.into_iter().flat_map(|author| kinds.map(|kind| (author, kind)));
    let sorts = sorts.flat_map(|(author, kind)| [true, false].map(|automated| (author, kind, automated)));
    let event = |(second, (author, kind, automated)): (i64, (Author, &str, bool))| {
        let row = stored(&format!("e{second}"), Some(key(11)), None, second);
        let event = Event { author, kind: kind.into(), automated, public: second % 3 == 0, ..row.event };
        StoredEvent { event, clamped: second % 2 == 0, ..row }
    };
    (1..).zip(sorts).map(event).collect()
}

#[tokio::test]
async fn the_first_return_is_the_first_thing_that_the_customer_did() {
    let events = of_every_sort();
    let returns = |event: &Event| event.is_return() && !event.carries_attributes();
    let first_after = |after: Timestamp| {
        let mut events = events.iter().map(|stored| &stored.event);
        events.find(|event| event.effective_at > after && returns(event)).map(|event| event.effective_at)
    };
    let instants: Vec<Timestamp> = (0..=events.len() as i64).map(at).collect();
    let expected: HashMap<_, _> =
        instants.iter().filter_map(|after| Some(((key(11), *after), first_after(*after)?))).collect();
    assert!(expected.len() > 10 && expected.len() < instants.len(), "some of each");
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        tx.insert_events(&events).await.expect("inserted");
        let looks: Vec<_> = instants.iter().map(|after| (key(11), *after)).collect();
        let found = tx.returns(NameKind::Conversation, &looks).await.expect("returns");
        assert_eq!(found, expected, "{}", database.name);
        assert!(tx.returns(NameKind::Conversation, &[]).await.expect("returns").is_empty());
        let nobody = tx.returns(NameKind::Conversation, &[(key(12), at(0))]).await.expect("returns");
        assert!(nobody.is_empty(), "{}", database.name);
    }
}

#[tokio::test]
async fn a_customer_comes_back_in_any_conversation_of_theirs_and_outside_of_all() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        let names = [("c1".into(), key(11)), ("c2".into(), key(12)), ("c3".into(), key(13))];
        tx.resolve(NameKind::Conversation, &names, now()).await.expect("keys");
        let mut rows = tx.lock_conversations(&[key(11), key(12), key(13)]).await.expect("rows");
        rows.sort_by_key(|row| row.key);
        for (row, owner) in rows.iter_mut().zip([1, 1, 2]) {
            row.owner = Some((key(owner), OrderKey { at: at(0), sequence: 0, id: "1".into() }));
        }
        tx.save_conversations(&rows).await.expect("saved");
        tx.insert_events(&[
            stored("1", Some(key(11)), None, 10),
            stored("2", Some(key(12)), None, 20),
            stored("3", None, Some(key(1)), 30),
            // In a conversation of somebody else.
            stored("4", Some(key(13)), Some(key(1)), 25),
        ])
        .await
        .expect("inserted");
        let looks = [(1, 0), (1, 10), (1, 20), (1, 30), (2, 0), (3, 0)].map(|(n, s)| (key(n), at(s)));
        let found = tx.returns(NameKind::Customer, &looks).await.expect("returns");
        let expected = [(1, 0, 10), (1, 10, 20), (1, 20, 30), (2, 0, 25)];
        assert_eq!(found, expected.map(|(n, s, r)| ((key(n), at(s)), at(r))).into(), "{}", database.name);
    }
}

#[tokio::test]
async fn what_is_known_of_subjects_is_read_without_their_rows() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        let known = |id: &str, kind: &str, plan: &str| {
            let event = Event { kind: kind.into(), ..stored(id, None, None, 1).event };
            Event { properties: [("plan".to_owned(), Value::Text(plan.into()))].into(), ..event }
        };
        tx.resolve(NameKind::Customer, &[("ada".into(), key(1))], now()).await.expect("a key");
        tx.resolve(NameKind::Conversation, &[("c1".into(), key(11))], now()).await.expect("a key");
        let mut customers = tx.lock_customers(&[key(1)]).await.expect("a row");
        customers[0].attributes.take_in(&known("1", CUSTOMER_UPDATED, "pro"));
        tx.save_customers(&customers).await.expect("saved");
        let mut conversations = tx.lock_conversations(&[key(11)]).await.expect("a row");
        conversations[0].attributes.take_in(&known("2", CONVERSATION_UPDATED, "free"));
        tx.save_conversations(&conversations).await.expect("saved");
        tx.commit().await.expect("committed");
        let mut tx =
            rekindle_ports::Store::read(&database.store, scope()).await.expect("the database answers");
        for (kind, at, row) in [
            (NameKind::Customer, key(1), customers[0].attributes.current()),
            (NameKind::Conversation, key(11), conversations[0].attributes.current()),
        ] {
            assert_eq!(row.len(), 1);
            let found = tx.attributes(kind, &[at, key(99)]).await.expect("attributes");
            assert_eq!(found, [(at, row)].into(), "{}", database.name);
        }
    }
}
