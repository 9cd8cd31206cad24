//! What each answer, or silence, means.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::super::*;
use super::receiver::*;

#[tokio::test]
async fn a_real_receiver_verifies_every_live_secret() {
    let (listener, port) = listen().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = Router::new()
        .route(
            "/hook",
            post(
                |State(tell): State<mpsc::UnboundedSender<_>>, headers: HeaderMap, body: Bytes| async move {
                    // The test holds the other end.
                    let _ = tell.send((headers, body));
                    "thanks\r\n"
                },
            ),
        )
        .with_state(tell);
    let client = client(port, PATIENT);
    let url = format!("http://127.0.0.1:{port}/hook");
    let server = async { axum::serve(listener, app).await };
    let outcome = tokio::select! {
        outcome = post_to(&client, &url) => outcome,
        ended = server => panic!("the receiver ended: {ended:?}"),
    };
    let answer = "thanks\r\n".into();
    assert_eq!(outcome, Outcome::Delivered { code: 200, response: "thanks".into(), answer });

    let (headers, body) = told.recv().await.expect("a request");
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(header("webhook-id"), "run-1-step-2");
    assert_eq!(header("webhook-timestamp"), "784111777");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-team"), "blue");
    assert_eq!(header("accept-encoding"), "");
    for secret in secrets() {
        let theirs = standardwebhooks::Webhook::new(secret.reveal().expose_secret()).expect("a secret");
        let expected = theirs.sign("run-1-step-2", 784_111_777, &body).expect("utf-8");
        assert!(header("webhook-signature").split(' ').any(|part| part == expected));
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (listener, port) = listen().await;
    let client = client(port, PATIENT);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        read_request(&mut stream).await;
        let reply = plain("302 Found", &format!("location: http://127.0.0.1:{port}/elsewhere\r\n"));
        stream.write_all(reply.as_bytes()).await.expect("the client reads");
        drop(stream);
        listener
    };
    let url = format!("http://127.0.0.1:{port}/hook");
    let (outcome, listener) = tokio::join!(post_to(&client, &url), receiver);
    assert!(matches!(outcome, Outcome::Retry { code: Some(302), after: None, .. }), "{outcome:?}");
    let second = tokio::select! {
        biased;
        accepted = listener.accept() => accepted.is_ok(),
        () = tokio::task::yield_now() => false,
    };
    assert!(!second, "the redirect was followed");
}

#[tokio::test]
async fn codes_are_read_as_the_specification_reads_them() {
    for (status, wanted) in [
        ("200 OK", "delivered"),
        ("204 No Content", "delivered"),
        ("299 Odd", "delivered"),
        ("301 Moved", "retry"),
        ("400 Bad Request", "retry"),
        ("401 Unauthorized", "retry"),
        ("404 Not Found", "retry"),
        ("410 Gone", "disable"),
        ("429 Too Many", "retry"),
        ("500 Error", "retry"),
        ("503 Unavailable", "retry"),
    ] {
        let reply =
            if status.starts_with("204") { format!("HTTP/1.1 {status}\r\n\r\n") } else { plain(status, "") };
        let (outcome, _) = exchange(&reply).await;
        let class = match &outcome {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { after: None, .. } => "retry",
            Outcome::Rejected { disable_destination: true, suppress: false, .. } => "disable",
            Outcome::Rejected { .. } | Outcome::Retry { .. } | Outcome::Unknown { .. } => "wrong",
        };
        assert_eq!(class, wanted, "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_only_where_it_throttles() {
    for (status, header, wanted) in [
        ("429 Too Many", "retry-after: 120", Some(120)),
        ("503 Unavailable", "retry-after: Sun, 06 Nov 1994 08:59:37 GMT", Some(600)),
        ("502 Bad Gateway", "retry-after: 999999", Some(86_400)),
        ("504 Timeout", "retry-after: never", None),
        ("500 Error", "retry-after: 120", None),
    ] {
        let (outcome, _) = exchange(&plain(status, &format!("{header}\r\n"))).await;
        let Outcome::Retry { after, .. } = outcome else { panic!("{status}: {outcome:?}") };
        assert_eq!(after.map(|d| d.as_secs()), wanted, "{status}");
    }
}

#[tokio::test]
async fn a_slow_body_is_cut_at_the_deadline_and_the_status_stands() {
    let (listener, port) = listen().await;
    let client = client(port, SHORT);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbeginning";
        stream.write_all(head).await.expect("the client reads");
        // Until the client gives up.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let url = format!("http://127.0.0.1:{port}/hook");
    let (outcome, ()) = tokio::join!(post_to(&client, &url), receiver);
    assert_eq!(
        outcome,
        Outcome::Delivered { code: 200, response: "beginning".into(), answer: "beginning".into() }
    );
}

#[tokio::test]
async fn a_big_body_is_cut_and_the_connection_closed() {
    let (listener, port) = listen().await;
    let client = client(port, PATIENT);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        read_request(&mut stream).await;
        let mut written = 0_usize;
        let _ = stream.write_all(b"HTTP/1.1 500 Error\r\n\r\n").await;
        // Endless: only the client's leaving ends it.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            written += 4096;
        }
        written
    };
    let url = format!("http://127.0.0.1:{port}/hook");
    let (outcome, written) = tokio::join!(post_to(&client, &url), receiver);
    let Outcome::Retry { code: Some(500), response, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(response.len(), crate::text::EXCERPT_BYTES);
    assert!(written < 64 * 1024 * 1024, "{written}");
}

#[tokio::test]
async fn the_beginning_of_a_body_ends_at_16_kib() {
    let (listener, port) = listen().await;
    install_provider();
    let receiver = async {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        let mut head = [0; 16];
        stream.read_exact(&mut head).await.expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let body = async {
        let response = Client::new().get(format!("http://127.0.0.1:{port}/")).send().await.expect("a status");
        beginning(response, Instant::now() + PATIENT).await
    };
    let (body, ()) = tokio::join!(body, receiver);
    assert_eq!(body.len(), RESPONSE_BYTES);
}

#[tokio::test]
async fn silence_after_the_request_is_unknown() {
    for hang in [true, false] {
        let (listener, port) = listen().await;
        let client = client(port, if hang { SHORT } else { PATIENT });
        let receiver = async {
            let (mut stream, _) = listener.accept().await.expect("the client connects");
            read_request(&mut stream).await;
            if hang {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            }
        };
        let url = format!("http://127.0.0.1:{port}/hook");
        let (outcome, ()) = tokio::join!(post_to(&client, &url), receiver);
        assert!(matches!(outcome, Outcome::Unknown { phase: Phase::Response, .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn junk_instead_of_http_is_unknown() {
    let (outcome, _) = exchange("220 this is a mail relay\r\n").await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}
