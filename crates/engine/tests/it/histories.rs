//! The same events in any order, doubled, in any batches, with the funnel defined before,
//! half-way or afterwards, on either database: the same rows, and the model's figures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rekindle_core::Timestamp;
use rekindle_core::detect::first_look;
use rekindle_core::metrics::{Figure, Period};
use rekindle_core::scope::Scope;
use rekindle_core::time::{DAY, SECOND};
use rekindle_engine::metrics::{FunnelQuestion, SubjectsQuestion};
use rekindle_ports::Store;
use rekindle_testkit::build::RECEIVED;
use rekindle_testkit::model::{ModelFigures, Mood, Told, World, told};
use rekindle_testkit::{Dump, TestDatabase, TestEngine, databases};
use tokio::runtime::Runtime;

use crate::cases::{Case, cases};

const FUNNEL: &str = "journey";
/// Each case is four histories on each database.
const CASES: u32 = 24;

#[test]
fn every_way_of_sending_the_same_events_gives_the_same_rows_and_the_figures_of_the_model() {
    let runtime = Runtime::new().expect("a runtime");
    let fixtures: Vec<Fixture> =
        runtime.block_on(async { databases().await.into_iter().map(Fixture::over).collect() });
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    };
    let number = AtomicU32::new(0);
    let outcome = TestRunner::new(config).run(&cases(12), |case| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(agree(&fixtures, number, &case))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

struct Fixture {
    name: &'static str,
    engine: TestEngine,
    database: TestDatabase,
}

impl Fixture {
    fn over(database: TestDatabase) -> Self {
        let store: Arc<dyn Store> = Arc::new(database.store.clone());
        Self { name: database.name, engine: TestEngine::new(store, 1), database }
    }
}

async fn agree(fixtures: &[Fixture], number: u32, case: &Case) -> Result<(), TestCaseError> {
    let mut first: Option<Dump> = None;
    for fixture @ Fixture { name, engine, .. } in fixtures {
        for way in Way::ALL {
            let scope = Scope::of(&format!("{number}-{way:?}"));
            way.send(engine, scope, case).await;
            let dump = Dump::of(&*engine.store, scope, FUNNEL).await;
            let first = first.get_or_insert_with(|| dump.clone());
            prop_assert_eq!(&dump, first, "{} {:?}", name, way);
            no_timer_is_late(fixture, scope).await?;
        }
        let scope = Scope::of(&format!("{number}-{:?}", Way::Shuffled));
        figures_agree(engine, scope, case).await?;
    }
    Ok(())
}

/// How the events come, and when the funnel is defined.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Sorted, in one batch, into a funnel that is there.
    InOrder,
    /// As the case sends them, into a funnel that is there.
    Shuffled,
    /// The funnel is defined after half of the batches and filled after the last.
    Between,
    /// The funnel is defined after the last batch and filled.
    Afterwards,
}

impl Way {
    const ALL: [Self; 4] = [Self::InOrder, Self::Shuffled, Self::Between, Self::Afterwards];

    async fn send(self, engine: &TestEngine, scope: Scope, case: &Case) {
        let batches = match self {
            Self::InOrder => {
                let mut sorted = case.events.clone();
                sorted.sort_by(|a, b| {
                    (a.occurred_at, a.sequence, &a.id).cmp(&(b.occurred_at, b.sequence, &b.id))
                });
                vec![sorted]
            }
            Self::Shuffled | Self::Between | Self::Afterwards => case.batches(),
        };
        let defined_before = match self {
            Self::InOrder | Self::Shuffled => 0,
            Self::Between => batches.len() / 2,
            Self::Afterwards => batches.len(),
        };
        if case.draws() {
            engine.name(scope, &case.events).await;
        }
        for (place, batch) in batches.iter().enumerate() {
            if place == defined_before {
                engine.define(scope, FUNNEL, &case.funnel).await;
            }
            let report = engine.ingest(scope, batch).await;
            assert_eq!(report.rejections, [], "every event of a case is valid");
        }
        if defined_before == batches.len() {
            engine.define(scope, FUNNEL, &case.funnel).await;
        }
        engine.fill(scope).await;
    }
}

/// A live journey's timer rings at its next due instant or before.
async fn no_timer_is_late(fixture: &Fixture, scope: Scope) -> Result<(), TestCaseError> {
    let mut tx = fixture.engine.store.read(scope).await.expect("the database answers");
    let funnel = tx.funnel(FUNNEL).await.expect("the funnel").expect("it was defined");
    let revision =
        tx.revision(FUNNEL, funnel.revision).await.expect("its revision").expect("it was published");
    let mut subjects = tx.subjects_after(false, None, 100).await.expect("conversations");
    subjects.extend(tx.subjects_after(true, None, 100).await.expect("customers"));
    let journeys = tx.load_journeys(&[revision.head.key], &subjects).await.expect("journeys");
    drop(tx);
    let timers = fixture.database.timers(scope).await;
    for row in journeys.iter().filter(|row| row.live) {
        let Some(due) = row.journey.watch.open.as_ref().and_then(first_look) else {
            continue;
        };
        let rings = timers.get(&row.key.subject).is_some_and(|at| *at <= due);
        prop_assert!(rings, "no timer by {:?} for {:?}", due, row.journey);
    }
    Ok(())
}

async fn figures_agree(engine: &TestEngine, scope: Scope, case: &Case) -> Result<(), TestCaseError> {
    let world = World::new(&case.events, RECEIVED);
    let instants = world.instants();
    let last = instants.last().expect("a case has events").plus(DAY);
    for by in instants.into_iter().flat_map(|at| [at, at.plus(SECOND / 2)]).chain([last]) {
        let answer = engine.engine.query_funnel(scope, question(by)).await.expect("an answer");
        prop_assert!(answer.complete, "the funnel was filled");
        let model = ModelFigures::of(&world, &case.funnel, by);
        prop_assert_eq!(ModelFigures::read(&answer.figures), model, "by {:?}", by);
    }
    let told = told(&world, &case.funnel, last);
    for (place, stage) in case.funnel.stages.iter().enumerate() {
        for figure in [
            Figure::Reached,
            Figure::Active,
            Figure::Stalled,
            Figure::Abandoned,
            Figure::Ended,
            Figure::Recovered,
        ] {
            let question = SubjectsQuestion {
                base: question(last),
                stage: Some(stage.id.clone()),
                figure,
                group: None,
                bucket: None,
                after: None,
                limit: 100,
            };
            let answer = engine.engine.funnel_subjects(scope, question).await.expect("an answer");
            let names: BTreeSet<String> = answer.subjects.into_iter().map(|line| line.name).collect();
            let behind = told.iter().filter(|(_, told)| is_behind(told, case, figure, place));
            let model: BTreeSet<String> = behind.map(|(name, _)| name.clone()).collect();
            prop_assert_eq!(names, model, "{:?} {}", figure, stage.id);
        }
    }
    Ok(())
}

fn is_behind(told: &Told, case: &Case, figure: Figure, place: usize) -> bool {
    let is = |mood| told.place == Some(place) && told.mood == Some(mood);
    match figure {
        Figure::Reached => told.best().is_some_and(|best| best.reaches(&case.funnel, place)),
        Figure::Active => is(Mood::Active),
        Figure::Stalled => is(Mood::Stalled),
        Figure::Abandoned => is(Mood::Abandoned),
        Figure::Ended => is(Mood::Ended),
        Figure::Recovered => told.recovered.contains(&place),
        Figure::Dropped | Figure::Converted | Figure::NeverEntered => unreachable!("not asked"),
    }
}

/// Everything about the funnel by an instant.
pub fn question(by: Timestamp) -> FunnelQuestion {
    FunnelQuestion {
        funnel: FUNNEL.into(),
        revision: None,
        unit: None,
        period: Period::default(),
        as_of: Some(by),
        filter: String::new(),
        breakdowns: Vec::new(),
        trend: None,
        compare: None,
    }
}
