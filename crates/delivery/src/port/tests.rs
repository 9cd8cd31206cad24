use rekindle_ports::ledger::DeliveryState;
use rekindle_ports::resources::{MailboxSpec, SecretValue, SmtpTls};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NOW: Timestamp = Timestamp(1_767_571_200_000_000);

fn sender(ports: Vec<u16>) -> Sender {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Sender::new(SenderOptions {
        allow_recipients: vec!["example.com".into()],
        allow_networks: vec!["127.0.0.0/8".into()],
        allow_ports: ports,
        allow_http: true,
        hello: "rekindle".into(),
        public_url: "https://mail.example.com".into(),
        link_key: [7; 32],
    })
    .expect("good options")
}

fn destination(kind: DestinationKind, secrets: &[(&str, i64, Option<i64>)]) -> DestinationRow {
    let secrets = secrets.iter().map(|(value, created, expires)| SecretValue {
        value: (*value).into(),
        created_at: NOW.plus(*created),
        expires_at: expires.map(|expires| NOW.plus(expires)),
    });
    DestinationRow {
        id: "there".into(),
        display_name: String::new(),
        kind,
        secrets: secrets.collect(),
        disabled: None,
        etag: String::new(),
        created_at: NOW,
        updated_at: NOW,
    }
}

fn webhook(url: String) -> DestinationKind {
    DestinationKind::Webhook {
        url,
        headers: [("x-team".to_owned(), "blue".to_owned())].into(),
        allow_http: true,
    }
}

fn relay(port: u16) -> DestinationKind {
    DestinationKind::Smtp {
        host: "127.0.0.1".into(),
        port,
        tls: SmtpTls::PlaintextLoopback,
        username: String::new(),
        sender: None,
    }
}

fn mail() -> Message {
    Message::Email {
        message_id: "run-1-ask-1@example.com".into(),
        date: 1_767_571_200,
        from: MailboxSpec { name: "Support".into(), address: "support@example.com".into() },
        reply_to: None,
        to: "ann@example.com".into(),
        subject: "Did that help?".into(),
        text: "Hello Ann".into(),
        html: None,
        unsubscribe_url: "https://mail.example.com/u/token".into(),
        unsubscribe_mailto: "stop@example.com".into(),
    }
}

fn delivery(message: Message) -> DeliveryRow {
    DeliveryRow {
        id: "run-1-ask-1".into(),
        run: Uuid::nil(),
        step: "ask".into(),
        destination: "there".into(),
        customer: None,
        conversation: None,
        recipient: String::new(),
        message,
        park_unknown: false,
        internal: false,
        state: DeliveryState::Sending,
        reason: String::new(),
        overtaken: false,
        next_at: None,
        expires_at: NOW.plus(1),
        attempts: 1,
        created_at: NOW,
        ended_at: None,
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// Takes one request and answers it; its head and its body.
async fn receive(listener: TcpListener) -> (String, String) {
    let (mut stream, _) = listener.accept().await.expect("a call");
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n").filter(|(_, body)| body.ends_with('}')) {
            let answer = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            answer.expect("the caller reads");
            return (head.to_owned(), body.to_owned());
        }
        assert!(
            stream.read_buf(&mut request).await.expect("readable") > 0,
            "the request ended early: {text}"
        );
    }
}

/// A relay that takes everything; the message it was given.
async fn take_mail(stream: TcpStream) -> String {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 relay\r\n").await.expect("the client reads");
    let (mut line, mut message, mut in_data) = (String::new(), String::new(), false);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.expect("readable") == 0 {
            return message;
        }
        let reply: &[u8] = match (in_data, line.as_str()) {
            (true, ".\r\n") => {
                in_data = false;
                b"250 taken\r\n"
            }
            (true, text) => {
                message.push_str(text);
                continue;
            }
            (false, "DATA\r\n") => {
                in_data = true;
                b"354 go\r\n"
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).await.expect("the client reads");
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}

#[tokio::test]
async fn a_webhook_is_signed_with_every_live_secret_at_the_instant_of_the_attempt() {
    let (listener, port) = listen().await;
    let secrets = [(OLD, -10, Some(5)), (NEW, -5, None), ("whsec_gone", -20, Some(-1))];
    let destination = destination(webhook(format!("http://127.0.0.1:{port}/in")), &secrets);
    let message = Message::webhook(r#"{"type":"conversation.stalled"}"#.into());
    let (sender, delivery) = (sender(vec![port]), delivery(message));
    let (outcome, (head, body)) = tokio::join!(sender.send(&delivery, &destination, NOW), receive(listener));
    assert_eq!(outcome, SendOutcome::Delivered { code: 200, response: "ok".into(), answer: "ok".into() });
    assert_eq!(header(&head, "webhook-id"), "run-1-ask-1");
    assert_eq!(header(&head, "webhook-timestamp"), "1767571200");
    assert_eq!(header(&head, "x-team"), "blue");
    let signatures: Vec<String> = [NEW, OLD]
        .iter()
        .map(|secret| {
            let reference = standardwebhooks::Webhook::new(secret).expect("a secret");
            reference.sign("run-1-ask-1", 1_767_571_200, body.as_bytes()).expect("signable")
        })
        .collect();
    assert_eq!(header(&head, "webhook-signature"), signatures.join(" "));
}

#[tokio::test]
async fn plain_http_needs_the_word_of_the_destination_too() {
    let kind = DestinationKind::Webhook {
        url: "http://127.0.0.1:80/in".into(),
        headers: std::collections::BTreeMap::new(),
        allow_http: false,
    };
    let destination = destination(kind, &[(OLD, 0, None)]);
    let sender = sender(Vec::new());
    let outcome = sender.send(&delivery(Message::webhook("{}".into())), &destination, NOW).await;
    assert!(
        matches!(&outcome, SendOutcome::Rejected { phase, code: None, .. } if phase == "check"),
        "{outcome:?}"
    );
    assert_eq!(sender.check_destination(&destination)[0].0, "webhook.url");
}

#[tokio::test]
async fn two_attempts_of_a_mail_are_the_same_bytes() {
    let (listener, port) = listen().await;
    let destination = destination(relay(port), &[]);
    let sender = sender(Vec::new());
    let mut taken = Vec::new();
    for attempt in 0..2 {
        let (delivery, now) = (delivery(mail()), NOW.plus(attempt * 3_600_000_000));
        let (outcome, message) = tokio::join!(sender.send(&delivery, &destination, now), async {
            take_mail(listener.accept().await.expect("a connection").0).await
        });
        assert!(matches!(outcome, SendOutcome::Delivered { code: 250, .. }), "{outcome:?}");
        taken.push(message);
    }
    assert_eq!(taken[0], taken[1]);
    assert!(taken[0].contains("Message-ID: <run-1-ask-1@example.com>"), "{}", taken[0]);
    assert!(taken[0].contains("<https://mail.example.com/u/token>"), "{}", taken[0]);
}

#[tokio::test]
async fn a_message_of_another_kind_than_its_destination_is_refused_unsent() {
    let sender = sender(Vec::new());
    let relay = destination(relay(1), &[]);
    let hook = destination(webhook("https://example.com/".into()), &[(OLD, 0, None)]);
    for (message, destination) in [(Message::webhook("{}".into()), &relay), (mail(), &hook)] {
        let outcome = sender.send(&delivery(message), destination, NOW).await;
        assert!(matches!(&outcome, SendOutcome::Rejected { phase, .. } if phase == "check"), "{outcome:?}");
    }
}

#[test]
fn every_wrong_field_of_a_destination_is_named() {
    let sender = sender(Vec::new());
    let fields = |kind, secrets: &[_]| {
        let found = sender.check_destination(&destination(kind, secrets));
        found.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
    };
    let wrong = DestinationKind::Smtp {
        host: "mail example".into(),
        port: 0,
        tls: SmtpTls::Implicit,
        username: "ann".into(),
        sender: Some(MailboxSpec { name: "a\r\nBcc: b".into(), address: "nobody".into() }),
    };
    let expected =
        ["smtp.host", "smtp.port", "smtp.password", "smtp.sender.displayName", "smtp.sender.address"];
    assert_eq!(fields(wrong, &[]), expected);
    let remote = DestinationKind::Smtp {
        host: "192.0.2.1".into(),
        port: 25,
        tls: SmtpTls::PlaintextLoopback,
        username: String::new(),
        sender: None,
    };
    assert_eq!(fields(remote, &[]), ["smtp.tls"]);
    assert_eq!(fields(relay(25), &[]), [""; 0]);
    let hostile = DestinationKind::Webhook {
        url: "https://169.254.169.254/".into(),
        headers: [("host".to_owned(), "x".to_owned())].into(),
        allow_http: false,
    };
    let secrets = [("short", 0, None), (OLD, 0, None), (NEW, 0, None)];
    assert_eq!(
        fields(hostile, &secrets),
        ["webhook.url", "webhook.headers", "webhook.secrets", "webhook.secrets[0]"]
    );
    assert_eq!(fields(webhook("https://example.com/".into()), &[(OLD, 0, None)]), [""; 0]);
    assert_eq!(fields(webhook("https://example.com/".into()), &[]), ["webhook.secrets"]);
}

#[test]
fn a_message_that_could_not_be_sent_is_known_before_it_is_kept() {
    let sender = sender(Vec::new());
    assert_eq!(sender.check_message(&mail()), Ok(()));
    let mut hostile = mail();
    if let Message::Email { to, .. } = &mut hostile {
        *to = "ann@example.com\r\nRCPT TO:<eve@example.com>".into();
    }
    assert!(sender.check_message(&hostile).is_err());
    assert!(sender.check_message(&Message::webhook("{".into())).is_err());
    let large = format!("\"{}\"", "x".repeat(256 * 1024));
    assert!(sender.check_message(&Message::webhook(large)).is_err());
}

#[test]
fn a_template_is_checked_and_rendered_for_its_kind() {
    let sender = sender(Vec::new());
    let context = serde_json::json!({ "customer": { "name": "<Ann>" } });
    let source = "Hello {{ customer.name }}";
    assert_eq!(sender.render(source, TemplateKind::Text, &context).as_deref(), Ok("Hello <Ann>"));
    assert_eq!(sender.render(source, TemplateKind::Html, &context).as_deref(), Ok("Hello &lt;Ann&gt;"));
    let error = sender.render("{{ customer.plan }}", TemplateKind::Text, &context).expect_err("undefined");
    assert!(error.message.starts_with("line 1: "), "{error}");
    assert!(sender.check_template("{% include 'x' %}", TemplateKind::Text).is_err());
    assert_eq!(sender.check_template(source, TemplateKind::Text), Ok(()));
}

#[test]
fn wrong_options_are_refused_by_name() {
    let good = || SenderOptions {
        allow_recipients: Vec::new(),
        allow_networks: Vec::new(),
        allow_ports: Vec::new(),
        allow_http: false,
        hello: "rekindle".into(),
        public_url: "https://mail.example.com".into(),
        link_key: [7; 32],
    };
    let message = |options| Sender::new(options).expect_err("wrong").to_string();
    assert!(
        message(SenderOptions { allow_networks: vec!["10.0.0.0/99".into()], ..good() })
            .contains("10.0.0.0/99")
    );
    assert!(message(SenderOptions { public_url: "somewhere".into(), ..good() }).contains("somewhere"));
    assert!(message(SenderOptions { allow_recipients: vec!["a b".into()], ..good() }).contains("a b"));
}

#[test]
fn links_that_the_port_writes_open_again() {
    let url = sender(Vec::new()).unsubscribe_url(42, Uuid::max());
    let token = url.rsplit('/').next().expect("a token");
    assert_eq!(open_token(&[7; 32], token), Some((42, Uuid::max())));
}
