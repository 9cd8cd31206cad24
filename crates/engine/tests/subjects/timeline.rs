//! Histories: complete, in order, and the same on pages of any size.

use rekindle_core::event::OrderKey;
use rekindle_engine::subjects::{Happening, TimelineCursor, TimelineEntry};
use rekindle_testkit::build::{EventExt, at, event};

use crate::fixture::{Fixture, fixtures};

async fn desk(fixture: &Fixture) {
    fixture.customer_is("ann", &[("email", "ann@shop.invalid")]).await;
    fixture.happens(&[event("1", "customer_message", 10).of("talk").from_customer("ann")]).await;
    fixture.happens(&[event("2", "agent_message", 11).of("talk")]).await;
    fixture.happens(&[event("3", "visit", 11).only("ann")]).await;
    fixture.until(700).await;
    fixture.happens(&[event("4", "customer_message", 800).of("talk")]).await;
}

/// The history of `talk`, or else of `ann`, on pages of this size.
async fn history(fixture: &Fixture, of_talk: bool, limit: u32) -> Vec<TimelineEntry> {
    let (engine, scope) = (&fixture.test.engine, fixture.scope);
    let mut entries = Vec::new();
    let mut after: Option<TimelineCursor> = None;
    loop {
        let page = if of_talk {
            engine.conversation_timeline(scope, "talk", after, limit).await
        } else {
            engine.customer_timeline(scope, "ann", after, limit).await
        };
        let page = page.expect("a page");
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return entries;
        }
    }
}

fn word(entry: &TimelineEntry) -> String {
    let seconds = entry.at.since(at(0)) / rekindle_core::time::SECOND;
    let what = match &entry.what {
        Happening::Event(line) => format!("event {}", line.stored.event.kind),
        Happening::StageMove(step) => format!("{} {:?} to {}", step.funnel, step.from.as_deref(), step.to),
        Happening::Silence(silence) => format!("{} silence in {}", silence.funnel, silence.stage),
        Happening::Mark(mark) => format!("mark {:?} {}", mark.key.kind, mark.revision),
        Happening::Run(line) => format!("{} {}", line.run.sequence, line.event.kind),
        Happening::Delivery(line) => {
            format!("delivery {:?} after {}", line.delivery.state, line.attempts.len())
        }
    };
    format!("{seconds}: {what}")
}

#[tokio::test]
async fn a_history_tells_what_happened_was_noticed_and_was_done() {
    for fixture in fixtures().await {
        desk(&fixture).await;
        let told: Vec<String> = history(&fixture, true, 100).await.iter().map(word).collect();
        let story = [
            "10: event customer_message",
            "10: desk None to s1",
            "11: event agent_message",
            "11: desk Some(\"s1\") to s2",
            "611: desk silence in s2",
            "700: mark Stalled 1",
            "700: delivery Delivered after 1",
            "800: event customer_message",
        ];
        let runs = |line: &&String| !line.contains("writes") && !line.contains("waits");
        assert_eq!(
            told.iter().filter(runs).collect::<Vec<_>>(),
            story.iter().collect::<Vec<_>>(),
            "{}",
            fixture.database.name
        );
        assert!(told.iter().any(|line| line.contains("writes delivery")), "{told:?}");
        let customer: Vec<String> = history(&fixture, false, 100).await.iter().map(word).collect();
        for line in &told {
            assert!(customer.contains(line), "{line} in {customer:?}");
        }
        for line in ["0: event customer_updated", "10: people None to s1", "11: event visit"] {
            assert!(customer.contains(&line.to_owned()), "{line} in {customer:?}");
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_tell_the_same_history() {
    for fixture in fixtures().await {
        desk(&fixture).await;
        for of_talk in [true, false] {
            let whole = history(&fixture, of_talk, 100).await;
            assert!(whole.is_sorted_by_key(|entry| entry.at));
            for size in 1..4 {
                assert_eq!(
                    history(&fixture, of_talk, size).await,
                    whole,
                    "{} pages of {size}",
                    fixture.database.name
                );
            }
        }
    }
}

#[tokio::test]
async fn events_come_in_the_order_in_which_they_count_page_by_page() {
    for fixture in fixtures().await {
        // By bytes capitals come before small letters, whatever the language of the database.
        let events = [
            event("b", "x", 10).of("talk").from_customer("ann"),
            event("B", "x", 10).of("talk"),
            event("a", "x", 10).of("talk").sequence(1),
            event("c", "x", 9).only("ann"),
            event("d", "x", 11).of("else").from_customer("ann"),
        ];
        fixture.happens(&events).await;
        let mut seen = Vec::new();
        let mut after: Option<OrderKey> = None;
        loop {
            let page =
                fixture.test.engine.customer_events(fixture.scope, "ann", after, 2).await.expect("a page");
            for line in page.events {
                seen.push(format!("{}/{}", line.stored.event.id, line.conversation.unwrap_or_default()));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["c/", "B/talk", "b/talk", "a/talk", "d/else"], "{}", fixture.database.name);
        let page =
            fixture.test.engine.conversation_events(fixture.scope, "talk", None, 2).await.expect("a page");
        assert_eq!(page.next.map(|next| next.id).as_deref(), Some("b"));
    }
}
