//! Replicas on one database: they share the work, and one that dies or sleeps does no harm.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rekindle_proto::v1::delivery_attempt::Outcome;
use rekindle_proto::v1::run_event::Kind;
use rekindle_testkit::Sql;

use crate::checker::{Delivery, check};
use crate::database;
use crate::desk;
use crate::read_back::{history, run_events, settled};
use crate::receiver::Receiver;
use crate::service::{LEASE, Service, Settings};
use crate::surroundings::{until, when};

mod long;
mod trio;

use trio::{PATIENCE, Stage, Trio};

/// Waves of conversations after which each of three replicas has had some of everything.
const WAVES: usize = 30;
/// Batches that each replica takes in, in a wave.
const TURNS: usize = 4;
/// Between two batches.
const PACE: Duration = Duration::from_millis(100);
/// What a dead replica held must have moved by then: its lease, and time to look.
const TAKEOVER: Duration = Duration::from_secs(10);
/// Fewer than a replica sends at once, so that one replica holds them all.
const HELD: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_share_ingest_detection_runs_and_deliveries() {
    let Some(database) = database::postgres().await else {
        return;
    };
    let receiver = Receiver::start().await;
    // Leases that no busy machine outlasts: nobody dies here. One message at a time, so that
    // the others get some.
    let settings = Settings::of(&database)
        .reaching(receiver.only())
        .with("LEASE__TTL_MS", "60000")
        .with("DELIVERY__CONCURRENCY", "1")
        .with("LOG__FILTER", "info,rekindle_engine=debug");
    let replicas = [settings.start().await, settings.start().await, settings.start().await];
    desk::set_up(&replicas[0].channel, receiver.only()).await;
    let mut sent = Vec::new();
    for wave in 0.. {
        // One after the other, so that they come due one after the other.
        for (turn, replica) in replicas.iter().cycle().take(3 * TURNS).enumerate() {
            sent.extend(
                desk::answered(&replica.channel, &conversations(&format!("w{wave}-{turn}"), 2)).await,
            );
            tokio::time::sleep(PACE).await;
        }
        until("every silence is followed by a call", PATIENCE, async || {
            when(receiver.calls().len() >= sent.len() / 2)
        })
        .await;
        if replicas.iter().all(|replica| share(replica).iter().all(|done| *done > 0)) {
            break;
        }
        assert!(wave < WAVES, "somebody did nothing of something: {:?}", replicas.each_ref().map(share));
    }
    for replica in &replicas {
        let [ingested, timers, runs, deliveries] = share(replica);
        println!("{ingested} commits of events, {timers} timers, {runs} runs, {deliveries} deliveries");
    }
    let history = settled(&replicas[0].channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    let all = sent.len() / 2;
    // Nobody died, so there was no reason to do anything twice.
    assert_eq!((history.runs.len(), history.deliveries.len(), history.arrivals.len()), (all, all, all));
    assert!(history.deliveries.iter().all(|delivery| outcomes(delivery) == [Outcome::Delivered]));
}

/// What a replica did: commits of events; timers, runs and deliveries that it claimed.
fn share(replica: &Service) -> [usize; 4] {
    let claimed = |queue: &str| replica.process.sum(&format!(r#"claimed queue="{queue}""#), "claimed");
    [
        replica.process.count("events were committed"),
        claimed("timers"),
        claimed("runs"),
        claimed("deliveries"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_replicas_that_migrate_an_empty_database_at_once_migrate_it_once() {
    let Some(database) = database::postgres().await else {
        return;
    };
    let receiver = Receiver::start().await;
    let settings = Settings::of(&database)
        .reaching(receiver.only())
        .without("DATABASE__MIGRATE")
        .with("DATABASE__MAX_CONNECTIONS", "3");
    let processes: Vec<_> = (0..5).map(|_| settings.spawn_with(&["--migrate"])).collect();
    let mut services = Vec::new();
    for process in processes {
        services.push(Service::of(process).await);
    }
    let sql = Sql::open(&database.url).await;
    let steps = sql.number("SELECT count(*) FROM seaql_migrations").await;
    let different = sql.number("SELECT count(DISTINCT version) FROM seaql_migrations").await;
    let migrated = services
        .iter()
        .filter(|service| service.process.count("the schema was brought up to date") > 0)
        .count();
    println!("{steps} steps, applied by {migrated} of {} processes", services.len());
    assert!(steps > 0);
    assert_eq!((different, migrated), (steps, 1));
    // All five work on it.
    desk::set_up(&services[0].channel, receiver.only()).await;
    for (number, service) in services.iter().enumerate() {
        desk::answered(&service.channel, &conversations(&format!("of-{number}"), 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_a_sqlite_file_until_the_first_is_gone() {
    let database = database::sqlite();
    let settings = Settings::of(&database);
    let first = settings.start().await;
    let second = settings.spawn().finish(PATIENCE).await;
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another process owns this database"), "{}", second.stderr);
    // However it dies, the file is free.
    first.process.kill();
    settings.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_killed_replica_was_in_the_middle_of_is_taken_over() {
    let Some(mut three) = Trio::start(LEASE).await else {
        return;
    };
    for stage in Stage::ALL {
        let held = three.hold(stage).await;
        let span = three.kill(held).await;
        println!("killed in the middle of {stage:?}: taken over after {span:.1?}, with leases of {LEASE:?}");
    }
    three.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_replica_held_moves_to_the_other() {
    let Some(database) = database::postgres().await else {
        return;
    };
    let receiver = Receiver::start().await;
    let settings = Settings::of(&database).reaching(receiver.only());
    let one = settings.start().await;
    let sent = hold(&one, &receiver).await;
    let other = settings.start().await;
    one.process.kill();
    let killed = Instant::now();
    receiver.answer();
    until("the other replica sends", TAKEOVER, async || when(receiver.calls().len() >= 2 * HELD)).await;
    eprintln!("taken over {:?} after the kill, with leases of {LEASE:?}", killed.elapsed());
    let history = settled(&other.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    assert_eq!((history.deliveries.len(), history.arrivals.len()), (HELD, 2 * HELD));
    for delivery in &history.deliveries {
        assert_eq!(outcomes(delivery), [Outcome::Unknown, Outcome::Delivered], "{delivery:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_slept_through_its_leases_writes_nothing() {
    let Some(database) = database::postgres().await else {
        return;
    };
    let receiver = Receiver::start().await;
    let settings = Settings::of(&database).reaching(receiver.only());
    let sleeper = settings.start().await;
    let sent = hold(&sleeper, &receiver).await;
    let other = settings.start().await;
    sleeper.process.signal("STOP");
    receiver.answer();
    tokio::time::sleep(3 * LEASE).await;
    until("the other replica sends", TAKEOVER, async || when(receiver.calls().len() >= 2 * HELD)).await;
    sleeper.process.signal("CONT");
    // The answers to its own calls wait for it: it believes that it delivered, and is told off.
    until("the sleeper finds its claims gone", PATIENCE, async || {
        when(sleeper.process.count("the claim was lost while sending") == HELD)
    })
    .await;

    let before = settled(&other.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    assert_eq!((before.deliveries.len(), before.arrivals.len()), (HELD, 2 * HELD));
    for delivery in &before.deliveries {
        assert_eq!(outcomes(delivery), [Outcome::Unknown, Outcome::Delivered], "{delivery:?}");
    }
    for run in &before.runs {
        let mut times: HashMap<Kind, usize> = HashMap::new();
        for kind in run_events(&other.channel, &run.name).await {
            *times.entry(kind).or_default() += 1;
        }
        for kind in [Kind::Started, Kind::DeliveryPlanned, Kind::DeliverySettled, Kind::Completed] {
            assert!(times.get(&kind).is_none_or(|times| *times == 1), "{}: {kind:?} in {times:?}", run.name);
        }
    }
    // Both go on, and new work is done once.
    let mut sent = sent;
    sent.extend(desk::answered(&sleeper.channel, &conversations("later", 10)).await);
    settled(&other.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    let after = history(&sleeper.channel, &sent, &[receiver.arrivals()]).await;
    assert_eq!(check(&after), []);
    assert_eq!((after.runs.len(), after.arrivals.len()), (HELD + 10, 2 * HELD + 10));
}

/// Defines the desk, and lets a replica that is alone begin to send and wait for answers.
async fn hold(service: &Service, receiver: &Receiver) -> Vec<crate::checker::Sent> {
    desk::set_up(&service.channel, receiver.only()).await;
    receiver.hold_answers();
    let sent = desk::answered(&service.channel, &conversations("held", HELD)).await;
    until("every call is held", PATIENCE, async || when(receiver.calls().len() == HELD)).await;
    sent
}

fn conversations(word: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{word}-{number}")).collect()
}

fn outcomes(delivery: &Delivery) -> Vec<Outcome> {
    delivery.attempts.iter().map(|attempt| attempt.outcome).collect()
}
