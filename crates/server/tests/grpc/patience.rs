//! How long is waited, for whom, and how much is taken in meanwhile.

use std::sync::Arc;
use std::time::Duration;

use rekindle_proto::v1;
use rekindle_server::{CallLimits, Options, Rate};
use rekindle_testkit::{Fault, FaultyStore};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Server, WORKSPACE, batch, memory, reason};

/// So short that a test can wait for it.
const SHORT: Duration = Duration::from_millis(50);
/// A thousand events at once, and after that so few that no test sees them.
const RATE: Rate = Rate { events_per_second: 1, burst: 1_000 };

fn calls(calls: CallLimits) -> Options {
    Options { calls, ..Options::default() }
}

fn admitting(rate: Rate) -> Options {
    Options { admission: Some(rate), ..Options::default() }
}

/// A server whose first commit waits until it is let go.
async fn held(options: Options) -> (Server, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(memory().await, 0, Fault::Held));
    (Server::over(store.clone(), options).await, store)
}

type Answers = Streaming<v1::StreamEventsResponse>;

async fn stream(server: &Server) -> (mpsc::Sender<v1::StreamEventsRequest>, Answers) {
    let (send, batches) = mpsc::channel(8);
    let answers = server.ingest().stream_events(ReceiverStream::new(batches)).await.expect("a stream");
    (send, answers.into_inner())
}

fn numbered(sequence: i64, size: usize) -> v1::StreamEventsRequest {
    let v1::IngestEventsRequest { parent, events } = batch(&sequence.to_string(), size);
    v1::StreamEventsRequest { parent, sequence, events }
}

/// That a refusal says what is too much, and when there is more.
fn is_over_the_limit(refused: &Status) {
    let (why, details) = reason(refused);
    assert_eq!((refused.code(), why.as_str()), (Code::ResourceExhausted, "INGEST_LIMIT"));
    assert!(details.retry_info().and_then(|info| info.retry_delay).is_some());
    assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"));
    assert_eq!(details.quota_failure().expect("a quota").violations[0].subject, "workspaces/default/events");
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_ended_and_told_what_is_committed() {
    // Long enough for the first batch on a busy machine.
    let stream_idle = Duration::from_secs(1);
    let server = Server::with(calls(CallLimits { stream_idle, ..CallLimits::default() })).await;
    let (send, mut answers) = stream(&server).await;
    send.send(numbered(3, 1)).await.expect("open");
    let answer = answers.message().await.expect("no refusal").expect("an acknowledgement");
    assert_eq!(answer.committed_sequence, 3);
    let refused = answers.message().await.expect_err("silence");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::Aborted, "STREAM_IDLE"));
    assert_eq!(details.error_info().expect("a reason").metadata["committedSequence"], "3");
}

#[tokio::test]
async fn an_acknowledgement_that_does_not_come_in_time_ends_the_stream_and_loses_nothing() {
    let limits = CallLimits { stream_acknowledged: SHORT, ..CallLimits::default() };
    let (server, store) = held(calls(limits)).await;
    let (send, mut answers) = stream(&server).await;
    send.send(numbered(1, 5)).await.expect("open");
    let refused = answers.message().await.expect_err("the commit is held");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    store.release();
    let again = server.ingest().ingest_events(batch("1", 5)).await.expect("a batch").into_inner();
    assert_eq!((again.accepted_count, again.duplicate_count), (0, 5));
}

#[tokio::test]
async fn a_call_that_outlives_the_drain_is_cut() {
    let (server, store) = held(Options { drain: SHORT, ..Options::default() }).await;
    let mut client = server.ingest();
    let call = server.test.tracker.spawn(async move { client.ingest_events(batch("b", 1)).await });
    store.until_held().await;
    server.shutdown.cancel();
    server.served.await.expect("no panic").expect("served to the end");
    call.await.expect("no panic").expect_err("its connection is cut");
    store.release();
}

#[tokio::test]
async fn a_call_that_ends_within_the_drain_is_answered() {
    let (server, store) = held(Options::default()).await;
    let mut client = server.ingest();
    let call = server.test.tracker.spawn(async move { client.ingest_events(batch("b", 1)).await });
    store.until_held().await;
    server.shutdown.cancel();
    store.release();
    let answer = call.await.expect("no panic").expect("an answer").into_inner();
    assert_eq!(answer.accepted_count, 1);
    server.served.await.expect("no panic").expect("served to the end");
}

#[tokio::test]
async fn batches_beyond_the_rate_are_refused_and_everything_else_is_answered() {
    let server = Server::with(admitting(RATE)).await;
    let taken = server.ingest().ingest_events(batch("a", 1_000)).await.expect("the burst").into_inner();
    assert_eq!(taken.accepted_count, 1_000);
    let refused = server.ingest().ingest_events(batch("b", 1_000)).await.expect_err("beyond the rate");
    is_over_the_limit(&refused);

    let list = v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() };
    server.funnels().list_funnels(list).await.expect("questions are not events");
    let mut health = HealthClient::new(server.channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("health is always answered");
}

#[tokio::test]
async fn a_stream_beyond_the_rate_ends_after_the_acknowledgement_of_what_was_taken() {
    let server = Server::with(admitting(RATE)).await;
    let (send, mut answers) = stream(&server).await;
    send.send(numbered(1, 900)).await.expect("open");
    send.send(numbered(2, 900)).await.expect("open");
    let answer = answers.message().await.expect("no refusal").expect("an acknowledgement");
    assert_eq!((answer.committed_sequence, answer.accepted_count), (1, 900));
    is_over_the_limit(&answers.message().await.expect_err("beyond the rate"));
}

#[tokio::test]
async fn calls_beyond_the_places_are_told_to_come_again() {
    let limits = CallLimits { ingest_calls: 1, queued: SHORT, ..CallLimits::default() };
    let (server, store) = held(calls(limits)).await;
    let mut client = server.ingest();
    let call = server.test.tracker.spawn(async move { client.ingest_events(batch("a", 1)).await });
    store.until_held().await;
    let refused = server.ingest().ingest_events(batch("b", 1)).await.expect_err("there is one place");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(details.retry_info().and_then(|info| info.retry_delay).is_some());
    store.release();
    call.await.expect("no panic").expect("the first is answered");
}

#[tokio::test]
async fn a_panic_is_answered_with_its_id_and_counted_and_the_next_call_is_served() {
    let store = Arc::new(FaultyStore::new(memory().await, 0, Fault::Panic));
    let server = Server::over(store, Options::default()).await;
    let mut request = tonic::Request::new(batch("a", 3));
    request.metadata_mut().insert("x-request-id", "order-7".parse().expect("an id"));
    let refused = server.ingest().ingest_events(request).await.expect_err("the commit panics");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::Internal, "INTERNAL"));
    assert_eq!(details.request_info().expect("an id").request_id, "order-7");
    assert_eq!(server.services.faults(), 1);
    let next = server.ingest().ingest_events(batch("a", 3)).await.expect("a batch").into_inner();
    assert_eq!((next.accepted_count, server.services.faults()), (3, 1));
}

#[tokio::test]
async fn a_panic_behind_a_stream_is_its_last_word() {
    let store = Arc::new(FaultyStore::new(memory().await, 0, Fault::Panic));
    let server = Server::over(store, Options::default()).await;
    let (send, mut answers) = stream(&server).await;
    send.send(numbered(1, 3)).await.expect("open");
    let refused = answers.message().await.expect_err("the commit panics");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::Internal, "INTERNAL"));
    assert_eq!(server.services.faults(), 1);
}
