//! A client that loses patience.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rekindle_proto::v1;
use rekindle_proto::v1::conversation_service_client::ConversationServiceClient;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use rekindle_proto::v1::metrics_service_client::MetricsServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::chance;
use crate::desk::{FUNNEL, WORKSPACE, timestamp};
use crate::surroundings::{Draws, now};

/// Conversations that all callers share, so that they get into each other's way.
pub const CONVERSATIONS: u64 = 60;
/// The longest patience that a caller ever has, in microseconds.
const LONGEST: u64 = 10_000_000;

/// What became of a caller's requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Given up before there was an answer.
    pub cancelled: u64,
    /// Answered in time.
    pub answered: u64,
    /// Answered with an error.
    pub refused: u64,
    /// Events that the service said it has, by id.
    pub acknowledged: BTreeMap<String, v1::Event>,
}

impl Tally {
    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        self.cancelled += other.cancelled;
        self.answered += other.answered;
        self.refused += other.refused;
        self.acknowledged.extend(other.acknowledged);
        self
    }
}

/// A caller with a connection of its own.
pub struct Caller {
    number: u64,
    draws: Draws,
    address: SocketAddr,
    /// The longest that it waits for the next answer, in microseconds. It grows with every answer
    /// that did not come in time and shrinks with every one that did: about half of the requests
    /// are given up, at moments spread over all that the service does for them.
    patience: u64,
    /// What it never falls below: the link's own time.
    shortest: u64,
    channel: Channel,
    events: u64,
    tally: Tally,
}

impl Caller {
    /// A caller behind a link that takes `delay` one way.
    pub fn new(number: u64, seed: u64, address: SocketAddr, delay: Duration) -> Self {
        let shortest = 2 * delay.as_micros() as u64;
        Self {
            number,
            draws: Draws::new(seed),
            address,
            patience: 10 * shortest,
            shortest,
            channel: connection(address),
            events: 0,
            tally: Tally::default(),
        }
    }

    /// Calls until so many requests were cancelled.
    pub async fn call(mut self, cancels: u64) -> Tally {
        while self.tally.cancelled < cancels {
            let patience = Duration::from_micros(self.draws.between(0, self.patience));
            match chance(&mut self.draws) {
                0..60 => self.tell(patience).await,
                60..70 => self.stream(patience).await,
                70..85 => self.read(patience).await,
                _ => self.count(patience).await,
            }
            // Now and then the whole connection is dropped, with whatever still runs on it.
            if chance(&mut self.draws) < 5 {
                self.channel = connection(self.address);
            }
        }
        self.tally
    }

    /// Tells of one to three events; half the time the service knows the deadline.
    async fn tell(&mut self, patience: Duration) {
        let events = self.fresh();
        let mut request =
            Request::new(v1::IngestEventsRequest { parent: WORKSPACE.into(), events: events.clone() });
        if chance(&mut self.draws) < 50 {
            request.set_timeout(patience);
        }
        let mut client = IngestServiceClient::new(self.channel.clone());
        let answer = tokio::time::timeout(patience, client.ingest_events(request)).await;
        let answer = self.note(answer.map(|answer| answer.map(tonic::Response::into_inner)));
        if let Some(answer) = answer {
            assert_eq!(answer.rejections, Vec::new());
            self.acknowledge(events);
        }
    }

    /// Sends two batches on a stream and waits for their acknowledgement.
    async fn stream(&mut self, patience: Duration) {
        let batches: Vec<Vec<v1::Event>> = vec![self.fresh(), self.fresh()];
        let messages: Vec<_> = batches
            .iter()
            .zip(1..)
            .map(|(events, sequence)| v1::StreamEventsRequest {
                parent: WORKSPACE.into(),
                sequence,
                events: events.clone(),
            })
            .collect();
        let mut client = IngestServiceClient::new(self.channel.clone());
        let mut committed = 0;
        let told = async {
            let mut answers = client.stream_events(tokio_stream::iter(messages)).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                assert_eq!(answer.rejections, Vec::new());
                committed = answer.committed_sequence;
            }
            Ok::<_, Status>(())
        };
        let told = tokio::time::timeout(patience, told).await;
        self.note(told);
        for events in batches.into_iter().take(committed as usize) {
            self.acknowledge(events);
        }
    }

    /// Reads a conversation.
    async fn read(&mut self, patience: Duration) {
        let parent = format!("{WORKSPACE}/conversations/c{}", self.draws.between(0, CONVERSATIONS - 1));
        let request = v1::ListConversationEventsRequest { parent, page_size: 100, ..Default::default() };
        let mut client = ConversationServiceClient::new(self.channel.clone());
        let answer = tokio::time::timeout(patience, client.list_conversation_events(request)).await;
        self.note(answer);
    }

    /// Asks for the figures of a stage.
    async fn count(&mut self, patience: Duration) {
        let request = v1::ListFunnelSubjectsRequest {
            funnel: FUNNEL.into(),
            stage: "asked".into(),
            figure: v1::FunnelFigure::Reached.into(),
            page_size: 100,
            ..Default::default()
        };
        let mut client = MetricsServiceClient::new(self.channel.clone());
        let answer = tokio::time::timeout(patience, client.list_funnel_subjects(request)).await;
        self.note(answer);
    }

    /// Counts how a request ended; its answer, if there was one.
    fn note<T, E>(&mut self, outcome: Result<Result<T, Status>, E>) -> Option<T> {
        let answer = match outcome {
            Ok(Ok(answer)) => Some(answer),
            // The deadline that the service knew is the patience of its client.
            Ok(Err(status)) if !is_deadline(&status) => {
                self.tally.refused += 1;
                return None;
            }
            Ok(Err(_)) | Err(_) => None,
        };
        if answer.is_some() {
            self.tally.answered += 1;
            self.patience = (self.patience * 2 / 3).max(self.shortest);
        } else {
            self.tally.cancelled += 1;
            self.patience = (self.patience * 3 / 2).min(LONGEST);
        }
        answer
    }

    fn acknowledge(&mut self, events: Vec<v1::Event>) {
        self.tally.acknowledged.extend(events.into_iter().map(|event| (event.id.clone(), event)));
    }

    /// One to three events that nobody has seen, of conversations that others talk about too.
    fn fresh(&mut self) -> Vec<v1::Event> {
        let count = self.draws.between(1, 3);
        (0..count).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> v1::Event {
        self.events += 1;
        let conversation = format!("c{}", self.draws.between(0, CONVERSATIONS - 1));
        let kind = if chance(&mut self.draws) < 50 { "customer_message" } else { "agent_message" };
        v1::Event {
            id: format!("{}-{}", self.number, self.events),
            customer: format!("{conversation}-customer"),
            conversation,
            r#type: kind.into(),
            occur_time: Some(timestamp(now())),
            ..Default::default()
        }
    }
}

fn is_deadline(status: &Status) -> bool {
    matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled)
}

fn connection(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL").connect_lazy()
}
