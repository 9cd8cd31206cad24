//! Events over gRPC: by streams, and one at a time.

use std::hash::{DefaultHasher, Hash, Hasher};

use rekindle_proto::v1;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::Fallible;
use crate::definitions::WORKSPACE;
use crate::program::Program;
use crate::stopwatch::Stopwatch;
use crate::workload::{Slot, Workload};

/// Events of a message.
pub const MESSAGE: usize = 500;
/// Messages that are written out before the clock runs again, so that memory stays small.
const AHEAD: usize = 400;

/// Sends a workload's events over so many streams at once; events a second, with the
/// clock running only while messages are sent and acknowledged.
pub async fn stream_slots(
    program: &Program,
    streams: usize,
    workload: &Workload,
    slots: &[Slot],
) -> Fallible<f64> {
    let channels = connections(program, streams).await?;
    let mut clock = Stopwatch::default();
    for part in slots.chunks(AHEAD * MESSAGE) {
        let events = part.iter().map(|slot| workload.event(slot)).collect();
        stream(&channels, events, &mut clock).await?;
    }
    Ok(slots.len() as f64 / clock.seconds())
}

/// Sends events over so many streams at once; events a second.
pub async fn stream_events(program: &Program, streams: usize, events: Vec<v1::Event>) -> Fallible<f64> {
    let channels = connections(program, streams).await?;
    let (count, mut clock) = (events.len() as f64, Stopwatch::default());
    stream(&channels, events, &mut clock).await?;
    Ok(count / clock.seconds())
}

/// A connection for each stream.
pub async fn connections(program: &Program, streams: usize) -> Fallible<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..streams {
        channels.push(program.connect().await?);
    }
    Ok(channels)
}

/// Deals the events out to the streams and waits until all is acknowledged.
///
/// Everything of a customer goes over one stream, as a producer keeps what belongs together in
/// order; streams do not wait for each other.
async fn stream(channels: &[Channel], events: Vec<v1::Event>, clock: &mut Stopwatch) -> Fallible<()> {
    let sent = events.len() as i64;
    let mut dealt: Vec<Vec<v1::Event>> = vec![Vec::new(); channels.len()];
    for event in events {
        let mut hasher = DefaultHasher::new();
        event.customer.hash(&mut hasher);
        dealt[hasher.finish() as usize % channels.len()].push(event);
    }
    let messages = dealt.iter().map(|events| messages(events)).collect::<Vec<_>>();
    clock.start();
    let mut streams = JoinSet::new();
    for (channel, messages) in channels.iter().zip(messages) {
        streams.spawn(one_stream(channel.clone(), messages));
    }
    let mut accepted = 0;
    while let Some(done) = streams.join_next().await {
        accepted += done??;
    }
    clock.stop();
    if accepted == sent { Ok(()) } else { Err(format!("{accepted} of {sent} events were taken").into()) }
}

fn messages(events: &[v1::Event]) -> Vec<v1::StreamEventsRequest> {
    let numbered = events.chunks(MESSAGE).zip(1..);
    let message = |(events, sequence): (&[v1::Event], i64)| v1::StreamEventsRequest {
        parent: WORKSPACE.into(),
        sequence,
        events: events.to_vec(),
    };
    numbered.map(message).collect()
}

/// Sends messages; how many events were taken.
async fn one_stream(channel: Channel, messages: Vec<v1::StreamEventsRequest>) -> Fallible<i64> {
    let mut client = IngestServiceClient::new(channel);
    let mut answers = client.stream_events(tokio_stream::iter(messages)).await?.into_inner();
    let mut accepted = 0;
    while let Some(answer) = answers.message().await? {
        accepted += answer.accepted_count;
    }
    Ok(accepted)
}
