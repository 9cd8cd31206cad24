//! What is defined before events come: funnels, a destination, sequences.

use pbjson_types::Duration;
use rekindle_proto::v1;
use rekindle_proto::v1::destination_service_client::DestinationServiceClient;
use rekindle_proto::v1::funnel_service_client::FunnelServiceClient;
use rekindle_proto::v1::sequence_service_client::SequenceServiceClient;
use tonic::transport::Channel;

use crate::Fallible;
use crate::workload::{STAGES, STALL};

/// The workspace of every row.
pub const WORKSPACE: &str = "workspaces/default";
/// The funnel that questions are asked about.
pub const SALES: &str = "sales";
/// The funnel whose stalls start the sequence.
pub const DESK: &str = "desk";
/// The funnel whose silences a sequence is simulated over.
pub const LULL: &str = "lull";
/// Longer than most pauses of a conversation of the workload, and shorter than the rest of its time:
/// each falls silent for so long at its end, and most of them once before.
const LULL_SECONDS: i64 = 45 * 60;
/// Secret that calls are signed with.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Defines the three funnels of the workload: two of conversations, one of customers.
pub async fn three_funnels(channel: &Channel) -> Fallible<()> {
    let support = ["contact", "agent_message", "quote", "order", "delivery"];
    sales_funnel(channel).await?;
    create_funnel(channel, "support", funnel(support, v1::SubjectKind::Conversation)).await?;
    customer_funnel(channel).await
}

/// Defines the funnel of conversations that questions are asked about.
pub async fn sales_funnel(channel: &Channel) -> Fallible<()> {
    create_funnel(channel, SALES, funnel(STAGES, v1::SubjectKind::Conversation)).await
}

/// Defines the funnel whose subject is the customer.
pub async fn customer_funnel(channel: &Channel) -> Fallible<()> {
    create_funnel(channel, "journey", funnel(STAGES, v1::SubjectKind::Customer)).await
}

/// Defines a funnel whose first stage stalls after so many seconds, and starts a sequence on it.
pub async fn desk(channel: &Channel, stall_seconds: i64, steps: Vec<v1::Step>) -> Fallible<()> {
    two_stages(channel, DESK, ("desk_contact", stall_seconds), "desk_answer").await?;
    let sequence = v1::Sequence { trigger: Some(stalled(DESK)), steps, ..Default::default() };
    let mut sequences = SequenceServiceClient::new(channel.clone());
    sequences
        .create_sequence(v1::CreateSequenceRequest {
            parent: WORKSPACE.into(),
            sequence_id: "nudge".into(),
            sequence: Some(sequence),
            ..Default::default()
        })
        .await?;
    let name = format!("{WORKSPACE}/sequences/nudge");
    sequences.start_sequence(v1::StartSequenceRequest { name, ..Default::default() }).await?;
    Ok(())
}

/// Defines a funnel in whose first stage every conversation of the workload stays and falls silent.
pub async fn lull(channel: &Channel) -> Fallible<()> {
    two_stages(channel, LULL, (STAGES[0], LULL_SECONDS), "farewell").await
}

/// Starts runs on stalls in the first of two stages.
pub fn stalled(funnel: &str) -> v1::SequenceTrigger {
    v1::SequenceTrigger {
        funnel: format!("{WORKSPACE}/funnels/{funnel}"),
        stage: "asked".into(),
        on: v1::SilenceKind::Stalled.into(),
        ..Default::default()
    }
}

/// Defines a funnel of two stages, the first of which stalls after so many seconds.
async fn two_stages(
    channel: &Channel,
    id: &str,
    (first, stall_seconds): (&str, i64),
    second: &str,
) -> Fallible<()> {
    let mut asked = stage("asked", first);
    asked.stall = Some(silence(stall_seconds));
    let stages = vec![asked, stage("answered", second)];
    create_funnel(channel, id, v1::Funnel { stages, ..Default::default() }).await
}

/// A step that does nothing for an hour.
pub fn wait_step() -> v1::Step {
    let wait = v1::Wait { duration: Some(Duration { seconds: 3_600, nanos: 0 }), ..Default::default() };
    v1::Step { id: "wait".into(), action: Some(v1::step::Action::Wait(wait)), ..Default::default() }
}

/// A step that calls the receiver at `url`, which it defines as a destination.
pub async fn webhook_step(channel: &Channel, url: &str) -> Fallible<v1::Step> {
    let webhook = v1::WebhookDestination {
        url: url.into(),
        secrets: vec![SECRET.into()],
        allow_http: true,
        ..Default::default()
    };
    create_destination(channel, "hook", v1::destination::Kind::Webhook(webhook)).await?;
    let call =
        v1::CallWebhook { destination: format!("{WORKSPACE}/destinations/hook"), ..Default::default() };
    Ok(v1::Step {
        id: "call".into(),
        action: Some(v1::step::Action::CallWebhook(call)),
        ..Default::default()
    })
}

/// Steps that wait for an hour and then write one mail or another: which, a rule about the customer
/// says. Mails go to a server on a port of the loopback, which is defined as a destination.
pub async fn mail_steps(channel: &Channel, port: u16) -> Fallible<Vec<v1::Step>> {
    let smtp = v1::SmtpDestination {
        host: "127.0.0.1".into(),
        port: port.into(),
        tls: v1::SmtpTls::PlaintextLoopback.into(),
        sender: Some(v1::Mailbox { display_name: "Shop".into(), address: "shop@example.invalid".into() }),
        ..Default::default()
    };
    create_destination(channel, "relay", v1::destination::Kind::Smtp(smtp)).await?;
    let gold = v1::branch::Case { when: r#"customer.tier == "gold""#.into(), steps: vec![mail_step("gold")] };
    let branch = v1::Branch { cases: vec![gold], otherwise: vec![mail_step("plain")] };
    let branch = v1::Step {
        id: "branch".into(),
        action: Some(v1::step::Action::Branch(branch)),
        ..Default::default()
    };
    Ok(vec![wait_step(), branch])
}

fn mail_step(id: &str) -> v1::Step {
    let mail = v1::SendEmail {
        destination: format!("{WORKSPACE}/destinations/relay"),
        subject: "Are you still there?".into(),
        text: "Dear {{ customer.id }}, shall we go on with your request?".into(),
        ..Default::default()
    };
    v1::Step { id: id.into(), action: Some(v1::step::Action::SendEmail(mail)), ..Default::default() }
}

async fn create_destination(channel: &Channel, id: &str, kind: v1::destination::Kind) -> Fallible<()> {
    let request = v1::CreateDestinationRequest {
        parent: WORKSPACE.into(),
        destination_id: id.into(),
        destination: Some(v1::Destination { kind: Some(kind), ..Default::default() }),
        ..Default::default()
    };
    DestinationServiceClient::new(channel.clone()).create_destination(request).await?;
    Ok(())
}

async fn create_funnel(channel: &Channel, id: &str, funnel: v1::Funnel) -> Fallible<()> {
    let request = v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: id.into(),
        funnel: Some(funnel),
        ..Default::default()
    };
    FunnelServiceClient::new(channel.clone()).create_funnel(request).await?;
    Ok(())
}

/// Five stages within two weeks, each with a rule for silence, broken down by channel.
fn funnel(kinds: [&str; 5], subject: v1::SubjectKind) -> v1::Funnel {
    let seconds = STALL / 1_000_000;
    let stages = kinds
        .into_iter()
        .map(|kind| v1::Stage {
            stall: Some(silence(seconds)),
            abandon: Some(silence(2 * seconds)),
            ..stage(&kind.replace('_', "-"), kind)
        })
        .collect();
    v1::Funnel {
        subject: subject.into(),
        stages,
        conversion_window: Some(Duration { seconds: 14 * 86_400, nanos: 0 }),
        breakdowns: vec![channel_property()],
        ..Default::default()
    }
}

/// The property that figures are broken down by.
pub fn channel_property() -> v1::Property {
    v1::Property { scope: v1::PropertyScope::Event.into(), key: "channel".into() }
}

fn stage(id: &str, kind: &str) -> v1::Stage {
    v1::Stage {
        id: id.into(),
        enter: vec![v1::Match { event_types: vec![kind.into()], ..Default::default() }],
        ..Default::default()
    }
}

fn silence(seconds: i64) -> v1::SilenceRule {
    v1::SilenceRule {
        after: Some(Duration { seconds, nanos: 0 }),
        owed_by: v1::OwedBy::Anyone.into(),
        ..Default::default()
    }
}
