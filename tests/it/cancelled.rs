//! Clients that go away at random moments, over a slow link: what was acknowledged is there, and
//! no transaction is left open.
//!
//! On `PostgreSQL` the service's own way to its database is slow as well, so that requests are
//! abandoned in the middle of a BEGIN, a statement and a COMMIT.
//! `REKINDLE_TEST_SEED` chooses other moments, `REKINDLE_TEST_CANCELS` says how many requests the
//! long form has.

use std::collections::BTreeSet;
use std::time::Duration;

use rekindle_proto::v1;
use rekindle_proto::v1::conversation_service_client::ConversationServiceClient;
use rekindle_proto::v1::funnel_service_client::FunnelServiceClient;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::database::{self, Database};
use crate::desk::{WORKSPACE, funnel};
use crate::relay::Relay;
use crate::service::Settings;
use crate::surroundings::{Draws, variable};

mod caller;
mod sessions;

use caller::{CONVERSATIONS, Caller, Tally};
use sessions::Sessions;

/// Callers at once.
const CALLERS: u64 = 16;
/// Events of a batch that is sent again.
const BATCH: usize = 1_000;
/// For the service to end what nobody waits for.
const STOP: Duration = Duration::from_secs(40);

/// How many requests are cancelled, and how slow the links are.
#[derive(Debug, Clone, Copy)]
struct Plan {
    cancels: u64,
    /// One way between client and service.
    client: Duration,
    /// One way between service and `PostgreSQL`.
    database: Duration,
}

const SHORT: Plan =
    Plan { cancels: 400, client: Duration::from_millis(10), database: Duration::from_millis(2) };

/// A link of 100 ms there and back.
fn long() -> Plan {
    let cancels = variable("REKINDLE_TEST_CANCELS").and_then(|number| number.parse().ok()).unwrap_or(10_000);
    Plan { cancels, client: Duration::from_millis(50), database: Duration::from_millis(5) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_cancelled_requests_lose_nothing_on_sqlite() {
    cancel(&database::sqlite(), SHORT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_cancelled_requests_lose_nothing_on_postgres() {
    if let Some(database) = database::postgres().await {
        cancel(&database, SHORT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: just cancelled"]
async fn ten_thousand_cancelled_requests_lose_nothing_on_sqlite() {
    cancel(&database::sqlite(), long()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: just cancelled"]
async fn ten_thousand_cancelled_requests_lose_nothing_on_postgres() {
    if let Some(database) = database::postgres().await {
        cancel(&database, long()).await;
    }
}

async fn cancel(database: &Database, plan: Plan) {
    let seed: u64 = variable("REKINDLE_TEST_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(20_080_427);
    eprintln!("{}: {plan:?}, REKINDLE_TEST_SEED={seed}", database.name);
    let settings = Settings::of(database).with("SERVER__GRACE_SECONDS", "30");
    let link = match server_of(&database.url) {
        Some(server) => Some(Relay::start(server, plan.database).await),
        None => None,
    };
    let slow = match (&link, server_of(&database.url)) {
        (Some(link), Some(server)) => {
            let url = database.url.replacen(&server, &link.address.to_string(), 1);
            settings.clone().with("DATABASE__URL", &url)
        }
        _ => settings.clone(),
    };
    let mut service = slow.start().await;
    define(&service.channel).await;
    let sessions = match database.name {
        "postgres" => Some(Sessions::watch(database).await),
        _ => None,
    };

    let relay = Relay::start(service.grpc.to_string(), plan.client).await;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller::new(number, seed.wrapping_add(number), relay.address, plan.client);
        callers.spawn(caller.call(plan.cancels.div_ceil(CALLERS)));
    }
    let tally = callers.join_all().await.into_iter().fold(Tally::default(), Tally::and);

    let longest = match sessions {
        Some(sessions) => format!(", longest stand in a transaction {:?}", sessions.end().await),
        None => String::new(),
    };
    // Whoever was not told may be stored: what is under way ends before the process does.
    service.process.signal("TERM");
    let ended = service.process.exit(STOP).await;
    assert_eq!(ended.code(), Some(0));
    let service = settings.start().await;
    let missing = missing(&service.channel, &tally).await;
    println!(
        "{}: {} requests cancelled, {} answered, {} refused; {} events acknowledged, {} missing{longest}",
        database.name,
        tally.cancelled,
        tally.answered,
        tally.refused,
        tally.acknowledged.len(),
        missing.len()
    );
    assert_eq!(missing, BTreeSet::new());
    assert!(
        tally.cancelled >= plan.cancels && tally.acknowledged.len() as u64 >= CALLERS,
        "too little happened"
    );
}

async fn define(channel: &Channel) {
    let request = v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: "desk".into(),
        funnel: Some(funnel()),
        ..Default::default()
    };
    FunnelServiceClient::new(channel.clone()).create_funnel(request).await.expect("a valid funnel");
}

/// Acknowledged events that are not to be read, or that are taken as new when they come again.
async fn missing(channel: &Channel, tally: &Tally) -> BTreeSet<String> {
    let mut missing: BTreeSet<String> = tally.acknowledged.keys().cloned().collect();
    let mut client = ConversationServiceClient::new(channel.clone());
    for conversation in 0..CONVERSATIONS {
        let parent = format!("{WORKSPACE}/conversations/c{conversation}");
        let mut request =
            v1::ListConversationEventsRequest { parent, page_size: 1_000, ..Default::default() };
        // A conversation that nobody was told of may not be there.
        while let Ok(page) = client.list_conversation_events(request.clone()).await {
            let page = page.into_inner();
            for event in &page.events {
                missing.remove(&event.id);
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
    }
    let mut client = IngestServiceClient::new(channel.clone());
    let events: Vec<v1::Event> = tally.acknowledged.values().cloned().collect();
    for batch in events.chunks(BATCH) {
        let request = v1::IngestEventsRequest { parent: WORKSPACE.into(), events: batch.to_vec() };
        let answer = client.ingest_events(request).await.expect("events that are known").into_inner();
        assert_eq!((answer.accepted_count, answer.duplicate_count), (0, batch.len() as i64));
    }
    missing
}

/// `HOST:PORT` of a server's URL; a file has none.
fn server_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
    let authority = rest.split('/').next()?;
    let server = authority.rsplit('@').next()?;
    Some(if server.contains(':') { server.to_owned() } else { format!("{server}:5432") })
}

/// A draw that decides what a caller does; see [`Caller`].
fn chance(draws: &mut Draws) -> u64 {
    draws.between(0, 99)
}
