//! Creating what others create at the same moment, and creating it twice.

use futures_util::future::join_all;
use rekindle_core::calendar::CalendarSpec;
use rekindle_core::funnel::{Funnel, TimeBasis};
use rekindle_core::sequence::Sequence;
use rekindle_core::time::HOUR;
use rekindle_engine::destinations::{DestinationChange, DestinationDraft};
use rekindle_engine::error::EngineResult;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_engine::{Creation, EngineError};
use rekindle_ports::resources::WorkspaceBody;
use rekindle_testkit::{databases, everything};

use crate::house::{House, change, hook, nudge, support};

const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Calls that come at once.
const CALLS: usize = 8;

/// The one that was created; every other is told that the id is taken.
fn the_winner<T: std::fmt::Debug>(answers: Vec<EngineResult<T>>) -> T {
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(
        refused.iter().all(|answer| matches!(answer, Err(EngineError::Exists { .. }))),
        "the id is taken: {refused:?}"
    );
    assert_eq!((made.len(), refused.len()), (1, CALLS - 1));
    made.into_iter().find_map(Result::ok).expect("counted before")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creates_of_one_id_one_wins_and_the_others_are_told() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let (engine, scope) = (&house.engine, house.scope);
        for round in 0..4 {
            let id = format!("nudge-{round}");
            let made = join_all((0..CALLS).map(|call| {
                let body = Sequence { display_name: format!("by call {call}"), ..nudge() };
                engine.create_sequence(scope, &id, body, Creation::default())
            }));
            let made = the_winner(made.await);
            assert_eq!(engine.sequence(scope, &id).await.expect("there"), made, "{}", database.name);
            let id = format!("hook-{round}");
            let made = join_all((0..CALLS).map(|call| {
                let draft = DestinationDraft { display_name: format!("by call {call}"), ..hook() };
                engine.create_destination(scope, &id, draft, Creation::default())
            }));
            let made = the_winner(made.await);
            assert_eq!(engine.destination(scope, &id).await.expect("there"), made, "{}", database.name);
        }
    }
}

fn reused<T: std::fmt::Debug>(answer: &EngineResult<T>) {
    assert!(matches!(answer, Err(EngineError::RequestIdReused { id }) if id == "r-1"), "{answer:?}");
}

#[tokio::test]
async fn a_repeated_create_of_a_sequence_is_answered_as_the_first() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let (engine, scope) = (&house.engine, house.scope);
        let create = |id: &'static str, body| engine.create_sequence(scope, id, body, Creation::once("r-1"));
        let check = Creation { validate_only: true, ..Creation::once("r-1") };
        engine.create_sequence(scope, "nudge", nudge(), check).await.expect("it would do");
        let first = create("nudge", nudge()).await.expect("new");
        let other = Sequence { display_name: "Another".into(), ..nudge() };
        house.revise(change(other.clone())).await;
        house.clock.advance(HOUR);
        assert_eq!(create("nudge", nudge()).await.expect("a repeat"), first);
        assert_eq!(engine.sequence(scope, "nudge").await.expect("there").revision, 2);
        reused(&create("nudge", other).await);
        reused(&create("another", nudge()).await);
        let taken = engine.create_sequence(scope, "nudge", nudge(), Creation::once("r-2")).await;
        assert!(matches!(taken, Err(EngineError::Exists { .. })));
        engine.delete_sequence(scope, "nudge", None).await.expect("a draft");
        assert_eq!(create("nudge", nudge()).await.expect("a repeat"), first);
        assert!(engine.sequence(scope, "nudge").await.is_err(), "what was deleted stays so");
    }
}

#[tokio::test]
async fn a_repeated_create_of_a_destination_is_answered_as_the_first_and_keeps_no_secret() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let create =
            |id: &'static str, draft| engine.create_destination(scope, id, draft, Creation::once("r-1"));
        let draft = DestinationDraft { secrets: Some(vec![NEW.into()]), ..hook() };
        let first = create("hook", draft.clone()).await.expect("new");
        let change = DestinationChange { draft: hook(), etag: None };
        house.clock.advance(HOUR);
        engine.update_destination(scope, "hook", change).await.expect("there");
        assert_eq!(create("hook", draft).await.expect("a repeat"), first);
        reused(&create("hook", hook()).await);
        let all = everything(&database).await;
        assert!(!all.contains("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), "{}", database.name);
        // A funnel's request of the same id is another request.
        engine.create_funnel(scope, "support", support(), Creation::once("r-1")).await.expect("new");
    }
}

#[tokio::test]
async fn a_repeated_create_of_a_funnel_is_answered_with_the_calendar_of_the_first() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let mut body = WorkspaceBody { zone: "Europe/Berlin".into(), ..WorkspaceBody::default() };
        let hours = |hours: &str| CalendarSpec { hours: hours.into(), ..CalendarSpec::default() };
        body.calendars.insert("default".into(), hours("Mo-Fr 09:00-17:00"));
        engine
            .update_workspace(scope, WorkspaceChange { body: body.clone(), etag: None })
            .await
            .expect("good");
        let mut funnel = support();
        funnel.stages[1].stall.as_mut().expect("a rule").basis = TimeBasis::Business;
        let create =
            |id: &'static str, funnel| engine.create_funnel(scope, id, funnel, Creation::once("r-1"));
        let first = create("support", funnel.clone()).await.expect("new");
        body.calendars.insert("default".into(), hours("Mo-Fr 10:00-12:00"));
        engine.update_workspace(scope, WorkspaceChange { body, etag: None }).await.expect("good");
        house.clock.advance(HOUR);
        assert_eq!(create("support", funnel.clone()).await.expect("a repeat"), first);
        assert_eq!(engine.funnel(scope, "support", None).await.expect("there"), first);
        reused(&create("support", Funnel { notes: "other".into(), ..funnel.clone() }).await);
        engine.delete_funnel(scope, "support", None).await.expect("unused");
        assert_eq!(create("support", funnel).await.expect("a repeat"), first);
        assert!(engine.funnel(scope, "support", None).await.is_err(), "what was deleted stays so");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_create_that_is_sent_many_times_at_once_has_one_answer() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let (engine, scope) = (&house.engine, house.scope);
        for round in 0..4 {
            let (id, request) = (format!("again-{round}"), Creation::once(&format!("r-{round}")));
            let calls = (0..CALLS).map(|_| engine.create_sequence(scope, &id, nudge(), request.clone()));
            for answer in join_all(calls).await {
                let made = engine.sequence(scope, &id).await.expect("there");
                assert_eq!(answer.expect("made, or made before"), made, "{}", database.name);
            }
            let calls = (0..CALLS).map(|_| engine.create_funnel(scope, &id, support(), request.clone()));
            for answer in join_all(calls).await {
                let made = engine.funnel(scope, &id, None).await.expect("there");
                assert_eq!(answer.expect("made, or made before"), made, "{}", database.name);
            }
        }
    }
}
