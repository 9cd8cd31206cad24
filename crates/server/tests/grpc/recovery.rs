//! The whole path through the API: a conversation goes quiet, is written to, and comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rekindle_core::time::{HOUR, MINUTE};
use rekindle_engine::loops::{LoopOptions, Loops};
use rekindle_ports::Deliver;
use rekindle_ports::rows::Lease;
use rekindle_proto::v1;
use rekindle_proto::v1::conversation_service_client::ConversationServiceClient;
use rekindle_proto::v1::customer_service_client::CustomerServiceClient;
use rekindle_proto::v1::delivery_service_client::DeliveryServiceClient;
use rekindle_proto::v1::destination_service_client::DestinationServiceClient;
use rekindle_proto::v1::run_service_client::RunServiceClient;
use rekindle_proto::v1::sequence_service_client::SequenceServiceClient;
use rekindle_proto::v1::suppression_service_client::SuppressionServiceClient;
use rekindle_proto::v1::timeline_entry::Entry;
use rekindle_proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::Code;

use crate::harness::{Server, WORKSPACE, event, fields, reason, two_stages};

const CONVERSATION: &str = "workspaces/default/conversations/c-1";
const CUSTOMER: &str = "workspaces/default/customers/ada";
const FUNNEL: &str = "workspaces/default/funnels/support";
const RELAY: &str = "workspaces/default/destinations/relay";
const SEQUENCE: &str = "workspaces/default/sequences/nudge";

pub fn options() -> LoopOptions {
    let lease = Lease { owner: "one".into(), ttl: MINUTE };
    LoopOptions { lease, poll: Duration::from_millis(1), concurrency: 4, side_by_side: 2 }
}

fn minutes(count: i64) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: count * 60, nanos: 0 }
}

fn relay(password: &str) -> v1::Destination {
    let smtp = v1::SmtpDestination {
        host: "mail.example.invalid".into(),
        username: "shop".into(),
        password: password.into(),
        ..Default::default()
    };
    v1::Destination { kind: Some(v1::destination::Kind::Smtp(smtp)), ..Default::default() }
}

fn nudge() -> v1::Sequence {
    let mail = v1::SendEmail {
        destination: RELAY.into(),
        subject: "Still there?".into(),
        text: "We are.".into(),
        ..Default::default()
    };
    let action = Some(v1::step::Action::SendEmail(mail));
    v1::Sequence {
        trigger: Some(v1::SequenceTrigger {
            funnel: FUNNEL.into(),
            stage: "asked".into(),
            on: v1::SilenceKind::Stalled.into(),
            ..Default::default()
        }),
        steps: vec![v1::Step { id: "mail".into(), action, ..Default::default() }],
        ..Default::default()
    }
}

/// A workspace in which a nudge is ready to start.
pub async fn prepared() -> Server {
    let server = Server::start().await;
    let mut funnel = two_stages();
    funnel.stages[0].stall = Some(v1::SilenceRule { after: Some(minutes(20)), ..Default::default() });
    let create = v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: "support".into(),
        funnel: Some(funnel),
        ..Default::default()
    };
    server.funnels().create_funnel(create).await.expect("a valid funnel");
    let create = v1::CreateDestinationRequest {
        parent: WORKSPACE.into(),
        destination_id: "relay".into(),
        destination: Some(relay("hunter2")),
        ..Default::default()
    };
    let created = DestinationServiceClient::new(server.channel.clone()).create_destination(create).await;
    created.expect("a valid destination");
    let create = v1::CreateSequenceRequest {
        parent: WORKSPACE.into(),
        sequence_id: "nudge".into(),
        sequence: Some(nudge()),
        ..Default::default()
    };
    let created = SequenceServiceClient::new(server.channel.clone()).create_sequence(create).await;
    assert_eq!(
        created.expect("a valid sequence").into_inner().sequence.expect("as created").state(),
        v1::sequence::State::Draft
    );
    server
}

pub async fn set_sender(server: &Server) {
    let sender = v1::Mailbox { display_name: "Shop".into(), address: "shop@example.invalid".into() };
    let workspace = v1::Workspace { name: WORKSPACE.into(), sender: Some(sender), ..Default::default() };
    let update = v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask: None };
    let mut workspaces = WorkspaceServiceClient::new(server.channel.clone());
    workspaces.update_workspace(update).await.expect("a valid sender");
}

/// Ada asks at the clock's now, and has an address.
pub async fn ada_asks(server: &Server) {
    let attributes = [("email".to_owned(), rekindle_core::value::Value::from("ada@example.invalid"))];
    let update = v1::UpdateCustomerAttributesRequest {
        name: CUSTOMER.into(),
        attributes: Some(rekindle_server::convert::value::to_struct(&attributes.into())),
        request_id: "r-1".into(),
        ..Default::default()
    };
    let mut customers = CustomerServiceClient::new(server.channel.clone());
    customers.update_customer_attributes(update).await.expect("valid attributes");
    let asked = v1::Event { customer: "ada".into(), ..event("e-1", "c-1", "customer_message", 24 * 60) };
    let batch = v1::IngestEventsRequest { parent: WORKSPACE.into(), events: vec![asked] };
    let report = server.ingest().ingest_events(batch).await.expect("a batch").into_inner();
    assert_eq!(report.accepted_count, 1, "{:?}", report.rejections);
}

#[tokio::test]
async fn a_stall_is_told_from_the_mark_to_the_mail() {
    let server = prepared().await;
    let mut sequences = SequenceServiceClient::new(server.channel.clone());
    let start = v1::StartSequenceRequest { name: SEQUENCE.into(), ..Default::default() };
    let refused = sequences.start_sequence(start.clone()).await.expect_err("nobody to send from");
    assert_eq!(
        (refused.code(), reason(&refused).0.as_str()),
        (Code::FailedPrecondition, "SEQUENCE_NOT_STARTABLE")
    );
    set_sender(&server).await;
    sequences.start_sequence(start).await.expect("everything is there");

    ada_asks(&server).await;
    server.test.clock.advance(21 * MINUTE);
    let deliver = Arc::clone(&server.test.outbox) as Arc<dyn Deliver>;
    Loops::new(&server.test.engine, deliver, options()).drain().await.expect("the loops go on");
    assert_eq!(server.test.outbox.sent().len(), 1);

    let mut runs = RunServiceClient::new(server.channel.clone());
    let list =
        v1::ListRunsRequest { parent: WORKSPACE.into(), customer: CUSTOMER.into(), ..Default::default() };
    let run = runs.list_runs(list).await.expect("a list").into_inner().runs.remove(0);
    assert_eq!((run.state(), run.conversation.as_str()), (v1::run::State::Completed, CONVERSATION));
    let trigger = run.trigger.clone().expect("a trigger");
    assert_eq!((trigger.kind(), trigger.anchor_event_id.as_str()), (v1::SilenceKind::Stalled, "e-1"));
    assert_eq!(trigger.funnel_revision, 1);

    let lines = v1::ListRunEventsRequest { parent: run.name.clone(), ..Default::default() };
    let lines = runs.list_run_events(lines).await.expect("a ledger").into_inner().events;
    assert!(lines.iter().any(|line| line.kind() == v1::run_event::Kind::DeliveryPlanned), "{lines:?}");
    assert!(lines.iter().all(|line| line.kind() != v1::run_event::Kind::Unspecified), "{lines:?}");

    let mut deliveries = DeliveryServiceClient::new(server.channel.clone());
    let list = v1::ListDeliveriesRequest {
        parent: WORKSPACE.into(),
        run: run.name.clone(),
        destination: RELAY.into(),
        ..Default::default()
    };
    let delivery =
        deliveries.list_deliveries(list.clone()).await.expect("a list").into_inner().deliveries.remove(0);
    assert_eq!(delivery.state(), v1::delivery::State::Delivered);
    assert_eq!(delivery.recipient, "a***@example.invalid");
    assert_eq!(delivery.attempts[0].outcome(), v1::delivery_attempt::Outcome::Delivered);
    let elsewhere =
        v1::ListDeliveriesRequest { destination: "workspaces/default/destinations/other".into(), ..list };
    let none = deliveries.list_deliveries(elsewhere).await.expect("a list").into_inner();
    assert_eq!((none.deliveries.len(), none.next_page_token.as_str()), (0, ""));

    let cancel = v1::CancelRunRequest { name: run.name };
    let refused = runs.cancel_run(cancel).await.expect_err("it is over");
    let (why, details) = reason(&refused);
    assert_eq!(why, "RUN_NOT_CANCELLABLE");
    assert_eq!(details.error_info().expect("a reason").metadata["currentState"], "COMPLETED");

    let mut told = Vec::new();
    let mut timeline =
        v1::GetConversationTimelineRequest { name: CONVERSATION.into(), page_size: 2, ..Default::default() };
    let mut conversations = ConversationServiceClient::new(server.channel.clone());
    loop {
        let page =
            conversations.get_conversation_timeline(timeline.clone()).await.expect("a page").into_inner();
        told.extend(page.entries);
        timeline.page_token = page.next_page_token;
        if timeline.page_token.is_empty() {
            break;
        }
    }
    let has = |test: fn(&Entry) -> bool| told.iter().filter_map(|entry| entry.entry.as_ref()).any(test);
    assert!(has(|entry| matches!(entry, Entry::Event(_))));
    assert!(has(|entry| matches!(entry, Entry::StageMove(_))));
    assert!(has(|entry| matches!(entry, Entry::Mark(mark) if mark.reason.starts_with("stalled after 20m"))));
    assert!(has(|entry| matches!(entry, Entry::Delivery(_))));
}

#[tokio::test]
async fn verbs_in_the_wrong_state_say_which_verb_and_which_state() {
    let server = prepared().await;
    let mut sequences = SequenceServiceClient::new(server.channel.clone());
    let pause = v1::PauseSequenceRequest { name: SEQUENCE.into() };
    let refused = sequences.pause_sequence(pause).await.expect_err("a draft");
    let (why, details) = reason(&refused);
    assert_eq!(why, "SEQUENCE_NOT_PAUSABLE");
    assert_eq!(details.error_info().expect("a reason").metadata["currentState"], "DRAFT");
    let resume = v1::ResumeSequenceRequest { name: SEQUENCE.into() };
    let refused = sequences.resume_sequence(resume).await.expect_err("a draft");
    assert_eq!(reason(&refused).0, "SEQUENCE_NOT_RESUMABLE");
    let archive = v1::ArchiveSequenceRequest { name: SEQUENCE.into() };
    sequences.archive_sequence(archive).await.expect("a draft can be archived");
    let change = v1::Sequence { name: SEQUENCE.into(), display_name: "Late".into(), ..Default::default() };
    let update = v1::UpdateSequenceRequest { sequence: Some(change), ..Default::default() };
    let refused = sequences.update_sequence(update).await.expect_err("archived");
    assert_eq!(reason(&refused).0, "SEQUENCE_NOT_UPDATABLE");
}

#[tokio::test]
async fn an_update_says_what_it_would_do_to_runs_and_names_what_is_wrong_in_its_map() {
    let server = prepared().await;
    let mut sequences = SequenceServiceClient::new(server.channel.clone());
    let change = v1::Sequence { name: SEQUENCE.into(), display_name: "Later".into(), ..Default::default() };
    let update = v1::UpdateSequenceRequest {
        sequence: Some(change),
        run_policy: v1::RunPolicy::Migrate.into(),
        validate_only: true,
        ..Default::default()
    };
    let answer = sequences.update_sequence(update.clone()).await.expect("good").into_inner();
    assert_eq!(answer.impact, Some(v1::RunImpact::default()), "nobody is in it");
    assert_eq!(answer.sequence.expect("a sequence").revision, 2);
    let step_map = HashMap::from([("nobody".to_owned(), String::new())]);
    let wrong = v1::UpdateSequenceRequest { step_map, ..update.clone() };
    let refused = sequences.update_sequence(wrong).await.expect_err("no such step");
    assert_eq!(reason(&refused).0, "SEQUENCE_INVALID");
    assert_eq!(fields(&refused), ["stepMap.nobody"]);
    let alien = v1::UpdateSequenceRequest { run_policy: 99, ..update };
    let refused = sequences.update_sequence(alien).await.expect_err("no such policy");
    assert_eq!(fields(&refused), ["runPolicy"]);
}

#[tokio::test]
async fn a_definition_that_names_what_is_not_there_is_refused_field_by_field() {
    let server = prepared().await;
    let mut sequence = nudge();
    sequence.trigger.as_mut().expect("a trigger").stage = "nowhere".into();
    let mail = v1::SendEmail {
        destination: "workspaces/default/destinations/gone".into(),
        subject: "s".into(),
        text: "t".into(),
        ..Default::default()
    };
    sequence.steps[0].action = Some(v1::step::Action::SendEmail(mail));
    let create = v1::CreateSequenceRequest {
        parent: WORKSPACE.into(),
        sequence_id: "other".into(),
        sequence: Some(sequence),
        ..Default::default()
    };
    let mut sequences = SequenceServiceClient::new(server.channel.clone());
    let refused = sequences.create_sequence(create).await.expect_err("two things are missing");
    assert_eq!(reason(&refused).0, "SEQUENCE_INVALID");
    let mut named = fields(&refused);
    named.sort();
    assert_eq!(named, ["sequence.steps[0].sendEmail.destination", "sequence.trigger.stage"]);
}

#[tokio::test]
async fn secrets_stay_and_never_come_out() {
    let server = prepared().await;
    let mut destinations = DestinationServiceClient::new(server.channel.clone());
    let get = v1::GetDestinationRequest { name: RELAY.into() };
    let read = destinations.get_destination(get.clone()).await.expect("it is there").into_inner();
    assert!(!format!("{read:?}").contains("hunter2"));
    let change = v1::Destination { name: RELAY.into(), display_name: "Relay".into(), ..relay("") };
    let update = v1::UpdateDestinationRequest { destination: Some(change.clone()), update_mask: None };
    destinations.update_destination(update).await.expect("a valid change");
    let kept = |destination: Option<v1::Destination>| match destination.expect("one").kind {
        Some(v1::destination::Kind::Smtp(smtp)) => smtp.password_set,
        other => panic!("{other:?}"),
    };
    let read = destinations.get_destination(get.clone()).await.expect("it is there").into_inner();
    assert!(kept(read.destination));
    let mask = pbjson_types::FieldMask { paths: vec!["smtp.password".into()] };
    let update = v1::UpdateDestinationRequest { destination: Some(change), update_mask: Some(mask) };
    destinations.update_destination(update).await.expect("a valid change");
    let read = destinations.get_destination(get).await.expect("it is there").into_inner();
    assert!(!kept(read.destination));

    let delete = v1::DeleteDestinationRequest { name: RELAY.into(), ..Default::default() };
    let refused = destinations.delete_destination(delete).await.expect_err("a sequence names it");
    assert_eq!(reason(&refused).0, "DESTINATION_IN_USE");
}

#[tokio::test]
async fn who_is_suppressed_is_added_listed_and_removed_by_name() {
    let server = Server::start().await;
    let mut suppressions = SuppressionServiceClient::new(server.channel.clone());
    let targets = [
        v1::suppression::Target::Address("Ada@Example.invalid".into()),
        v1::suppression::Target::Domain("example.invalid".into()),
        v1::suppression::Target::Customer(CUSTOMER.into()),
    ];
    for target in targets {
        let suppression = v1::Suppression { target: Some(target), ..Default::default() };
        let add = v1::AddSuppressionRequest { parent: WORKSPACE.into(), suppression: Some(suppression) };
        suppressions.add_suppression(add).await.expect("a valid entry");
    }
    let mut names = Vec::new();
    let mut list =
        v1::ListSuppressionsRequest { parent: WORKSPACE.into(), page_size: 2, ..Default::default() };
    loop {
        let page = suppressions.list_suppressions(list.clone()).await.expect("a page").into_inner();
        names.extend(page.suppressions.into_iter().map(|entry| entry.name));
        list.page_token = page.next_page_token;
        if list.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 3);
    for name in names {
        let remove = v1::RemoveSuppressionRequest { name };
        suppressions.remove_suppression(remove.clone()).await.expect("it is there");
        let refused = suppressions.remove_suppression(remove.clone()).await.expect_err("it is gone");
        let (why, details) = reason(&refused);
        assert_eq!(why, "SUPPRESSION_NOT_FOUND");
        assert_eq!(details.resource_info().expect("a resource").resource_name, remove.name);
    }
    let wrong = v1::Suppression {
        target: Some(v1::suppression::Target::Address("nobody".into())),
        ..Default::default()
    };
    let add = v1::AddSuppressionRequest { parent: WORKSPACE.into(), suppression: Some(wrong) };
    let refused = suppressions.add_suppression(add).await.expect_err("no address");
    assert_eq!(fields(&refused), ["suppression.address"]);
}

#[tokio::test]
async fn conversations_are_read_listed_and_erased() {
    let server = prepared().await;
    ada_asks(&server).await;
    let mut conversations = ConversationServiceClient::new(server.channel.clone());
    let get = v1::GetConversationRequest { name: CONVERSATION.into() };
    let read = conversations.get_conversation(get.clone()).await.expect("it is there").into_inner();
    let read = read.conversation.expect("the conversation");
    assert_eq!((read.customer.as_str(), read.owed_by()), (CUSTOMER, v1::OwedBy::Agent));
    assert_eq!(read.positions[0].stage, "asked");

    let list = v1::ListConversationsRequest {
        parent: WORKSPACE.into(),
        position: Some(v1::PositionFilter {
            funnel: FUNNEL.into(),
            stage: "asked".into(),
            ..Default::default()
        }),
        owed_by: v1::OwedBy::Agent.into(),
        ..Default::default()
    };
    let listed = conversations.list_conversations(list).await.expect("a page").into_inner();
    assert_eq!(listed.conversations.len(), 1);

    let events = v1::ListConversationEventsRequest { parent: CONVERSATION.into(), ..Default::default() };
    let events = conversations.list_conversation_events(events).await.expect("a page").into_inner().events;
    assert_eq!((events[0].id.as_str(), events[0].customer.as_str()), ("e-1", "ada"));

    let erase = v1::EraseConversationRequest { name: CONVERSATION.into() };
    let erased = conversations.erase_conversation(erase).await.expect("it is there").into_inner();
    assert_eq!(erased.erased_event_count, 1);
    let refused = conversations.get_conversation(get).await.expect_err("it is gone");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::NotFound, "CONVERSATION_NOT_FOUND"));
}

#[tokio::test]
async fn a_request_id_is_one_request() {
    let server = Server::start().await;
    let mut customers = CustomerServiceClient::new(server.channel.clone());
    let change = |plan: &str| v1::UpdateCustomerAttributesRequest {
        name: CUSTOMER.into(),
        attributes: Some(rekindle_server::convert::value::to_struct(
            &[("plan".to_owned(), rekindle_core::value::Value::from(plan))].into(),
        )),
        request_id: "r-1".into(),
        ..Default::default()
    };
    customers.update_customer_attributes(change("pro")).await.expect("valid attributes");
    server.test.clock.advance(HOUR);
    customers.update_customer_attributes(change("pro")).await.expect("the same request");
    let refused = customers.update_customer_attributes(change("free")).await.expect_err("another request");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    assert_eq!(details.error_info().expect("a reason").metadata["requestId"], "r-1");
}
