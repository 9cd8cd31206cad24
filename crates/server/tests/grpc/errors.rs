//! What a client that makes mistakes is told.

use rekindle_proto::v1;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};

use crate::harness::{Server, WORKSPACE, event, reason};

#[tokio::test]
async fn a_message_that_is_too_large_is_the_clients_mistake() {
    let server = Server::start().await;
    let large = v1::Event { text: "x".repeat(5 * 1_024 * 1_024), ..event("e", "c", "note", 0) };
    let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events: vec![large] };
    let refused = server.ingest().ingest_events(request).await.expect_err("5 MB");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_clients_mistake() {
    let server = Server::start().await;
    let mut client = tonic::client::Grpc::new(server.channel.clone());
    client.ready().await.expect("connected");
    let path = PathAndQuery::from_static("/rekindle.v1.FunnelService/GetFunnel");
    // Where the method takes a text, this message has a number.
    let number = Request::new(v1::Ratio { numerator: 1, denominator: 1 });
    let codec = tonic_prost::ProstCodec::<v1::Ratio, v1::GetFunnelResponse>::default();
    let refused = client.unary(number, path, codec).await.expect_err("no message of the method");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "REQUEST_MALFORMED"));
}

#[tokio::test]
async fn a_deadline_that_nothing_can_meet_is_refused_at_once() {
    let server = Server::start().await;
    let mut request = Request::new(v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", "5m".parse().expect("a timeout"));
    let refused = server.funnels().list_funnels(request).await.expect_err("5 milliseconds");
    assert_eq!(refused.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn another_workspace_is_not_found_and_the_call_has_an_id() {
    let server = Server::start().await;
    let mut request =
        Request::new(v1::ListFunnelsRequest { parent: "workspaces/other".into(), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "order-7".parse().expect("an id"));
    let refused = server.funnels().list_funnels(request).await.expect_err("not there");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::NotFound, "WORKSPACE_NOT_FOUND"));
    assert_eq!(details.request_info().expect("an id").request_id, "order-7");
    assert_eq!(refused.metadata().get("x-request-id").expect("an id"), "order-7");
}

#[tokio::test]
async fn a_page_token_of_another_question_is_refused() {
    let server = Server::start().await;
    for id in ["a", "b"] {
        server.with_funnel(id).await;
    }
    let list = v1::ListFunnelsRequest { parent: WORKSPACE.into(), page_size: 1, ..Default::default() };
    let page = server.funnels().list_funnels(list).await.expect("a page").into_inner();
    let other = v1::ListFunnelTemplatesRequest {
        parent: WORKSPACE.into(),
        page_token: page.next_page_token,
        ..Default::default()
    };
    let refused = server.funnels().list_funnel_templates(other).await.expect_err("of another method");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}
