//! What a service tells of what it did, as the checker reads it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rekindle_proto::v1;
use rekindle_proto::v1::conversation_service_client::ConversationServiceClient;
use rekindle_proto::v1::delivery_service_client::DeliveryServiceClient;
use rekindle_proto::v1::metrics_service_client::MetricsServiceClient;
use rekindle_proto::v1::run_service_client::RunServiceClient;
use rekindle_proto::v1::sequence_service_client::SequenceServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::arrivals::Arrivals;
use crate::checker::{Attempt, Delivery, History, Run, Sent, Stored, Violation, check};
use crate::desk::{ANSWERED, FUNNEL, SEQUENCE, WORKSPACE, micros};

/// Most items of a page.
const PAGE: i32 = 1_000;
/// Between two looks at everything.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until every promise is kept: the service may still be at work. Panics with what is not,
/// when that does not come about `within` this time.
pub async fn settled(channel: &Channel, sent: &[Sent], arrivals: &[&Arrivals], within: Duration) -> History {
    settled_but_for(|_| false, channel, sent, arrivals, within).await
}

/// The same but for what may still be so.
pub async fn settled_but_for(
    may_be: fn(&Violation) -> bool,
    channel: &Channel,
    sent: &[Sent],
    arrivals: &[&Arrivals],
    within: Duration,
) -> History {
    let began = Instant::now();
    loop {
        let history = history(channel, sent, arrivals).await;
        let mut violations = check(&history);
        violations.retain(|violation| !may_be(violation));
        if violations.is_empty() {
            return history;
        }
        assert!(began.elapsed() < within, "not kept within {within:?}: {}", told(&history, &violations));
        tokio::time::sleep(LOOK).await;
    }
}

/// Violations with what is known of what they are about.
fn told(history: &History, violations: &[Violation]) -> String {
    use std::fmt::Write;
    let mut text = format!("{violations:#?}\n");
    let words = format!("{violations:?}");
    for run in history.runs.iter().filter(|run| words.contains(&run.name) || words.contains(&run.anchor)) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{run:?}");
    }
    for delivery in history.deliveries.iter().filter(|it| words.contains(&it.id) || words.contains(&it.run)) {
        let _ = writeln!(text, "{delivery:?}");
    }
    text
}

/// Reads everything; what arrived first, so that nothing is without its attempt only because it
/// came in between.
pub async fn history(channel: &Channel, sent: &[Sent], arrivals: &[&Arrivals]) -> History {
    let arrivals = arrivals.iter().flat_map(|arrivals| arrivals.all()).collect();
    History {
        sent: sent.to_vec(),
        stored: stored(channel, sent).await,
        stalled: stalled(channel).await,
        runs: runs(channel).await,
        steps: sending_steps(channel).await,
        deliveries: deliveries(channel).await,
        arrivals,
    }
}

/// The steps of the desk's sequence that send something.
async fn sending_steps(channel: &Channel) -> Vec<String> {
    let request = v1::GetSequenceRequest { name: SEQUENCE.into() };
    let answer = SequenceServiceClient::new(channel.clone()).get_sequence(request).await;
    let sequence = answer.expect("the sequence of the desk").into_inner().sequence.unwrap_or_default();
    let sends = |step: &&v1::Step| !matches!(step.action, Some(v1::step::Action::Wait(_)));
    sequence.steps.iter().filter(sends).map(|step| step.id.clone()).collect()
}

/// The events of every conversation that something was sent about.
async fn stored(channel: &Channel, sent: &[Sent]) -> Vec<Stored> {
    let conversations: BTreeSet<&str> = sent.iter().map(|sent| sent.conversation.as_str()).collect();
    let mut client = ConversationServiceClient::new(channel.clone());
    let mut stored = Vec::new();
    for conversation in conversations {
        let parent = format!("{WORKSPACE}/conversations/{conversation}");
        let request = v1::ListConversationEventsRequest { parent, page_size: PAGE, ..Default::default() };
        match client.list_conversation_events(request).await {
            Ok(answer) => stored.extend(answer.into_inner().events.iter().map(stored_event)),
            // Nothing of it was stored: whether something should be is for the checker to say.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => panic!("the events of {conversation}: {status}"),
        }
    }
    stored
}

fn stored_event(event: &v1::Event) -> Stored {
    Stored {
        id: event.id.clone(),
        conversation: event.conversation.clone(),
        event_type: event.r#type.clone(),
        at: micros(event.effective_time.as_ref().expect("a stored event has an instant that counts")),
        received_at: micros(event.receive_time.as_ref().expect("a stored event has a receipt")),
    }
}

/// Conversations that count as stalled.
pub async fn stalled(channel: &Channel) -> Vec<String> {
    let mut client = MetricsServiceClient::new(channel.clone());
    let mut request = v1::ListFunnelSubjectsRequest {
        funnel: FUNNEL.into(),
        stage: ANSWERED.into(),
        figure: v1::FunnelFigure::Stalled.into(),
        page_size: PAGE,
        ..Default::default()
    };
    let mut stalled = Vec::new();
    loop {
        let page = client
            .list_funnel_subjects(request.clone())
            .await
            .expect("the subjects of a figure")
            .into_inner();
        stalled.extend(page.subjects.iter().map(|subject| short(&subject.name)));
        if page.next_page_token.is_empty() {
            return stalled;
        }
        request.page_token = page.next_page_token;
    }
}

/// Every run.
pub async fn runs(channel: &Channel) -> Vec<Run> {
    let mut client = RunServiceClient::new(channel.clone());
    let mut request = v1::ListRunsRequest { parent: WORKSPACE.into(), page_size: PAGE, ..Default::default() };
    let mut runs = Vec::new();
    loop {
        let page = client.list_runs(request.clone()).await.expect("the runs").into_inner();
        runs.extend(page.runs.iter().map(run));
        if page.next_page_token.is_empty() {
            return runs;
        }
        request.page_token = page.next_page_token;
    }
}

fn run(run: &v1::Run) -> Run {
    Run {
        name: run.name.clone(),
        conversation: short(&run.conversation),
        anchor: run.trigger.as_ref().map(|trigger| trigger.anchor_event_id.clone()).unwrap_or_default(),
        state: run.state(),
        reason: run.end_reason(),
        ended_at: run.end_time.as_ref().map(micros),
    }
}

/// Every delivery.
pub async fn deliveries(channel: &Channel) -> Vec<Delivery> {
    let mut client = DeliveryServiceClient::new(channel.clone());
    let mut request =
        v1::ListDeliveriesRequest { parent: WORKSPACE.into(), page_size: PAGE, ..Default::default() };
    let mut deliveries = Vec::new();
    loop {
        let page = client.list_deliveries(request.clone()).await.expect("the deliveries").into_inner();
        deliveries.extend(page.deliveries.iter().map(delivery));
        if page.next_page_token.is_empty() {
            return deliveries;
        }
        request.page_token = page.next_page_token;
    }
}

fn delivery(delivery: &v1::Delivery) -> Delivery {
    let attempt = |attempt: &v1::DeliveryAttempt| Attempt {
        started_at: micros(attempt.start_time.as_ref().expect("an attempt has begun")),
        outcome: attempt.outcome(),
    };
    Delivery {
        id: delivery.message_id.clone(),
        run: delivery.run.clone(),
        step: delivery.step.clone(),
        state: delivery.state(),
        attempts: delivery.attempts.iter().map(attempt).collect(),
    }
}

/// What happened in a run, oldest first.
pub async fn run_events(channel: &Channel, run: &str) -> Vec<v1::run_event::Kind> {
    let mut client = RunServiceClient::new(channel.clone());
    let request = v1::ListRunEventsRequest { parent: run.into(), page_size: PAGE, ..Default::default() };
    let answer = client.list_run_events(request).await.expect("the events of a run").into_inner();
    answer.events.iter().map(v1::RunEvent::kind).collect()
}

/// The last part of a name.
fn short(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}
