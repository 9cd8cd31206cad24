//! Addresses and URLs: whatever is taken can stand on the wire, and leads nowhere private.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use rekindle_delivery::email::{Address, EmailInputs, Mailbox, build};
use rekindle_delivery::ssrf::{Egress, classify};
use rekindle_delivery::webhook::{WebhookSecret, check_headers};

fuzz_target!(|text: &str| {
    address(text);
    url(text);
    mail(text);
    let (name, value) = text.split_once('\n').unwrap_or((text, text));
    if check_headers(&[(name.to_owned(), value.to_owned())]).is_ok() {
        assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
        assert!(!name.to_ascii_lowercase().starts_with("webhook-"), "{name:?}");
    }
    let _ = WebhookSecret::parse(text);
});

fn address(text: &str) {
    let Ok(address) = Address::parse("to", text) else {
        return;
    };
    let shown = address.to_string();
    assert!(shown.len() <= 254 && shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown:?}");
    assert!(!shown.contains(['<', '>', ',', ';', '"', '(', ')', '[', ']', '\\']), "{shown:?}");
    assert_eq!(Address::parse("to", &shown).expect("what was taken is taken again"), address);
}

fn url(text: &str) {
    let Ok(url) = Egress::default().check_url(text) else {
        return;
    };
    assert_eq!(url.scheme(), "https", "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert!(matches!(url.port_or_known_default(), Some(443 | 8443)), "{url}");
    let host = url.host_str().expect("a host");
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if let Ok(literal) = literal {
        assert!(classify(literal).is_ok() && !literal.is_loopback() && !literal.is_unspecified(), "{url}");
    }
    assert_eq!(Egress::default().check_url(url.as_str()).as_ref(), Ok(&url), "what was taken is taken again");
}

/// A mail with the text wherever a text can stand has the same headers as any other.
fn mail(text: &str) {
    let mailbox =
        |name: Option<&str>| Mailbox { name: name.map(str::to_owned), address: "a@example.com".into() };
    let inputs = EmailInputs {
        message_id: "id@example.com".into(),
        date: 0,
        from: mailbox(Some(text)),
        reply_to: Some(mailbox(Some(text))),
        to: mailbox(None),
        subject: text.into(),
        text: text.into(),
        html: Some(text.into()),
        list_unsubscribe_url: "https://example.com/u".into(),
        unsubscribe_mailto: None,
    };
    let Ok(bytes) = build(&inputs) else {
        return;
    };
    assert!(bytes.is_ascii(), "a mail that is not ASCII");
    let mail = String::from_utf8(bytes).expect("ASCII");
    let (head, _) = mail.split_once("\r\n\r\n").expect("a head and a body");
    for line in head.split("\r\n") {
        let continued = line.starts_with([' ', '\t']);
        let name = line.split_once(':').map(|(name, _)| name);
        let ours = [
            "Message-ID",
            "Date",
            "From",
            "To",
            "Subject",
            "Reply-To",
            "List-Unsubscribe",
            "List-Unsubscribe-Post",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
        ];
        assert!(continued || name.is_some_and(|name| ours.contains(&name)), "a line of its own: {line:?}");
    }
}
