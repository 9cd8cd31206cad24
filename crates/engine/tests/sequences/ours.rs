//! Our own answer where no stage follows it: it ends what our silence began all the same.

use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::{MarkFate, MarkKind};
use rekindle_core::sequence::{Action, Escalate, Sequence, Step, Trigger, UnknownPolicy, Wait};
use rekindle_core::time::HOUR;
use rekindle_engine::Creation;
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::build::{FunnelExt, funnel};
use rekindle_testkit::{TestDatabase, databases};

use crate::house::{House, step};

/// Calls our own side.
fn page(id: &str) -> Step {
    let escalate = Escalate {
        destination: "hook".into(),
        to: String::new(),
        subject: String::new(),
        text: String::new(),
        body: r#"{"who":"{{ customer.id }}"}"#.into(),
        unknown: UnknownPolicy::Resend,
    };
    step(id, Action::Escalate(escalate))
}

/// A house that tells our side when it owes a word for 6,000 seconds, and again an hour later. From
/// `s1`, where a customer asks, only a purchase leads on.
async fn house(database: &TestDatabase) -> House {
    let house = House::bare(database);
    house.furnish().await;
    let (engine, scope) = (&house.engine, house.scope);
    let desk = funnel(&["customer_message", "purchase"]).stall(0, 6_000, OwedBy::Agent);
    engine.create_funnel(scope, "desk", desk, Creation::default()).await.expect("a good funnel");
    while engine.fill_step(scope).await.expect("the fill goes on") {}
    let trigger = Trigger {
        funnel: "desk".into(),
        stage: "s1".into(),
        on: MarkKind::Stalled.into(),
        owed_by: OwedBy::Agent,
    };
    let steps = vec![page("tell"), step("rest", Action::Wait(Wait::wall(HOUR))), page("again")];
    let late = Sequence::new(trigger, steps);
    engine.create_sequence(scope, "late", late, Creation::default()).await.expect("a good sequence");
    engine.start_sequence(scope, "late", None).await.expect("nothing stands in the way");
    house
}

/// Where the conversation is in `desk`.
async fn stage(house: &House) -> Option<String> {
    let view = house.engine.conversation(house.scope, "c1").await.expect("it is there");
    let desk = view.positions.into_iter().find(|position| position.funnel == "desk");
    desk.expect("it is followed").stage
}

#[tokio::test]
async fn our_answer_ends_what_our_silence_began_in_a_stage_that_it_does_not_leave() {
    for database in databases().await {
        let house = house(&database).await;
        house.word("e1", "customer_message", 0).await;
        house.go(6_000).await;
        assert_eq!(house.courier.sent().len(), 1, "{}", database.name);
        // Nothing that the customer hears.
        house.word("e2", "note", 6_100).await;
        house.assert_run(RunState::Running).await;
        house.word("e3", "agent_message", 6_200).await;
        let view = house.the_run().await;
        let expected = (RunState::Ended, Some(EndReason::AgentActed));
        assert_eq!((view.run.state, view.run.end_reason), expected, "{}", database.name);
        assert_eq!(view.mark.expect("on record").fate, MarkFate::Live);
        assert_eq!(stage(&house).await.as_deref(), Some("s1"));
        house.go(100_000).await;
        assert_eq!(house.courier.sent().len(), 1);
    }
}
