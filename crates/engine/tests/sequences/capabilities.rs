//! Rows of the capability list that sequences make possible, each as its customers meet it.

use rekindle_core::event::Author;
use rekindle_core::funnel::{Funnel, OwedBy, Property, PropertyScope, templates};
use rekindle_core::ingest::NewEvent;
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::{BreakdownSpec, Period, Ratio};
use rekindle_core::sequence::{
    Action, Branch, Case, Occasion, OnEvent, SendEmail, Sequence, Step, Trigger, Wait, WaitFor,
};
use rekindle_core::time::DAY;
use rekindle_engine::Creation;
use rekindle_engine::metrics::FunnelQuestion;
use rekindle_engine::sequences::PreviewData;
use rekindle_ports::ledger::{EndReason, Message, RunState};
use rekindle_testkit::build::{EventExt, FunnelExt, at, event, funnel};
use rekindle_testkit::{TestDatabase, databases};
use serde_json::json;

use crate::house::{House, email, sequence, step};

/// Seconds.
const A_DAY: i64 = 86_400;

/// A house with a sequence at work over a funnel `life` of customers.
async fn house_of(database: &TestDatabase, life: Funnel, sequence: Sequence) -> House {
    let house = House::bare(database);
    house.furnish().await;
    follow(&house, "life", life).await;
    let created = house.engine.create_sequence(house.scope, "nudge", sequence, Creation::default()).await;
    created.expect("a good sequence");
    house.engine.start_sequence(house.scope, "nudge", None).await.expect("nothing stands in the way");
    house
}

/// Defines a funnel.
async fn follow(house: &House, id: &str, funnel: Funnel) {
    let created = house.engine.create_funnel(house.scope, id, funnel, Creation::default()).await;
    created.expect("a good funnel");
    while house.engine.fill_step(house.scope).await.expect("the fill goes on") {}
}

/// Tells the house of a customer who can be written to.
async fn introduce(house: &House, who: &str) {
    let about = event(&format!("{who}-0"), "customer_updated", 0).only(who);
    house.hear(about.with("email", format!("{who}@example.invalid")).with("name", who)).await;
}

/// Runs over `life` that start with every event that a rule takes.
fn starts_on(when: &str, steps: Vec<Step>) -> Sequence {
    let trigger = Trigger {
        funnel: "life".into(),
        stage: String::new(),
        on: Occasion::Event(OnEvent { when: when.into() }),
        owed_by: OwedBy::Anyone,
    };
    Sequence::new(trigger, steps)
}

fn mail(id: &str, subject: &str) -> Step {
    step(id, Action::SendEmail(SendEmail { subject: subject.into(), ..email() }))
}

fn wait(id: &str, days: i64) -> Step {
    step(id, Action::Wait(Wait::wall(days * DAY)))
}

/// Recipients and subjects of the mails that went out, in the order of the alphabet.
fn mails(house: &House) -> Vec<String> {
    let subject = |message: Message| match message {
        Message::Email { to, subject, .. } => format!("{to}: {subject}"),
        other => panic!("not a mail: {other:?}"),
    };
    let mut all: Vec<String> = house.courier.sent().into_iter().map(|it| subject(it.message)).collect();
    all.sort();
    all
}

/// S3-24.
#[tokio::test]
async fn thirty_days_without_use_earn_a_bonus_once_and_use_until_then_prevents_it() {
    let month = 30 * A_DAY;
    let trigger = Trigger {
        funnel: "life".into(),
        stage: "s1".into(),
        on: MarkKind::Stalled.into(),
        owed_by: OwedBy::Anyone,
    };
    let bonus = || {
        Sequence::new(
            trigger.clone(),
            vec![mail("bonus", "{{ customer.name }}, {{ customer.bonus }} is yours")],
        )
    };
    // Used again a microsecond before the instant, at the very instant, and not at all.
    for (used_again, expected) in [(Some(-1), 0), (Some(0), 0), (None, 1)] {
        for database in databases().await {
            let life = funnel(&["app_used", "renewed"]).of_customers().stall(0, month, OwedBy::Anyone);
            let house = house_of(&database, life, bonus()).await;
            house.hear(event("ann-2", "customer_updated", 0).only("ann").with("bonus", "a month")).await;
            house.hear(event("u1", "app_used", 0).only("ann")).await;
            house.clock.set(at(month).plus(-1));
            house.loops.drain().await.expect("the loops can work");
            assert!(mails(&house).is_empty(), "{}: not due yet", database.name);
            if let Some(shift) = used_again {
                let again = event("u2", "app_used", month).only("ann");
                house.hear(NewEvent { occurred_at: again.occurred_at.plus(shift), ..again }).await;
            }
            house.go(month).await;
            house.go(month + A_DAY).await;
            assert_eq!(mails(&house).len(), expected, "{}: {used_again:?}", database.name);
            // Who used it again is quiet for as long a second time; who was written to is quiet once.
            house.go(2 * month).await;
            assert_eq!(mails(&house), ["ann@example.invalid: Ann, a month is yours"]);
            house.assert_run(RunState::Completed).await;
        }
    }
}

/// S4-8.
#[tokio::test]
async fn a_week_after_the_purchase_we_ask_for_a_review_unless_the_customer_speaks_before() {
    let subject = "How do you like the {{ event.properties.product }}?";
    for speaks in [false, true] {
        for database in databases().await {
            let journey = templates::find("eight-stage-journey").expect("a template").funnel;
            let asks = starts_on("event.type == 'purchase'", vec![wait("week", 7), mail("review", subject)]);
            let house = house_of(&database, journey, asks).await;
            for (place, kind) in ["page_viewed", "cart_updated", "purchase"].iter().enumerate() {
                let touch = event(&format!("t{place}"), kind, 60).sequence(place as i64).only("ann");
                house.hear(touch.with("product", "lamp")).await;
            }
            house.go(60).await;
            // The parcel comes: nothing that the customer says.
            house.hear(event("t3", "delivered", 2 * A_DAY).only("ann").by(Author::System)).await;
            house.go(2 * A_DAY).await;
            if speaks {
                house.word("w1", "customer_message", 3 * A_DAY).await;
            }
            house.go(60 + 7 * A_DAY - 1).await;
            assert!(mails(&house).is_empty(), "{}: not a week yet", database.name);
            house.go(60 + 7 * A_DAY).await;
            let run = house.the_run().await.run;
            if speaks {
                assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
                assert!(mails(&house).is_empty(), "{}", database.name);
            } else {
                assert_eq!(run.state, RunState::Completed, "{}", database.name);
                assert_eq!(mails(&house), ["ann@example.invalid: How do you like the lamp?"]);
            }
        }
    }
}

/// S4-9: whoever buys a printer needs ink within 60 days.
fn ink() -> Sequence {
    let bought =
        |category: &str| format!("event.type == 'purchase' && event.properties.category == '{category}'");
    let absence = WaitFor {
        rule: bought("ink"),
        within: 60 * DAY,
        then: Vec::new(),
        otherwise: vec![mail(
            "need",
            "{{ event.properties.refill }} for your {{ event.properties.product }}",
        )],
    };
    let steps = vec![step("absence", Action::WaitFor(absence))];
    // Who buys something else is no less in need.
    Sequence { outlasts_return: true, ..starts_on(&bought("printer"), steps) }
}

/// S4-9.
#[tokio::test]
async fn a_need_is_noticed_by_what_was_not_bought_and_its_mail_names_the_products() {
    for database in databases().await {
        let house = house_of(&database, funnel(&["purchase", "review"]).of_customers(), ink()).await;
        introduce(&house, "bob").await;
        for (who, product) in [("ann", "Quill 2"), ("bob", "Quill 3")] {
            let printer =
                event(&format!("{who}-printer"), "purchase", 0).only(who).with("category", "printer");
            house.hear(printer.with("product", product).with("refill", "blue-black")).await;
        }
        house.go(0).await;
        let paper = event("ann-paper", "purchase", 10 * A_DAY).only("ann").with("category", "paper");
        house.hear(paper).await;
        house.go(10 * A_DAY).await;
        // In another channel, and still Bob's.
        let ink =
            event("bob-ink", "purchase", 59 * A_DAY).of("c2").from_customer("bob").with("category", "ink");
        house.hear(ink).await;
        house.go(60 * A_DAY - 1).await;
        assert!(mails(&house).is_empty(), "{}", database.name);
        house.go(60 * A_DAY).await;
        assert_eq!(mails(&house), ["ann@example.invalid: blue-black for your Quill 2"], "{}", database.name);
        let runs = house.runs().await;
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().all(|view| view.run.state == RunState::Completed), "{runs:#?}");
    }
}

/// S4-26: three mails over five days, for as long as there is something left to wish for.
fn nurture() -> Sequence {
    let over = |id: &str| vec![step(id, Action::End)];
    let active = WaitFor {
        rule: "event.type == 'project_created'".into(),
        within: 2 * DAY,
        then: over("activated"),
        otherwise: Vec::new(),
    };
    let paid = Case { when: "customer.plan == 'paid'".into(), steps: over("convinced") };
    let steps = vec![
        mail("welcome", "Welcome"),
        step("active", Action::WaitFor(active)),
        mail("tips", "Three ways to begin"),
        wait("rest", 3),
        step("paid", Action::Branch(Branch { cases: vec![paid], otherwise: Vec::new() })),
        mail("offer", "A month for nothing"),
    ];
    Sequence { outlasts_return: true, ..starts_on("event.type == 'signup'", steps) }
}

/// S4-26.
#[tokio::test]
async fn who_signs_up_is_nurtured_until_they_are_active() {
    for database in databases().await {
        let house = house_of(&database, funnel(&["signup", "renewal"]).of_customers(), nurture()).await;
        introduce(&house, "bob").await;
        introduce(&house, "cid").await;
        for who in ["ann", "bob", "cid"] {
            house.hear(event(&format!("{who}-signup"), "signup", 0).only(who)).await;
        }
        house.go(0).await;
        // Ann looks around, which ends nothing; Bob begins.
        house.hear(event("ann-2", "page_viewed", A_DAY).only("ann")).await;
        house.hear(event("bob-2", "project_created", A_DAY).only("bob")).await;
        house.go(2 * A_DAY - 1).await;
        let welcomes = ["ann", "bob", "cid"].map(|who| format!("{who}@example.invalid: Welcome"));
        assert_eq!(mails(&house), welcomes, "{}", database.name);
        house.go(2 * A_DAY).await;
        house.hear(event("cid-2", "customer_updated", 4 * A_DAY).only("cid").with("plan", "paid")).await;
        house.go(5 * A_DAY).await;
        let expected = [
            "ann@example.invalid: A month for nothing",
            "ann@example.invalid: Three ways to begin",
            "ann@example.invalid: Welcome",
            "bob@example.invalid: Welcome",
            "cid@example.invalid: Three ways to begin",
            "cid@example.invalid: Welcome",
        ];
        assert_eq!(mails(&house), expected, "{}", database.name);
        let runs = house.runs().await;
        assert!(runs.iter().all(|view| view.run.state == RunState::Completed), "{runs:#?}");
    }
}

/// S4-28: proof for the careful, an offer for the thrifty, and the pain for all others.
fn by_segment() -> Sequence {
    let case = |segment: &str, block: Step| Case {
        when: format!("customer.segment == '{segment}'"),
        steps: vec![block],
    };
    let blocks = Branch {
        cases: vec![
            case("careful", mail("proof", "{{ customer.name }}, 900 shops trust us")),
            case("thrifty", mail("offer", "{{ customer.name }}, {{ customer.discount }} off")),
        ],
        otherwise: vec![mail("pain", "Tired of waiting, {{ customer.name }}?")],
    };
    sequence(vec![step("block", Action::Branch(blocks))])
}

/// S4-28.
#[tokio::test]
async fn a_preview_shows_every_block_for_each_segment_and_a_customer_gets_that_of_theirs() {
    for database in databases().await {
        let house = House::with(&database, by_segment()).await;
        introduce(&house, "bob").await;
        for (who, segment, discount) in [("ann", "careful", "5 %"), ("bob", "thrifty", "20 %")] {
            let known = event(&format!("{who}-2"), "customer_updated", 0).only(who);
            house.hear(known.with("segment", segment).with("discount", discount)).await;
        }
        let sample = json!({ "customer": { "name": "Eve", "segment": "hurried", "discount": "none" } });
        let previews = [
            (PreviewData::Customer("ann".into()), "Ann", "5 %"),
            (PreviewData::Customer("bob".into()), "bob", "20 %"),
            (PreviewData::Sample(sample), "Eve", "none"),
        ];
        for (data, name, discount) in previews {
            let shown = house.engine.preview_sequence(house.scope, "nudge", data).await.expect("there");
            assert!(shown.iter().all(|message| message.violations.is_empty()), "{shown:#?}");
            let blocks: Vec<_> =
                shown.into_iter().map(|message| format!("{}: {}", message.step, message.subject)).collect();
            let expected = [
                format!("proof: {name}, 900 shops trust us"),
                format!("offer: {name}, {discount} off"),
                format!("pain: Tired of waiting, {name}?"),
            ];
            assert_eq!(blocks, expected, "{}", database.name);
        }
        house.answer_ann().await;
        for (id, kind) in [("b1", "customer_message"), ("b2", "agent_message")] {
            house.hear(event(id, kind, 0).of("c2").from_customer("bob")).await;
        }
        house.go(600).await;
        let expected = ["ann@example.invalid: Ann, 900 shops trust us", "bob@example.invalid: bob, 20 % off"];
        assert_eq!(mails(&house), expected, "{}", database.name);
    }
}

/// S4-29.
#[tokio::test]
async fn landing_pages_are_told_apart_by_their_counts_and_compared_by_the_test_of_two_shares() {
    for database in databases().await {
        let house = House::bare(&database);
        follow(&house, "landing", funnel(&["landing_viewed", "signup"]).of_customers()).await;
        let mut events = Vec::new();
        for (page, visitors, signups) in [("calm", 40, 10), ("loud", 40, 22)] {
            for number in 0..visitors {
                let who = format!("{page}-{number}");
                let view = event(&format!("{who}-view"), "landing_viewed", number).only(&who);
                events.push(view.with("page", page));
                if number < signups {
                    events.push(event(&format!("{who}-signup"), "signup", number + 60).only(&who));
                }
            }
        }
        house.clock.set(at(1_000));
        let report = house.engine.ingest(house.scope, events).await.expect("it can be stored");
        assert_eq!(report.accepted, 80 + 32, "{report:?}");
        let by_page = BreakdownSpec {
            property: Property { scope: PropertyScope::Event, key: "page".into() },
            top: 10,
            at_entry: false,
        };
        let question = FunnelQuestion {
            funnel: "landing".into(),
            revision: None,
            unit: None,
            period: Period::default(),
            as_of: None,
            filter: String::new(),
            breakdowns: vec![by_page],
            trend: None,
            compare: None,
        };
        let answer = house.engine.query_funnel(house.scope, question).await.expect("an answer");
        let group = |page: &str| {
            let group = answer.breakdowns[0].iter().find(|group| group.value == page);
            group.expect("a page that somebody saw")
        };
        let (calm, loud) = (group("calm"), group("loud"));
        let converted = |numerator| Ratio { numerator, denominator: 40 };
        assert_eq!(calm.figures.converted, converted(10), "{}", database.name);
        assert_eq!(loud.figures.converted, converted(22), "{}", database.name);
        let found = loud.converted_difference.expect("both were seen");
        // By erfc and Newcombe's formula in another language.
        assert!((found.p_value.expect("enough of both") - 0.006_169_899_320_544).abs() < 1e-12, "{found:?}");
        assert!((found.interval.low - 0.085_287_885_926_057).abs() < 1e-12, "{found:?}");
        assert!(found.is_more());
        assert!(calm.converted_difference.expect("both were seen").is_less());
    }
}
