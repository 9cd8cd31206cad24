//! Journeys with their attempts and silences.

use rekindle_core::fold::{Changes, Journey, fold_all};
use rekindle_core::funnel::{CompiledFunnel, OwedBy};
use rekindle_core::metrics::SilenceFact;
use rekindle_ports::facts::FactQuery;
use rekindle_ports::rows::{JourneyKey, JourneyRow, JourneyWrite};
use rekindle_ports::{Store, StoreError, Tx};
use rekindle_testkit::build::{FunnelExt, RECEIVED, at, events, funnel, stored};
use rekindle_testkit::databases;

use crate::rows::{begin, key};

fn folded(pairs: &[(&str, i64)]) -> (Journey, Changes) {
    let shape = funnel(&["a", "b"]).stall(0, 5, OwedBy::Anyone).stall(1, 5, OwedBy::Anyone);
    let compiled = CompiledFunnel::new(shape).expect("a valid funnel");
    fold_all(&compiled, None, &stored(&events(pairs), RECEIVED))
}

fn write(revision: i64, live: bool, (journey, changes): (Journey, Changes)) -> JourneyWrite {
    JourneyWrite {
        standing: journey.passages.standing(rekindle_core::funnel::StageOrder::Ordered, 2, RECEIVED),
        attempts: changes.attempts.into_values().collect(),
        silences: changes.silences,
        replaces: false,
        existed: false,
        row: JourneyRow {
            key: JourneyKey { revision, subject: key(1) },
            funnel: "journey".into(),
            customer: Some(key(9)),
            live,
            journey,
        },
    }
}

async fn facts(tx: &mut dyn Tx, revision: i64) -> (usize, usize, Vec<SilenceFact>) {
    let query =
        FactQuery { revision, from: None, until: None, as_of: RECEIVED, filter: None, groups: Vec::new() };
    let attempts = tx.attempt_facts(&query).await.expect("attempts").len();
    let standings = tx.standing_facts(&query).await.expect("journeys").len();
    (attempts, standings, tx.silence_facts(&query).await.expect("silences"))
}

#[tokio::test]
async fn a_journey_reads_back_as_it_was_written() {
    for database in databases().await {
        let written = write(1, true, folded(&[("a", 0), ("x", 10), ("b", 30)]));
        let mut tx = begin(&database.store).await;
        tx.save_journeys(std::slice::from_ref(&written)).await.expect("saved");
        tx.commit().await.expect("committed");
        let mut tx = begin(&database.store).await;
        let read = tx.load_journeys(&[1, 2], &[key(1), key(2)]).await.expect("journeys");
        assert_eq!(read, [written.row], "{}", database.name);
        let (attempts, standings, silences) = facts(&mut *tx, 1).await;
        assert_eq!((attempts, standings), (1, 1));
        let ends: Vec<_> = silences.iter().map(|silence| (silence.since, silence.until)).collect();
        assert_eq!(ends, [(at(0), Some(at(10))), (at(10), Some(at(30)))]);
    }
}

#[tokio::test]
async fn what_is_folded_anew_replaces_all_that_was_written_before() {
    for database in databases().await {
        let before = write(1, true, folded(&[("a", 0), ("x", 10), ("a", 20), ("x", 30)]));
        let after = write(1, true, folded(&[("x", 0), ("a", 20)]));
        let mut tx = begin(&database.store).await;
        tx.save_journeys(&[before]).await.expect("saved");
        assert_eq!(facts(&mut *tx, 1).await.0, 2);
        let after = JourneyWrite { replaces: true, existed: true, ..after };
        tx.save_journeys(std::slice::from_ref(&after)).await.expect("saved");
        let (attempts, standings, silences) = facts(&mut *tx, 1).await;
        assert_eq!((attempts, standings), (1, 1), "{}", database.name);
        assert_eq!(
            silences.iter().map(|silence| silence.since).collect::<Vec<_>>(),
            [at(20)],
            "only the open one"
        );
    }
}

#[tokio::test]
async fn one_journey_of_a_funnel_and_subject_is_live() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        tx.save_journeys(&[write(1, true, folded(&[("a", 0)]))]).await.expect("saved");
        tx.commit().await.expect("committed");
        let mut tx = begin(&database.store).await;
        let second = tx.save_journeys(&[write(2, true, folded(&[("a", 0)]))]).await;
        assert!(matches!(second, Err(StoreError::Conflict(_))), "{} {second:?}", database.name);
        drop(tx);
        let mut tx = begin(&database.store).await;
        tx.save_journeys(&[write(2, false, folded(&[("a", 0)]))]).await.expect("another may be read");
        tx.retire(&[JourneyKey { revision: 1, subject: key(1) }]).await.expect("retired");
        tx.save_journeys(&[write(2, true, folded(&[("a", 0)]))]).await.expect("now it may be live");
    }
}

#[tokio::test]
async fn what_is_forgotten_leaves_nothing() {
    for database in databases().await {
        let mut tx = begin(&database.store).await;
        tx.save_journeys(&[
            write(1, true, folded(&[("a", 0), ("x", 10)])),
            write(2, false, folded(&[("a", 0)])),
        ])
        .await
        .expect("saved");
        tx.forget(1, &[key(1)]).await.expect("forgotten");
        assert_eq!(facts(&mut *tx, 1).await, (0, 0, Vec::new()), "{}", database.name);
        assert_eq!(facts(&mut *tx, 2).await.1, 1, "the other revision stays");
    }
}

#[tokio::test]
async fn a_reader_sees_one_moment_and_cannot_write() {
    for database in databases().await {
        let mut reader = database.store.read(crate::rows::scope()).await.expect("the database answers");
        assert_eq!(facts(&mut *reader, 1).await.1, 0);
        let mut tx = begin(&database.store).await;
        tx.save_journeys(&[write(1, true, folded(&[("a", 0)]))]).await.expect("saved");
        tx.commit().await.expect("committed");
        assert_eq!(facts(&mut *reader, 1).await.1, 0, "{}: the moment it began to read", database.name);
        assert!(reader.save_journeys(&[write(3, false, folded(&[("a", 0)]))]).await.is_err());
        drop(reader);
        let mut reader = database.store.read(crate::rows::scope()).await.expect("the database answers");
        assert_eq!(facts(&mut *reader, 1).await.1, 1);
    }
}
