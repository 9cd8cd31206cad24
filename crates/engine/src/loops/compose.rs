//! Writes what a step sends: once, so that every attempt sends the same bytes.

use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::ingest::NewEvent;
use rekindle_core::mark::MarkKind;
use rekindle_core::sequence::contact::WORTH_SENDING;
use rekindle_core::sequence::validate::emitted;
use rekindle_core::sequence::{
    Action, CallWebhook, Cause, EmitEvent, Escalate, SendEmail, Step, UnknownPolicy,
};
use rekindle_core::value::Properties;
use rekindle_ports::deliver::TemplateKind;
use rekindle_ports::ledger::{DeliveryRow, DeliveryState, Message, RunRow};
use rekindle_ports::resources::{DestinationKind, DestinationRow, MailboxSpec, WorkspaceRow};
use rekindle_ports::rows::RevisionRow;
use rekindle_ports::{Deliver, Tx};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::locks::Locked;
use super::shelf::Shelf;
use crate::error::EngineResult;

/// The delivery of a step; one that cannot be written is failed from the start and says why.
pub(crate) async fn compose(
    tx: &mut dyn Tx,
    shelf: &mut Shelf,
    deliver: &dyn Deliver,
    locked: &Locked,
    order: Order<'_>,
    now: Timestamp,
) -> EngineResult<DeliveryRow> {
    let Order { run, step, visit, event } = order;
    // An event has none.
    let destination_id = step.action.destination().unwrap_or_default();
    let destination = match destination_id {
        "" => None,
        id => shelf.destination(tx, id).await?,
    };
    let (workspace, latest) = (shelf.workspace(tx).await?, shelf.latest(tx, &run.trigger.funnel).await?);
    let workspace_key = tx.scope().workspace;
    let context = context(workspace_key, deliver, locked, (run, event), latest.as_deref());
    let writer = Writer {
        deliver,
        run,
        step,
        visit,
        now,
        workspace: &workspace,
        workspace_key,
        funnel_revision: latest.map(|revision| revision.head.revision),
        context: &context,
    };
    let written = match destination {
        None if destination_id.is_empty() => writer.event(locked),
        None => Err(format!("there is no destination {destination_id:?}")),
        Some(destination) => writer.write(&destination),
    };
    let written = written.and_then(|(recipient, message)| {
        deliver.check_message(&message)?;
        Ok((recipient, message))
    });
    let (state, reason, recipient, message) = match written {
        Ok((recipient, message)) => (DeliveryState::Scheduled, String::new(), recipient, message),
        Err(reason) => (DeliveryState::Failed, reason, String::new(), Message::webhook(String::new())),
    };
    Ok(DeliveryRow {
        id: delivery_id(run, &step.id, visit),
        run: run.id,
        step: step.id.clone(),
        destination: destination_id.to_owned(),
        customer: run.customer,
        conversation: run.conversation,
        recipient,
        message,
        park_unknown: step.action.unknown() == UnknownPolicy::Park,
        internal: matches!(step.action, Action::Escalate(_) | Action::EmitEvent(_)),
        state,
        reason,
        overtaken: false,
        next_at: (state == DeliveryState::Scheduled).then_some(now),
        expires_at: now.plus(WORTH_SENDING),
        attempts: 0,
        created_at: now,
        ended_at: state.is_final().then_some(now),
    })
}

/// A message that a run orders.
pub(crate) struct Order<'a> {
    /// Whose.
    pub run: &'a RunRow,
    /// The step that sends it.
    pub step: &'a Step,
    /// How often the run came by the step, this time included.
    pub visit: u32,
    /// The event that started the run, if one did.
    pub event: Option<&'a Event>,
}

/// How the ids of events begin that a sequence adds; how many runs stand behind them comes next.
pub(crate) fn emitted_by(sequence: &str) -> String {
    format!("sequence:{sequence}:")
}

/// Run, step and visit: the same message has the same id however often it is written.
pub(super) fn delivery_id(run: &RunRow, step: &str, visit: u32) -> String {
    format!("{}-{step}-{visit}", run.id.simple())
}

/// Which visit of its step a message is of; `None` for one that no run ordered.
pub(crate) fn visit_of(delivery: &DeliveryRow) -> Option<u32> {
    let of_step = format!("{}-{}-", delivery.run.simple(), delivery.step);
    delivery.id.strip_prefix(&of_step)?.parse().ok()
}

/// Writes the message of a step.
pub(crate) struct Writer<'a> {
    pub deliver: &'a dyn Deliver,
    pub run: &'a RunRow,
    pub step: &'a Step,
    pub visit: u32,
    pub now: Timestamp,
    pub workspace: &'a WorkspaceRow,
    pub workspace_key: i64,
    pub funnel_revision: Option<i32>,
    /// What templates can say.
    pub context: &'a serde_json::Value,
}

/// What a mail to a customer has beside its words, and one to our own side lacks.
#[derive(Default)]
struct Extras {
    html: Option<String>,
    reply_to: Option<MailboxSpec>,
    unsubscribe_url: String,
    unsubscribe_mailto: String,
}

/// The recipient and the message, or why there is none.
pub(crate) type Written = Result<(String, Message), String>;

impl Writer<'_> {
    /// The message of the step for a destination.
    pub fn write(&self, destination: &DestinationRow) -> Written {
        match &self.step.action {
            Action::SendEmail(email) => self.email(email, destination),
            Action::CallWebhook(webhook) => self.call(webhook, destination),
            Action::Escalate(escalate) => self.escalation(escalate, destination),
            _ => Err("the step sends nothing".into()),
        }
    }

    fn email(&self, email: &SendEmail, destination: &DestinationRow) -> Written {
        let DestinationKind::Smtp { sender, .. } = &destination.kind else {
            return Err(format!("the destination {:?} sends no mail", destination.id));
        };
        let from = self.sender(sender.as_ref())?;
        let to = if email.to.is_empty() {
            let address = self.context["customer"]["email"].as_str();
            address.ok_or("the customer has no email attribute")?.to_owned()
        } else {
            self.render("to", &email.to, TemplateKind::Address)?
        };
        let html = match email.html.as_str() {
            "" => None,
            html => Some(self.render("html", html, TemplateKind::Html)?),
        };
        let customer = self.run.customer.ok_or("nobody knows whose conversation it is")?;
        let extras = Extras {
            html,
            reply_to: self.workspace.body.reply_to.clone(),
            unsubscribe_url: self.deliver.unsubscribe_url(self.workspace_key, customer),
            unsubscribe_mailto: self.workspace.body.unsubscribe_mailto.clone(),
        };
        self.mail(from, to, &email.subject, &email.text, extras)
    }

    fn call(&self, webhook: &CallWebhook, destination: &DestinationRow) -> Written {
        let kind = self.run.trigger.silence().map_or("triggered", MarkKind::as_str);
        let (to, mut message) = self.webhook(&webhook.body, kind, destination)?;
        if let Message::Webhook { wants, .. } = &mut message {
            wants.clone_from(&webhook.variables);
        }
        Ok((to, message))
    }

    /// An event about whom the run is about. Its id says which sequence added it.
    fn event(&self, locked: &Locked) -> Written {
        let Action::EmitEvent(EmitEvent { kind, properties }) = &self.step.action else {
            return Err("the step adds no event".into());
        };
        let properties = match properties.as_str() {
            "" => "{}".to_owned(),
            source => self.render("properties", source, TemplateKind::Json)?,
        };
        let read: Properties = serde_json::from_str(&properties)
            .map_err(|error| format!("properties: renders no JSON object: {error}"))?;
        let conversation = locked.conversation(self.run.conversation).map(|row| row.name.clone());
        let customer = locked.customer(self.run.customer).map(|row| row.name.clone());
        // Of the delivery's id a digest: a long name of a step would not fit into the id of an event.
        let delivery = delivery_id(self.run, &self.step.id, self.visit);
        let (by, depth) = (emitted_by(&self.run.sequence), self.run.progress.depth + 1);
        let id = format!("{by}{depth}:{:032x}", xxh3_128(delivery.as_bytes()));
        let event = NewEvent {
            id: id.clone(),
            conversation: conversation.clone(),
            customer: customer.clone(),
            occurred_at: self.now,
            ..emitted(kind, read)
        };
        if let Some(wrong) = event.check().into_iter().next() {
            return Err(format!("{}: {}", wrong.field, wrong.message));
        }
        let (kind, at) = (kind.clone(), self.now.0);
        Ok((
            "the event stream".to_owned(),
            Message::Event { id, kind, at, conversation, customer, properties },
        ))
    }

    fn sender(&self, own: Option<&MailboxSpec>) -> Result<MailboxSpec, String> {
        let sender = own.or(self.workspace.body.sender.as_ref()).cloned();
        sender.ok_or_else(|| "neither the destination nor the workspace names a sender".to_owned())
    }

    /// A word to our own side: nobody unsubscribes from it.
    fn escalation(&self, escalate: &Escalate, destination: &DestinationRow) -> Written {
        let DestinationKind::Smtp { sender, .. } = &destination.kind else {
            return self.webhook(&escalate.body, "escalated", destination);
        };
        let from = self.sender(sender.as_ref())?;
        let to = self.render("to", &escalate.to, TemplateKind::Address)?;
        self.mail(from, to, &escalate.subject, &escalate.text, Extras::default())
    }

    /// A mail whose subject and plain text are yet to be rendered.
    fn mail(&self, from: MailboxSpec, to: String, subject: &str, text: &str, extras: Extras) -> Written {
        let domain = from.address.rsplit('@').next().unwrap_or("rekindle.invalid");
        let message = Message::Email {
            message_id: format!("{}@{domain}", delivery_id(self.run, &self.step.id, self.visit)),
            date: self.now.to_parts().0,
            reply_to: extras.reply_to,
            subject: self.render("subject", subject, TemplateKind::Subject)?,
            text: self.render("text", text, TemplateKind::Text)?,
            html: extras.html,
            to: to.clone(),
            unsubscribe_url: extras.unsubscribe_url,
            unsubscribe_mailto: extras.unsubscribe_mailto,
            from,
        };
        Ok((to, message))
    }

    fn webhook(&self, custom: &str, event: &str, destination: &DestinationRow) -> Written {
        let DestinationKind::Webhook { url, .. } = &destination.kind else {
            return Err(format!("the destination {:?} is no webhook", destination.id));
        };
        let custom = match custom {
            "" => serde_json::Value::Null,
            body => {
                let text = self.render("body", body, TemplateKind::Json)?;
                serde_json::from_str(&text).map_err(|error| format!("body: renders no JSON: {error}"))?
            }
        };
        let trigger = &self.run.trigger;
        let body = json!({
            "type": format!("conversation.{event}"),
            "timestamp": self.now.to_rfc3339(),
            "data": {
                "run": self.run.id.to_string(),
                "sequence": self.run.sequence,
                "step": self.step.id,
                "funnel": trigger.funnel,
                "funnel_revision": self.funnel_revision,
                "stage": trigger.stage,
                "conversation": self.context["conversation"]["id"],
                "customer": self.context["customer"]["id"],
                "silence": self.context["silence"],
                "custom": custom,
            },
        });
        Ok((url.clone(), Message::webhook(body.to_string())))
    }

    fn render(&self, field: &str, source: &str, kind: TemplateKind) -> Result<String, String> {
        let rendered = self.deliver.render(source, kind, self.context);
        rendered.map_err(|error| format!("{field}: {error}"))
    }
}

/// What templates can say; `latest` is the newest revision of the run's funnel.
pub(crate) fn context(
    workspace: i64,
    deliver: &dyn Deliver,
    locked: &Locked,
    (run, event): (&RunRow, Option<&Event>),
    latest: Option<&RevisionRow>,
) -> serde_json::Value {
    let customer = locked.customer(run.customer);
    let conversation = locked.conversation(run.conversation);
    let body = latest.map(|revision| &revision.body);
    let stage = body.and_then(|body| body.stages.iter().find(|stage| stage.id == run.trigger.stage));
    let unsubscribe = run.customer.map(|customer| deliver.unsubscribe_url(workspace, customer));
    json!({
        "customer": with_id(customer.map(|row| (row.name.as_str(), row.attributes.current()))),
        "conversation": with_id(conversation.map(|row| (row.name.as_str(), row.attributes.current()))),
        "funnel": { "id": run.trigger.funnel, "display_name": body.map(|body| body.display_name.as_str()).unwrap_or_default() },
        "stage": { "id": run.trigger.stage, "display_name": stage.map(|stage| &stage.display_name) },
        "silence": {
            "since": run.since.to_rfc3339(),
            "due": run.due_at.to_rfc3339(),
            "owed_by": conversation.map(|row| row.state.owed_by()),
        },
        "event": event.filter(|_| run.trigger.cause == Cause::Event).map(of_event),
        "variables": run.progress.variables,
        "unsubscribe_url": unsubscribe,
    })
}

/// An event as templates see it.
fn of_event(event: &Event) -> serde_json::Value {
    json!({
        "id": event.id,
        "type": event.kind,
        "time": event.effective_at.to_rfc3339(),
        "text": event.text,
        "properties": event.properties,
    })
}

/// The newest revision of a funnel. Its row is not locked: runs of one funnel do not wait for each other.
pub(crate) async fn latest(tx: &mut dyn Tx, funnel: &str) -> EngineResult<Option<RevisionRow>> {
    let heads = tx.active_revisions().await?;
    match heads.into_iter().find(|head| head.is_latest && head.funnel == funnel) {
        Some(head) => Ok(tx.revision_by_key(head.key).await?),
        None => Ok(None),
    }
}

/// A subject's attributes with its id.
fn with_id(subject: Option<(&str, Properties)>) -> serde_json::Value {
    let Some((name, attributes)) = subject else {
        return json!({ "id": null });
    };
    let mut object = serde_json::Map::new();
    for (key, value) in attributes {
        object.insert(key, serde_json::to_value(value).unwrap_or_default());
    }
    object.insert("id".into(), name.into());
    object.into()
}
