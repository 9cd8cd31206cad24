use proptest::prelude::*;

use super::*;

fn inputs() -> EmailInputs {
    EmailInputs {
        message_id: "run-1.step-2.0f3a@mail.example.com".into(),
        date: 1_700_000_000,
        from: Mailbox { name: Some("Shop, \"the\" best".into()), address: "shop@example.com".into() },
        reply_to: Some(Mailbox { name: None, address: "help@example.com".into() }),
        to: Mailbox { name: Some("Änn".into()), address: "ann@example.invalid".into() },
        subject: "Still there? – your order".into(),
        text: "Hello Änn,\nare you still there?\n.\n.dot\n".into(),
        html: Some("<p>Hello <b>Änn</b></p>".into()),
        list_unsubscribe_url: "https://example.com/u/abc.def".into(),
        unsubscribe_mailto: Some("unsubscribe@example.com".into()),
    }
}

fn built(inputs: &EmailInputs) -> String {
    String::from_utf8(build(inputs).expect("valid inputs")).expect("ascii")
}

/// The header lines, unfolded.
fn header_lines(message: &str) -> Vec<String> {
    let (head, _) = message.split_once("\r\n\r\n").expect("a head and a body");
    head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    assert_eq!(build(&inputs()), build(&inputs()));
    let other = EmailInputs { message_id: "run-2@mail.example.com".into(), ..inputs() };
    assert_ne!(built(&inputs()), built(&other));
}

#[test]
fn every_header_a_bulk_mail_owes_is_there() {
    let lines = header_lines(&built(&inputs()));
    for wanted in [
        "Message-ID: <run-1.step-2.0f3a@mail.example.com>",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        "Reply-To: help@example.com",
        "List-Unsubscribe: <https://example.com/u/abc.def>, <mailto:unsubscribe@example.com>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} not in {lines:#?}");
    }
}

#[test]
fn a_text_part_always_precedes_the_html_part() {
    let message = built(&inputs());
    let text = message.find("Content-Type: text/plain").expect("a text part");
    let html = message.find("Content-Type: text/html").expect("an html part");
    assert!(text < html);
    assert!(message.contains("multipart/alternative"));

    let plain = built(&EmailInputs { html: None, ..inputs() });
    assert!(plain.contains("Content-Type: text/plain; charset=utf-8"));
    assert!(!plain.contains("multipart"));
}

/// F5: lettre panics on a line break in a display name.
#[test]
fn a_line_break_in_a_display_name_is_an_error_and_no_panic() {
    let evil = Mailbox { name: Some("Bob\r\nBcc: x@example.com".into()), address: "bob@example.com".into() };
    for (field, broken) in [
        ("from", EmailInputs { from: evil.clone(), ..inputs() }),
        ("to", EmailInputs { to: evil.clone(), ..inputs() }),
        ("reply_to", EmailInputs { reply_to: Some(evil), ..inputs() }),
    ] {
        assert_eq!(build(&broken), Err(EmailError::Control { field }));
    }
}

#[test]
fn every_header_input_refuses_controls_by_name() {
    for control in
        ["\r", "\n", "\0", "\u{7f}", "\u{1b}", "\u{85}", "\u{202e}", "\u{2066}", "\u{2028}", "\u{200f}"]
    {
        let with = |text: &str| format!("{text}{control}");
        let cases = [
            ("subject", EmailInputs { subject: with("a"), ..inputs() }),
            ("message_id", EmailInputs { message_id: with("a@b"), ..inputs() }),
            (
                "list_unsubscribe_url",
                EmailInputs { list_unsubscribe_url: with("https://example.com/"), ..inputs() },
            ),
            (
                "unsubscribe_mailto",
                EmailInputs { unsubscribe_mailto: Some(with("u@example.com")), ..inputs() },
            ),
            ("to", EmailInputs { to: Mailbox { name: None, address: with("a@example.com") }, ..inputs() }),
        ];
        for (field, broken) in cases {
            assert_eq!(build(&broken), Err(EmailError::Control { field }), "{control:?}");
        }
    }
}

#[test]
fn overlong_and_malformed_inputs_are_refused() {
    let long = "x".repeat(1000);
    for broken in [
        EmailInputs { subject: long.clone(), ..inputs() },
        EmailInputs { message_id: format!("{long}@x"), ..inputs() },
        EmailInputs { message_id: "no-at".into(), ..inputs() },
        EmailInputs { message_id: "<a@b>".into(), ..inputs() },
        EmailInputs { list_unsubscribe_url: format!("https://example.com/{long}"), ..inputs() },
        EmailInputs { list_unsubscribe_url: "javascript:alert(1)".into(), ..inputs() },
        EmailInputs { list_unsubscribe_url: "https://example.com/a,b".into(), ..inputs() },
        EmailInputs { date: -1, ..inputs() },
        EmailInputs { date: i64::MAX, ..inputs() },
    ] {
        assert!(build(&broken).is_err(), "{broken:?}");
    }
}

#[test]
fn a_body_of_hostile_lines_stays_within_the_limits() {
    let text = format!("a\rb\nc\0d\u{85}e\n{}\n{}", "x".repeat(5000), "é".repeat(3000));
    let bytes = build(&EmailInputs { text, ..inputs() }).expect("bodies are encoded");
    assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= 999));
    assert!(bytes.is_ascii());
}

proptest! {
    #[test]
    fn no_input_makes_the_builder_panic_or_adds_a_header(
        name in ".{0,60}",
        subject in ".{0,200}",
        text in "(?s).{0,300}",
        html in proptest::option::of("(?s).{0,300}"),
    ) {
        let mail = EmailInputs {
            from: Mailbox { name: Some(name), address: "shop@example.com".into() },
            subject,
            text,
            html,
            ..inputs()
        };
        if let Ok(bytes) = build(&mail) {
            let message = String::from_utf8(bytes).expect("ascii");
            let names: Vec<String> = header_lines(&message)
                .iter()
                .map(|line| line.split(':').next().unwrap_or_default().to_owned())
                .collect();
            let known = [
                "Message-ID", "Date", "From", "Reply-To", "To", "Subject", "List-Unsubscribe",
                "List-Unsubscribe-Post", "Auto-Submitted", "MIME-Version", "Content-Type",
                "Content-Transfer-Encoding",
            ];
            prop_assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
        }
    }
}
