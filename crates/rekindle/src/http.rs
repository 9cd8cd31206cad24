//! The HTTP port: unsubscribe links, health, and the inbox in development.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rekindle_core::scope::Scope;
use rekindle_delivery::port::open_token;
use rekindle_engine::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::sink::{Inbox, Mail};

/// What the pages need.
#[derive(Clone)]
pub struct Pages {
    /// The engine.
    pub engine: Engine,
    /// Key under which unsubscribe links were signed.
    pub link_key: [u8; 32],
    /// The development inbox, if there is one.
    pub inbox: Option<Inbox>,
    /// Cancelled when the process is about to stop.
    pub stopping: CancellationToken,
}

/// Serves until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/u/{token}", get(ask).post(unsubscribe))
        .route("/inbox", get(list))
        .route("/inbox/{place}", get(show))
        .with_state(pages);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Ready: the database answers and the process is not about to stop.
async fn ready(State(pages): State<Pages>) -> Response {
    if pages.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match pages.engine.store().ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

/// Asks before it acts: mail scanners follow links, so GET must not unsubscribe (RFC 8058).
async fn ask(State(pages): State<Pages>, Path(token): Path<String>) -> Response {
    if open_token(&pages.link_key, &token).is_none() {
        return (StatusCode::NOT_FOUND, page("Unknown link", "<p>This link is not one of ours.</p>"))
            .into_response();
    }
    let form =
        "<p>Do you want to stop these messages?</p><form method=\"post\"><button>Unsubscribe</button></form>";
    page("Unsubscribe", form).into_response()
}

/// One click, no cookies, no redirect; doing it twice is the same as once.
async fn unsubscribe(State(pages): State<Pages>, Path(token): Path<String>) -> Response {
    let Some((workspace, customer)) = open_token(&pages.link_key, &token) else {
        return (StatusCode::NOT_FOUND, page("Unknown link", "<p>This link is not one of ours.</p>"))
            .into_response();
    };
    let scope = Scope { bucket: (workspace % i64::from(rekindle_core::scope::BUCKETS)) as i16, workspace };
    match pages.engine.unsubscribe_customer(scope, customer).await {
        Ok(()) => page("Unsubscribed", "<p>You will not hear from us this way again.</p>").into_response(),
        Err(error) => {
            tracing::error!(%error, "an unsubscription could not be stored");
            (StatusCode::SERVICE_UNAVAILABLE, page("Not now", "<p>Please try again in a moment.</p>"))
                .into_response()
        }
    }
}

async fn list(State(pages): State<Pages>) -> Response {
    let Some(inbox) = pages.inbox else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mails = inbox.mails();
    let rows: String = mails.iter().enumerate().rev().map(|(place, mail)| row(place, mail)).collect();
    let table = format!(
        "<p>{} mails, newest first. Nothing here ever left this machine.</p><table><tr><th>To<th>Subject</tr>{rows}</table>",
        mails.len()
    );
    page("Inbox", &table).into_response()
}

async fn show(State(pages): State<Pages>, Path(place): Path<usize>) -> Response {
    let mail = pages.inbox.and_then(|inbox| inbox.mails().into_iter().nth(place));
    match mail {
        Some(mail) => {
            page(&mail.header("subject"), &format!("<pre>{}</pre>", escape(&mail.message))).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn row(place: usize, mail: &Mail) -> String {
    format!(
        "<tr><td>{}<td><a href=\"/inbox/{place}\">{}</a></tr>",
        escape(&mail.to),
        escape(&mail.header("subject"))
    )
}

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:1rem/1.5 system-ui;max-width:50rem;margin:3rem auto;padding:0 1rem}}\
         td,th{{text-align:left;padding:.2rem 1rem .2rem 0}}</style><h1>{title}</h1>{body}</html>",
        title = escape(title)
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
