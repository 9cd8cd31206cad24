//! HTTP/2 spoken to do harm: the service goes on answering others, and its memory stays bounded.
//!
//! Each kind of harm comes from an address of its own: a peer's limits are its own.

use std::net::{IpAddr, Ipv4Addr};

use prost::Message;
use rekindle_proto::v1;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use rekindle_testkit::http2::{self, RawHttp2, kind};
use tonic::transport::Endpoint;

use super::memory::resident;
use super::others_are_answered;
use crate::checker::Role;
use crate::database;
use crate::desk::{WORKSPACE, said};
use crate::service::{Service, Settings};

/// A setting of HTTP/2 (RFC 9113, section 6.5.2): what may be sent before the client reads.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// What abuse may cost the service, in bytes.
const BOUND: u64 = 64 * 1_024 * 1_024;
/// The same where the service reads large answers from its database before it counts them.
const LARGE: u64 = 4 * BOUND;
/// Calls that may be open on one connection.
const STREAMS: u32 = 100;
/// Calls of a connection whose answers nobody reads.
const UNREAD: u32 = 60;
/// Connections that one peer may have.
const PER_PEER: usize = 64;

/// A service that has answered already, so that what it allocates at first is not counted.
async fn warm(database: &database::Database) -> (Service, u64) {
    let service = Settings::of(database).start().await;
    others_are_answered(&service, "at-first").await;
    let before = resident(service.process.id());
    (service, before)
}

/// Others are answered, over connections that are open and over new ones, and memory is bounded.
async fn holds(service: &Service, before: u64, bound: u64) {
    others_are_answered(service, "meanwhile").await;
    let endpoint = Endpoint::from_shared(format!("http://{}", service.grpc)).expect("an address");
    let channel = endpoint.connect().await.expect("another peer is let in");
    let list = v1::ListFunnelsRequest { parent: WORKSPACE.into(), ..Default::default() };
    let mut funnels = v1::funnel_service_client::FunnelServiceClient::new(channel);
    funnels.list_funnels(list).await.expect("another peer is answered");
    let after = resident(service.process.id());
    let grown = after.saturating_sub(before);
    assert!(grown <= bound, "{} KiB grew to {} KiB", before / 1_024, after / 1_024);
    eprintln!("resident: {} KiB before, {} KiB under abuse", before / 1_024, after / 1_024);
}

async fn connect(service: &Service, from: u8, settings: &[(u16, u32)]) -> std::io::Result<RawHttp2> {
    let local = IpAddr::from(Ipv4Addr::new(127, 0, 0, from));
    RawHttp2::connect_from(local, service.grpc, settings).await
}

/// Ids of the calls of one connection.
fn calls(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|call| 2 * call + 1)
}

/// A message with what goes before it on the wire.
fn framed(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((message.encoded_len() as u32).to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes
}

#[tokio::test]
async fn calls_that_are_taken_back_at_once_end_their_connection_and_nothing_else() {
    let database = database::sqlite();
    let (service, before) = warm(&database).await;
    let path = "/rekindle.v1.FunnelService/ListFunnels";
    let flood: Vec<u8> =
        calls(2_000).flat_map(|id| [http2::call(id, path, &[]), http2::reset(id)].concat()).collect();
    for _ in 0..20 {
        let mut rapid = connect(&service, 2, &[]).await.expect("let in");
        // The connection may end before all of it is written.
        let _ = rapid.send(&flood).await;
        while rapid.next().await.is_some() {}
    }
    holds(&service, before, BOUND).await;
}

#[tokio::test]
async fn connections_that_do_nothing_take_the_places_of_their_peer_and_no_others() {
    let database = database::sqlite();
    let (service, before) = warm(&database).await;
    let mut let_in = Vec::new();
    for _ in 0..3 * PER_PEER {
        let Ok(mut idle) = connect(&service, 3, &[]).await else {
            continue;
        };
        if idle.next().await.is_some_and(|frame| frame.kind == kind::SETTINGS) {
            let_in.push(idle);
        }
    }
    assert_eq!(let_in.len(), PER_PEER);
    holds(&service, before, BOUND).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_are_stored_up_to_a_bound() {
    let database = database::sqlite();
    let (service, _) = warm(&database).await;
    // A page of 3 MB, in batches of less than 4.
    let events = (0..90).map(|place| {
        let (event, _) = said(Role::Ask, "long");
        v1::Event { id: format!("long-{place}"), text: "x".repeat(32 * 1_024), ..event }
    });
    let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events: events.collect() };
    let stored = IngestServiceClient::new(service.channel.clone()).ingest_events(request).await;
    assert_eq!(stored.expect("a batch").into_inner().accepted_count, 90);
    let page = v1::ListConversationEventsRequest {
        parent: format!("{WORKSPACE}/conversations/long"),
        page_size: 1_000,
        ..Default::default()
    };
    let before = resident(service.process.id());
    let path = "/rekindle.v1.ConversationService/ListConversationEvents";
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut unread = connect(&service, 4, &[(INITIAL_WINDOW_SIZE, 0)]).await.expect("let in");
        let asked: Vec<u8> = calls(UNREAD)
            .flat_map(|id| [http2::call(id, path, &[]), http2::data(id, &framed(&page), true)].concat())
            .collect();
        unread.send(&asked).await.expect("the windows of the service are open");
        // Heads of answers need no window: each call has been worked on.
        for _ in 0..UNREAD {
            unread.next_of(kind::HEADERS).await.expect("the head of an answer");
        }
        stalled.push(unread);
    }
    // 360 MB were asked for.
    holds(&service, before, LARGE).await;
    drop(stalled);
}

#[tokio::test]
async fn messages_that_come_byte_by_byte_take_no_place() {
    let database = database::sqlite();
    let (service, before) = warm(&database).await;
    let path = "/rekindle.v1.IngestService/IngestEvents";
    let mut slow = Vec::new();
    // More calls than there are places for batches.
    for _ in 0..6 {
        let mut dripping = connect(&service, 5, &[]).await.expect("let in");
        let begun: Vec<u8> = calls(STREAMS)
            .flat_map(|id| {
                [http2::call(id, path, &[("grpc-timeout", "30S")]), http2::data(id, &[0], false)].concat()
            })
            .collect();
        dripping.send(&begun).await.expect("open");
        // The service has seen all of it when it answers a question asked after it.
        dripping.send(&http2::frame(kind::PING, 0, 0, &[7; 8])).await.expect("open");
        while dripping.next_of(kind::PING).await.expect("the answer").payload != [7; 8] {}
        slow.push(dripping);
    }
    holds(&service, before, BOUND).await;
    drop(slow);
}
