//! A webhook call as the port describes it.

use rekindle_core::Timestamp;
use rekindle_ports::resources::{DestinationKind, DestinationRow};
use url::Url;

use super::refused;
use crate::Outcome;
use crate::webhook::{self, WebhookClient, WebhookRequest, WebhookSecret};

/// Calls a webhook: the same id and body in every attempt, the timestamp of this one,
/// signed with every live secret.
pub(super) async fn call(
    client: &WebhookClient,
    id: &str,
    body: &str,
    destination: &DestinationRow,
    now: Timestamp,
) -> Outcome {
    let DestinationKind::Webhook { url, headers, allow_http } = &destination.kind else {
        return refused("the destination is no webhook");
    };
    if !is_allowed(url, *allow_http) {
        return refused("the destination does not allow plain http");
    }
    let live = destination.live_secrets(now);
    let secrets: Result<Vec<WebhookSecret>, _> =
        live.into_iter().map(|secret| WebhookSecret::parse(&secret.value)).collect();
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(error) => return refused(&error.to_string()),
    };
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let request = WebhookRequest {
        url,
        id,
        timestamp: now.to_parts().0,
        body: body.as_bytes().to_vec(),
        headers: &headers,
        secrets: &secrets,
    };
    webhook::call(client, &request).await
}

/// Whether the destination allows the scheme of its URL; what the operator allows is checked besides.
pub(super) fn is_allowed(url: &str, allow_http: bool) -> bool {
    allow_http || Url::parse(url).is_ok_and(|url| url.scheme() != "http")
}
