//! The server: every limit of HTTP/2 said out loud, and a drain that ends.

use std::time::Duration;

use rekindle_engine::Engine;
use rekindle_proto::FILE_DESCRIPTOR_SET;
use rekindle_proto::v1::conversation_service_server::ConversationServiceServer;
use rekindle_proto::v1::customer_service_server::CustomerServiceServer;
use rekindle_proto::v1::delivery_service_server::DeliveryServiceServer;
use rekindle_proto::v1::destination_service_server::DestinationServiceServer;
use rekindle_proto::v1::funnel_service_server::FunnelServiceServer;
use rekindle_proto::v1::metrics_service_server::MetricsServiceServer;
use rekindle_proto::v1::replay_service_server::ReplayServiceServer;
use rekindle_proto::v1::run_service_server::RunServiceServer;
use rekindle_proto::v1::sequence_service_server::SequenceServiceServer;
use rekindle_proto::v1::suppression_service_server::SuppressionServiceServer;
use rekindle_proto::v1::workspace_service_server::WorkspaceServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::Layer;

use crate::admission::{Admission, Rate};
use crate::layers::faults::Faults;
use crate::layers::gate::{Gate, GateLayer};
use crate::limits::{CallLimits, ConnectionLimits, DECODE_LIMIT, ENCODE_LIMIT};
use crate::listener::{Ends, listen};
use crate::page::Pager;
use crate::services::Desk;
use crate::services::conversations::Conversations;
use crate::services::customers::Customers;
use crate::services::deliveries::Deliveries;
use crate::services::destinations::Destinations;
use crate::services::funnels::Funnels;
use crate::services::ingest::{Ingest, Sizes};
use crate::services::metrics::Metrics;
use crate::services::replays::Replays;
use crate::services::runs::Runs;
use crate::services::sequences::Sequences;
use crate::services::suppressions::Suppressions;
use crate::services::workspaces::Workspaces;

/// A service that reads messages up to [`DECODE_LIMIT`], compressed or not, and writes them up
/// to [`ENCODE_LIMIT`].
macro_rules! bounded {
    ($service:expr) => {
        $service
            .max_decoding_message_size(DECODE_LIMIT)
            .max_encoding_message_size(ENCODE_LIMIT)
            .accept_compressed(CompressionEncoding::Gzip)
    };
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct Options {
    /// What connections may be and do.
    pub connections: ConnectionLimits,
    /// What calls may take.
    pub calls: CallLimits,
    /// How many events are taken in; all that come when there is no rate.
    pub admission: Option<Rate>,
    /// How long calls under way may go on after shutdown has begun.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            calls: CallLimits::default(),
            admission: None,
            drain: Duration::from_secs(25),
        }
    }
}

/// Everything that is served.
#[derive(Clone)]
pub struct Services {
    engine: Engine,
    pager: Pager,
    options: Options,
    admission: Admission,
    faults: Faults,
    health: HealthReporter,
}

/// Why serving ended other than by shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors of the services cannot be read.
    #[error("the descriptors of the services cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// All services behind our layers.
pub type Layered = GrpcWebService<Gate<Routes>>;

impl Services {
    /// The services over an engine. `token_key` signs page tokens: replicas behind one address
    /// share it.
    pub fn new(engine: Engine, token_key: [u8; 32], options: Options) -> Self {
        let admission = Admission::new(options.admission);
        Self {
            engine,
            pager: Pager::new(token_key),
            options,
            admission,
            faults: Faults::default(),
            health: HealthReporter::new(),
        }
    }

    /// How many calls ended with `INTERNAL` since the start, for a panic or another fault of
    /// ours; it must stay 0.
    pub fn faults(&self) -> u64 {
        self.faults.count()
    }

    /// What `grpc.health.v1` answers. The binary tells it the truth about the database and
    /// the loops; until then the server as a whole counts as serving.
    pub fn health(&self) -> &HealthReporter {
        &self.health
    }

    /// Every service, ready to be served. Streams of events end when `stopping` is cancelled.
    pub fn router(&self, stopping: CancellationToken) -> Result<Layered, ServeError> {
        let desk = Desk {
            engine: self.engine.clone(),
            pager: self.pager.clone(),
            admission: self.admission.clone(),
            limits: self.options.calls,
            faults: self.faults.clone(),
            stopping,
        };
        let health = HealthServer::new(HealthService::from_health_reporter(self.health.clone()));
        let gate = GateLayer::new(self.engine.clone(), self.options.calls, self.faults.clone());
        let routes = Routes::new(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(bounded!(ConversationServiceServer::new(Conversations(desk.clone()))))
            .add_service(bounded!(CustomerServiceServer::new(Customers(desk.clone()))))
            .add_service(bounded!(DeliveryServiceServer::new(Deliveries(desk.clone()))))
            .add_service(bounded!(DestinationServiceServer::new(Destinations(desk.clone()))))
            .add_service(bounded!(FunnelServiceServer::new(Funnels(desk.clone()))))
            .add_service(Sizes::new(&Ingest(desk.clone())))
            .add_service(bounded!(MetricsServiceServer::new(Metrics(desk.clone()))))
            .add_service(bounded!(ReplayServiceServer::new(Replays(desk.clone()))))
            .add_service(bounded!(RunServiceServer::new(Runs(desk.clone()))))
            .add_service(bounded!(SequenceServiceServer::new(Sequences(desk.clone()))))
            .add_service(bounded!(SuppressionServiceServer::new(Suppressions(desk.clone()))))
            .add_service(bounded!(WorkspaceServiceServer::new(Workspaces(desk))));
        Ok(GrpcWebLayer::new().layer(gate.layer(routes.prepare())))
    }
}

/// Serves on `listener` until `shutdown` is cancelled and the calls under way are through, or
/// the drain is over: then their connections are cut.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let ends = Ends { stopping: shutdown.clone(), cut: CancellationToken::new() };
    let cut = ends.cut.clone();
    let router = services.router(shutdown.clone())?;
    let engine = services.engine.clone();
    let serving =
        listen(listener, router, services.options.connections, move || engine.minter().mint(), ends);
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(services.options.drain).await;
        tracing::warn!("calls were still under way when the drain was over; their connections are cut");
        cut.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serving => {}
        () = overdue => {}
    }
    Ok(())
}

/// Names under which health answers: the server as a whole, and every service.
pub fn service_names() -> [&'static str; 13] {
    use rekindle_proto::v1;
    [
        "",
        v1::conversation_service_server::SERVICE_NAME,
        v1::customer_service_server::SERVICE_NAME,
        v1::delivery_service_server::SERVICE_NAME,
        v1::destination_service_server::SERVICE_NAME,
        v1::funnel_service_server::SERVICE_NAME,
        v1::ingest_service_server::SERVICE_NAME,
        v1::metrics_service_server::SERVICE_NAME,
        v1::replay_service_server::SERVICE_NAME,
        v1::run_service_server::SERVICE_NAME,
        v1::sequence_service_server::SERVICE_NAME,
        v1::suppression_service_server::SERVICE_NAME,
        v1::workspace_service_server::SERVICE_NAME,
    ]
}

/// Reflection over the public services and health, and not over itself.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}
