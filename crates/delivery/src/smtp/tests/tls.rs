//! TLS from the first byte, by upgrade, and stripped.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::*;
use super::relay::*;

const KEY: &str = include_str!("../testdata/localhost.key.pem");

fn acceptor() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key fits the certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// A relay under TLS from the first byte; `None` if the handshake failed.
async fn secure_relay(listener: &TcpListener) -> Option<Seen> {
    let (stream, _) = listener.accept().await.expect("the client connects");
    let stream = acceptor().accept(stream).await.ok()?;
    Some(play(stream, WELL).await)
}

#[tokio::test]
async fn implicit_tls_delivers_to_a_relay_whose_authority_is_trusted() {
    let (listener, port) = listen().await;
    let config = SmtpConfig { tls: Tls::Implicit, ..patient(port) };
    let envelope = envelope();
    let (outcome, seen) = tokio::join!(send(&config, &envelope, MESSAGE), secure_relay(&listener));
    assert_eq!(class(&outcome), "delivered", "{outcome:?}");
    assert!(seen.expect("a handshake").message.ends_with(b".\r\n"));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_another_name_is_refused() {
    for (host, ca_pem) in [("127.0.0.1", None), ("127.0.0.2", Some(CERTIFICATE.to_owned()))] {
        let listener = TcpListener::bind((host, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let config = SmtpConfig { tls: Tls::Implicit, host: host.into(), ca_pem, ..patient(port) };
        let envelope = envelope();
        let (outcome, seen) = tokio::join!(send(&config, &envelope, MESSAGE), secure_relay(&listener));
        assert!(matches!(outcome, Outcome::Retry { phase: Phase::Tls, .. }), "{outcome:?}");
        assert!(seen.is_none(), "no word of SMTP was spoken");
    }
}

const STARTTLS: Script = Script { extensions: "250-relay\r\n250 STARTTLS\r\n", ..WELL };

/// A relay that upgrades: the plain half by script, the rest as a new session
/// that begins with `EHLO`.
async fn upgrading_relay(listener: &TcpListener, plain: Script) -> Option<Seen> {
    let (mut stream, _) = listener.accept().await.expect("the client connects");
    play(&mut stream, plain).await;
    let stream = acceptor().accept(stream).await.ok()?;
    // The greeting was given before the upgrade.
    Some(play(stream, Script { fault: Some((Phase::Greeting, Fault::Say(""))), ..WELL }).await)
}

#[tokio::test]
async fn starttls_upgrades_before_anything_is_said() {
    let (listener, port) = listen().await;
    let config = SmtpConfig { tls: Tls::StartTls, ..patient(port) };
    let envelope = envelope();
    let (outcome, seen) =
        tokio::join!(send(&config, &envelope, MESSAGE), upgrading_relay(&listener, STARTTLS));
    assert_eq!(class(&outcome), "delivered", "{outcome:?}");
    let commands = seen.expect("a handshake").commands;
    assert_eq!(commands[0], "EHLO client.example.com");
    assert!(commands[1].starts_with("AUTH PLAIN "));
}

#[tokio::test]
async fn words_smuggled_in_before_the_upgrade_end_the_dialogue() {
    let (listener, port) = listen().await;
    let config = SmtpConfig { tls: Tls::StartTls, ..patient(port) };
    let smuggled = Fault::Say("220 go ahead\r\n250-relay\r\n250 AUTH PLAIN\r\n");
    let script = Script { fault: Some((Phase::StartTls, smuggled)), ..STARTTLS };
    let envelope = envelope();
    let (outcome, seen) = tokio::join!(send(&config, &envelope, MESSAGE), upgrading_relay(&listener, script));
    assert!(matches!(outcome, Outcome::Retry { phase: Phase::StartTls, .. }), "{outcome:?}");
    assert!(seen.is_none());
}

#[tokio::test]
async fn a_stripped_starttls_is_never_answered_with_plain_text() {
    let (listener, port) = listen().await;
    let config = SmtpConfig { tls: Tls::StartTls, ..patient(port) };
    let envelope = envelope();
    let relay = async {
        let (stream, _) = listener.accept().await.expect("the client connects");
        play(stream, WELL).await
    };
    let (outcome, seen) = tokio::join!(send(&config, &envelope, MESSAGE), relay);
    assert!(matches!(outcome, Outcome::Retry { phase: Phase::StartTls, .. }), "{outcome:?}");
    assert_eq!(seen.commands, ["EHLO client.example.com"]);
}
