//! Marks, runs and deliveries: what was noticed and done.

use std::collections::BTreeMap;

use rekindle_core::Timestamp;
use rekindle_core::funnel::OwedBy;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Origin, Progress};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It goes on at `next_at`, or when its delivery settles.
    Running,
    /// Through its last step.
    Completed,
    /// Ended by itself; see the reason.
    Ended,
    /// Ended by an operator.
    Cancelled,
    /// Never started; see the reason.
    Skipped,
}

/// Why a run ended or never started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The customer came back.
    CustomerReturned,
    /// The journey reached its end, or the subject was closed.
    GoalReached,
    /// The journey left the stage.
    StageLeft,
    /// An operator cancelled it.
    Cancelled,
    /// The sequence was archived.
    SequenceArchived,
    /// A late event took the silence back.
    Voided,
    /// The mark was noticed too late after its instant.
    Stale,
    /// The instant had passed when the silence became known: history starts nothing.
    History,
    /// The subject was erased.
    Erased,
    /// It could not be worked on; its ledger says why.
    Failed,
    /// Quiet hours came where its sequence says that they end it.
    QuietHours,
    /// Its sequence was paused when the silence was noticed.
    Paused,
    /// The silence came due before the sequence was started or resumed.
    NotStarted,
    /// The entry filter of the sequence did not let it in.
    Filtered,
    /// The subject had a run of the sequence too recently.
    CoolDown,
    /// Our side owed the word, and spoke.
    AgentActed,
    /// The run of the time before was under way.
    Overlap,
    /// A new revision of the sequence has no place for runs in its step.
    StepRemoved,
    /// A new revision of the sequence ended the runs of those before it.
    SequenceChanged,
}

/// A run of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Id.
    pub id: Uuid,
    /// Sequence id.
    pub sequence: String,
    /// Revision of the sequence that it walks.
    pub sequence_revision: i32,
    /// What started it.
    pub trigger: Origin,
    /// Conversation of the subject, if it is one.
    pub conversation: Option<Uuid>,
    /// Customer of the subject, if known.
    pub customer: Option<Uuid>,
    /// When the silence began; the instant of the event, or the time, that started it.
    pub since: Timestamp,
    /// The instant the rule named; on other occasions as `since`.
    pub due_at: Timestamp,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// Whose silence the rule measures that started it.
    pub owed_by: OwedBy,
    /// Where it is.
    pub state: RunState,
    /// Why it ended or never started.
    pub end_reason: Option<EndReason>,
    /// Whether the customer is written to, or held out.
    pub arm: Arm,
    /// Place of what comes next in its program.
    pub step: i32,
    /// What it remembers of its way.
    pub progress: Progress,
    /// When to go on; `None` while a delivery is awaited.
    pub next_at: Option<Timestamp>,
    /// Since when somebody holds it; `next_at` is `None` meanwhile.
    pub paused_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// Runs of a sequence that go on and stand in the same place, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCrowd {
    /// Revision of the sequence that they walk.
    pub revision: i32,
    /// Place of what comes next in its program.
    pub step: i32,
    /// What one of them remembers of its way. It stands for all: each of them has come by a step or
    /// none has, and they wait in the same step, for a delivery or for something else.
    pub progress: Progress,
    /// How many they are.
    pub count: i64,
}

/// Which run, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// Workspace.
    pub scope: Scope,
    /// Id.
    pub id: Uuid,
}

/// One line of a run's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// Which run.
    pub run: Uuid,
    /// When.
    pub at: Timestamp,
    /// What: `started`, `waiting`, `delivery_created`, `delivery_settled`, `migrated`, `ended`, `replayed` …
    pub kind: String,
    /// Step id, where it concerns one.
    pub step: String,
    /// The same for people.
    pub detail: String,
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Waits for its time.
    Scheduled,
    /// An attempt was started.
    Sending,
    /// Accepted by the receiver.
    Delivered,
    /// Refused for good, or given up.
    Failed,
    /// The recipient is not written to.
    Suppressed,
    /// No longer wanted.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// Nobody knows whether it arrived, and the policy says not to send again.
    Unknown,
    /// Written for a customer who is held out, and never to be sent.
    HeldOut,
}

impl DeliveryState {
    /// Whether nothing more will happen by itself.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Sending)
    }
}

/// What is sent; the bytes of every attempt follow from it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A mail.
    Email {
        /// `Message-ID` without angle brackets.
        message_id: String,
        /// `Date`, in seconds since the epoch.
        date: i64,
        /// `From`.
        from: crate::resources::MailboxSpec,
        /// `Reply-To`.
        reply_to: Option<crate::resources::MailboxSpec>,
        /// Recipient.
        to: String,
        /// Subject.
        subject: String,
        /// Plain text.
        text: String,
        /// HTML, if any.
        html: Option<String>,
        /// One-click unsubscribe URL.
        unsubscribe_url: String,
        /// Unsubscribe mailbox; may be empty.
        unsubscribe_mailto: String,
    },
    /// A webhook payload, as JSON text.
    Webhook {
        /// The exact body.
        body: String,
        /// What the run wants to know of the answer: names, and JSON Pointers.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        wants: BTreeMap<String, String>,
        /// What the answer said of that: a JSON object; empty before it came.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        said: String,
    },
    /// An event that is added to the stream of the run's subject: nothing leaves the house.
    Event {
        /// Its id.
        id: String,
        /// Its type.
        kind: String,
        /// When.
        at: i64,
        /// The conversation, by the client's id.
        conversation: Option<String>,
        /// The customer, by the client's id.
        customer: Option<String>,
        /// Its properties: a JSON object.
        properties: String,
    },
}

impl Message {
    /// A webhook payload of whose answer nothing is wanted.
    pub fn webhook(body: String) -> Self {
        Self::Webhook { body, wants: BTreeMap::new(), said: String::new() }
    }
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Run, step and visit; also the webhook's id.
    pub id: String,
    /// Run it belongs to; `None` for a test.
    pub run: Uuid,
    /// Step id.
    pub step: String,
    /// Destination id.
    pub destination: String,
    /// Customer written to, if known.
    pub customer: Option<Uuid>,
    /// Conversation it is about, if it is about one.
    pub conversation: Option<Uuid>,
    /// Address, or the endpoint's host.
    pub recipient: String,
    /// What is sent.
    pub message: Message,
    /// Whether to park it when an outcome is unknown.
    pub park_unknown: bool,
    /// Whether it goes to our own side, and is no message to the customer.
    pub internal: bool,
    /// Where it is.
    pub state: DeliveryState,
    /// Why, for people; empty where the state says it all.
    pub reason: String,
    /// The customer came back while it was being sent.
    pub overtaken: bool,
    /// When to try next.
    pub next_at: Option<Timestamp>,
    /// When it is no longer worth trying.
    pub expires_at: Timestamp,
    /// Number of attempts started.
    pub attempts: i32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was settled.
    pub ended_at: Option<Timestamp>,
}

/// A message that counts against the limits of its customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The customer.
    pub customer: Uuid,
    /// The delivery; it counts once, however often it is attempted.
    pub delivery: String,
    /// When room was made for it.
    pub at: Timestamp,
}

/// Which delivery, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// Workspace.
    pub scope: Scope,
    /// Id.
    pub id: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// Accepted.
    Delivered,
    /// Not accepted; worth trying again.
    Retry,
    /// Refused for good.
    Rejected,
    /// Nobody knows.
    Unknown,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Delivery id.
    pub delivery: String,
    /// Number, from 1.
    pub number: i32,
    /// When it was started.
    pub started_at: Timestamp,
    /// When its outcome was recorded.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None` while it is under way.
    pub outcome: Option<AttemptOutcome>,
    /// How far it came.
    pub phase: String,
    /// The receiver's status code.
    pub code: Option<i32>,
    /// What the receiver said, cut.
    pub response: String,
}

/// Which runs or deliveries to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    /// Of this sequence.
    pub sequence: Option<String>,
    /// Of this run.
    pub run: Option<Uuid>,
    /// Of this conversation.
    pub conversation: Option<Uuid>,
    /// Of this customer.
    pub customer: Option<Uuid>,
    /// In one of these run states; empty means all.
    pub run_states: Vec<RunState>,
    /// In one of these delivery states; empty means all.
    pub delivery_states: Vec<DeliveryState>,
    /// Created before, or at the same instant with a smaller id.
    pub before: Option<(Timestamp, String)>,
}
