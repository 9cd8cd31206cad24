//! How large messages may be, and what compression is taken.

use rekindle_proto::v1;
use rekindle_proto::v1::conversation_service_client::ConversationServiceClient;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::harness::{Server, WORKSPACE, batch, event, reason};

fn limit_of(refused: &tonic::Status) -> String {
    let (_, details) = reason(refused);
    details.error_info().expect("a reason").metadata["limitBytes"].clone()
}

#[tokio::test]
async fn a_compressed_batch_is_taken_and_answered_as_it_is() {
    let server = Server::start().await;
    let mut client = server
        .ingest()
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let answer = client.ingest_events(batch("b", 500)).await.expect("a batch");
    assert!(answer.metadata().get("grpc-encoding").is_none(), "{:?}", answer.metadata());
    assert_eq!(answer.into_inner().accepted_count, 500);
}

#[tokio::test]
async fn a_message_that_inflates_too_far_is_the_clients_mistake() {
    let server = Server::start().await;
    let bomb = v1::Event { text: "x".repeat(5 * 1_024 * 1_024), ..event("e", "c", "note", 0) };
    let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events: vec![bomb] };
    let mut client = server.ingest().send_compressed(CompressionEncoding::Gzip);
    let refused = client.ingest_events(request).await.expect_err("5 MB in a few KB");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    assert_eq!(limit_of(&refused), (4 * 1_024 * 1_024).to_string());
}

#[tokio::test]
async fn a_message_of_a_stream_is_smaller_than_a_batch() {
    let server = Server::start().await;
    let large = v1::StreamEventsRequest {
        parent: WORKSPACE.into(),
        sequence: 1,
        events: vec![v1::Event { text: "x".repeat(257 * 1_024), ..event("e", "c", "note", 0) }],
    };
    let answers = server.ingest().stream_events(tokio_stream::once(large)).await.expect("a stream");
    let refused = answers.into_inner().next().await.expect("a refusal").expect_err("257 KB");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
    assert_eq!(limit_of(&refused), (256 * 1_024).to_string());
}

#[tokio::test]
async fn an_event_beyond_its_size_is_rejected_alone() {
    let server = Server::start().await;
    let text = |length: usize| pbjson_types::Value::from("x".repeat(length));
    let properties = (0..64).map(|key| (format!("k{key}"), text(1_000))).collect();
    let large = v1::Event {
        properties: Some(pbjson_types::Struct { fields: properties }),
        text: "x".repeat(2_000),
        ..event("large", "c", "note", 0)
    };
    let events = vec![large, event("fine", "c", "note", 0)];
    let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events };
    let report = server.ingest().ingest_events(request).await.expect("a batch").into_inner();
    assert_eq!((report.accepted_count, report.rejections.len()), (1, 1));
    assert_eq!(report.rejections[0].reason(), v1::ErrorReason::EventInvalid);
}

#[tokio::test]
async fn an_answer_larger_than_clients_read_is_refused_and_a_smaller_page_is_not() {
    let server = Server::start().await;
    for part in ["a", "b"] {
        let text = || "x".repeat(32 * 1_024);
        let events = (0..80).map(|place| event(&format!("{part}-{place}"), "c-1", "note", place));
        let events = events.map(|event| v1::Event { text: text(), ..event }).collect();
        let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events };
        server.ingest().ingest_events(request).await.expect("2.5 MB");
    }
    let list = |page_size| v1::ListConversationEventsRequest {
        parent: format!("{WORKSPACE}/conversations/c-1"),
        page_size,
        ..Default::default()
    };
    let mut client = ConversationServiceClient::new(server.channel.clone());
    let refused = client.list_conversation_events(list(1_000)).await.expect_err("5 MB");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "RESULT_TOO_LARGE"));
    assert_eq!(limit_of(&refused), (4 * 1_024 * 1_024).to_string());
    let page = client.list_conversation_events(list(100)).await.expect("3.2 MB").into_inner();
    assert_eq!(page.events.len(), 100);
}
