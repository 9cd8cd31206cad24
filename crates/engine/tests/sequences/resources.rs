//! Destinations, the workspace and the suppression list.

use rekindle_core::calendar::CalendarSpec;
use rekindle_core::time::DAY;
use rekindle_engine::destinations::{DISABLED_BY_OPERATOR, DestinationChange, DestinationDraft, Trial};
use rekindle_engine::suppressions::{NewSuppression, SuppressionQuery};
use rekindle_engine::workspace::{WorkspaceChange, workspace_etag};
use rekindle_engine::{Creation, EngineError, Precondition};
use rekindle_ports::ledger::{AttemptOutcome, Message};
use rekindle_ports::resources::{
    DestinationKind, DestinationRow, MailboxSpec, SuppressionKind, SuppressionReason, WorkspaceBody,
};
use rekindle_testkit::databases;

use crate::courier::FORBIDDEN;
use crate::house::{House, SECRET, hook, nudge, relay, unknown, wrong_fields};

const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn live(row: &DestinationRow, house: &House) -> Vec<String> {
    row.live_secrets(house.clock.time()).into_iter().map(|secret| secret.value.clone()).collect()
}

#[tokio::test]
async fn a_destination_keeps_its_secrets_unless_others_are_given() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let created =
            engine.create_destination(scope, "hook", hook(), Creation::default()).await.expect("good");
        let renamed = DestinationDraft { display_name: "Other".into(), secrets: None, ..hook() };
        let change = DestinationChange { draft: renamed, etag: Some(created.etag.clone()) };
        let updated = engine.update_destination(scope, "hook", change.clone()).await.expect("good");
        assert_eq!(
            (updated.display_name.as_str(), live(&updated, &house)),
            ("Other", vec![SECRET.to_owned()])
        );
        let stale = engine.update_destination(scope, "hook", change).await;
        assert!(matches!(stale, Err(EngineError::StaleEtag { .. })));
        let replaced = DestinationDraft { secrets: Some(vec![NEW.into()]), ..hook() };
        let change = DestinationChange { draft: replaced, etag: None };
        let updated = engine.update_destination(scope, "hook", change).await.expect("good");
        assert_eq!(live(&updated, &house), [NEW]);
        assert_eq!(engine.destination(scope, "hook").await.expect("there"), updated);
        let other_kind = DestinationChange { draft: relay(), etag: None };
        assert_eq!(wrong_fields(engine.update_destination(scope, "hook", other_kind).await), ["smtp"]);
        assert!(!format!("{updated:?} {:?}", hook()).contains("whsec_"), "secrets do not print themselves");
    }
}

#[tokio::test]
async fn a_rotated_secret_is_used_beside_the_new_one_for_a_day() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        engine.create_destination(scope, "hook", hook(), Creation::default()).await.expect("good");
        engine.create_destination(scope, "relay", relay(), Creation::default()).await.expect("good");
        house.clock.advance(1);
        for _ in 0..2 {
            let rotated = engine.rotate_webhook_secret(scope, "hook", NEW).await.expect("a secret");
            assert_eq!(live(&rotated, &house), [NEW, SECRET]);
        }
        assert_eq!(wrong_fields(engine.rotate_webhook_secret(scope, "hook", "short").await), ["secret"]);
        assert_eq!(wrong_fields(engine.rotate_webhook_secret(scope, "relay", NEW).await), ["name"]);
        house.clock.advance(DAY);
        let later = engine.destination(scope, "hook").await.expect("there");
        assert_eq!(live(&later, &house), [NEW]);
    }
}

#[tokio::test]
async fn a_destination_that_a_sequence_uses_is_not_deleted() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let (engine, scope) = (&house.engine, house.scope);
        let answer = engine.delete_destination(scope, "hook", None).await;
        assert!(matches!(
            answer,
            Err(EngineError::Precondition { reason: Precondition::DestinationInUse, .. })
        ));
        engine.archive_sequence(scope, "nudge").await.expect("there");
        engine.delete_destination(scope, "hook", None).await.expect("unused");
        let ids: Vec<_> = engine
            .destinations(scope, "", 10)
            .await
            .expect("readable")
            .into_iter()
            .map(|row| row.id)
            .collect();
        assert_eq!(ids, ["relay"]);
    }
}

#[tokio::test]
async fn a_disabled_destination_holds_messages_until_it_is_enabled() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let (engine, scope) = (&house.engine, house.scope);
        for _ in 0..2 {
            let disabled = engine.disable_destination(scope, "relay").await.expect("there");
            assert_eq!(disabled.disabled.expect("disabled").1, DISABLED_BY_OPERATOR);
        }
        house.answer_ann().await;
        house.go(600).await;
        house.go(4_200).await;
        assert!(house.courier.sent().is_empty());
        let trial = engine.test_destination(scope, "relay", "ann@example.invalid").await;
        assert!(matches!(
            trial,
            Err(EngineError::Precondition { reason: Precondition::DestinationDisabled, .. })
        ));
        let enabled = engine.enable_destination(scope, "relay").await.expect("there");
        assert_eq!(enabled.disabled, None);
        house.go(4_200 + 3_600).await;
        assert_eq!(house.courier.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_test_sends_one_message_and_says_what_came_of_it() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let (engine, scope) = (&house.engine, house.scope);
        let sent = engine.test_destination(scope, "relay", "ann@example.invalid").await.expect("there");
        let Trial::Attempted(attempt) = sent else { panic!("{sent:?}") };
        assert_eq!((attempt.outcome, attempt.code), (Some(AttemptOutcome::Delivered), Some(250)));
        house.courier.answer(unknown());
        let called = engine.test_destination(scope, "hook", "").await.expect("there");
        let Trial::Attempted(attempt) = called else { panic!("{called:?}") };
        assert_eq!(attempt.outcome, Some(AttemptOutcome::Unknown));
        let Message::Webhook { body, .. } = &house.courier.sent()[1].message else { panic!("a call") };
        assert!(body.contains(r#""type":"test""#), "{body}");
        assert_eq!(wrong_fields(engine.test_destination(scope, "relay", " ").await), ["recipient"]);
        let forbidden = format!("ann{FORBIDDEN}");
        let forbidden = engine.test_destination(scope, "relay", &forbidden).await.expect("there");
        assert_eq!(forbidden, Trial::NotAllowed);
        engine.add_suppression(scope, ann()).await.expect("an address");
        let suppressed = engine.test_destination(scope, "relay", "ANN@example.invalid").await.expect("there");
        assert!(matches!(suppressed, Trial::Suppressed(entry) if entry.value == "ann@example.invalid"));
        assert_eq!(house.courier.sent().len(), 2);
        assert!(house.deliveries().await.is_empty(), "nothing of it is kept");
    }
}

#[tokio::test]
async fn wrong_destinations_are_refused_with_every_field() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let DestinationKind::Smtp { port, tls, username, sender, .. } = relay().kind else {
            panic!("a relay")
        };
        let kind = DestinationKind::Smtp { host: String::new(), port, tls, username, sender };
        let draft = DestinationDraft { display_name: "x".repeat(257), kind, secrets: None };
        let answer = engine.create_destination(scope, "Relay", draft, Creation::default()).await;
        assert_eq!(wrong_fields(answer), ["destinationId", "displayName", "smtp.host"]);
    }
}

#[tokio::test]
async fn a_workspace_changes_by_its_etag_and_names_every_wrong_field() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let fresh = engine.workspace(scope).await.expect("a default");
        assert_eq!((fresh.revision, fresh.body.zone.as_str()), (0, "UTC"));
        let change = WorkspaceChange { body: WorkspaceBody::default(), etag: Some(workspace_etag(&fresh)) };
        let changed = engine.update_workspace(scope, change.clone()).await.expect("good");
        assert_eq!(changed.revision, 1);
        assert!(matches!(engine.update_workspace(scope, change).await, Err(EngineError::StaleEtag { .. })));
        let nobody = MailboxSpec { name: String::new(), address: "nobody".into() };
        let mut body = WorkspaceBody {
            display_name: "x".repeat(257),
            zone: "Mars/Olympus".into(),
            sender: Some(nobody.clone()),
            reply_to: Some(nobody),
            unsubscribe_mailto: "nobody".into(),
            ..WorkspaceBody::default()
        };
        let holidays = vec!["yesterday".to_owned()];
        body.calendars.insert(
            "office".into(),
            CalendarSpec { hours: "whenever".into(), holidays, zone: String::new() },
        );
        let answer = engine.update_workspace(scope, WorkspaceChange { body, etag: None }).await;
        let expected = [
            "displayName",
            "defaultZone",
            "calendars.office.holidays[0]",
            "calendars.office.hours",
            "sender",
            "replyTo",
            "unsubscribe.mailto",
        ];
        assert_eq!(wrong_fields(answer), expected);
    }
}

fn ann() -> NewSuppression {
    NewSuppression {
        kind: SuppressionKind::Address,
        value: " Ann@Example.Invalid ".into(),
        reason: SuppressionReason::Complaint,
        note: "by letter".into(),
    }
}

#[tokio::test]
async fn a_suppression_is_added_once_listed_and_removed() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let first = engine.add_suppression(scope, ann()).await.expect("an address");
        assert_eq!(first.value, "ann@example.invalid");
        house.clock.advance(DAY);
        let again = NewSuppression { reason: SuppressionReason::Manual, ..ann() };
        assert_eq!(engine.add_suppression(scope, again).await.expect("an address"), first);
        for (kind, value) in [(SuppressionKind::Domain, "Example.com"), (SuppressionKind::Customer, "bob")] {
            let reason = SuppressionReason::Manual;
            let new = NewSuppression { kind, value: value.into(), reason, note: String::new() };
            engine.add_suppression(scope, new).await.expect("good");
        }
        let values = async |query: SuppressionQuery, limit| -> Vec<String> {
            let rows = engine.suppressions(scope, query, limit).await.expect("readable");
            rows.into_iter().map(|row| row.value).collect()
        };
        let manual =
            SuppressionQuery { reason: Some(SuppressionReason::Manual), ..SuppressionQuery::default() };
        assert_eq!(values(SuppressionQuery::default(), 2).await, ["ann@example.invalid", "bob"]);
        let after = Some((SuppressionKind::Customer, "bob".to_owned()));
        assert_eq!(
            values(SuppressionQuery { after, ..SuppressionQuery::default() }, 2).await,
            ["example.com"]
        );
        assert_eq!(values(manual, 1).await, ["bob"]);
        let address = Some("ANN@example.invalid".to_owned());
        assert_eq!(values(SuppressionQuery { address, ..SuppressionQuery::default() }, 9).await.len(), 1);
        let remove = || engine.remove_suppression(scope, SuppressionKind::Address, "Ann@example.invalid");
        remove().await.expect("there");
        assert!(matches!(remove().await, Err(EngineError::NotFound { .. })));
        let wrong = NewSuppression { value: "nobody".into(), note: "x".repeat(1_025), ..ann() };
        assert_eq!(wrong_fields(engine.add_suppression(scope, wrong).await), ["address", "note"]);
    }
}

#[tokio::test]
async fn a_draft_may_be_written_before_its_destination_is_enabled() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        house.engine.disable_destination(house.scope, "hook").await.expect("there");
        house
            .engine
            .create_sequence(house.scope, "nudge", nudge(), Creation::default())
            .await
            .expect("a good definition");
    }
}
