//! What users define beside funnels.

use std::collections::BTreeMap;

use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::MarkKind;
use rekindle_core::sequence::{Sequence, SequenceState, Trigger};
use rekindle_ports::StoreError;
use rekindle_ports::resources::{
    DestinationKind, DestinationRow, SequenceRow, SuppressionKind, SuppressionReason, SuppressionRow,
};
use rekindle_testkit::databases;

use crate::rows::{begin, now};

fn sequence(display_name: &str) -> SequenceRow {
    SequenceRow {
        id: "nudge".into(),
        revision: 1,
        changed_by: 0,
        etag: display_name.into(),
        state: SequenceState::Draft,
        body: Sequence {
            display_name: display_name.into(),
            ..Sequence::new(
                Trigger {
                    funnel: "support".into(),
                    stage: "answered".into(),
                    on: MarkKind::Stalled.into(),
                    owed_by: OwedBy::Anyone,
                },
                Vec::new(),
            )
        },
        created_at: now(),
        updated_at: now(),
        started_at: None,
    }
}

fn destination(display_name: &str) -> DestinationRow {
    let url = "https://hook.invalid/in".into();
    DestinationRow {
        id: "hook".into(),
        display_name: display_name.into(),
        kind: DestinationKind::Webhook { url, headers: BTreeMap::new(), allow_http: false },
        secrets: Vec::new(),
        disabled: None,
        etag: display_name.into(),
        created_at: now(),
        updated_at: now(),
    }
}

#[tokio::test]
async fn an_id_that_is_taken_is_a_conflict_and_what_is_there_stays() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        tx.insert_sequence(&sequence("first")).await.expect("free");
        tx.insert_destination(&destination("first")).await.expect("free");
        tx.commit().await.expect("committed");
        let answer = begin(&database.store).await.insert_sequence(&sequence("second")).await;
        assert!(matches!(answer, Err(StoreError::Conflict(_))), "{}: {answer:?}", database.name);
        let answer = begin(&database.store).await.insert_destination(&destination("second")).await;
        assert!(matches!(answer, Err(StoreError::Conflict(_))), "{}: {answer:?}", database.name);
        let mut tx = begin(&database.store).await;
        assert_eq!(tx.sequence("nudge").await.expect("readable"), Some(sequence("first")));
        assert_eq!(tx.destination("hook").await.expect("readable"), Some(destination("first")));
    }
}

#[tokio::test]
async fn pages_of_names_follow_their_bytes() {
    // A language would put these in the order ä, a-1, a1, A2, _b, b, Z or the like.
    let in_order = ["A2", "Z", "_b", "a-1", "a1", "b", "ä"];
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        for name in ["b", "ä", "_b", "A2", "a1", "Z", "a-1"] {
            let kind = SuppressionKind::Customer;
            let (reason, note, created_at) = (SuppressionReason::Manual, String::new(), now());
            let entry = SuppressionRow { kind, value: name.into(), reason, note, created_at };
            assert!(tx.suppress(&entry).await.expect("written"));
            tx.insert_destination(&DestinationRow { id: name.into(), ..destination(name) })
                .await
                .expect("new");
        }
        let (mut names, mut after) = (Vec::new(), None);
        while let [entry] = &tx.suppressions(after.as_ref(), 1).await.expect("readable")[..] {
            names.push(entry.value.clone());
            after = Some((entry.kind, entry.value.clone()));
        }
        assert_eq!(names, in_order, "{}", database.name);
        let (mut ids, mut after) = (Vec::new(), String::new());
        while let [row] = &tx.destinations(&after, 1).await.expect("readable")[..] {
            ids.push(row.id.clone());
            after.clone_from(&row.id);
        }
        assert_eq!(ids, in_order, "{}", database.name);
    }
}
