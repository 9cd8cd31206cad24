//! A support desk: what it defines, and the events of its conversations.

use pbjson_types::{Duration, Timestamp};
use rekindle_proto::v1;
use rekindle_proto::v1::destination_service_client::DestinationServiceClient;
use rekindle_proto::v1::funnel_service_client::FunnelServiceClient;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use rekindle_proto::v1::sequence_service_client::SequenceServiceClient;
use tonic::transport::Channel;

use crate::checker::{Role, Sent};
use crate::receiver::{self, SECRET};
use crate::surroundings::now;

/// The workspace of every test.
pub const WORKSPACE: &str = "workspaces/default";
/// The funnel.
pub const FUNNEL: &str = "workspaces/default/funnels/desk";
/// The sequence.
pub const SEQUENCE: &str = "workspaces/default/sequences/nudge";
/// The stage that stalls.
pub const ANSWERED: &str = "answered";
/// An answered customer who says nothing for this long has stalled, in microseconds.
pub const STALL: i64 = 1_000_000;
/// Where customers have their addresses.
pub const MAIL_DOMAIN: &str = "example.com";
/// What a batch may take until it is stored, in microseconds.
const MOMENT: i64 = 2_000_000;

/// Where the sequence's messages go.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// A port on loopback that leads to a [`crate::receiver::Receiver`].
    pub hook: u16,
    /// The same for a [`crate::mailbox::Mailbox`]; without one no mail is sent.
    pub mail: Option<u16>,
}

/// Defines a funnel whose answered customers stall, and starts a sequence that calls the
/// receiver once for each who does, and then, where there is a mailbox, writes a mail.
pub async fn set_up(channel: &Channel, ports: Ports) {
    let request = v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: "desk".into(),
        funnel: Some(funnel()),
        ..Default::default()
    };
    FunnelServiceClient::new(channel.clone()).create_funnel(request).await.expect("a valid funnel");
    create_destination(channel, "hook", hook(ports.hook)).await;
    if let Some(port) = ports.mail {
        create_destination(channel, "relay", relay(port)).await;
    }
    let mut sequences = SequenceServiceClient::new(channel.clone());
    let request = v1::CreateSequenceRequest {
        parent: WORKSPACE.into(),
        sequence_id: "nudge".into(),
        sequence: Some(sequence(ports)),
        ..Default::default()
    };
    sequences.create_sequence(request).await.expect("a valid sequence");
    let request = v1::StartSequenceRequest { name: SEQUENCE.into(), ..Default::default() };
    sequences.start_sequence(request).await.expect("a draft starts");
}

/// Asked, answered, came back.
pub fn funnel() -> v1::Funnel {
    let stage = |id: &str, kind: &str| v1::Stage {
        id: id.into(),
        enter: vec![v1::Match { event_types: vec![kind.into()], ..Default::default() }],
        ..Default::default()
    };
    let stall = v1::SilenceRule {
        after: Some(Duration { seconds: STALL / 1_000_000, nanos: 0 }),
        owed_by: v1::OwedBy::Customer.into(),
        ..Default::default()
    };
    let answered = v1::Stage { stall: Some(stall), ..stage(ANSWERED, "agent_message") };
    let stages = vec![stage("asked", "customer_message"), answered, stage("back", "customer_message")];
    v1::Funnel { stages, ..Default::default() }
}

async fn create_destination(channel: &Channel, id: &str, kind: v1::destination::Kind) {
    let request = v1::CreateDestinationRequest {
        parent: WORKSPACE.into(),
        destination_id: id.into(),
        destination: Some(v1::Destination { kind: Some(kind), ..Default::default() }),
        ..Default::default()
    };
    let mut client = DestinationServiceClient::new(channel.clone());
    client.create_destination(request).await.expect("a valid destination");
}

fn hook(port: u16) -> v1::destination::Kind {
    v1::destination::Kind::Webhook(v1::WebhookDestination {
        url: receiver::url(port),
        secrets: vec![SECRET.into()],
        allow_http: true,
        ..Default::default()
    })
}

fn relay(port: u16) -> v1::destination::Kind {
    let sender = v1::Mailbox { address: format!("desk@{MAIL_DOMAIN}"), ..Default::default() };
    v1::destination::Kind::Smtp(v1::SmtpDestination {
        host: "127.0.0.1".into(),
        port: i32::from(port),
        tls: v1::SmtpTls::PlaintextLoopback.into(),
        sender: Some(sender),
        ..Default::default()
    })
}

fn sequence(ports: Ports) -> v1::Sequence {
    let call =
        v1::CallWebhook { destination: format!("{WORKSPACE}/destinations/hook"), ..Default::default() };
    let mail = v1::SendEmail {
        destination: format!("{WORKSPACE}/destinations/relay"),
        subject: "{{ conversation.id }}".into(),
        text: "Still there? {{ unsubscribe_url }}".into(),
        to: format!("{{{{ conversation.id }}}}@{MAIL_DOMAIN}"),
        ..Default::default()
    };
    let step = |id: &str, action| v1::Step { id: id.into(), action: Some(action), ..Default::default() };
    let mut steps = vec![step("call", v1::step::Action::CallWebhook(call))];
    if ports.mail.is_some() {
        steps.push(step("mail", v1::step::Action::SendEmail(mail)));
    }
    let trigger = v1::SequenceTrigger {
        funnel: FUNNEL.into(),
        stage: ANSWERED.into(),
        on: v1::SilenceKind::Stalled.into(),
        ..Default::default()
    };
    v1::Sequence { trigger: Some(trigger), steps, ..Default::default() }
}

/// The event that something was said in a conversation, now; and the same for the checker.
pub fn said(role: Role, conversation: &str) -> (v1::Event, Sent) {
    said_at(now(), role, conversation)
}

fn said_at(at: i64, role: Role, conversation: &str) -> (v1::Event, Sent) {
    let sent = Sent {
        id: format!("{conversation}-{}", role.word()),
        conversation: conversation.to_owned(),
        role,
        at,
        acked_at: None,
    };
    let event = v1::Event {
        id: sent.id.clone(),
        conversation: sent.conversation.clone(),
        customer: format!("{conversation}-customer"),
        r#type: role.event_type().into(),
        occur_time: Some(timestamp(at)),
        // What is said at one instant is said in this order.
        sequence: role as i64,
        ..Default::default()
    };
    (event, sent)
}

/// Conversations that are asked and answered, committed; what the checker is to know of it.
///
/// All of it happens a moment from now, so that a busy machine has stored it before it comes due.
pub async fn answered(channel: &Channel, conversations: &[String]) -> Vec<Sent> {
    let at = now() + MOMENT;
    let said = conversations.iter().flat_map(|conversation| {
        [said_at(at, Role::Ask, conversation), said_at(at, Role::Answer, conversation)]
    });
    let (events, mut sent): (Vec<_>, Vec<_>) = said.unzip();
    let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events };
    let answer =
        IngestServiceClient::new(channel.clone()).ingest_events(request).await.expect("events are taken");
    assert_eq!(answer.into_inner().accepted_count, sent.len() as i64);
    for sent in &mut sent {
        sent.acked_at = Some(now());
    }
    sent
}

/// An instant for the API, from microseconds since 1970.
pub fn timestamp(micros: i64) -> Timestamp {
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos: (micros.rem_euclid(1_000_000) * 1_000) as i32 }
}

/// An instant of the API, in microseconds since 1970.
pub fn micros(timestamp: &Timestamp) -> i64 {
    timestamp.seconds * 1_000_000 + i64::from(timestamp.nanos) / 1_000
}
