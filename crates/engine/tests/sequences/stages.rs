//! Sequences whose stage or funnel goes away, and calendars that funnels name.

use std::collections::BTreeMap;

use rekindle_core::calendar::CalendarSpec;
use rekindle_core::event::Author;
use rekindle_core::funnel::{Funnel, OwedBy, TimeBasis};
use rekindle_core::sequence::{Occasion, OnEvent, OnSchedule, Overlap, Sequence, SequenceState};
use rekindle_engine::error::EngineResult;
use rekindle_engine::funnels::{FunnelChange, FunnelView};
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_engine::{Creation, EngineError, Precondition};
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_ports::resources::WorkspaceBody;
use rekindle_ports::rows::LivePolicy;
use rekindle_ports::store::replays::Covers;
use rekindle_testkit::build::{EventExt, FunnelExt, at, event, funnel as funnel_of};
use rekindle_testkit::databases;

use crate::house::{House, nudge, support, wrong_fields};

/// The same funnel with `replied` in the place of `answered`.
fn renamed() -> Funnel {
    let mut funnel = support();
    funnel.stages[1].id = "replied".into();
    funnel
}

async fn publish(house: &House, funnel: Funnel, map: &[(&str, &str)]) -> EngineResult<FunnelView> {
    publish_with(house, funnel, map, LivePolicy::Drain).await
}

async fn publish_with(
    house: &House,
    funnel: Funnel,
    map: &[(&str, &str)],
    policy: LivePolicy,
) -> EngineResult<FunnelView> {
    let stage_map: BTreeMap<String, String> =
        map.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let change = FunnelChange { funnel, etag: None, policy, stage_map, validate_only: false };
    house.engine.update_funnel(house.scope, "support", change).await
}

async fn fill(house: &House) {
    while house.engine.fill_step(house.scope).await.expect("the fill goes on") {}
}

/// Gives `answered` another name, with the journeys that are in it.
async fn rename(house: &House) {
    let map = [("answered", "replied")];
    publish_with(house, renamed(), &map, LivePolicy::Migrate).await.expect("mapped");
    fill(house).await;
}

/// `nudge` for something else than a silence.
fn nudge_on(occasion: Occasion) -> Sequence {
    let mut sequence = nudge();
    sequence.trigger.on = occasion;
    sequence
}

fn a_cart() -> Occasion {
    Occasion::Event(OnEvent { when: "event.type == 'cart_filled'".into() })
}

fn the_hour() -> Occasion {
    let (cron, zone) = ("0 * * * *".into(), "UTC".into());
    Occasion::Schedule(OnSchedule { cron, zone, overlap: Overlap::Skip, jitter: 0 })
}

/// Nothing that Ann did, and nothing that moves her.
async fn fill_cart(house: &House, seconds: i64) {
    house.hear(event("cart", "cart_filled", seconds).from_customer("ann").by(Author::System)).await;
}

#[tokio::test]
async fn a_stage_that_a_sequence_names_does_not_go_without_a_word() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let answer = publish(&house, renamed(), &[]).await;
        let Err(EngineError::Precondition { reason, metadata, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(reason, Precondition::StageInUse);
        let expected = [("stages", "answered"), ("sequences", "nudge")];
        assert_eq!(metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        house.engine.archive_sequence(house.scope, "nudge").await.expect("there");
        publish(&house, renamed(), &[]).await.expect("an archived sequence holds nothing");
    }
}

#[tokio::test]
async fn a_sequence_follows_its_stage_to_the_one_that_takes_over() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        publish(&house, renamed(), &[("answered", "replied")]).await.expect("mapped");
        let row = house.engine.sequence(house.scope, "nudge").await.expect("there");
        assert_eq!((row.revision, row.state), (2, SequenceState::Active));
        assert_eq!(row.body.trigger.stage, "replied");
        let mut quiet = renamed();
        quiet.stages[1].id = "again".into();
        quiet.stages[1].stall = None;
        let answer = publish(&house, quiet, &[("replied", "again")]).await;
        assert_eq!(wrong_fields(answer), ["stageMap.replied"]);
    }
}

#[tokio::test]
async fn a_sequence_whose_stage_goes_without_a_successor_is_paused_and_its_runs_end() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        publish(&house, renamed(), &[("answered", "")]).await.expect("mapped");
        let row = house.engine.sequence(house.scope, "nudge").await.expect("there");
        assert_eq!((row.revision, row.state), (1, SequenceState::Paused));
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::StageLeft)));
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty());
        let answer = house.engine.resume_sequence(house.scope, "nudge").await;
        assert!(matches!(answer, Err(EngineError::Precondition { reason: Precondition::SequenceState, .. })));
    }
}

#[tokio::test]
async fn a_run_goes_on_in_the_stage_that_takes_over() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let begun = house.the_run().await.run;
        rename(&house).await;
        house.go(660).await;
        // Something that neither answers nor moves: the journey is folded once more.
        house.word("e3", "note", 700).await;
        house.go(4_200).await;
        let run = house.the_run().await.run;
        assert_eq!((run.id, run.state), (begun.id, RunState::Running), "{}", database.name);
        assert_eq!(house.courier.sent().len(), 1);
        house.word("e4", "customer_message", 4_300).await;
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
    }
}

#[tokio::test]
async fn a_run_that_an_event_or_a_time_started_goes_on_there_too() {
    for occasion in [a_cart(), the_hour()] {
        for database in databases().await {
            let house = House::with(&database, nudge_on(occasion.clone())).await;
            house.answer_ann().await;
            fill_cart(&house, 10).await;
            house.go(3_600).await;
            let begun = house.the_run().await.run;
            rename(&house).await;
            house.word("e3", "note", 3_700).await;
            house.assert_run(RunState::Running).await;
            house.go(7_200).await;
            assert_eq!(house.courier.sent().len(), 1, "{occasion:?}, {}", database.name);
            house.word("e4", "customer_message", 7_300).await;
            let run = house.engine.run(house.scope, begun.id).await.expect("there").run;
            assert_eq!(run.end_reason, Some(EndReason::CustomerReturned), "{occasion:?}, {}", database.name);
        }
    }
}

#[tokio::test]
async fn a_run_ends_when_its_journey_left_the_stage_that_took_over() {
    for sequence in [nudge(), nudge_on(a_cart())] {
        for database in databases().await {
            let house = House::with(&database, sequence.clone()).await;
            house.answer_ann().await;
            house.go(600).await;
            if sequence != nudge() {
                fill_cart(&house, 600).await;
            }
            rename(&house).await;
            let mut again = renamed();
            again.stages.insert(2, funnel_of(&["order_viewed"]).stages.remove(0));
            again.stages[2].id = "viewed".into();
            publish_with(&house, again, &[], LivePolicy::Migrate).await.expect("valid");
            fill(&house).await;
            house.assert_run(RunState::Running).await;
            house.hear(event("e3", "order_viewed", 700).from_customer("ann").by(Author::System)).await;
            let run = house.the_run().await.run;
            assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::StageLeft)));
        }
    }
}

#[tokio::test]
async fn a_failed_run_is_replayed_in_the_stage_that_took_over() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let run = house.fail_the_run(600).await;
        rename(&house).await;
        house.clock.set(at(700));
        let covers = Covers::Run(run);
        house.engine.create_replay(house.scope, covers, Creation::default()).await.expect("it failed");
        while house.engine.replay_step(house.scope).await.expect("replays go on") {}
        house.assert_run(RunState::Running).await;
    }
}

#[tokio::test]
async fn a_funnel_stays_while_a_sequence_names_it() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let answer = house.engine.delete_funnel(house.scope, "support", None).await;
        assert!(matches!(answer, Err(EngineError::Precondition { reason: Precondition::FunnelInUse, .. })));
        house.engine.archive_sequence(house.scope, "nudge").await.expect("there");
        house.engine.delete_funnel(house.scope, "support", None).await.expect("unused");
    }
}

#[tokio::test]
async fn business_time_is_that_of_the_workspace_as_it_was_published() {
    for database in databases().await {
        let house = House::bare(&database);
        let (engine, scope) = (&house.engine, house.scope);
        let mut funnel = support().abandon(1, 6_000, OwedBy::Customer);
        let stage = &mut funnel.stages[1];
        for rule in [&mut stage.stall, &mut stage.abandon].into_iter().flatten() {
            rule.basis = TimeBasis::Business;
        }
        let without = engine.create_funnel(scope, "support", funnel.clone(), Creation::default()).await;
        assert_eq!(wrong_fields(without), ["stages[1].stall.basis", "stages[1].abandon.basis"]);
        let named = Funnel { calendar_name: "office".into(), ..support() };
        assert_eq!(
            wrong_fields(engine.create_funnel(scope, "named", named.clone(), Creation::default()).await),
            ["calendar"]
        );
        let hours = |hours: &str| CalendarSpec { hours: hours.into(), ..CalendarSpec::default() };
        let mut body = WorkspaceBody { zone: "Europe/Berlin".into(), ..WorkspaceBody::default() };
        body.calendars.insert("default".into(), hours("Mo-Fr 09:00-17:00"));
        body.calendars.insert("office".into(), hours("Mo-Fr 10:00-12:00"));
        let change = WorkspaceChange { body: body.clone(), etag: None };
        engine.update_workspace(scope, change).await.expect("good calendars");
        let created = engine
            .create_funnel(scope, "support", funnel, Creation::default())
            .await
            .expect("a default calendar");
        let pinned = created.revision.body.calendar.expect("pinned");
        assert_eq!((pinned.hours.as_str(), pinned.zone.as_str()), ("Mo-Fr 09:00-17:00", "Europe/Berlin"));
        engine.create_funnel(scope, "named", named, Creation::default()).await.expect("an office calendar");
        body.calendars.clear();
        let answer = engine.update_workspace(scope, WorkspaceChange { body, etag: None }).await;
        let Err(EngineError::Precondition { reason: Precondition::CalendarInUse, metadata, .. }) = answer
        else {
            panic!("a calendar went that a funnel names: {answer:?}");
        };
        let facts = [("calendar", "office"), ("usedBy", "workspaces/default/funnels/named")];
        assert_eq!(metadata, facts.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
