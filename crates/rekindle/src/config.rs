//! Configuration: defaults, then a TOML file, then `REKINDLE__A__B` variables, then flags.
//!
//! Every secret has a twin whose name ends in `_FILE`: `REKINDLE__DATABASE__URL_FILE`
//! names a file that holds the URL. Unknown keys are errors that list the known ones.

use std::net::SocketAddr;
use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use rekindle_server::Rate;
use serde::{Deserialize, Serialize};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The database.
    pub database: DatabaseConfig,
    /// The gRPC listener.
    pub server: ServerConfig,
    /// How much is taken in.
    pub admission: AdmissionConfig,
    /// The HTTP listener.
    pub http: HttpConfig,
    /// How workers hold what they work on.
    pub lease: LeaseConfig,
    /// What may be sent, and where to.
    pub delivery: DeliveryConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `postgres://…`. Secret.
    pub url: String,
    /// Most connections (readers, on SQLite).
    pub max_connections: u32,
    /// Bring the schema up to date at start; always so for SQLite.
    pub migrate: bool,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: "sqlite:rekindle.db".into(), max_connections: 16, migrate: false }
    }
}

/// The gRPC listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// How long health says that the process stops before connections are asked to go, in seconds:
    /// as long as a load balancer takes to notice.
    pub notice_seconds: u64,
    /// How long stopping may take in all, notice included, in seconds.
    pub grace_seconds: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 50_051)), notice_seconds: 5, grace_seconds: 25 }
    }
}

/// How much is taken in: `IngestEvents` and `StreamEvents`, and nothing else.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionConfig {
    /// Most events a second, over time; 0 means as many as come.
    pub events_per_second: u32,
    /// Most events at once after a pause; 0 means those of a quarter of a second: what is admitted
    /// at once waits for each other.
    pub burst_events: u32,
}

impl AdmissionConfig {
    /// The rate, if there is one.
    pub fn rate(&self) -> Option<Rate> {
        let Self { events_per_second, burst_events } = *self;
        let burst = if burst_events == 0 { events_per_second.div_ceil(4) } else { burst_events };
        (events_per_second > 0).then_some(Rate { events_per_second, burst })
    }
}

/// The HTTP listener: unsubscribe links and health.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// How the outside reaches it; unsubscribe links begin with it. Empty means `http://LISTEN`.
    pub public_url: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8_080)), public_url: String::new() }
    }
}

/// How workers hold what they work on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseConfig {
    /// How long a claim holds without renewal, in milliseconds: what a dead replica held moves after it.
    pub ttl_ms: u64,
    /// How often work is looked for when nothing rings, in milliseconds.
    pub poll_ms: u64,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { ttl_ms: 15_000, poll_ms: 250 }
    }
}

/// What may be sent, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Addresses (`ann@example.com`) and domains (`example.com`) that may be written to; empty means all.
    pub allow_recipients: Vec<String>,
    /// Networks that webhooks may reach although they are not public, such as `127.0.0.0/8`.
    pub allow_networks: Vec<String>,
    /// Further ports that webhooks may use, beside 443 and 8443.
    pub allow_ports: Vec<u16>,
    /// Whether webhooks may use plain HTTP.
    pub allow_http: bool,
    /// Most sends in flight: fewer than the 50 connections that a Postfix takes from one client.
    pub concurrency: usize,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            allow_recipients: Vec::new(),
            allow_networks: Vec::new(),
            allow_ports: Vec::new(),
            allow_http: false,
            concurrency: 48,
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A filter such as `info` or `rekindle_engine=debug,info`.
    pub filter: String,
    /// One JSON object a line rather than text.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info,sqlx::postgres::notice=error,sea_orm_migration=warn".into(), json: false }
    }
}

/// Prefix of the variables that configure.
const PREFIX: &str = "REKINDLE__";

/// Reads the configuration; `lookup` yields the process's variables.
///
/// # Errors
/// Says which key of which source is wrong.
pub fn load(file: Option<&Path>, variables: &[(String, String)]) -> Result<Config, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigError::Missing(path.display().to_string()));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Env::prefixed(PREFIX).split("__").filter(|key| !key.as_str().ends_with("_file")));
    for (name, path) in variables {
        let Some(key) = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix("_FILE")) else {
            continue;
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            name: name.clone(),
            path: path.clone(),
            source,
        })?;
        let key = key.to_ascii_lowercase().replace("__", ".");
        figment = figment.merge(Serialized::global(&key, text.trim()));
    }
    figment.extract().map_err(|error| ConfigError::Wrong(Box::new(error)))
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("there is no configuration file {0}")]
    Missing(String),
    /// A file that holds a secret cannot be read.
    #[error("{name} names {path}, which cannot be read: {source}")]
    Unreadable {
        /// The variable.
        name: String,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A value is wrong.
    #[error("configuration: {0}")]
    Wrong(Box<figment::Error>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(events_per_second: u32, burst_events: u32) -> Option<(u32, u32)> {
        let rate = AdmissionConfig { events_per_second, burst_events }.rate()?;
        Some((rate.events_per_second, rate.burst))
    }

    #[test]
    fn no_rate_means_no_admission_control_and_no_burst_means_a_quarter_of_a_second() {
        assert_eq!(rate(0, 500), None);
        assert_eq!(rate(1_000, 0), Some((1_000, 250)));
        assert_eq!(rate(1_000, 700), Some((1_000, 700)));
        assert_eq!(rate(1, 0), Some((1, 1)));
    }
}
