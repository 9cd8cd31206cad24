//! A server of one test: its own database in memory, its own port, a clock that stands still.

use std::net::SocketAddr;
use std::sync::Arc;

use rekindle_core::time::{DAY, MINUTE};
use rekindle_ports::Store;
use rekindle_proto::v1::funnel_service_client::FunnelServiceClient;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use rekindle_proto::v1::metrics_service_client::MetricsServiceClient;
use rekindle_proto::v1::{self, Event};
use rekindle_server::{Options, ServeError, Services, serve};
use rekindle_store_sea::{StoreOptions, open};
use rekindle_testkit::TestEngine;
use rekindle_testkit::build::RECEIVED;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::{ErrorDetails, StatusExt};

/// The workspace of every test.
pub const WORKSPACE: &str = "workspaces/default";

/// A server, and a channel to it.
pub struct Server {
    pub address: SocketAddr,
    pub channel: Channel,
    pub services: Services,
    pub test: TestEngine,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    /// A server that answers.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// The same with limits of a test's own.
    pub async fn with(options: Options) -> Self {
        Self::over(memory().await, options).await
    }

    /// The same over a store of a test's own.
    pub async fn over(store: Arc<dyn Store>, options: Options) -> Self {
        let test = TestEngine::new(store, 7);
        let engine = test.engine.clone();
        let services = Services::new(engine.clone(), [7; 32], options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shutdown = CancellationToken::new();
        let served = test.tracker.spawn(serve(listener, services.clone(), shutdown.clone()));
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("a valid address");
        let channel = endpoint.connect().await.expect("the server listens");
        Self { address, channel, services, test, shutdown, served }
    }

    pub fn funnels(&self) -> FunnelServiceClient<Channel> {
        FunnelServiceClient::new(self.channel.clone())
    }

    pub fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel.clone())
    }

    pub fn metrics(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::new(self.channel.clone())
    }

    /// Creates a funnel of two stages: asked and solved.
    pub async fn with_funnel(&self, id: &str) -> v1::Funnel {
        let request = v1::CreateFunnelRequest {
            parent: WORKSPACE.into(),
            funnel_id: id.into(),
            funnel: Some(two_stages()),
            ..Default::default()
        };
        let created = self.funnels().create_funnel(request).await.expect("a valid funnel");
        created.into_inner().funnel.expect("the funnel as created")
    }
}

/// A database in memory.
pub async fn memory() -> Arc<dyn Store> {
    let options = StoreOptions { url: "sqlite::memory:".into(), max_connections: 1 };
    Arc::new(open(&options, true).await.expect("a database in memory"))
}

/// From a question to a resolution.
pub fn two_stages() -> v1::Funnel {
    let stage = |id: &str, kind: &str| v1::Stage {
        id: id.into(),
        enter: vec![v1::Match { event_types: vec![kind.into()], ..Default::default() }],
        ..Default::default()
    };
    v1::Funnel {
        stages: vec![stage("asked", "customer_message"), stage("solved", "resolution")],
        ..Default::default()
    }
}

/// An event of a conversation, `minute` minutes after the day before the clock's now.
pub fn event(id: &str, conversation: &str, kind: &str, minute: i64) -> Event {
    let at = RECEIVED.plus(-DAY).plus(minute * MINUTE);
    let (seconds, nanos) = at.to_parts();
    Event {
        id: id.into(),
        conversation: conversation.into(),
        r#type: kind.into(),
        occur_time: Some(pbjson_types::Timestamp { seconds, nanos }),
        ..Default::default()
    }
}

/// Events of one batch, so many that no two batches share an id.
pub fn batch(name: &str, size: usize) -> v1::IngestEventsRequest {
    let events = (0..size).map(|place| event(&format!("{name}-{place}"), "c-1", "note", 0)).collect();
    v1::IngestEventsRequest { parent: WORKSPACE.into(), events }
}

/// The reason of a refusal, and all its details.
pub fn reason(status: &Status) -> (String, ErrorDetails) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    (reason.unwrap_or_else(|| panic!("{status:?} has no reason")), details)
}

/// The fields that a refusal names.
pub fn fields(status: &Status) -> Vec<String> {
    let (_, details) = reason(status);
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}
