//! Stopping: health says so first, what is under way ends, and nobody waits for ever.

use std::time::{Duration, Instant};

use rekindle_proto::v1::delivery::State;
use rekindle_proto::v1::delivery_attempt::Outcome;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use rekindle_proto::v1::{StreamEventsRequest, StreamEventsResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt;

use crate::checker::{Role, Sent};
use crate::database;
use crate::desk::{self, WORKSPACE, said};
use crate::read_back::{deliveries, runs, settled, stalled};
use crate::receiver::Receiver;
use crate::service::{Service, Settings};
use crate::surroundings::{until, when};

/// For whatever should happen at once, on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// For a stall, a claim and a send.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_is_told_by_health_and_ends_with_code_0() {
    let database = database::sqlite();
    let mut service = Settings::of(&database).start().await;
    let mut health = watch(&service.channel).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    service.process.signal("TERM");
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    drop(health);
    let status = service.process.exit(SOON).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_ends_is_cut_when_the_grace_period_is_over() {
    let database = database::sqlite();
    let grace = Duration::from_secs(3);
    let mut service = Settings::of(&database).with("SERVER__GRACE_SECONDS", "3").start().await;
    let mut health = watch(&service.channel).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    let began = Instant::now();
    service.process.signal("TERM");
    let status = service.process.exit(grace + SOON).await;
    assert_eq!(status.code(), Some(0));
    // The last quarter of so short a period is for what is given up.
    assert!(began.elapsed() >= grace * 3 / 4, "it did not wait for the call that was under way");
    println!("a grace period of {grace:?}: ended after {:.1?}", began.elapsed());
}

/// What happens between the first signal and the moment when connections are asked to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_gives_notice_it_answers_and_takes_up_no_work() {
    let database = database::sqlite();
    let receiver = Receiver::start().await;
    let settings = Settings::of(&database).reaching(receiver.only()).with("SERVER__GRACE_SECONDS", "1200");
    let mut service = settings.clone().with("SERVER__NOTICE_SECONDS", "600").start().await;
    desk::set_up(&service.channel, receiver.only()).await;
    let (batches, mut answers) = stream(&service.channel).await;
    let mut health = watch(&service.channel).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    service.process.signal("TERM");
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    assert_eq!(ready(&service).await, 503);

    // A stream that was open, and a call on a new connection.
    batches.send(batch(1, "c1")).expect("the stream is open");
    let acknowledged = answers.message().await.expect("an acknowledgement").expect("one before the end");
    assert_eq!(acknowledged.committed_sequence, 1);
    let sent = desk::answered(&connect(&service).await, &["c2".to_owned()]).await;
    until("the silence is due", PATIENCE, async || when(stalled(&service.channel).await == ["c2"])).await;
    assert!(runs(&service.channel).await.is_empty(), "it took up work");
    service.process.signal("TERM");
    assert_eq!(service.process.exit(SOON).await.code(), Some(0));

    // Whoever comes next does it.
    let service = settings.start().await;
    until("the call is made", PATIENCE, async || when(receiver.calls().len() == 1)).await;
    let history = settled(&service.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    assert_eq!(history.runs.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_does_not_end_in_time_is_left_unknown_and_made_again() {
    let database = database::sqlite();
    let receiver = Receiver::start().await;
    let grace = Duration::from_secs(2);
    let settings = Settings::of(&database).reaching(receiver.only()).with("SERVER__GRACE_SECONDS", "2");
    let mut service = settings.start().await;
    let sent = hold(&service, &receiver).await;
    service.process.signal("TERM");
    let began = Instant::now();
    assert_eq!(service.process.exit(grace + SOON).await.code(), Some(0));
    println!("a grace period of {grace:?} and a send that does not end: ended after {:.1?}", began.elapsed());

    // It said so itself: nobody had to find out.
    let service = settings.start().await;
    let delivery = deliveries(&service.channel).await.remove(0);
    let outcomes: Vec<Outcome> = delivery.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!((delivery.state, outcomes), (State::Scheduled, vec![Outcome::Unknown]));
    receiver.answer();
    let history = settled(&service.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    assert_eq!(history.arrivals.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_ends_within_the_grace_period() {
    for database in [Some(database::sqlite()), database::postgres().await].into_iter().flatten() {
        let receiver = Receiver::start().await;
        let settings = Settings::of(&database).reaching(receiver.only());
        let settings = settings.with("SERVER__NOTICE_SECONDS", "1").with("SERVER__GRACE_SECONDS", "5");
        let mut service = settings.start().await;
        let sent = hold(&service, &receiver).await;
        let (batches, mut answers) = stream(&service.channel).await;
        batches.send(batch(1, "c2")).expect("the stream is open");
        answers.message().await.expect("an acknowledgement").expect("one before the end");
        let mut health = watch(&service.channel).await;
        assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
        let began = Instant::now();
        service.process.signal("TERM");
        assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
        let told = began.elapsed();
        let end = answers.message().await.expect_err("the stream ends with a reason");
        assert_eq!(end.code(), Code::Unavailable);
        let streams = began.elapsed();
        assert_eq!(service.process.exit(Duration::from_secs(5) + SOON).await.code(), Some(0));
        println!(
            "{}, a notice of 1 s in a grace period of 5 s: health after {told:.1?}, streams after {streams:.1?}, \
             over after {:.1?}",
            database.name,
            began.elapsed()
        );
        let service = settings.start().await;
        receiver.answer();
        settled(&service.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_second_signal_cuts_off_is_found_out_by_whoever_comes_next() {
    let database = database::sqlite();
    let receiver = Receiver::start().await;
    let settings = Settings::of(&database).reaching(receiver.only()).with("SERVER__GRACE_SECONDS", "600");
    let mut service = settings.start().await;
    let sent = hold(&service, &receiver).await;
    let mut health = watch(&service.channel).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    service.process.signal("TERM");
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    let began = Instant::now();
    service.process.signal("INT");
    assert_eq!(service.process.exit(SOON).await.code(), Some(0));
    println!("ended {:.1?} after the second signal", began.elapsed());
    let service = settings.start().await;
    receiver.answer();
    let history = settled(&service.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    let outcomes: Vec<Outcome> =
        history.deliveries[0].attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unknown, Outcome::Delivered]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let database = database::sqlite();
    let mut service = Settings::of(&database).with("SERVER__GRACE_SECONDS", "600").start().await;
    let mut health = watch(&service.channel).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    service.process.signal("TERM");
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    service.process.signal("TERM");
    let status = service.process.exit(SOON).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_events_gets_its_last_acknowledgement_and_is_told_why_it_ends() {
    let database = database::sqlite();
    let mut service = Settings::of(&database).start().await;
    let (batches, mut answers) = stream(&service.channel).await;
    batches.send(batch(1, "c1")).expect("the stream is open");
    let acknowledged = answers.message().await.expect("an acknowledgement").expect("one before the end");
    assert_eq!((acknowledged.committed_sequence, acknowledged.accepted_count), (1, 1));
    service.process.signal("TERM");
    let end = answers.message().await.expect_err("the stream ends with a reason");
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(end.get_error_details().error_info().map(|info| info.reason.as_str()), Some("SHUTTING_DOWN"));
    let status = service.process.exit(SOON).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_is_under_way_is_finished_and_recorded() {
    let database = database::sqlite();
    let receiver = Receiver::start().await;
    let settings = Settings::of(&database).reaching(receiver.only());
    let mut service = settings.start().await;
    let sent = hold(&service, &receiver).await;
    let mut health = watch(&service.channel).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    service.process.signal("TERM");
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    drop(health);
    receiver.answer();
    let status = service.process.exit(SOON).await;
    assert_eq!(status.code(), Some(0));

    let service = settings.start().await;
    let deliveries = deliveries(&service.channel).await;
    let outcomes: Vec<Outcome> = deliveries[0].attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(
        (deliveries.len(), deliveries[0].state, outcomes),
        (1, State::Delivered, vec![Outcome::Delivered])
    );
    let history = settled(&service.channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    assert_eq!(history.arrivals.len(), 1);
}

/// Lets a conversation go quiet, and waits until its call waits for an answer.
async fn hold(service: &Service, receiver: &Receiver) -> Vec<Sent> {
    desk::set_up(&service.channel, receiver.only()).await;
    receiver.hold_answers();
    let sent = desk::answered(&service.channel, &["c1".to_owned()]).await;
    until("the call arrives", PATIENCE, async || when(!receiver.calls().is_empty())).await;
    sent
}

/// A stream of events: what goes in, and what comes out.
async fn stream(
    channel: &Channel,
) -> (mpsc::UnboundedSender<StreamEventsRequest>, Streaming<StreamEventsResponse>) {
    let (batches, outgoing) = mpsc::unbounded_channel();
    let mut client = IngestServiceClient::new(channel.clone());
    let answers = client.stream_events(UnboundedReceiverStream::new(outgoing)).await.expect("a stream opens");
    (batches, answers.into_inner())
}

/// A batch in which a customer asks.
fn batch(sequence: i64, conversation: &str) -> StreamEventsRequest {
    let (event, _) = said(Role::Ask, conversation);
    StreamEventsRequest { parent: WORKSPACE.into(), sequence, events: vec![event] }
}

/// A connection of its own.
async fn connect(service: &Service) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.grpc)).expect("an address makes a URL");
    endpoint.connect().await.expect("it still listens")
}

/// The status of `/readyz`.
async fn ready(service: &Service) -> u16 {
    let mut connection = TcpStream::connect(service.http).await.expect("it still listens");
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status in {answer:?}"))
}

async fn watch(channel: &Channel) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel.clone()).watch(request).await.expect("health can be watched").into_inner()
}

/// What health says next; `None` when it says nothing more.
async fn next(health: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let told = tokio::time::timeout(SOON, health.message()).await.expect("health changes");
    told.ok().flatten().map(|answer| answer.status())
}
