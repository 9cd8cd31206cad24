//! What a definition may say, what stands in the way of its start, and what it would send.

use rekindle_core::mark::MarkKind;
use rekindle_core::sequence::{Action, CallWebhook, SendEmail, SequenceState, Wait};
use rekindle_core::time::HOUR;
use rekindle_engine::sequences::{PreviewData, SequenceChange};
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_engine::{Creation, EngineError, Precondition};
use rekindle_ports::resources::WorkspaceBody;
use rekindle_testkit::databases;
use serde_json::json;

use crate::house::{House, change, email, nudge, sequence, step, webhook, wrong_fields};

#[tokio::test]
async fn a_wrong_definition_is_refused_whole_with_every_field() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let mut wrong = nudge();
        wrong.trigger.on = MarkKind::Abandoned.into();
        wrong.steps = vec![
            step("a", Action::Wait(Wait::wall(0))),
            step("b", Action::SendEmail(SendEmail { subject: "{{ never".into(), ..email() })),
            step("c", Action::SendEmail(SendEmail { destination: "hook".into(), ..email() })),
            step("d", Action::CallWebhook(CallWebhook { destination: "nowhere".into(), ..webhook() })),
        ];
        let answer = house.engine.create_sequence(house.scope, "Nudge", wrong, Creation::default()).await;
        let expected = [
            "sequenceId",
            "steps[0].wait.duration",
            "steps[1].sendEmail.subject",
            "trigger.on",
            "steps[2].sendEmail.destination",
            "steps[3].callWebhook.destination",
        ];
        assert_eq!(wrong_fields(answer), expected);
        let mut elsewhere = nudge();
        elsewhere.trigger.funnel = "sales".into();
        let answer = house.engine.create_sequence(house.scope, "nudge", elsewhere, Creation::default()).await;
        assert_eq!(wrong_fields(answer), ["trigger.funnel"]);
    }
}

#[tokio::test]
async fn a_sequence_is_a_draft_that_changes_by_revisions() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let (engine, scope) = (&house.engine, house.scope);
        let checked =
            engine.create_sequence(scope, "nudge", nudge(), Creation::check_only()).await.expect("good");
        assert!(matches!(engine.sequence(scope, "nudge").await, Err(EngineError::NotFound { .. })));
        let created =
            engine.create_sequence(scope, "nudge", nudge(), Creation::default()).await.expect("good");
        assert_eq!(checked, created);
        assert_eq!((created.state, created.revision), (SequenceState::Draft, 1));
        let twice = engine.create_sequence(scope, "nudge", nudge(), Creation::default()).await;
        assert!(matches!(twice, Err(EngineError::Exists { .. })));
        let mut body = nudge();
        body.display_name = "Another".into();
        let change = SequenceChange { etag: Some(created.etag.clone()), ..change(body) };
        let published = engine.update_sequence(scope, "nudge", change.clone()).await.expect("good");
        let updated = published.sequence;
        assert_eq!((updated.revision, updated.body.display_name.as_str()), (2, "Another"));
        assert!(matches!(
            engine.update_sequence(scope, "nudge", change).await,
            Err(EngineError::StaleEtag { .. })
        ));
        let stale = engine.start_sequence(scope, "nudge", Some(&created.etag)).await;
        assert!(matches!(stale, Err(EngineError::StaleEtag { .. })));
        let started = engine.start_sequence(scope, "nudge", Some(&updated.etag)).await.expect("startable");
        assert_ne!(started.etag, updated.etag);
        let listed = engine.sequences(scope, "", 10).await.expect("readable");
        assert_eq!(listed, [started]);
        assert!(engine.sequences(scope, "nudge", 10).await.expect("readable").is_empty());
    }
}

#[tokio::test]
async fn everything_that_stands_in_the_way_of_a_start_is_named() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let (engine, scope) = (&house.engine, house.scope);
        engine.create_sequence(scope, "nudge", nudge(), Creation::default()).await.expect("good");
        engine.disable_destination(scope, "hook").await.expect("there");
        let change = WorkspaceChange { body: WorkspaceBody::default(), etag: None };
        engine.update_workspace(scope, change).await.expect("good");
        let answer = engine.start_sequence(scope, "nudge", None).await;
        let Err(EngineError::Precondition { reason, message, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(reason, Precondition::SequenceNotStartable);
        let expected = "steps[1].sendEmail.destination: neither the destination \"relay\" nor the workspace names \
                        a sender; steps[3].callWebhook.destination: the destination \"hook\" is disabled";
        assert_eq!(message, expected);
    }
}

#[tokio::test]
async fn a_preview_writes_every_message_and_sends_none() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        let data = PreviewData::Conversation("c1".into());
        let preview = house.engine.preview_sequence(house.scope, "nudge", data).await.expect("there");
        assert_eq!(preview.len(), 2);
        let (mail, call) = (&preview[0], &preview[1]);
        assert_eq!((mail.step.as_str(), mail.wall_delay), ("ask", HOUR));
        assert_eq!(
            (mail.recipient.as_str(), mail.subject.as_str()),
            ("ann@example.invalid", "Did that help, Ann?")
        );
        assert_eq!((call.step.as_str(), call.wall_delay), ("tell", 2 * HOUR));
        let body: serde_json::Value = serde_json::from_str(&call.body).expect("JSON");
        assert_eq!(
            (&body["data"]["conversation"], &body["data"]["custom"]["who"]),
            (&json!("c1"), &json!("ann"))
        );
        assert!(house.courier.sent().is_empty() && house.runs().await.is_empty());
        let nobody = PreviewData::Conversation("c9".into());
        let nobody = house.engine.preview_sequence(house.scope, "nudge", nobody).await;
        assert!(matches!(nobody, Err(EngineError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_preview_names_the_templates_that_do_not_render() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let plan = SendEmail {
            subject: "{{ customer.plan }}".into(),
            text: "{{ customer.tier }}".into(),
            ..email()
        };
        let body = sequence(vec![step("ask", Action::SendEmail(plan))]);
        house.engine.create_sequence(house.scope, "nudge", body, Creation::default()).await.expect("good");
        let preview = |data| house.engine.preview_sequence(house.scope, "nudge", data);
        let made_up = preview(PreviewData::MadeUp).await.expect("there");
        let fields: Vec<_> = made_up[0].violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["steps[0].sendEmail.subject", "steps[0].sendEmail.text"]);
        let sample = json!({ "customer": { "plan": "gold", "tier": "one" } });
        let sampled = preview(PreviewData::Sample(sample)).await.expect("there");
        assert_eq!((sampled[0].subject.as_str(), sampled[0].text.as_str()), ("gold", "one"));
        assert_eq!(sampled[0].recipient, "ada@rekindle.invalid");
        assert!(sampled[0].violations.is_empty(), "{:?}", sampled[0].violations);
    }
}
