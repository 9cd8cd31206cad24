//! `rekindle serve`: configured by its environment, on ports of its own choice.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::database::Database;
use crate::desk::{MAIL_DOMAIN, Ports};
use crate::process::Process;
use crate::surroundings::{until, when};

/// How long a claim holds in these tests: what a dead process held moves soon after.
pub const LEASE: Duration = Duration::from_millis(1_500);
/// Time for a start on an empty database in a debug build on a busy machine.
pub const START: Duration = Duration::from_mins(1);

/// What the environment tells a service.
#[derive(Debug, Clone)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// A service on a database, with short leases.
    pub fn of(database: &Database) -> Self {
        Self::of_url(&database.url)
    }

    /// The same for a database that the program is told of by this URL.
    pub fn of_url(url: &str) -> Self {
        Self(Vec::new())
            .with("DATABASE__URL", url)
            .with("DATABASE__MIGRATE", "true")
            .with("SERVER__LISTEN", "127.0.0.1:0")
            .with("HTTP__LISTEN", "127.0.0.1:0")
            .with("LEASE__TTL_MS", &LEASE.as_millis().to_string())
            .with("SERVER__NOTICE_SECONDS", "0")
    }

    /// Opens what is closed by default: webhooks to a port on loopback, without TLS, and mail to
    /// the customers of the desk.
    pub fn reaching(self, ports: Ports) -> Self {
        self.with("DELIVERY__ALLOW_NETWORKS", r#"["127.0.0.0/8"]"#)
            .with("DELIVERY__ALLOW_PORTS", &format!("[{}]", ports.hook))
            .with("DELIVERY__ALLOW_HTTP", "true")
            .with("DELIVERY__ALLOW_RECIPIENTS", &format!("[\"{MAIL_DOMAIN}\"]"))
    }

    /// What is to happen at failpoints: `step:after-commit=abort@2,sent=abort@1`.
    pub fn failing(mut self, failpoints: &str) -> Self {
        self.0.push(("REKINDLE_FAILPOINTS".into(), failpoints.into()));
        self
    }

    /// Business time runs ahead of the clock: what waits for later happens now.
    pub fn ahead(mut self, by: Duration) -> Self {
        self.0.push(("REKINDLE_CLOCK_AHEAD_SECONDS".into(), by.as_secs().to_string()));
        self
    }

    /// One more setting, by its name without the prefix.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((format!("REKINDLE__{name}"), value.to_owned()));
        self
    }

    /// The same without a setting.
    pub fn without(mut self, name: &str) -> Self {
        let name = format!("REKINDLE__{name}");
        self.0.retain(|(known, _)| *known != name);
        self
    }

    /// A process that serves, or is about to.
    pub fn spawn(&self) -> Process {
        Process::spawn(&["serve"], &self.0)
    }

    /// The same with further arguments.
    pub fn spawn_with(&self, arguments: &[&str]) -> Process {
        Process::spawn(&[&["serve"], arguments].concat(), &self.0)
    }

    /// A service that says that it is healthy.
    pub async fn start(&self) -> Service {
        Service::of(self.spawn()).await
    }
}

/// A service that answers.
pub struct Service {
    /// The process.
    pub process: Process,
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// A connection to it.
    pub channel: Channel,
}

impl Service {
    /// The service of a process, once it says that it is healthy.
    pub async fn of(process: Process) -> Self {
        match Self::unless_it_ends(process).await {
            Ok(service) => service,
            // It tells what it said last when it goes.
            Err(process) => panic!("process {} ended before it served", process.id()),
        }
    }

    /// The same, or the process when it ended before.
    pub async fn unless_it_ends(mut process: Process) -> Result<Self, Process> {
        let Some((grpc, http)) = process.says_unless_it_ends("its addresses", START, addresses).await else {
            return Err(process);
        };
        let endpoint = Endpoint::from_shared(format!("http://{grpc}")).expect("an address makes a URL");
        let mut service = Self { process, grpc, http, channel: endpoint.connect_lazy() };
        let healthy = until("the service is healthy or ends", START, async || {
            let healthy = service.health().await == Some(ServingStatus::Serving);
            when(healthy || service.process.ended().is_some()).map(|()| healthy)
        })
        .await;
        if healthy { Ok(service) } else { Err(service.process) }
    }

    /// What health says; `None` when nobody answers.
    pub async fn health(&self) -> Option<ServingStatus> {
        let request = HealthCheckRequest { service: String::new() };
        let answer = HealthClient::new(self.channel.clone()).check(request).await.ok()?;
        Some(answer.into_inner().status())
    }
}

/// The addresses in `gRPC on ADDRESS, HTTP on ADDRESS`.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (grpc, http) = line.strip_prefix("gRPC on ")?.split_once(", HTTP on ")?;
    Some((grpc.parse().ok()?, http.parse().ok()?))
}
