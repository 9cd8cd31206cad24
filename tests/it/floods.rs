//! Floods: ten times what admission is set to, and HTTP/2 spoken to do harm.
//!
//! The load comes from a process of its own, held to one core, that sends by the clock and does
//! not wait for answers (an open loop): what is slow is then seen as slow and not as less load.
//! The short form runs with the other tests and looks at what does not depend on the machine;
//! the long form, with `just floods`, prints times, memory and a verdict.

use std::time::Duration;

use rekindle_proto::v1;
use rekindle_proto::v1::funnel_service_client::FunnelServiceClient;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;

use crate::database::{self, Database};
use crate::desk::{self, WORKSPACE};
use crate::service::{START, Service, Settings};
use crate::surroundings::{until, variable, when};

mod abuse;
mod load;
mod memory;
mod report;
mod verdict;

use load::{Load, is_told_to_load};
use memory::Memory;
use report::Report;

/// A service that admits events at a rate, with a funnel for them to walk through.
async fn admitting(database: &Database, rate: u32) -> Service {
    let settings = Settings::of(database).with("ADMISSION__EVENTS_PER_SECOND", &rate.to_string());
    let service = settings.start().await;
    let request = v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: "desk".into(),
        funnel: Some(desk::funnel()),
        ..Default::default()
    };
    FunnelServiceClient::new(service.channel.clone()).create_funnel(request).await.expect("a valid funnel");
    service
}

/// Calls that a client makes beside a flood are answered: questions at once, events in the end.
async fn others_are_answered(service: &Service, name: &str) {
    let list = v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() };
    FunnelServiceClient::new(service.channel.clone())
        .list_funnels(list)
        .await
        .expect("a question is answered");
    let mut ingest = IngestServiceClient::new(service.channel.clone());
    until("events are taken in", START, async || {
        let (event, _) = desk::said(crate::checker::Role::Ask, name);
        let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events: vec![event] };
        when(ingest.ingest_events(request).await.is_ok())
    })
    .await;
}

/// What holds for every flood on every machine.
fn is_kept(report: &Report, rate: u32) {
    assert!(!report.admitted.is_empty(), "nothing was admitted: {report}");
    assert!(!report.refused.is_empty(), "nothing was refused: {report}");
    assert_eq!(report.others, Vec::<String>::new(), "answers that are neither: {report}");
    let most = f64::from(rate) * (1.0 + report.seconds);
    assert!(report.admitted_events as f64 <= most, "{most} events would have been enough: {report}");
}

/// Ten times the rate for a few seconds: what is admitted, what is refused and with what words,
/// and that afterwards all is as before.
async fn short(database: &Database, test: &str) {
    const RATE: u32 = 50;
    let service = admitting(database, RATE).await;
    let load = Load { batch: 20, ..Load::of(&service, 10 * RATE, Duration::from_secs(3)) };
    let report = load.run(test).await;
    eprintln!("{}: {report}", database.name);
    is_kept(&report, RATE);
    others_are_answered(&service, "afterwards").await;
}

#[tokio::test]
async fn ten_times_the_rate_is_refused_in_the_right_words_on_sqlite() {
    if is_told_to_load().await {
        return;
    }
    let test = "floods::ten_times_the_rate_is_refused_in_the_right_words_on_sqlite";
    short(&database::sqlite(), test).await;
}

#[tokio::test]
async fn ten_times_the_rate_is_refused_in_the_right_words_on_postgres() {
    if is_told_to_load().await {
        return;
    }
    let test = "floods::ten_times_the_rate_is_refused_in_the_right_words_on_postgres";
    if let Some(database) = database::postgres().await {
        short(&database, test).await;
    }
}

/// A number from the environment, for longer or other floods.
fn setting(name: &str, default: u32) -> u32 {
    variable(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
}

/// Ten times 1,000 events a second; see `verdict.rs` for what is asked of it.
async fn long(database: &Database, test: &str) {
    let rate = setting("REKINDLE_FLOOD_RATE", 1_000);
    let batch = setting("REKINDLE_FLOOD_BATCH", 10);
    let seconds = setting("REKINDLE_FLOOD_SECONDS", 60);
    let service = admitting(database, rate).await;
    let calm = Load { batch, ..Load::of(&service, rate / 2, Duration::from_secs(10)) };
    let flood = Load { batch, ..Load::of(&service, 10 * rate, Duration::from_secs(seconds.into())) };
    let warm_up = calm.clone().run(test).await;
    is_calm(&warm_up);
    let before = calm.clone().run(test).await;
    let memory = Memory::watch(&service.process);
    let during = flood.run(test).await;
    let most = memory.most();
    let rest = Duration::from_secs(10);
    tokio::time::sleep(rest).await;
    let after = calm.run(test).await;
    is_calm(&after);
    is_kept(&during, rate);
    let floods = verdict::Floods { name: database.name, rate, before, during, after, memory: most };
    assert!(floods.tell(), "see above");
}

/// Half the rate is admitted whole.
fn is_calm(report: &Report) {
    assert!(report.refused.is_empty(), "half the rate was refused: {report}");
    assert_eq!(report.others, Vec::<String>::new(), "{report}");
}

#[tokio::test]
#[ignore = "takes two minutes and a release build: `just floods`"]
async fn a_long_flood_on_postgres() {
    if is_told_to_load().await {
        return;
    }
    let database = database::postgres().await.expect("TEST_DATABASE_URL names a PostgreSQL server");
    long(&database, "floods::a_long_flood_on_postgres").await;
}

#[tokio::test]
#[ignore = "takes two minutes and a release build: `just floods`"]
async fn a_long_flood_on_sqlite() {
    if is_told_to_load().await {
        return;
    }
    long(&database::sqlite(), "floods::a_long_flood_on_sqlite").await;
}
