//! Response-time targets that are tried out: who stalls when, and who goes on.

use std::collections::BTreeMap;

use rekindle_core::fold::Silence;
use rekindle_core::funnel::{Funnel, TargetExperiment};
use rekindle_core::ingest::NewEvent;
use rekindle_core::mark::{Mark, MarkKind};
use rekindle_core::metrics::Period;
use rekindle_core::metrics::targets::ArmCounts;
use rekindle_core::time::SECOND;
use rekindle_engine::metrics::{TargetAnswer, TargetQuestion};
use rekindle_engine::{EngineError, ResourceKind};
use rekindle_ports::rows::{JourneyRow, LivePolicy, NameKind};
use rekindle_testkit::build::{EventExt, FunnelExt, START, at, event};
use rekindle_testkit::{TestDatabase, databases};
use uuid::Uuid;

use crate::house::{House, support, wrong_fields};

/// Seconds after which our silence is a stall, by arm.
const TARGETS: [i64; 2] = [6_000, 3_000];
const CONVERSATIONS: u32 = 40;
/// When everybody asks, in seconds.
const ASKED: i64 = 10;

/// Asked, where two targets are tried out; answered; bought.
fn tried(experiment: &str) -> Funnel {
    support().targets(0, experiment, &TARGETS)
}

fn experiment(id: &str) -> TargetExperiment {
    tried(id).stages[0].target_experiment.clone().expect("as given")
}

fn arm(id: &str, assigned: Uuid) -> usize {
    experiment(id).place_of("asked", assigned).expect("arms weigh something")
}

/// A house that tries out targets from second 5 on.
async fn house(database: &TestDatabase, funnel: Funnel) -> House {
    let house = House::bare(database);
    house.furnish().await;
    house.clock.set(at(5));
    house.publish(funnel, LivePolicy::Drain).await;
    house
}

fn question_of(number: u32) -> NewEvent {
    event(&format!("a{number}"), "customer_message", ASKED).of(&format!("q{number}"))
}

/// Every conversation, of a customer of its own.
async fn all_ask(house: &House) {
    for number in 0..CONVERSATIONS {
        house.hear(question_of(number).from_customer(&format!("who{number}"))).await;
    }
}

/// The live journeys of the conversations.
async fn journeys(house: &House) -> Vec<JourneyRow> {
    let read = house.engine.read(house.scope, |tx, _| {
        Box::pin(async move {
            let mut pairs = Vec::new();
            for number in 0..CONVERSATIONS {
                let key = tx.key_of(NameKind::Conversation, &format!("q{number}")).await?;
                pairs.push(("support".to_owned(), key.expect("it was heard of")));
            }
            Ok(tx.live_journeys(&pairs).await?)
        })
    });
    read.await.expect("readable")
}

/// Whose arm it is: the customer's, or the conversation's where nobody knows whose it is.
fn assigned(row: &JourneyRow) -> Uuid {
    row.customer.unwrap_or(row.key.subject)
}

/// By conversation: whose arm it is, and after how many seconds its silence is a stall.
async fn stalls(house: &House) -> BTreeMap<Uuid, (Uuid, i64)> {
    let rows = journeys(house).await;
    assert_eq!(rows.len(), CONVERSATIONS as usize);
    let of = |row: &JourneyRow| {
        let due = row.journey.watch.open.as_ref().and_then(Silence::stall_at).expect("it waits for a word");
        (row.key.subject, (assigned(row), due.since(at(ASKED)) / SECOND))
    };
    rows.iter().map(of).collect()
}

/// Asserts that everybody's silence is a stall after the target of their arm, and that both arms
/// have somebody.
fn assert_stalls_of(id: &str, stalls: &BTreeMap<Uuid, (Uuid, i64)>) {
    for (assigned, seconds) in stalls.values() {
        assert_eq!(*seconds, TARGETS[arm(id, *assigned)]);
    }
    assert!(TARGETS.iter().all(|target| stalls.values().any(|(_, seconds)| seconds == target)));
}

async fn marks(house: &House) -> Vec<Mark> {
    let keys: Vec<Uuid> = journeys(house).await.iter().map(|row| row.key.subject).collect();
    let read = house.engine.read(house.scope, move |tx, _| {
        let keys = keys.clone();
        Box::pin(async move { Ok(tx.marks_of(&keys).await?) })
    });
    read.await.expect("readable")
}

fn question(stage: &str) -> TargetQuestion {
    TargetQuestion {
        funnel: "support".into(),
        revision: None,
        stage: stage.into(),
        period: Period::default(),
        as_of: None,
    }
}

async fn asked(house: &House, question: TargetQuestion) -> TargetAnswer {
    house.engine.query_target_experiment(house.scope, question).await.expect("targets are tried out there")
}

#[tokio::test]
async fn customers_stall_at_the_target_of_their_arm_and_the_reason_names_it() {
    for database in databases().await {
        let mut funnel = tried("faster");
        funnel.stages[0].warn_at = Some(500);
        let house = house(&database, funnel).await;
        all_ask(&house).await;
        assert_stalls_of("faster", &stalls(&house).await);
        for seconds in [1_500, 2_999, 3_000, 5_999, 6_000] {
            house.go(ASKED + seconds).await;
            let found = marks(&house).await;
            for row in journeys(&house).await {
                let target = TARGETS[arm("faster", assigned(&row))];
                let kinds: Vec<MarkKind> = found
                    .iter()
                    .filter(|mark| mark.key.subject == row.key.subject)
                    .map(|mark| mark.key.kind)
                    .collect();
                let due = [(target / 2, MarkKind::Warned), (target, MarkKind::Stalled)];
                let expected: Vec<MarkKind> =
                    due.into_iter().filter(|(due, _)| *due <= seconds).map(|(_, kind)| kind).collect();
                assert_eq!(kinds, expected, "{} after {seconds} of {target}", database.name);
            }
        }
        for mark in marks(&house).await {
            let place = arm("faster", mark.customer.expect("everybody is known"));
            let (seconds, words, spans) = match mark.key.kind {
                MarkKind::Warned => (TARGETS[place] / 2, "about to stall", ["50m", "25m"]),
                _ => (TARGETS[place], "stalled", ["1h 40m", "50m"]),
            };
            assert_eq!(mark.due_at, at(ASKED + seconds), "{}", database.name);
            let rule = format!("{} of a customer message without an answer", spans[place]);
            assert_eq!(mark.reason, format!("{words} after {rule}"));
        }
    }
}

#[tokio::test]
async fn who_goes_on_is_counted_once_in_the_arm_of_the_customer() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        // Before there were targets.
        house.hear(event("old", "customer_message", 1).of("old").from_customer("early")).await;
        house.clock.set(at(5));
        house.publish(tried("faster"), LivePolicy::Drain).await;
        all_ask(&house).await;
        // Another conversation of somebody who comes further in the first.
        house.hear(event("again", "customer_message", 20).of("other").from_customer("who0")).await;
        // Of three, one is answered within both targets, one within the longer, one not at all.
        for (seconds, rest) in [(2_000, 0), (4_000, 1)] {
            for number in (0..CONVERSATIONS).filter(|number| number % 3 == rest) {
                let answer = event(&format!("b{number}"), "agent_message", seconds).of(&format!("q{number}"));
                house.hear(answer).await;
            }
        }
        house.clock.set(at(7_000));
        let customers = customers(&house).await;
        let recount = |by: i64| {
            let mut arms = [ArmCounts::default(); 2];
            for (number, assigned) in customers.iter().enumerate() {
                let place = arm("faster", *assigned);
                let answered = [Some(2_000), Some(4_000), None][number % 3];
                let due = ASKED + TARGETS[place];
                let counts = &mut arms[place];
                counts.entered += 1;
                counts.stalled += i64::from(due <= by && answered.is_none_or(|answered| due < answered));
                counts.progressed += i64::from(answered.is_some_and(|answered| answered <= by));
            }
            arms
        };
        for by in [1_000, 3_500, 6_009, 7_000] {
            let answer = asked(&house, TargetQuestion { as_of: Some(at(by)), ..question("asked") }).await;
            assert_eq!(answer.figures.arms, recount(by), "{} by {by}", database.name);
        }
        let answer = asked(&house, question("asked")).await;
        assert_eq!((answer.view.revision.head.revision, answer.experiment.id.as_str()), (2, "faster"));
        assert_eq!((answer.period.from, answer.as_of, answer.complete), (Some(at(5)), at(7_000), true));
        assert_eq!(answer.figures.fit.counted, i64::from(CONVERSATIONS));
        assert!(!answer.figures.fit.is_mismatch());
        let arms = answer.figures.arms.iter().map(ArmCounts::progress);
        let shares: Vec<f64> = arms.map(|it| it.numerator as f64 / it.denominator as f64).collect();
        let difference = answer.figures.difference(1).expect("both arms");
        assert!((difference.value - (shares[1] - shares[0])).abs() < 1e-12);
        let all = Period { from: Some(at(0)), until: None };
        let answer = asked(&house, TargetQuestion { period: all, ..question("asked") }).await;
        assert_eq!(answer.figures.fit.counted, i64::from(CONVERSATIONS) + 1, "{}", database.name);
    }
}

#[tokio::test]
async fn who_an_exclusion_voids_while_they_wait_came_all_the_same() {
    for database in databases().await {
        let house = house(&database, tried("faster").exclude("refund", 0, 1)).await;
        all_ask(&house).await;
        for number in (0..CONVERSATIONS).step_by(2) {
            house.hear(event(&format!("v{number}"), "refund", 4_000).of(&format!("q{number}"))).await;
        }
        house.clock.set(at(7_000));
        let figures = asked(&house, question("asked")).await.figures;
        assert_eq!(figures.fit.counted, i64::from(CONVERSATIONS), "{}", database.name);
        assert!(figures.arms.iter().all(|arm| arm.progressed == 0), "{:?}", figures.arms);
    }
}

/// Keys of the customers, by their numbers.
async fn customers(house: &House) -> Vec<Uuid> {
    let read = house.engine.read(house.scope, |tx, _| {
        Box::pin(async move {
            let mut keys = Vec::new();
            for number in 0..CONVERSATIONS {
                let key = tx.key_of(NameKind::Customer, &format!("who{number}")).await?;
                keys.push(key.expect("everybody asked"));
            }
            Ok(keys)
        })
    });
    read.await.expect("readable")
}

#[tokio::test]
async fn a_revision_with_the_same_experiment_keeps_the_arms_and_another_draws_anew() {
    for database in databases().await {
        let house = house(&database, tried("faster")).await;
        all_ask(&house).await;
        let before = stalls(&house).await;
        assert_stalls_of("faster", &before);
        house.clock.set(at(20));
        let noted = Funnel { notes: "as it was".into(), ..tried("faster") };
        house.publish(noted, LivePolicy::Migrate).await;
        assert_eq!(stalls(&house).await, before, "{}", database.name);
        house.publish(tried("slower"), LivePolicy::Migrate).await;
        let after = stalls(&house).await;
        assert_stalls_of("slower", &after);
        assert_ne!(after, before, "{}", database.name);
        // The earlier revision is still what it was.
        let earlier = TargetQuestion { revision: Some(3), ..question("asked") };
        assert_eq!(asked(&house, earlier).await.experiment.id, "faster");
        assert_eq!(asked(&house, question("asked")).await.experiment.id, "slower");
    }
}

#[tokio::test]
async fn a_conversation_has_the_arm_of_its_customer_once_that_is_known() {
    for database in databases().await {
        let house = house(&database, tried("faster")).await;
        for number in 0..CONVERSATIONS {
            house.hear(question_of(number)).await;
        }
        let unknown = stalls(&house).await;
        assert_stalls_of("faster", &unknown);
        assert!(unknown.iter().all(|(conversation, (assigned, _))| conversation == assigned));
        for number in 0..CONVERSATIONS {
            let note = event(&format!("n{number}"), "note", 30).of(&format!("q{number}"));
            house.hear(note.from_customer(&format!("who{number}"))).await;
        }
        let known = stalls(&house).await;
        assert_stalls_of("faster", &known);
        assert!(known.iter().all(|(conversation, (assigned, _))| conversation != assigned));
        let moved = known.iter().filter(|(conversation, it)| unknown[*conversation].1 != it.1).count();
        assert!(moved > 0, "{}: nobody has another arm than before", database.name);
    }
}

#[tokio::test]
async fn a_question_about_what_is_not_tried_out_names_every_wrong_field() {
    for database in databases().await {
        let house = house(&database, tried("faster")).await;
        let refused = async |question: TargetQuestion| {
            wrong_fields(house.engine.query_target_experiment(house.scope, question).await)
        };
        assert_eq!(refused(question("nowhere")).await, ["stage"], "{}", database.name);
        assert_eq!(refused(question("answered")).await, ["stage"]);
        assert_eq!(refused(TargetQuestion { revision: Some(1), ..question("asked") }).await, ["stage"]);
        // It ends before the revision was published.
        let early = Period { from: None, until: Some(START) };
        assert_eq!(refused(TargetQuestion { period: early, ..question("asked") }).await, ["period.endTime"]);
        let before = TargetQuestion { period: early, ..question("asked") };
        let answer = house.engine.query_target_experiment(house.scope, before).await;
        let Err(EngineError::Invalid { violations, .. }) = &answer else { panic!("{answer:?}") };
        let expected = "must be later than the publication of the revision, where there is no startTime";
        assert_eq!(violations[0].message, expected, "{}", database.name);
        let both = TargetQuestion { period: early, ..question("nowhere") };
        assert_eq!(refused(both).await, ["period.endTime", "stage"]);
        for (wrong, missing) in [
            (TargetQuestion { funnel: "gone".into(), ..question("asked") }, ResourceKind::Funnel),
            (TargetQuestion { revision: Some(9), ..question("asked") }, ResourceKind::FunnelRevision),
        ] {
            let answer = house.engine.query_target_experiment(house.scope, wrong).await;
            let Err(EngineError::NotFound { kind, .. }) = answer else { panic!("{answer:?}") };
            assert_eq!(kind, missing);
        }
    }
}
