//! A client that knows what it sent and what was acknowledged, whatever becomes of the service.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use rekindle_proto::v1::{Event, StreamEventsRequest, StreamEventsResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::checker::{Role, Sent};
use crate::desk::{WORKSPACE, said};
use crate::receiver::Receiver;
use crate::surroundings::{Draws, now};

/// Between two batches.
const BEAT: Duration = Duration::from_millis(20);
/// An early return comes this long after the answer, in milliseconds: around the stall.
const EARLY: (u64, u64) = (300, 2_500);
/// Before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(20);

/// The client.
pub struct Oracle {
    draws: Draws,
    batches: Vec<Batch>,
    /// Batches that nobody acknowledged yet.
    pending: BTreeSet<usize>,
    /// When customers come back by themselves.
    returns: Vec<(i64, String)>,
    /// Conversations whose customer comes back once they were called.
    called_back: HashSet<String>,
    /// Calls of the receiver that were looked at.
    heard: usize,
    conversations: usize,
    acknowledged: Acknowledged,
    /// Events that the service did not take; none should be.
    pub rejected: Vec<String>,
}

/// When something was last acknowledged, for whoever looks on.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged(Arc<AtomicI64>);

impl Acknowledged {
    /// In microseconds since 1970; 0 before the first.
    pub fn latest(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Events that are sent together, the same way every time.
struct Batch {
    events: Vec<Event>,
    sent: Vec<Sent>,
}

/// A stream as long as it holds.
struct Line {
    batches: mpsc::UnboundedSender<StreamEventsRequest>,
    answers: Streaming<StreamEventsResponse>,
    /// What is under way: sequence and batch.
    open: VecDeque<(i64, usize)>,
    sequence: i64,
}

impl Oracle {
    /// A client that draws from a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed.rotate_left(32)),
            batches: Vec::new(),
            pending: BTreeSet::new(),
            returns: Vec::new(),
            called_back: HashSet::new(),
            heard: 0,
            conversations: 0,
            acknowledged: Acknowledged::default(),
            rejected: Vec::new(),
        }
    }

    /// Everything it sent, or meant to.
    pub fn sent(&self) -> Vec<Sent> {
        self.batches.iter().flat_map(|batch| batch.sent.iter().cloned()).collect()
    }

    /// When something was last acknowledged.
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged.clone()
    }

    /// Tells of new conversations and of customers who come back, for as long as anybody listens.
    pub async fn tell(&mut self, channel: &Channel, receiver: &Receiver) {
        loop {
            if let Some(line) = self.open(channel).await {
                self.talk(line, receiver, true).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells what is left, and returns once all of it is acknowledged.
    pub async fn close(&mut self, channel: &Channel, receiver: &Receiver) {
        while !(self.pending.is_empty() && self.returns.is_empty()) {
            if let Some(line) = self.open(channel).await {
                self.talk(line, receiver, false).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Opens a stream and sends again what was not acknowledged, and now and then what was.
    async fn open(&mut self, channel: &Channel) -> Option<Line> {
        let (batches, outgoing) = mpsc::unbounded_channel();
        let mut again: Vec<usize> = self.pending.iter().copied().collect();
        if let Some(newest) = self.batches.len().checked_sub(1) {
            again.push(self.draws.between(0, newest as u64) as usize);
        }
        let mut client = IngestServiceClient::new(channel.clone());
        let answers = client.stream_events(UnboundedReceiverStream::new(outgoing)).await.ok()?.into_inner();
        let mut line = Line { batches, answers, open: VecDeque::new(), sequence: 0 };
        for place in again {
            line.send(place, &self.batches[place].events);
        }
        Some(line)
    }

    /// Sends a batch with every beat and hears acknowledgements, until the stream breaks; without
    /// `is_open` there are no new conversations, and it ends when everything is acknowledged.
    async fn talk(&mut self, mut line: Line, receiver: &Receiver, is_open: bool) {
        let mut beat = tokio::time::interval(BEAT);
        while is_open || !(self.pending.is_empty() && self.returns.is_empty()) {
            tokio::select! {
                _ = beat.tick() => {
                    if let Some(place) = self.write(receiver, is_open) {
                        line.send(place, &self.batches[place].events);
                    }
                }
                answer = line.answers.message() => match answer {
                    Ok(Some(answer)) => self.hear(&mut line, answer),
                    Ok(None) | Err(_) => return,
                },
            }
        }
    }

    /// Writes the next batch: who comes back now, and a new conversation.
    fn write(&mut self, receiver: &Receiver, is_open: bool) -> Option<usize> {
        let mut said_now: Vec<(Event, Sent)> =
            self.returning(receiver).iter().map(|it| said(Role::Return, it)).collect();
        if is_open {
            let conversation = format!("c{}", self.conversations);
            self.conversations += 1;
            said_now.push(said(Role::Ask, &conversation));
            said_now.push(said(Role::Answer, &conversation));
            self.decide(conversation);
        }
        if said_now.is_empty() {
            return None;
        }
        let (events, sent) = said_now.into_iter().unzip();
        self.batches.push(Batch { events, sent });
        let place = self.batches.len() - 1;
        self.pending.insert(place);
        Some(place)
    }

    /// Half of the customers stay away, a quarter comes back early, a quarter when called.
    fn decide(&mut self, conversation: String) {
        match self.draws.between(0, 3) {
            0 => {
                let wait = self.draws.between(EARLY.0, EARLY.1) as i64 * 1_000;
                self.returns.push((now() + wait, conversation));
            }
            1 => {
                self.called_back.insert(conversation);
            }
            _ => {}
        }
    }

    /// Who comes back now.
    fn returning(&mut self, receiver: &Receiver) -> Vec<String> {
        let now = now();
        let mut returning = Vec::new();
        self.returns.retain(|(due, conversation)| {
            let is_due = *due <= now;
            if is_due {
                returning.push(conversation.clone());
            }
            !is_due
        });
        let calls = receiver.calls();
        for call in &calls[self.heard..] {
            returning.extend(self.called_back.take(&call.conversation));
        }
        self.heard = calls.len();
        returning
    }

    /// Notes what is acknowledged.
    fn hear(&mut self, line: &mut Line, answer: StreamEventsResponse) {
        let now = now();
        self.acknowledged.0.store(now, Ordering::SeqCst);
        self.rejected
            .extend(answer.rejections.into_iter().map(|it| format!("{}: {}", it.event_id, it.message)));
        while let Some((_, place)) =
            line.open.pop_front_if(|(sequence, _)| *sequence <= answer.committed_sequence)
        {
            self.pending.remove(&place);
            for sent in &mut self.batches[place].sent {
                sent.acked_at.get_or_insert(now);
            }
        }
    }
}

impl Line {
    fn send(&mut self, place: usize, events: &[Event]) {
        self.sequence += 1;
        self.open.push_back((self.sequence, place));
        let request = StreamEventsRequest {
            parent: WORKSPACE.into(),
            sequence: self.sequence,
            events: events.to_vec(),
        };
        // A stream that broke is noticed by whoever listens to it.
        let _ = self.batches.send(request);
    }
}
