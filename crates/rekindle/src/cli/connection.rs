//! A connection to a server, and the clients that share it.

use std::error::Error;
use std::time::Duration;

use rekindle_proto::v1;
use tonic::transport::{Channel, Endpoint};

use crate::cli::Failure;

/// How long opening the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is taken, in bytes; broken-down funnels can be large.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Which server, and which workspace of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// Address of the server
    #[arg(long, env = "REKINDLE_ADDRESS", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub address: String,
    /// Workspace to work in
    #[arg(long, env = "REKINDLE_WORKSPACE", default_value = "default", value_name = "ID")]
    pub workspace: String,
}

/// An open connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    channel: Channel,
    workspace: String,
}

/// Declares a method that makes the client of one service.
macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident: $module:ident::$client:ident;)+) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> v1::$module::$client<Channel> {
                v1::$module::$client::new(self.channel.clone())
                    .max_decoding_message_size(MAX_ANSWER)
            }
        )+
    };
}

impl Connection {
    /// Opens it.
    ///
    /// [`Failure::Invalid`] for an address that is none, [`Failure::Unreachable`] when nobody
    /// answers.
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(target.address.clone())
            .map_err(|error| Failure::Invalid(format!("--address `{}`: {error}", target.address)))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let channel = endpoint.connect().await.map_err(|error| Failure::Unreachable {
            address: target.address.clone(),
            reason: root_cause(&error),
        })?;
        Ok(Self { channel, workspace: target.workspace.clone() })
    }

    /// Id of the workspace.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// Name of the workspace, `workspaces/{workspace}`.
    pub fn parent(&self) -> String {
        format!("workspaces/{}", self.workspace)
    }

    /// The channel itself, for services outside our package.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    clients! {
        /// Conversations.
        conversations: conversation_service_client::ConversationServiceClient;
        /// Customers.
        customers: customer_service_client::CustomerServiceClient;
        /// Deliveries.
        deliveries: delivery_service_client::DeliveryServiceClient;
        /// Destinations.
        destinations: destination_service_client::DestinationServiceClient;
        /// Funnels.
        funnels: funnel_service_client::FunnelServiceClient;
        /// Ingest.
        ingest: ingest_service_client::IngestServiceClient;
        /// Metrics.
        metrics: metrics_service_client::MetricsServiceClient;
        /// Replays.
        replays: replay_service_client::ReplayServiceClient;
        /// Runs.
        runs: run_service_client::RunServiceClient;
        /// Sequences.
        sequences: sequence_service_client::SequenceServiceClient;
        /// Suppressions.
        suppressions: suppression_service_client::SuppressionServiceClient;
        /// Workspaces.
        workspaces: workspace_service_client::WorkspaceServiceClient;
    }
}

/// What lies at the bottom of an error; transports wrap it in words that say nothing.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
