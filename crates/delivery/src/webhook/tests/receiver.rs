//! Clients and scripted receivers.

use std::sync::Once;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::*;

/// What the binary does once.
pub(super) fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

pub(super) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

pub(super) fn client(port: u16, total: Duration) -> WebhookClient {
    install_provider();
    let egress = Egress {
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        allow_http: true,
        ports: vec![port],
    };
    let timeouts = WebhookTimeouts { connect: total / 2, total };
    WebhookClient::new(egress, timeouts).expect("a provider is installed")
}

pub(super) const PATIENT: Duration = Duration::from_secs(20);
pub(super) const SHORT: Duration = Duration::from_millis(800);

pub(super) fn secrets() -> Vec<WebhookSecret> {
    vec![WebhookSecret::generate([1; 32]), WebhookSecret::generate([2; 32])]
}

pub(super) async fn post_to(client: &WebhookClient, url: &str) -> Outcome {
    let request = WebhookRequest {
        url,
        id: "run-1-step-2",
        timestamp: 784_111_777,
        body: br#"{"type":"stalled"}"#.to_vec(),
        headers: &[("x-team".to_owned(), "blue".to_owned())],
        secrets: &secrets(),
    };
    call(client, &request).await
}

/// Reads one whole request, head and body.
pub(super) async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}')) {
            return text;
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

/// One call answered with fixed bytes; returns the outcome and the request.
pub(super) async fn exchange(reply: &str) -> (Outcome, String) {
    let (listener, port) = listen().await;
    let client = client(port, PATIENT);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        let request = read_request(&mut stream).await;
        stream.write_all(reply.as_bytes()).await.expect("the client reads");
        request
    };
    let url = format!("http://127.0.0.1:{port}/hook");
    tokio::join!(post_to(&client, &url), receiver)
}

pub(super) fn plain(status: &str, extra: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n{extra}\r\nok")
}
