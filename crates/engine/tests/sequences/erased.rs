//! Erasing: what runs hold of the erased goes, and what they hold of others stays.

use std::collections::BTreeMap;

use rekindle_core::sequence::{Action, CallWebhook, Sequence, Wait};
use rekindle_core::time::{DAY, HOUR};
use rekindle_core::value::{Properties, Value};
use rekindle_engine::Creation;
use rekindle_ports::deliver::SendOutcome;
use rekindle_testkit::build::{EventExt, FunnelExt, event};
use rekindle_testkit::{TestDatabase, databases, everything};
use uuid::Uuid;

use crate::house::{House, sequence, step, support, webhook};

/// Asks a webhook for a code, calls another an hour later, and rests.
fn learns() -> Sequence {
    let wants = BTreeMap::from([("code".to_owned(), "/code".to_owned())]);
    sequence(vec![
        step("coupon", Action::CallWebhook(CallWebhook { variables: wants, ..webhook() })),
        step("patience", Action::Wait(Wait::wall(HOUR))),
        step("tell", Action::CallWebhook(webhook())),
        step("rest", Action::Wait(Wait::wall(DAY))),
    ])
}

/// A house that follows conversations, and customers as such, each with a sequence of their own.
async fn house_of_both(database: &TestDatabase) -> House {
    let house = House::with(database, learns()).await;
    let (engine, scope) = (&house.engine, house.scope);
    let people = support().of_customers();
    engine.create_funnel(scope, "people", people, Creation::default()).await.expect("a good funnel");
    while engine.fill_step(scope).await.expect("the fill goes on") {}
    let mut person = learns();
    person.trigger.funnel = "people".into();
    engine.create_sequence(scope, "person", person, Creation::default()).await.expect("a good sequence");
    engine.start_sequence(scope, "person", None).await.expect("nothing stands in the way");
    house
}

/// What the receivers of a conversation's messages say.
fn secret_of(conversation: &str) -> String {
    format!("secret-of-{conversation}")
}

fn gives(secret: &str) -> SendOutcome {
    let answer = format!(r#"{{"code":"{secret}"}}"#);
    SendOutcome::Delivered { code: 200, response: String::new(), answer }
}

fn refuses(secret: &str) -> SendOutcome {
    SendOutcome::Rejected {
        phase: "response".into(),
        code: Some(400),
        response: secret.to_owned(),
        suppress: false,
        disable_destination: false,
    }
}

/// A customer is answered at a second and goes quiet: the run of the conversation and that of the
/// customer, which learn its secret and are refused with it.
async fn quiet(house: &House, who: &str, conversation: &str, second: i64) -> [Uuid; 2] {
    let anchor = format!("b-{conversation}");
    for (id, kind) in [(&format!("a-{conversation}"), "customer_message"), (&anchor, "agent_message")] {
        house.hear(event(id, kind, second).of(conversation).from_customer(who)).await;
    }
    let secret = secret_of(conversation);
    for (outcome, after) in [(gives(&secret), 600), (refuses(&secret), 600 + 3_600)] {
        house.courier.answer(outcome.clone());
        house.courier.answer(outcome);
        house.go(second + after).await;
    }
    let runs = house.runs().await.into_iter().filter(|view| view.run.trigger.anchor == anchor);
    let runs: Vec<Uuid> = runs.map(|view| view.run.id).collect();
    runs.try_into().expect("one of the conversation, and one of the customer")
}

/// Asserts that runs hold the secret of a conversation, in a variable and in the ledger; or nothing.
async fn assert_hold(house: &House, runs: [Uuid; 2], of: Option<&str>) {
    let secret = of.map(secret_of);
    let code = secret.iter().map(|secret| ("code".to_owned(), Value::from(secret.as_str())));
    let variables: Properties = code.collect();
    for run in runs {
        let view = house.engine.run(house.scope, run).await.expect("it is there");
        assert_eq!(view.run.progress.variables, variables);
        let lines = house.engine.run_events(house.scope, run).await.expect("readable");
        let settled = lines.into_iter().filter(|line| line.kind == "delivery_settled");
        let settled: Vec<String> = settled.map(|line| line.detail).collect();
        let run = run.simple();
        let expected = match &secret {
            Some(secret) => [format!("{run}-coupon-1: Delivered"), format!("{run}-tell-1: Failed {secret}")],
            None => [format!("{run}-coupon-1"), format!("{run}-tell-1")],
        };
        assert_eq!(settled, expected);
    }
}

#[tokio::test]
async fn what_runs_learnt_of_an_erased_customer_goes_and_what_they_learnt_of_others_stays() {
    for database in databases().await {
        let house = house_of_both(&database).await;
        let of_ann = quiet(&house, "ann", "c1", 0).await;
        let of_bob = quiet(&house, "bob", "c2", 10_000).await;
        assert_hold(&house, of_ann, Some("c1")).await;
        let erased = house.engine.erase_customer(house.scope, "ann").await.expect("can be erased");
        assert_eq!((erased.conversations, erased.runs), (1, 2), "{}", database.name);
        assert_hold(&house, of_ann, None).await;
        assert_hold(&house, of_bob, Some("c2")).await;
        assert!(!everything(&database).await.contains(&secret_of("c1")), "{}", database.name);
    }
}

#[tokio::test]
async fn what_the_owners_run_learnt_of_an_erased_conversation_goes_and_the_rest_of_theirs_stays() {
    for database in databases().await {
        let house = house_of_both(&database).await;
        let by_first = quiet(&house, "ann", "c1", 0).await;
        let by_second = quiet(&house, "ann", "c9", 10_000).await;
        let erased = house.engine.erase_conversation(house.scope, "c1").await.expect("can be erased");
        // Of the two runs that it started the owner's was over: Ann came back, elsewhere.
        assert_eq!((erased.events, erased.runs), (2, 1), "{}", database.name);
        assert_hold(&house, by_first, None).await;
        assert_hold(&house, by_second, Some("c9")).await;
        assert!(!everything(&database).await.contains(&secret_of("c1")), "{}", database.name);
    }
}
