//! The detector's queue: claims that exclude each other, and the fence.

use std::collections::BTreeSet;
use std::time::SystemTime;

use rekindle_core::Timestamp;
use rekindle_ports::Store;
use rekindle_ports::rows::{Claimed, Lease, TimerDone, TimerKey, TimerSet};
use rekindle_ports::store::Queue;
use rekindle_testkit::build::at;
use rekindle_testkit::databases;

use crate::rows::{begin, key, scope};

const HOUR: i64 = 3_600_000_000;

fn lease(owner: &str, ttl: i64) -> Lease {
    Lease { owner: owner.into(), ttl }
}

async fn set(store: &dyn Store, timers: &[(u128, i64)]) {
    let mut tx = begin(store).await;
    let timers: Vec<TimerSet> = timers
        .iter()
        .map(|(subject, seconds)| TimerSet {
            funnel: "journey".into(),
            subject: key(*subject),
            due_at: at(*seconds),
        })
        .collect();
    tx.set_timers(&timers).await.expect("set");
    tx.commit().await.expect("committed");
}

async fn claim(store: &dyn Store, now: Timestamp, lease: &Lease, limit: u32) -> Vec<Claimed<TimerKey>> {
    let mut tx = begin(store).await;
    let claims = tx.claim_timers(scope().bucket, now, lease, limit).await.expect("claims");
    tx.commit().await.expect("committed");
    claims
}

/// The one lost timer that is due, if there is one.
async fn claim_lost(store: &dyn Store, now: Timestamp, lease: &Lease) -> Option<Claimed<TimerKey>> {
    let mut tx = begin(store).await;
    let claim = tx.claim_lost_timer(scope().bucket, now, lease).await.expect("an answer");
    tx.commit().await.expect("committed");
    claim
}

async fn finish(store: &dyn Store, claim: &Claimed<TimerKey>, next: Option<Timestamp>) -> u64 {
    let mut tx = begin(store).await;
    let written = tx.finish_timers(&[TimerDone { claim: claim.clone(), next }]).await.expect("an answer");
    tx.commit().await.expect("committed");
    written
}

#[tokio::test]
async fn a_timer_is_claimed_when_it_is_due_and_not_before() {
    for database in databases().await {
        set(&database.store, &[(1, 10), (2, 20)]).await;
        assert!(claim(&database.store, at(10).plus(-1), &lease("w", HOUR), 10).await.is_empty());
        assert!(
            database.store.due_buckets(Queue::Timers, at(10).plus(-1)).await.expect("buckets").is_empty()
        );
        assert_eq!(
            database.store.due_buckets(Queue::Timers, at(10)).await.expect("buckets"),
            [scope().bucket]
        );
        let claims = claim(&database.store, at(10), &lease("w", HOUR), 10).await;
        assert_eq!(
            claims.iter().map(|claim| claim.key.subject).collect::<Vec<_>>(),
            [key(1)],
            "{}",
            database.name
        );
        assert_eq!(claims[0].key.scope, scope());
    }
}

#[tokio::test]
async fn setting_a_timer_only_ever_moves_it_earlier() {
    for database in databases().await {
        set(&database.store, &[(1, 10)]).await;
        set(&database.store, &[(1, 20)]).await;
        let held = claim(&database.store, at(10), &lease("w", HOUR), 10).await.remove(0);
        assert_eq!(finish(&database.store, &held, Some(at(10))).await, 1, "{}", database.name);
        set(&database.store, &[(1, 5)]).await;
        assert_eq!(claim(&database.store, at(5), &lease("w", 0), 10).await.len(), 1);
    }
}

#[tokio::test]
async fn a_claim_that_holds_excludes_others_until_its_lease_ends() {
    for database in databases().await {
        set(&database.store, &[(1, 10)]).await;
        assert_eq!(claim(&database.store, at(10), &lease("first", HOUR), 10).await.len(), 1);
        assert!(
            claim(&database.store, at(10), &lease("second", HOUR), 10).await.is_empty(),
            "{}",
            database.name
        );
        assert!(database.store.due_buckets(Queue::Timers, at(10)).await.expect("buckets").is_empty());
        set(&database.store, &[(2, 10)]).await;
        // A lease of no length is that of a worker that died long ago.
        assert_eq!(claim(&database.store, at(10), &lease("third", 0), 10).await.len(), 1);
        assert!(claim_lost(&database.store, at(10), &lease("fourth", 0)).await.is_some());
    }
}

#[tokio::test]
async fn whoever_lost_a_claim_holds_nothing_and_writes_nothing() {
    for database in databases().await {
        set(&database.store, &[(1, 10)]).await;
        let slow = claim(&database.store, at(10), &lease("slow", 0), 10).await.remove(0);
        let quick = claim_lost(&database.store, at(10), &lease("quick", HOUR)).await.expect("it was lost");
        assert!(quick.epoch > slow.epoch, "{}", database.name);
        let mut tx = begin(&database.store).await;
        assert!(tx.hold_timers(std::slice::from_ref(&slow)).await.expect("an answer").is_empty());
        assert_eq!(
            tx.hold_timers(std::slice::from_ref(&quick)).await.expect("an answer"),
            std::slice::from_ref(&quick.key)
        );
        drop(tx);
        assert_eq!(finish(&database.store, &slow, None).await, 0);
        assert_eq!(finish(&database.store, &slow, Some(at(1))).await, 0);
        assert!(
            claim(&database.store, at(10), &lease("third", 0), 10).await.is_empty(),
            "it is still the quick one's"
        );
        assert_eq!(finish(&database.store, &quick, Some(at(30))).await, 1);
        assert_eq!(finish(&database.store, &quick, None).await, 0, "a claim is finished once");
        assert!(claim(&database.store, at(29), &lease("third", 0), 10).await.is_empty());
        assert_eq!(claim(&database.store, at(30), &lease("third", 0), 10).await.len(), 1);
    }
}

#[tokio::test]
async fn a_timer_that_is_over_rings_again_only_when_it_is_set() {
    for database in databases().await {
        set(&database.store, &[(1, 10)]).await;
        let done = claim(&database.store, at(10), &lease("w", HOUR), 10).await.remove(0);
        assert_eq!(finish(&database.store, &done, None).await, 1);
        assert!(
            claim(&database.store, Timestamp::LATEST, &lease("w", 0), 10).await.is_empty(),
            "{}",
            database.name
        );
        set(&database.store, &[(1, 50)]).await;
        let again = claim(&database.store, at(50), &lease("w", HOUR), 10).await.remove(0);
        assert!(again.epoch > done.epoch, "an old claim never passes for a new one");
    }
}

#[tokio::test]
async fn workers_that_claim_at_once_share_no_timer_and_leave_none() {
    for database in databases().await {
        let timers: Vec<(u128, i64)> = (1..=120).map(|subject| (subject, (subject % 7) as i64)).collect();
        set(&database.store, &timers).await;
        let store = &database.store;
        let workers = (0..6).map(|worker| async move {
            let mut mine = Vec::new();
            loop {
                let claims = claim(store, at(10), &lease(&format!("worker-{worker}"), HOUR), 3).await;
                assert!(claims.len() <= 3, "never more than asked for");
                if claims.is_empty() {
                    return mine;
                }
                mine.extend(claims.into_iter().map(|claim| claim.key.subject));
            }
        });
        let all: Vec<_> = futures_util::future::join_all(workers).await.into_iter().flatten().collect();
        let distinct: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!((all.len(), distinct.len()), (120, 120), "{}", database.name);
    }
}

#[tokio::test]
async fn lost_timers_are_claimed_one_by_one_the_least_suspected_first_and_counted_until_given_back() {
    for database in databases().await {
        let store = &database.store;
        set(store, &[(1, 10), (2, 11)]).await;
        assert!(claim_lost(store, at(20), &lease("w", 0)).await.is_none(), "nobody lost anything");
        assert_eq!(claim(store, at(20), &lease("w", 0), 10).await.len(), 2, "{}", database.name);
        assert!(claim(store, at(20), &lease("w", 0), 10).await.is_empty(), "lost ones come alone");
        assert_eq!(store.due_buckets(Queue::Timers, at(20)).await.expect("buckets"), [scope().bucket]);
        for (count, subject) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let lost = claim_lost(store, at(20), &lease("w", 0)).await.expect("lost");
            assert_eq!((lost.key.subject, lost.crashes), (key(subject), count));
        }
        let lost = claim_lost(store, at(20), &lease("w", HOUR)).await.expect("lost");
        let other = claim_lost(store, at(20), &lease("w", HOUR)).await.expect("lost");
        assert_eq!((lost.key.subject, lost.crashes), (key(1), 3));
        assert_eq!((other.key.subject, other.crashes), (key(2), 3));
        assert!(claim_lost(store, at(20), &lease("w", HOUR)).await.is_none(), "both are held");
        assert_eq!(finish(store, &lost, Some(at(15))).await, 1);
        let free = claim(store, at(20), &lease("w", 0), 10).await.remove(0);
        assert_eq!((free.key.subject, free.crashes), (key(1), 0), "it was given back");
        let lost = claim_lost(store, at(20), &lease("w", 0)).await.expect("lost again");
        assert_eq!(lost.crashes, 1, "the count began anew");
    }
}

#[tokio::test]
async fn a_timer_that_was_lost_before_is_held_for_longer_each_time_and_for_sixteen_leases_at_most() {
    for database in databases().await {
        let store = &database.store;
        set(store, &[(1, 10)]).await;
        assert_eq!(claim(store, at(20), &lease("w", 0), 10).await.len(), 1);
        for leases in [1, 2, 4, 8, 16, 16] {
            claim_lost(store, at(20), &lease("w", HOUR)).await.expect("lost");
            #[expect(clippy::disallowed_methods, reason = "leases are measured by the clock of the database")]
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later");
            let (until, minute) = (since_1970.as_micros() as i64 + leases * HOUR, HOUR / 60);
            let sql = format!(
                "UPDATE timers SET lease_until = 0 WHERE lease_until BETWEEN {} AND {}",
                until - minute,
                until + minute
            );
            assert_eq!(database.execute(&sql).await, 1, "{}: {leases} leases", database.name);
        }
    }
}

#[tokio::test]
async fn a_timer_that_is_set_aside_says_why_and_rests_until_it_is_set() {
    for database in databases().await {
        let store = &database.store;
        set(store, &[(1, 10)]).await;
        let slow = claim(store, at(10), &lease("w", 0), 10).await.remove(0);
        let lost = claim_lost(store, at(10), &lease("w", HOUR)).await.expect("lost");
        let mut tx = begin(store).await;
        assert!(!tx.set_timer_aside(&slow, "too slow", at(11)).await.expect("an answer"));
        assert!(tx.set_timer_aside(&lost, "a row cannot be read", at(11)).await.expect("an answer"));
        let aside = tx.timers_aside(10).await.expect("readable");
        tx.commit().await.expect("committed");
        let [one] = aside.as_slice() else { panic!("{aside:?}") };
        let expected = (lost.key.clone(), at(11), "a row cannot be read");
        assert_eq!((one.key.clone(), one.at, one.reason.as_str()), expected, "{}", database.name);
        assert!(claim(store, Timestamp::LATEST, &lease("w", 0), 10).await.is_empty());
        assert!(claim_lost(store, Timestamp::LATEST, &lease("w", 0)).await.is_none());
        set(store, &[(1, 50)]).await;
        let again = claim(store, at(50), &lease("w", HOUR), 10).await.remove(0);
        assert_eq!(finish(store, &again, None).await, 1);
        assert!(begin(store).await.timers_aside(10).await.expect("readable").is_empty(), "a look went well");
    }
}
