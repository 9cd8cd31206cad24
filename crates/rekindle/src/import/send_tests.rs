//! Sending to a server that breaks off, refuses, and is slow.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use rekindle_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::cli::connection::Target;
use crate::import::batch::{Batch, Origin};

/// A server that stores ids, and breaks the first stream off after one batch is stored whose
/// acknowledgement it keeps to itself.
#[derive(Clone, Default)]
struct Flaky {
    stored: Arc<Mutex<BTreeSet<String>>>,
    streams: Arc<Mutex<Vec<Vec<i64>>>>,
    refuses: bool,
}

impl Flaky {
    fn store(&self, request: &v1::StreamEventsRequest) -> (i64, i64) {
        let mut stored = self.stored.lock().expect("no test panics with it");
        let fresh = request.events.iter().filter(|event| stored.insert(event.id.clone())).count();
        (fresh as i64, (request.events.len() - fresh) as i64)
    }
}

#[tonic::async_trait]
impl IngestService for Flaky {
    type StreamEventsStream = Pin<Box<dyn Stream<Item = Result<v1::StreamEventsResponse, Status>> + Send>>;

    async fn ingest_events(
        &self,
        _: Request<v1::IngestEventsRequest>,
    ) -> Result<Response<v1::IngestEventsResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }

    async fn stream_events(
        &self,
        request: Request<Streaming<v1::StreamEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        if self.refuses {
            let mut details = ErrorDetails::new();
            details.set_error_info("WORKSPACE_NOT_FOUND", "rekindle.dev", std::collections::HashMap::new());
            return Err(Status::with_error_details(Code::NotFound, "no such workspace", details));
        }
        let place = {
            let mut streams = self.streams.lock().expect("no test panics with it");
            streams.push(Vec::new());
            streams.len() - 1
        };
        let server = self.clone();
        let answers = request.into_inner().map(move |request| {
            let request = request?;
            let sequence = request.sequence;
            server.streams.lock().expect("no test panics with it")[place].push(sequence);
            let (accepted, duplicates) = server.store(&request);
            if place == 0 && sequence == 2 {
                return Err(Status::unavailable("gone"));
            }
            Ok(v1::StreamEventsResponse {
                committed_sequence: sequence,
                accepted_count: accepted,
                duplicate_count: duplicates,
                rejections: rejections(&request),
                ..Default::default()
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// The event called `bad` is not taken.
fn rejections(request: &v1::StreamEventsRequest) -> Vec<v1::EventRejection> {
    let bad = request.events.iter().position(|event| event.id == "bad");
    bad.map(|index| v1::EventRejection {
        index: index as i32,
        batch_sequence: request.sequence,
        reason: v1::ErrorReason::EventInvalid.into(),
        message: "wrong".to_owned(),
        ..Default::default()
    })
    .into_iter()
    .collect()
}

#[derive(Default)]
struct Notes {
    rejected: Vec<Rejected>,
    reconnects: usize,
}

impl Watcher for Notes {
    fn progress(&mut self, _: &Tally) {}

    fn rejected(&mut self, rejected: &Rejected) -> Result<(), Failure> {
        self.rejected.push(rejected.clone());
        Ok(())
    }

    fn reconnecting(&mut self, _: &Failure) {
        self.reconnects += 1;
    }
}

async fn serve(server: Flaky) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let serving = Server::builder()
        .add_service(IngestServiceServer::new(server))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio_util::task::TaskTracker::new().spawn(serving);
    address
}

fn produced(ids: &[&str]) -> mpsc::Receiver<Produced> {
    let (sink, produced) = mpsc::channel(ids.len().max(1));
    for (at, id) in ids.iter().enumerate() {
        let mut batch = Batch::default();
        let event = v1::Event { id: (*id).to_owned(), ..Default::default() };
        let origin = Origin { file: 0, line: at as u64 + 1, fields: None };
        batch.add(event, origin);
        sink.try_send(Produced::Batch(batch)).expect("there is room");
    }
    produced
}

async fn send(server: Flaky, ids: &[&str], is_strict: bool) -> (Tally, Result<(), Failure>, Notes) {
    let target =
        Target { address: format!("http://{}", serve(server).await), workspace: "default".to_owned() };
    let connection = Connection::open(&target).await.expect("a server");
    let mut notes = Notes::default();
    let files = vec!["rows.csv".to_owned()];
    let sender = Sender::new(&connection, produced(ids), files, &mut notes, is_strict);
    let (tally, result) = sender.run().await;
    (tally, result, notes)
}

#[tokio::test]
async fn a_lost_stream_goes_on_after_the_last_acknowledgement() {
    let server = Flaky::default();
    let ids: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (tally, result, notes) = send(server.clone(), &ids, false).await;
    result.expect("an import");
    assert_eq!(notes.reconnects, 1);
    assert_eq!(server.stored.lock().expect("quiet").len(), 20);
    // What was stored without a word counts as a duplicate when it comes again.
    assert_eq!((tally.accepted + tally.duplicates, tally.reconnects), (20, 1));
    assert!(tally.duplicates >= 1);
    let streams = server.streams.lock().expect("quiet");
    assert_eq!(streams[1], (2..=20).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_row_that_the_server_does_not_take_is_told_with_its_line() {
    let (tally, result, notes) = send(Flaky::default(), &["a", "b", "bad", "c"], false).await;
    result.expect("an import");
    assert_eq!(tally.rejected, 1);
    assert_eq!((notes.rejected[0].file.as_str(), notes.rejected[0].line), ("rows.csv", 3));
}

#[tokio::test]
async fn a_strict_import_ends_at_the_first_row_that_is_not_taken() {
    let (_, result, _) = send(Flaky::default(), &["a", "b", "bad", "c"], true).await;
    let failure = result.expect_err("a wrong row");
    assert_eq!(failure.exit_code(), 2);
    assert!(failure.to_string().starts_with("rows.csv:3: wrong"), "{failure}");
}

#[tokio::test]
async fn a_refusal_that_will_not_pass_ends_the_import_at_once() {
    let server = Flaky { refuses: true, ..Flaky::default() };
    let (_, result, notes) = send(server, &["a"], false).await;
    assert!(result.expect_err("refused").to_string().contains("WORKSPACE_NOT_FOUND"));
    assert_eq!(notes.reconnects, 0);
}

#[tokio::test]
async fn nothing_to_send_opens_no_stream() {
    let server = Flaky::default();
    let (tally, result, _) = send(server.clone(), &[], false).await;
    result.expect("nothing to do");
    assert_eq!(tally, Tally::default());
    assert!(server.streams.lock().expect("quiet").is_empty());
}

#[test]
fn waits_double_up_to_a_bound_and_follow_the_server() {
    let lost = Failure::from(Status::unavailable("gone"));
    assert_eq!(wait(1, &lost), Duration::from_millis(250));
    assert_eq!(wait(3, &lost), Duration::from_secs(1));
    assert_eq!(wait(9, &lost), MAX_WAIT);
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_secs(9)));
    let asked = Failure::from(Status::with_error_details(Code::ResourceExhausted, "busy", details));
    assert_eq!(wait(1, &asked), Duration::from_secs(9));
}
