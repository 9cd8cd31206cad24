//! Sends batches over one stream, several in flight, and goes on after a lost connection where
//! the server has not yet acknowledged.

use std::time::Duration;

use rekindle_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::batch::Rejected;
use super::reader::Produced;
use super::window::{Tally, Window};
use crate::cli::Failure;
use crate::cli::connection::Connection;
use crate::cli::failure::Refusal;

/// Batches in flight at most.
pub const WINDOW: usize = 8;
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Tries in a row without progress before giving up: about half a minute.
const MAX_TRIES: u32 = 10;
/// How often the watcher is told how far it is.
const TICK: Duration = Duration::from_millis(250);

/// What is told while an import goes on.
pub trait Watcher {
    /// How far it is.
    fn progress(&mut self, tally: &Tally);
    /// A row was not taken. An error ends the import.
    fn rejected(&mut self, rejected: &Rejected) -> Result<(), Failure>;
    /// The connection was lost and is tried again.
    fn reconnecting(&mut self, why: &Failure);
}

/// An import under way.
pub struct Sender<'a> {
    connection: &'a Connection,
    produced: mpsc::Receiver<Produced>,
    window: Window,
    tally: Tally,
    watcher: &'a mut dyn Watcher,
    is_strict: bool,
    reading: bool,
}

/// Why one stream was over.
enum Over {
    /// Everything is sent and acknowledged.
    Done,
    /// It broke; another one may do.
    Lost(Failure),
}

impl<'a> Sender<'a> {
    /// Sends what comes out of `produced`, which comes from `files`. With `is_strict` the first
    /// row that is not taken ends the import.
    pub fn new(
        connection: &'a Connection,
        produced: mpsc::Receiver<Produced>,
        files: Vec<String>,
        watcher: &'a mut dyn Watcher,
        is_strict: bool,
    ) -> Self {
        Self {
            connection,
            produced,
            window: Window::new(files),
            tally: Tally::default(),
            watcher,
            is_strict,
            reading: true,
        }
    }

    /// Sends everything. The tally is right also when it ends with a failure.
    pub async fn run(mut self) -> (Tally, Result<(), Failure>) {
        let result = self.send_all().await;
        (self.tally, result)
    }

    async fn send_all(&mut self) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            self.wait_for_work().await?;
            if self.window.is_empty() && !self.reading {
                return Ok(());
            }
            let before = self.tally;
            match self.one_stream().await? {
                Over::Done => return Ok(()),
                Over::Lost(failure) => {
                    tries = if self.tally == before { tries + 1 } else { 1 };
                    if tries > MAX_TRIES {
                        return Err(failure);
                    }
                    self.watcher.reconnecting(&failure);
                    self.tally.reconnects += 1;
                    sleep(wait(tries, &failure)).await;
                }
            }
        }
    }

    /// Waits until there is something to send, so that no stream is opened only to be idle.
    async fn wait_for_work(&mut self) -> Result<(), Failure> {
        while self.window.is_empty() && self.reading {
            let next = self.produced.recv().await;
            self.take(next)?;
        }
        Ok(())
    }

    /// Takes in what was read; returns the request that sends it, if it is a batch.
    fn take(&mut self, next: Option<Produced>) -> Result<Option<v1::StreamEventsRequest>, Failure> {
        match next {
            Some(Produced::Batch(batch)) => Ok(Some(self.window.push(&self.connection.parent(), batch))),
            Some(Produced::Rejected(rejected)) => {
                self.tally.rejected += 1;
                self.reject(&rejected)?;
                Ok(None)
            }
            None => {
                self.reading = false;
                Ok(None)
            }
        }
    }

    fn reject(&mut self, rejected: &Rejected) -> Result<(), Failure> {
        self.watcher.rejected(rejected)?;
        if self.is_strict {
            self.reading = false;
            self.produced.close();
            return Err(Failure::Invalid(format!(
                "{}:{}: {}; --strict ends the import here",
                rejected.file, rejected.line, rejected.reason
            )));
        }
        Ok(())
    }

    /// Opens a stream, sends what is in flight and what is read, until the end or a break.
    async fn one_stream(&mut self) -> Result<Over, Failure> {
        let (requests, queue) = mpsc::channel(WINDOW);
        for request in self.window.again(&self.connection.parent()) {
            // There is room for a whole window, and the other end is still ours.
            let _ = requests.try_send(request);
        }
        let stream = self.connection.ingest().stream_events(ReceiverStream::new(queue)).await;
        let mut answers = match stream {
            Ok(response) => response.into_inner(),
            Err(status) => return lost(status),
        };
        let mut requests = Some(requests);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if !self.reading && self.window.is_empty() {
                requests = None;
            }
            let Some(open) = &requests else {
                return self.last_words(&mut answers).await;
            };
            let has_room = self.window.len() < WINDOW;
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.acknowledged(answer)?,
                    Ok(None) => return lost(Status::unavailable("the server ended the stream")),
                    Err(status) => return lost(status),
                },
                next = self.produced.recv(), if self.reading && has_room => {
                    if let Some(request) = self.take(next)? {
                        // A window of requests fits into the queue. A closed one means a lost
                        // stream, of which the answers will tell.
                        let _ = open.send(request).await;
                    }
                }
                _ = ticks.tick() => self.watcher.progress(&self.tally),
            }
        }
    }

    /// What the server still says after our end of the stream was closed.
    async fn last_words(
        &mut self,
        answers: &mut Streaming<v1::StreamEventsResponse>,
    ) -> Result<Over, Failure> {
        while let Ok(Some(answer)) = answers.message().await {
            self.acknowledged(answer)?;
        }
        self.watcher.progress(&self.tally);
        Ok(Over::Done)
    }

    fn acknowledged(&mut self, answer: v1::StreamEventsResponse) -> Result<(), Failure> {
        let rejected = self.window.acknowledge(answer, &mut self.tally);
        for row in &rejected {
            self.reject(row)?;
        }
        self.watcher.progress(&self.tally);
        Ok(())
    }
}

/// A lost stream, if another may do better; else the failure.
fn lost(status: Status) -> Result<Over, Failure> {
    let may_pass = may_pass(&Refusal::from(&status));
    let failure = Failure::from(status);
    if may_pass { Ok(Over::Lost(failure)) } else { Err(failure) }
}

/// Whether a refusal may pass by itself. A server that answers gives a reason; without one the
/// connection itself broke, and its status can be almost anything.
fn may_pass(refusal: &Refusal) -> bool {
    match refusal.reason.as_deref() {
        Some("REQUEST_TOO_LARGE") => false,
        Some(_) => matches!(
            refusal.code,
            Code::Unavailable | Code::Aborted | Code::ResourceExhausted | Code::DeadlineExceeded
        ),
        None => matches!(
            refusal.code,
            Code::Unavailable
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled
                | Code::Aborted
                | Code::DeadlineExceeded
        ),
    }
}

/// How long to wait before the next try: doubled every time, or as long as the server asks for.
fn wait(tries: u32, failure: &Failure) -> Duration {
    let doubled = Duration::from_millis(250 << tries.min(10).saturating_sub(1));
    let asked = match failure {
        Failure::Refused(refusal) => refusal.retry_after,
        _ => None,
    };
    doubled.min(MAX_WAIT).max(asked.unwrap_or_default().min(Duration::from_mins(1)))
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
