//! Events in, figures out.

use rekindle_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::harness::{Server, WORKSPACE, event, fields, reason};

const FUNNEL: &str = "workspaces/default/funnels/support";

fn batch(events: Vec<v1::Event>) -> v1::IngestEventsRequest {
    v1::IngestEventsRequest { parent: WORKSPACE.into(), events }
}

/// Three conversations ask, one of them is solved.
fn history() -> Vec<v1::Event> {
    vec![
        event("e1", "c-1", "customer_message", 0),
        event("e2", "c/2", "customer_message", 1),
        event("e3", "c-3", "customer_message", 2),
        event("e4", "c-1", "resolution", 10),
    ]
}

/// A stream of batches, and the acknowledgements of the server.
async fn open(
    server: &Server,
) -> (mpsc::Sender<v1::StreamEventsRequest>, Streaming<v1::StreamEventsResponse>) {
    let (send, batches) = mpsc::channel(8);
    let answers = server.ingest().stream_events(ReceiverStream::new(batches)).await.expect("a stream");
    (send, answers.into_inner())
}

fn numbered(sequence: i64, events: Vec<v1::Event>) -> v1::StreamEventsRequest {
    v1::StreamEventsRequest { parent: WORKSPACE.into(), sequence, events }
}

#[tokio::test]
async fn a_batch_is_stored_and_what_is_wrong_in_it_is_named_by_its_place() {
    let server = Server::start().await;
    let mut events = history();
    events.insert(0, v1::Event { occur_time: None, ..event("w1", "c-1", "note", 0) });
    events.push(v1::Event { id: String::new(), ..event("", "c-1", "note", 0) });
    let report = server.ingest().ingest_events(batch(events.clone())).await.expect("a batch").into_inner();
    assert_eq!((report.accepted_count, report.duplicate_count), (4, 0));
    let places: Vec<_> = report.rejections.iter().map(|it| it.index).collect();
    assert_eq!(places, [0, 5]);
    let fields: Vec<_> = report.rejections.iter().map(|it| it.field_violations[0].field.as_str()).collect();
    assert_eq!(fields, ["occurTime", "id"]);

    let again = server.ingest().ingest_events(batch(events)).await.expect("a batch").into_inner();
    assert_eq!((again.accepted_count, again.duplicate_count), (0, 4));
}

#[tokio::test]
async fn a_reused_id_with_other_content_is_rejected_alone() {
    let server = Server::start().await;
    server.ingest().ingest_events(batch(history())).await.expect("a batch");
    let events = vec![event("e1", "c-9", "customer_message", 0), event("e9", "c-9", "customer_message", 0)];
    let report = server.ingest().ingest_events(batch(events)).await.expect("a batch").into_inner();
    assert_eq!(report.accepted_count, 1);
    assert_eq!(report.rejections[0].reason(), v1::ErrorReason::EventIdReused);
}

#[tokio::test]
async fn an_empty_batch_and_one_of_too_many_are_refused_whole() {
    let server = Server::start().await;
    for count in [0, 1_001] {
        let events = vec![v1::Event::default(); count];
        let refused = server.ingest().ingest_events(batch(events)).await.expect_err("not 1 to 1000");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fields(&refused), ["events"]);
    }
}

#[tokio::test]
async fn a_stream_acknowledges_what_is_committed() {
    let server = Server::start().await;
    let (send, mut answers) = open(&server).await;
    let mut first = history();
    first.push(v1::Event { occur_time: None, ..event("w", "c-1", "note", 0) });
    send.send(numbered(5, first)).await.expect("open");
    let answer = answers.message().await.expect("no refusal").expect("an acknowledgement");
    assert_eq!((answer.committed_sequence, answer.accepted_count), (5, 4));
    assert_eq!((answer.rejections[0].batch_sequence, answer.rejections[0].index), (5, 4));

    send.send(v1::StreamEventsRequest { parent: String::new(), ..numbered(9, history()) })
        .await
        .expect("open");
    let answer = answers.message().await.expect("no refusal").expect("an acknowledgement");
    assert_eq!((answer.committed_sequence, answer.duplicate_count), (9, 4));
    drop(send);
    assert!(answers.message().await.expect("no refusal").is_none());
}

#[tokio::test]
async fn a_sequence_that_does_not_increase_ends_the_stream_after_what_came_before_it() {
    let server = Server::start().await;
    let (send, mut answers) = open(&server).await;
    send.send(numbered(3, history())).await.expect("open");
    send.send(numbered(3, history())).await.expect("open");
    let answer = answers.message().await.expect("the first batch is fine").expect("an acknowledgement");
    assert_eq!(answer.committed_sequence, 3);
    let refused = answers.message().await.expect_err("the second is not");
    let (why, details) = reason(&refused);
    assert_eq!(why, "STREAM_SEQUENCE_INVALID");
    assert_eq!(details.error_info().expect("a reason").metadata["previousSequence"], "3");
}

#[tokio::test]
async fn a_stream_without_a_parent_is_refused_with_the_field() {
    let server = Server::start().await;
    let (send, mut answers) = open(&server).await;
    send.send(v1::StreamEventsRequest { parent: String::new(), ..numbered(1, history()) })
        .await
        .expect("open");
    let refused = answers.message().await.expect_err("whose events?");
    assert_eq!(fields(&refused), ["parent"]);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let server = Server::start().await;
    let (send, mut answers) = open(&server).await;
    send.send(numbered(1, history())).await.expect("open");
    answers.message().await.expect("no refusal").expect("an acknowledgement");
    server.shutdown.cancel();
    let refused = answers.message().await.expect_err("it stops");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    server.served.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn figures_and_the_subjects_behind_them_come_back() {
    let server = Server::start().await;
    server.with_funnel("support").await;
    server.ingest().ingest_events(batch(history())).await.expect("a batch");
    let question = v1::QueryFunnelRequest { funnel: FUNNEL.into(), ..Default::default() };
    let answer = server.metrics().query_funnel(question).await.expect("an answer").into_inner();
    assert_eq!(answer.unit(), v1::Unit::Conversation);
    let reached: Vec<_> = answer.figures.expect("figures").stages.iter().map(|stage| stage.reached).collect();
    assert_eq!(reached, [3, 1]);

    let mut names = Vec::new();
    let mut request = v1::ListFunnelSubjectsRequest {
        funnel: FUNNEL.into(),
        stage: "asked".into(),
        figure: v1::FunnelFigure::Reached.into(),
        page_size: 2,
        ..Default::default()
    };
    loop {
        let page = server.metrics().list_funnel_subjects(request.clone()).await.expect("a page").into_inner();
        names.extend(page.subjects.into_iter().map(|subject| subject.name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    names.sort();
    assert_eq!(names, ["c%2F2", "c-1", "c-3"].map(|id| format!("workspaces/default/conversations/{id}")));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_names_every_field() {
    let server = Server::start().await;
    server.with_funnel("support").await;
    let question = v1::QueryFunnelRequest {
        funnel: FUNNEL.into(),
        trend: Some(v1::TrendSpec { zone: "Mars/Olympus".into(), ..Default::default() }),
        breakdowns: vec![v1::BreakdownSpec::default()],
        ..Default::default()
    };
    let refused = server.metrics().query_funnel(question).await.expect_err("wrong fields");
    let mut named = fields(&refused);
    named.sort();
    assert_eq!(
        named,
        [
            "breakdowns[0].property",
            "breakdowns[0].property.key",
            "breakdowns[0].property.scope",
            "trend.granularity",
            "trend.zone"
        ]
    );
}
