//! `rekindle healthcheck`: one question, one exit code, for container probes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::Uri;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::cli::Failure;
use crate::cli::connection::{Connection, Target};

/// How much of an HTTP answer is read; the status line is all that matters.
const MAX_HEAD: usize = 1024;

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Ask this `http://` URL for a 2xx in place of the gRPC health service
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// Name of one service, in place of the whole server
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME", conflicts_with = "http")]
    service: String,
    /// Seconds to wait for the answer
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    timeout: u64,
}

/// Asks. Succeeds when the server says that it serves.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let limit = Duration::from_secs(args.timeout);
    let (address, answer) = match &args.http {
        Some(url) => (url, timeout(limit, ask_http(url)).await),
        None => (&args.target.address, timeout(limit, ask_grpc(args)).await),
    };
    answer.unwrap_or_else(|_| {
        Err(Failure::Unreachable {
            address: address.clone(),
            reason: format!("no answer within {} s", args.timeout),
        })
    })
}

async fn ask_grpc(args: &Args) -> Result<(), Failure> {
    let connection = Connection::open(&args.target).await?;
    let request = HealthCheckRequest { service: args.service.clone() };
    let answer = HealthClient::new(connection.channel()).check(request).await?.into_inner();
    match answer.status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Failure::Failed(format!("the server answers {}", other.as_str_name()))),
    }
}

async fn ask_http(url: &str) -> Result<(), Failure> {
    let unreachable =
        |error: std::io::Error| Failure::Unreachable { address: url.to_owned(), reason: error.to_string() };
    let place = Place::parse(url)?;
    let mut stream = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(unreachable)?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", place.path, place.authority);
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut head = Vec::with_capacity(MAX_HEAD);
    while head.len() < MAX_HEAD && !head.contains(&b'\n') {
        if stream.read_buf(&mut head).await.map_err(unreachable)? == 0 {
            break;
        }
    }
    judge(&head)
}

/// Where to ask over HTTP.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Place {
    fn parse(url: &str) -> Result<Self, Failure> {
        let invalid = |what: &str| Failure::Invalid(format!("--http `{url}`: {what}"));
        let uri: Uri = url.parse().map_err(|_| invalid("is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(invalid("must begin with http://"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("has no host"))?;
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

/// Judges the first line of an HTTP answer.
fn judge(head: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(head);
    let line = text.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().unwrap_or_default();
    if version.starts_with("HTTP/1.") && status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    Err(Failure::Failed(format!("the server answers `{line}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_two_hundred_is_healthy_and_anything_else_is_not() {
        assert!(judge(b"HTTP/1.1 200 OK\r\n").is_ok());
        assert!(judge(b"HTTP/1.1 204 No Content\r\n").is_ok());
        assert!(judge(b"HTTP/1.1 503 Service Unavailable\r\n").is_err());
        assert!(judge(b"220 mail ready\r\n").is_err());
        assert!(judge(b"").is_err());
    }

    #[test]
    fn a_url_is_taken_apart_and_only_plain_http_is_spoken() {
        let place = Place::parse("http://[::1]:8080/readyz?x=1").expect("a URL");
        assert_eq!(
            place,
            Place {
                host: "::1".to_owned(),
                port: 8080,
                authority: "[::1]:8080".to_owned(),
                path: "/readyz?x=1".to_owned(),
            }
        );
        assert_eq!(Place::parse("http://host").expect("a URL").port, 80);
        assert!(Place::parse("https://host/").is_err());
        assert!(Place::parse("/readyz").is_err());
    }
}
