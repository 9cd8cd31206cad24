//! One signed POST to one endpoint, Standard Webhooks 1.0.0.
//!
//! A connection of its own per call, to an address that was checked, without
//! redirects, proxies or decompression, within one deadline that covers the
//! body too. Codes are read as the specification reads them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::crypto::CryptoProvider;
use tokio::time::{Instant, timeout_at};

use crate::outcome::{Outcome, Phase};
use crate::ssrf::{Blocked, Egress, GuardedResolver, Lookup, SystemLookup};
use crate::text::excerpt;

mod headers;
mod retry_after;
mod secret;
#[cfg(test)]
mod tests;

pub use headers::{HeaderError, check_headers};
pub use secret::{SecretError, WebhookSecret, sign};

/// Most bytes of a request body.
pub const BODY_BYTES: usize = 256 * 1024;
/// Most bytes read of an answer.
const RESPONSE_BYTES: usize = 16 * 1024;

/// Calls endpoints under the egress rules it was made with.
#[derive(Debug, Clone)]
pub struct WebhookClient {
    http: Client,
    egress: Arc<Egress>,
    total: Duration,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookTimeouts {
    /// Lookup, TCP and TLS together; must be less than `total`.
    pub connect: Duration,
    /// From the call to the last byte of the answer.
    pub total: Duration,
}

impl Default for WebhookTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(20) }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The program installed no TLS implementation.
    #[error("no process-wide crypto provider is installed")]
    NoCryptoProvider,
    /// A connection that may take as long as the whole call would make "not
    /// sent" and "perhaps sent" the same.
    #[error("the connect time limit must be less than the total")]
    Timeouts,
    /// The HTTP client could not be set up.
    #[error("cannot set up the http client")]
    Client(#[source] reqwest::Error),
}

/// One call.
#[derive(Debug, Clone)]
pub struct WebhookRequest<'a> {
    /// Where to.
    pub url: &'a str,
    /// The delivery's id, the same in every attempt: up to 128 printable
    /// ASCII characters, no dot.
    pub id: &'a str,
    /// Seconds since 1970 at this attempt; signed, and the *now* against which
    /// a date in `Retry-After` is read.
    pub timestamp: i64,
    /// The exact bytes signed and sent, JSON, at most 256 KiB.
    pub body: Vec<u8>,
    /// The endpoint's own headers; see [`check_headers`].
    pub headers: &'a [(String, String)],
    /// All live secrets of the endpoint, newest first.
    pub secrets: &'a [WebhookSecret],
}

impl WebhookClient {
    /// A client that resolves through the operating system.
    pub fn new(egress: Egress, timeouts: WebhookTimeouts) -> Result<Self, WebhookError> {
        Self::with_lookup(egress, timeouts, Arc::new(SystemLookup))
    }

    /// A client that resolves through `lookup`; its answers are filtered too.
    pub fn with_lookup(
        egress: Egress,
        timeouts: WebhookTimeouts,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, WebhookError> {
        if CryptoProvider::get_default().is_none() {
            return Err(WebhookError::NoCryptoProvider);
        }
        if timeouts.connect >= timeouts.total {
            return Err(WebhookError::Timeouts);
        }
        let egress = Arc::new(egress);
        let http = Client::builder()
            .user_agent(concat!("rekindle/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver::new(egress.clone(), lookup)))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(timeouts.connect)
            // A kept connection may be dead: a call on it would be "perhaps sent".
            .pool_max_idle_per_host(0)
            .build()
            .map_err(WebhookError::Client)?;
        Ok(Self { http, egress, total: timeouts.total })
    }
}

/// Makes one call and says what became of it. Never fails otherwise than in
/// its outcome, never retries, and returns within the client's total limit.
pub async fn call(client: &WebhookClient, request: &WebhookRequest<'_>) -> Outcome {
    let deadline = Instant::now() + client.total;
    let (url, headers) = match prepare(client, request) {
        Ok(prepared) => prepared,
        Err(refusal) => return Outcome::rejected(Phase::Check, None, &refusal.to_string()),
    };
    let sending = client.http.post(url).headers(headers).body(request.body.clone()).send();
    match timeout_at(deadline, sending).await {
        // Connecting has a shorter limit of its own, so the request was being sent.
        Err(_) => Outcome::unknown(Phase::Response, "timed out waiting for an answer"),
        Ok(Err(error)) => unanswered(&error),
        Ok(Ok(response)) => answered(response, request.timestamp, deadline).await,
    }
}

/// Everything that can be refused before any packet.
fn prepare(client: &WebhookClient, request: &WebhookRequest<'_>) -> Result<(url::Url, HeaderMap), Refusal> {
    let url = client.egress.check_url(request.url)?;
    if request.body.len() > BODY_BYTES {
        return Err(Refusal::Body);
    }
    let id = request.id;
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'.') {
        return Err(Refusal::Id);
    }
    if request.secrets.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let mut headers = headers::parse(request.headers)?;
    let signature = sign(request.secrets, id, request.timestamp, &request.body);
    // Printable ASCII, each of them: checked, decimal, base64.
    let own = [
        (CONTENT_TYPE.as_str(), "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", &request.timestamp.to_string()),
        ("webhook-signature", &signature),
    ];
    for (name, value) in own {
        headers::put(&mut headers, name, value)?;
    }
    Ok((url, headers))
}

/// Why a call is not made at all.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Destination(#[from] Blocked),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the body is larger than 256 KiB")]
    Body,
    #[error("the id is not 1 to 128 printable characters without a dot")]
    Id,
    #[error("the endpoint has no live secret")]
    NoSecret,
}

/// No status came. Only a connection that was never made is certainly no delivery.
fn unanswered(error: &reqwest::Error) -> Outcome {
    let text = causes(error);
    if let Some(blocked) = blocked(error) {
        return Outcome::retry(Phase::Resolve, None, &blocked.to_string());
    }
    if error.is_connect() {
        return Outcome::retry(Phase::Connect, None, &text);
    }
    if error.is_builder() {
        return Outcome::rejected(Phase::Check, None, &text);
    }
    Outcome::unknown(Phase::Response, &text)
}

/// A status came; whatever happens to the rest of the answer, it stands.
async fn answered(response: Response, now: i64, deadline: Instant) -> Outcome {
    let status = response.status();
    let after = retry_after::read(response.headers().get(RETRY_AFTER), now);
    let body = String::from_utf8_lossy(&beginning(response, deadline).await).into_owned();
    let code = Some(status.as_u16());
    match status {
        _ if status.is_success() => {
            Outcome::Delivered { code: status.as_u16(), response: excerpt(&body), answer: body }
        }
        StatusCode::GONE => Outcome::Rejected {
            phase: Phase::Response,
            code,
            response: excerpt(&body),
            suppress: false,
            disable_destination: true,
        },
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Retry { phase: Phase::Response, code, response: excerpt(&body), after }
        }
        _ => Outcome::retry(Phase::Response, code, &body),
    }
}

/// What arrives of the body within the size limit and the deadline; dropping
/// the rest closes the connection.
async fn beginning(mut response: Response, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < RESPONSE_BYTES {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            _ => break,
        }
    }
    body.truncate(RESPONSE_BYTES);
    body
}

/// The refusal of our resolver, if that is what ended the call.
fn blocked(error: &reqwest::Error) -> Option<Blocked> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(crate::ssrf::ResolveError::Blocked(blocked)) = error.downcast_ref() {
            return Some(*blocked);
        }
        cause = error.source();
    }
    None
}

/// The causes in one line, without the URL: its path may carry a secret.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}
