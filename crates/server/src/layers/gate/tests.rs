//! What the gate answers in the place of a service that is busy, slow or broken.

use http_body_util::{Full, StreamBody};
use prost::bytes::Bytes;
use rekindle_store_sea::{StoreOptions, open};
use rekindle_testkit::TestEngine;
use tokio::sync::Notify;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{ServiceExt, service_fn};

use super::*;

const BATCH: &str = "/rekindle.v1.IngestService/IngestEvents";
const LIST: &str = "/rekindle.v1.FunnelService/ListFunnels";
const STREAM: &str = "/rekindle.v1.IngestService/StreamEvents";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// Far longer than any test takes.
const LONG: Duration = Duration::from_mins(5);

/// One place of each kind, and no patience.
fn narrow() -> CallLimits {
    let queued = Duration::from_millis(1);
    CallLimits { ingest_calls: 1, other_calls: 1, streams: 1, queued, longest: LONG, ..CallLimits::default() }
}

async fn gate(limits: CallLimits) -> GateLayer {
    let options = StoreOptions { url: "sqlite::memory:".into(), max_connections: 1 };
    let store = open(&options, true).await.expect("a database in memory");
    GateLayer::new(TestEngine::new(Arc::new(store), 7).engine, limits, Faults::default())
}

fn call(path: &str) -> Request<Body> {
    let body = Body::new(Full::new(Bytes::from_static(&[0; 5])));
    Request::post(path).header("grpc-timeout", "5M").body(body).expect("a request")
}

async fn answer<S, F>(gate: &GateLayer, inner: S, request: Request<Body>) -> Response<Body>
where
    S: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let Ok(response) = gate.layer(service_fn(inner)).oneshot(request).await;
    response
}

fn status(response: &Response<Body>) -> Status {
    Status::from_header_map(response.headers()).expect("a refusal")
}

async fn empty(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// A body of which nothing comes.
fn never() -> Body {
    let nothing = futures_util::stream::pending::<Result<hyper::body::Frame<Bytes>, Status>>();
    Body::new(StreamBody::new(nothing))
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_and_counted() {
    let gate = gate(CallLimits::default()).await;
    let response = answer(&gate, |_| async { panic!("as the test wants it") }, call(LIST)).await;
    let status = status(&response);
    assert_eq!(status.code(), Code::Internal);
    let id = response.headers()[HEADER].to_str().expect("an id");
    let details = status.get_error_details();
    assert_eq!(details.request_info().expect("an id").request_id, id);
    assert_eq!(details.error_info().expect("a reason").reason, "INTERNAL");
    assert_eq!(gate.faults.count(), 1);
    answer(&gate, empty, call(LIST)).await;
    assert_eq!(
        gate.faults.count(),
        1,
        "the place of the call that panicked is free, and nothing else is counted"
    );
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_told_so() {
    let gate = gate(CallLimits { longest: Duration::from_millis(30), ..narrow() }).await;
    let response = answer(&gate, |_| std::future::pending(), call(LIST)).await;
    let status = status(&response);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.get_error_details().error_info().expect("a reason").reason, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_call_that_finds_no_place_is_told_to_come_again_and_others_are_let_in() {
    let gate = gate(narrow()).await;
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enters, leaves) = (Arc::clone(&entered), Arc::clone(&leave));
    let slow = move |request| {
        let (enters, leaves) = (Arc::clone(&enters), Arc::clone(&leaves));
        async move {
            enters.notify_one();
            leaves.notified().await;
            empty(request).await
        }
    };
    let busy = answer(&gate, slow, call(BATCH));
    let meanwhile = async {
        entered.notified().await;
        let refused = status(&answer(&gate, empty, call(BATCH)).await);
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let details = refused.get_error_details();
        assert_eq!(details.error_info().expect("a reason").reason, "OVERLOADED");
        assert_eq!(details.retry_info().expect("a delay").retry_delay, Some(COME_AGAIN));
        assert_eq!(details.quota_failure().expect("a quota").violations.len(), 1);
        assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").expect("a trailer"), "500");
        for free in [LIST, STREAM, HEALTH] {
            let response = answer(&gate, empty, call(free)).await;
            assert!(Status::from_header_map(response.headers()).is_none(), "{free}");
        }
        leave.notify_one();
    };
    let (response, ()) = tokio::join!(busy, meanwhile);
    assert!(Status::from_header_map(response.headers()).is_none());
    let again = answer(&gate, empty, call(BATCH)).await;
    assert!(Status::from_header_map(again.headers()).is_none(), "the place is free again");
}

#[tokio::test]
async fn a_stream_keeps_its_place_until_its_last_answer() {
    let gate = gate(narrow()).await;
    let silent = |_| async { Ok(Response::new(never())) };
    let open = answer(&gate, silent, call(STREAM)).await;
    let refused = status(&answer(&gate, empty, call(STREAM)).await);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(open);
    let response = answer(&gate, empty, call(STREAM)).await;
    assert!(Status::from_header_map(response.headers()).is_none());
}

#[tokio::test]
async fn a_call_whose_message_is_not_there_yet_takes_no_place() {
    let gate = gate(narrow()).await;
    let dripping = call(BATCH).map(|_| never());
    let mut waits = std::pin::pin!(answer(&gate, empty, dripping));
    assert!(waits.as_mut().now_or_never().is_none());
    let response = answer(&gate, empty, call(BATCH)).await;
    assert!(Status::from_header_map(response.headers()).is_none());
}

#[tokio::test]
async fn a_call_has_so_many_metadata_entries_and_no_more() {
    let gate = gate(CallLimits::default()).await;
    let with = |entries: usize| {
        let mut request = call(LIST);
        for entry in request.headers().len()..entries {
            let name: tonic::codegen::http::HeaderName = format!("x-{entry}").parse().expect("a name");
            request.headers_mut().insert(name, HeaderValue::from_static("x"));
        }
        request
    };
    let fine = answer(&gate, empty, with(64)).await;
    assert!(Status::from_header_map(fine.headers()).is_none());
    let refused = status(&answer(&gate, empty, with(65)).await);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = refused.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!((info.reason.as_str(), info.metadata["limitEntries"].as_str()), ("REQUEST_TOO_LARGE", "64"));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_question_that_asks_for_too_much() {
    let gate = gate(CallLimits::default()).await;
    let too_large = |_| async {
        let mut trailers = tonic::codegen::http::HeaderMap::new();
        Status::out_of_range("encoded message length too large").add_header(&mut trailers).expect("a status");
        let body = Full::new(Bytes::new()).with_trailers(std::future::ready(Some(Ok(trailers))));
        Ok(Response::new(Body::new(body)))
    };
    let response = answer(&gate, too_large, call(LIST)).await;
    let refused = status(&response);
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_error_details().error_info().expect("a reason").reason, "RESULT_TOO_LARGE");
}
