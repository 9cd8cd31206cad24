//! What a sequence would send, written as it would be written, and not sent.

use std::collections::HashMap;
use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::funnel::TimeBasis;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Action, Cause, Occasion, Origin, Progress, Step, Wait};
use rekindle_core::time::HOUR;
use rekindle_core::violation::Violation;
use rekindle_ports::ledger::{Message, RunRow, RunState};
use rekindle_ports::resources::{DestinationRow, SequenceRow, WorkspaceRow};
use rekindle_ports::rows::{NameKind, RevisionRow};
use rekindle_ports::{Deliver, Tx};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::definition::{path, templates};
use super::existing;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, ResourceKind};
use crate::loops::compose::{Writer, context, latest};
use crate::loops::locks::{Locked, lock_subjects};

/// For whom a preview is written.
#[derive(Debug, Clone, PartialEq)]
pub enum PreviewData {
    /// For nobody: made-up values.
    MadeUp,
    /// Values for the variables of the templates, over made-up ones.
    Sample(Json),
    /// A conversation and its customer, by the client's id.
    Conversation(String),
    /// A customer, by the client's id.
    Customer(String),
}

/// One message as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreviewedMessage {
    /// Id of the step.
    pub step: String,
    /// Waits before it, added up; microseconds of wall time.
    pub wall_delay: i64,
    /// The same in business time.
    pub business_delay: i64,
    /// Address of the recipient, or the endpoint.
    pub recipient: String,
    /// Subject of a mail.
    pub subject: String,
    /// Plain text of a mail.
    pub text: String,
    /// HTML of a mail, if it has any.
    pub html: String,
    /// Body of a webhook call.
    pub body: String,
    /// What keeps it from being written with these values, by the path of the field.
    pub violations: Vec<Violation>,
}

impl Engine {
    /// Writes every message of a sequence's newest revision, and sends none.
    pub async fn preview_sequence(
        &self,
        scope: Scope,
        id: &str,
        data: PreviewData,
    ) -> EngineResult<Vec<PreviewedMessage>> {
        let (id, deliver) = (id.to_owned(), Arc::clone(&self.inner.deliver));
        let desk = self
            .write(scope, move |tx, now| {
                let (id, data, deliver) = (id.clone(), data.clone(), Arc::clone(&deliver));
                Box::pin(async move { Desk::prepare(tx, &*deliver, &id, &data, now).await })
            })
            .await?;
        Ok(desk.write(&*self.inner.deliver))
    }
}

/// Everything that messages are written from.
pub(super) struct Desk {
    sequence: SequenceRow,
    destinations: HashMap<String, DestinationRow>,
    workspace: WorkspaceRow,
    workspace_key: i64,
    run: RunRow,
    revision: Option<i32>,
    context: Json,
    now: Timestamp,
}

impl Desk {
    async fn prepare(
        tx: &mut dyn Tx,
        deliver: &dyn Deliver,
        id: &str,
        data: &PreviewData,
        now: Timestamp,
    ) -> EngineResult<Self> {
        let (conversation, customer) = subject_of(tx, data).await?;
        let locked = lock_subjects(tx, conversation.into_iter().chain(customer)).await?;
        let sequence = existing(tx, id).await?;
        let owner =
            locked.conversation(conversation).and_then(|row| row.owner.as_ref().map(|(owner, _)| *owner));
        let run = imagined(tx, &sequence, conversation, customer.or(owner), now).await?;
        Self::of(tx, deliver, sequence, run, &locked, Some(data), now).await
    }

    /// A desk for a run that is not real.
    pub(super) async fn of(
        tx: &mut dyn Tx,
        deliver: &dyn Deliver,
        sequence: SequenceRow,
        run: RunRow,
        locked: &Locked,
        data: Option<&PreviewData>,
        now: Timestamp,
    ) -> EngineResult<Self> {
        let mut destinations = HashMap::new();
        for id in sequence.body.each_step().iter().filter_map(|(_, step)| step.action.destination()) {
            if let Some(row) = tx.destination(id).await? {
                destinations.insert(id.to_owned(), row);
            }
        }
        let head = latest(tx, &sequence.body.trigger.funnel).await?;
        Ok(Self {
            destinations,
            workspace: tx.workspace().await?,
            workspace_key: tx.scope().workspace,
            revision: head.as_ref().map(|revision| revision.head.revision),
            context: variables(tx.scope().workspace, deliver, locked, &run, head.as_ref(), data),
            run,
            sequence,
            now,
        })
    }

    fn write(&self, deliver: &dyn Deliver) -> Vec<PreviewedMessage> {
        let mut messages = Vec::new();
        self.write_block(deliver, "steps", &self.sequence.body.steps, Delays::default(), &mut messages);
        messages
    }

    /// Writes the messages of a block of steps, with every way and one round of every repetition;
    /// the waits of a run that goes straight on behind it.
    fn write_block(
        &self,
        deliver: &dyn Deliver,
        path: &str,
        steps: &[Step],
        mut delays: Delays,
        messages: &mut Vec<PreviewedMessage>,
    ) -> Delays {
        for (place, step) in steps.iter().enumerate() {
            let here = format!("{path}[{place}]");
            match &step.action {
                Action::Wait(wait) => delays.add(*wait),
                Action::SendEmail(_) | Action::CallWebhook(_) | Action::Escalate(_) => {
                    let Delays { wall: wall_delay, business: business_delay } = delays;
                    let message = self.message(deliver, &here, step);
                    messages.push(PreviewedMessage { wall_delay, business_delay, ..message });
                }
                action => {
                    let mut behind = delays;
                    for (block, inner) in action.blocks() {
                        let path = format!("{here}.{}.{block}", action.field());
                        behind = behind.max(self.write_block(deliver, &path, inner, delays, messages));
                    }
                    delays = behind;
                }
            }
        }
        delays
    }

    /// Writes the message of a step at a path.
    pub(super) fn message(&self, deliver: &dyn Deliver, place: &str, step: &Step) -> PreviewedMessage {
        let mut preview = PreviewedMessage { step: step.id.clone(), ..PreviewedMessage::default() };
        for (field, source, kind) in templates(&step.action) {
            match deliver.render(source, kind, &self.context) {
                Ok(text) => *preview.field(field) = text,
                Err(error) => preview.wrong(path(place, &step.action, field), error.message),
            }
        }
        if preview.violations.is_empty() {
            self.assemble(deliver, place, step, &mut preview);
        }
        preview
    }

    /// Puts the message together as the runner does.
    fn assemble(&self, deliver: &dyn Deliver, place: &str, step: &Step, preview: &mut PreviewedMessage) {
        let field = |field| path(place, &step.action, field);
        let id = step.action.destination().unwrap_or_default();
        let Some(destination) = self.destinations.get(id) else {
            return preview.wrong(field("destination"), format!("there is no destination {id:?}"));
        };
        let writer = Writer {
            deliver,
            run: &self.run,
            step,
            visit: 1,
            now: self.now,
            workspace: &self.workspace,
            workspace_key: self.workspace_key,
            funnel_revision: self.revision,
            context: &self.context,
        };
        let written = writer.write(destination);
        match written.and_then(|(to, message)| deliver.check_message(&message).map(|()| (to, message))) {
            Ok((to, Message::Webhook { body, .. })) => (preview.recipient, preview.body) = (to, body),
            Ok((to, Message::Email { .. })) => preview.recipient = to,
            Ok((to, Message::Event { properties, .. })) => {
                (preview.recipient, preview.body) = (to, properties);
            }
            Err(error) => preview.wrong(format!("{place}.{}", step.action.field()), error),
        }
    }
}

/// Waits added up; of several ways the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Delays {
    wall: i64,
    business: i64,
}

impl Delays {
    fn add(&mut self, wait: Wait) {
        match wait.basis {
            TimeBasis::Wall => self.wall += wait.span,
            TimeBasis::Business => self.business += wait.span,
        }
    }
}

impl PreviewedMessage {
    fn field(&mut self, name: &str) -> &mut String {
        match name {
            "subject" => &mut self.subject,
            "text" => &mut self.text,
            "html" => &mut self.html,
            "to" => &mut self.recipient,
            _ => &mut self.body,
        }
    }

    fn wrong(&mut self, field: String, message: String) {
        self.violations.push(Violation { field, message });
    }
}

/// Keys of whoever the preview is for.
async fn subject_of(tx: &mut dyn Tx, data: &PreviewData) -> EngineResult<(Option<Uuid>, Option<Uuid>)> {
    match data {
        PreviewData::MadeUp | PreviewData::Sample(_) => Ok((None, None)),
        PreviewData::Conversation(name) => {
            let key = tx.key_of(NameKind::Conversation, name).await?;
            let key = key.ok_or_else(|| EngineError::not_found(ResourceKind::Conversation, name))?;
            Ok((Some(key), None))
        }
        PreviewData::Customer(name) => {
            let key = tx.key_of(NameKind::Customer, name).await?;
            let key = key.ok_or_else(|| EngineError::not_found(ResourceKind::Customer, name))?;
            Ok((None, Some(key)))
        }
    }
}

/// A run as it would be: of the silence that is open, else of one that is due now.
async fn imagined(
    tx: &mut dyn Tx,
    sequence: &SequenceRow,
    conversation: Option<Uuid>,
    customer: Option<Uuid>,
    now: Timestamp,
) -> EngineResult<RunRow> {
    let trigger = &sequence.body.trigger;
    let subjects: Vec<(String, Uuid)> =
        conversation.into_iter().chain(customer).map(|subject| (trigger.funnel.clone(), subject)).collect();
    let journeys = tx.live_journeys(&subjects).await?;
    let open = journeys.iter().find_map(|row| row.journey.watch.open.as_ref());
    let due = open.and_then(|silence| {
        let mut clocks = silence.clocks();
        clocks.find(|(kind, _)| Some(*kind) == trigger.on.silence()).map(|(_, clock)| clock.due_at)
    });
    let since = open.map_or(now.plus(-HOUR), rekindle_core::fold::Silence::since);
    // A link of a made-up customer unsubscribes nobody.
    let customer = customer.unwrap_or(Uuid::nil());
    Ok(unreal(sequence, conversation, Some(customer), (since, due.unwrap_or(now)), now))
}

/// A run that never was, of a silence that began and came due at these instants.
pub(super) fn unreal(
    sequence: &SequenceRow,
    conversation: Option<Uuid>,
    customer: Option<Uuid>,
    (since, due_at): (Timestamp, Timestamp),
    now: Timestamp,
) -> RunRow {
    let trigger = &sequence.body.trigger;
    RunRow {
        id: Uuid::nil(),
        sequence: sequence.id.clone(),
        sequence_revision: sequence.revision,
        trigger: Origin {
            funnel: trigger.funnel.clone(),
            subject: conversation.or(customer).unwrap_or(Uuid::nil()),
            stage: trigger.stage.clone(),
            cause: match &trigger.on {
                Occasion::Silence(kind) => Cause::Silence(*kind),
                Occasion::Event(_) => Cause::Event,
                Occasion::Schedule(_) => Cause::Schedule,
                Occasion::Hand => Cause::Hand,
            },
            anchor: String::new(),
        },
        conversation,
        customer,
        since,
        due_at,
        noticed_at: now,
        state: RunState::Running,
        end_reason: None,
        owed_by: trigger.owed_by,
        arm: Arm::Treated,
        step: 0,
        progress: Progress::default(),
        next_at: None,
        paused_at: None,
        created_at: now,
        ended_at: None,
    }
}

/// What the templates see, with a link that unsubscribes nobody.
fn variables(
    workspace: i64,
    deliver: &dyn Deliver,
    locked: &Locked,
    run: &RunRow,
    latest: Option<&RevisionRow>,
    data: Option<&PreviewData>,
) -> Json {
    let mut context = context(workspace, deliver, locked, (run, None), latest);
    context["unsubscribe_url"] = deliver.unsubscribe_url(workspace, Uuid::nil()).into();
    if matches!(data, Some(PreviewData::MadeUp | PreviewData::Sample(_))) {
        lay_over(&mut context, &made_up());
    }
    if let Some(PreviewData::Sample(sample)) = data {
        lay_over(&mut context, sample);
    }
    context
}

fn made_up() -> Json {
    json!({
        "customer": { "id": "customer-1", "name": "Ada", "email": "ada@rekindle.invalid" },
        "conversation": { "id": "conversation-1" },
        "silence": { "owed_by": "customer" },
    })
}

/// Lays values over others, map by map.
fn lay_over(base: &mut Json, over: &Json) {
    match (base, over) {
        (Json::Object(base), Json::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}
