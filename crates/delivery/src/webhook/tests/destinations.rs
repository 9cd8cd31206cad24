//! Where a call may go, and what is certain when it did not.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::*;
use super::receiver::*;

#[tokio::test]
async fn a_connection_that_was_never_made_is_retried() {
    let (listener, port) = listen().await;
    drop(listener);
    let outcome = post_to(&client(port, PATIENT), &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(outcome, Outcome::Retry { phase: Phase::Connect, code: None, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_tls_handshake_that_never_answers_is_retried() {
    let (listener, port) = listen().await;
    let client = client(port, SHORT);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let url = format!("https://127.0.0.1:{port}/");
    let (outcome, ()) = tokio::join!(post_to(&client, &url), receiver);
    assert!(matches!(outcome, Outcome::Retry { phase: Phase::Connect, .. }), "{outcome:?}");
}

#[tokio::test]
async fn destinations_and_headers_are_refused_before_any_packet() {
    let client = client(1, PATIENT);
    for url in ["https://10.0.0.1/", "https://user@example.com/", "ftp://example.com/", "nonsense"] {
        let outcome = post_to(&client, url).await;
        assert!(matches!(outcome, Outcome::Rejected { phase: Phase::Check, code: None, .. }), "{outcome:?}");
    }
    let good = WebhookRequest {
        url: "http://127.0.0.1:1/",
        id: "id",
        timestamp: 0,
        body: Vec::new(),
        headers: &[],
        secrets: &secrets(),
    };
    let host = [("host".to_owned(), "evil.example".to_owned())];
    for bad in [
        WebhookRequest { headers: &host, ..good.clone() },
        WebhookRequest { id: "with.dot", ..good.clone() },
        WebhookRequest { id: "", ..good.clone() },
        WebhookRequest { secrets: &[], ..good.clone() },
        WebhookRequest { body: vec![b' '; BODY_BYTES + 1], ..good.clone() },
    ] {
        let outcome = call(&client, &bad).await;
        assert!(matches!(outcome, Outcome::Rejected { phase: Phase::Check, .. }), "{outcome:?}");
    }
}

struct Rebinding(Vec<IpAddr>);

#[async_trait]
impl Lookup for Rebinding {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

/// A client whose every name resolves to these addresses; only 127.0.0.2 is allowed.
fn rebound(port: u16, addresses: &[&str]) -> WebhookClient {
    install_provider();
    let egress = Egress {
        allow: vec!["127.0.0.2/32".parse().expect("a network")],
        allow_http: true,
        ports: vec![port],
    };
    let addresses = addresses.iter().map(|a| a.parse().expect("an address")).collect();
    WebhookClient::with_lookup(egress, WebhookTimeouts::default(), Arc::new(Rebinding(addresses)))
        .expect("a provider is installed")
}

#[tokio::test]
async fn a_name_that_resolves_to_a_blocked_address_is_never_connected_to() {
    let (listener, port) = listen().await;
    let url = format!("http://hooks.example.com:{port}/");
    let client = rebound(port, &["127.0.0.1", "169.254.169.254"]);
    let outcome = tokio::select! {
        biased;
        _ = listener.accept() => panic!("connected to a blocked address"),
        outcome = post_to(&client, &url) => outcome,
    };
    assert!(
        matches!(&outcome, Outcome::Retry { phase: Phase::Resolve, response, .. } if response.contains("loopback")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_connected_to() {
    let listener = TcpListener::bind("127.0.0.2:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let client = rebound(port, &["127.0.0.1", "127.0.0.2"]);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        let request = read_request(&mut stream).await;
        stream.write_all(plain("200 OK", "").as_bytes()).await.expect("the client reads");
        request
    };
    let url = format!("http://hooks.example.com:{port}/");
    let (outcome, request) = tokio::join!(post_to(&client, &url), receiver);
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    assert!(request.to_lowercase().contains(&format!("host: hooks.example.com:{port}")), "{request}");
}

#[test]
fn time_limits_that_hide_whether_a_request_was_sent_are_refused() {
    install_provider();
    let timeouts = WebhookTimeouts { connect: Duration::from_secs(20), total: Duration::from_secs(20) };
    assert!(matches!(WebhookClient::new(Egress::default(), timeouts), Err(WebhookError::Timeouts)));
}
