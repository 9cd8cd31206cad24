//! Each phase crossed with each fault: the class of the outcome.

use std::future::pending;

use super::super::*;
use super::relay::*;

#[tokio::test]
async fn a_fault_before_the_final_dot_means_not_sent() {
    for phase in [Phase::Greeting, Phase::Ehlo, Phase::Auth, Phase::MailFrom, Phase::RcptTo, Phase::Data] {
        for fault in [DROP, HANG, SOFT, JUNK] {
            let (outcome, _) = attempt(failing(phase, fault), MESSAGE).await;
            assert_eq!(class(&outcome), "retry", "{phase} {fault:?}: {outcome:?}");
            let Outcome::Retry { phase: at, code, .. } = &outcome else { unreachable!() };
            assert_eq!(
                (*at, *code),
                (phase, matches!(fault, Fault::Say(w) if w == "450 4.2.0 later\r\n").then_some(450))
            );
        }
    }
}

#[tokio::test]
async fn a_permanent_refusal_is_final_for_the_message_but_not_for_the_relay() {
    for (phase, wanted) in [
        (Phase::Greeting, "retry"),
        (Phase::Ehlo, "retry"),
        (Phase::Auth, "retry"),
        (Phase::MailFrom, "rejected"),
        (Phase::RcptTo, "rejected"),
        (Phase::Data, "rejected"),
        (Phase::FinalReply, "rejected"),
    ] {
        let (outcome, _) = attempt(failing(phase, HARD), MESSAGE).await;
        assert_eq!(class(&outcome), wanted, "{phase}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_fault_after_the_final_dot_is_unknown_unless_answered() {
    for (fault, wanted) in [
        (DROP, "unknown"),
        (HANG, "unknown"),
        (JUNK, "unknown"),
        (Fault::Say("354 go on\r\n"), "unknown"),
        (Fault::Say("250-half a reply\r\n550 5.1.1 and another\r\n"), "unknown"),
        (SOFT, "retry"),
        (Fault::Say("421 4.3.2 closing\r\n"), "retry"),
        (HARD, "rejected"),
    ] {
        let (outcome, _) = attempt(failing(Phase::FinalReply, fault), MESSAGE).await;
        assert_eq!(class(&outcome), wanted, "{fault:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_message_that_could_not_be_written_out_was_not_sent() {
    // More than the socket buffers of both sides hold.
    let large = vec![b'x'; 32 * 1024 * 1024];
    for fault in [DROP, HANG] {
        let (listener, port) = listen().await;
        let config = if matches!(fault, Fault::Hang) { impatient(port, Phase::Body) } else { patient(port) };
        let relay = async {
            let (stream, _) = listener.accept().await.expect("the client connects");
            play(stream, failing(Phase::Body, fault)).await;
            pending::<()>().await;
        };
        let envelope = envelope();
        let outcome = tokio::select! {
            outcome = send(&config, &envelope, &large) => outcome,
            () = relay => unreachable!("the relay waits for ever"),
        };
        assert!(matches!(outcome, Outcome::Retry { phase: Phase::Body, .. }), "{fault:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_unknown_recipient_is_to_be_suppressed() {
    let script = failing(Phase::RcptTo, Fault::Say("550 5.1.1 no such user\r\n"));
    let (outcome, _) = attempt(script, MESSAGE).await;
    assert!(matches!(outcome, Outcome::Rejected { suppress: true, code: Some(550), .. }), "{outcome:?}");
}

#[tokio::test]
async fn endless_replies_are_cut() {
    let line: &'static str = Box::leak("250-".repeat(20_000).into_boxed_str());
    let lines: &'static str = Box::leak("250-more\r\n".repeat(20_000).into_boxed_str());
    for words in [line, lines] {
        let (outcome, _) = attempt(failing(Phase::Ehlo, Fault::Say(words)), MESSAGE).await;
        assert!(matches!(outcome, Outcome::Retry { phase: Phase::Ehlo, .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn two_replies_at_once_are_never_taken_for_the_next_answer() {
    let script = failing(Phase::RcptTo, Fault::Say("250 ok\r\n354 go\r\n"));
    let (outcome, seen) = attempt(script, MESSAGE).await;
    assert!(matches!(outcome, Outcome::Retry { phase: Phase::Data, .. }), "{outcome:?}");
    assert!(!seen.commands.contains(&"DATA".to_owned()));
    assert!(seen.message.is_empty());
}

/// F3: with a pool, the late reply of one message is read as that of the next.
#[tokio::test]
async fn the_late_reply_of_one_message_never_answers_the_next() {
    let (listener, port) = listen().await;
    let first = async {
        let (stream, _) = listener.accept().await.expect("the first message");
        play(stream, failing(Phase::FinalReply, HANG)).await
    };
    let (config, envelope) = (impatient(port, Phase::FinalReply), envelope());
    let (outcome, seen) = tokio::join!(send(&config, &envelope, MESSAGE), first);
    assert!(matches!(outcome, Outcome::Unknown { phase: Phase::FinalReply, .. }), "{outcome:?}");
    assert!(seen.client_left, "a timeout closes the connection");
    assert!(!seen.commands.contains(&"QUIT".to_owned()), "a broken dialogue says nothing more");

    let second = async {
        let (stream, _) = listener.accept().await.expect("a connection of its own");
        play(stream, failing(Phase::RcptTo, HARD)).await
    };
    let config = patient(port);
    let (outcome, _) = tokio::join!(send(&config, &envelope, MESSAGE), second);
    assert!(matches!(outcome, Outcome::Rejected { phase: Phase::RcptTo, .. }), "{outcome:?}");
}

/// F4: lettre waits for ever for a greeting that does not come.
#[tokio::test]
async fn a_relay_that_never_greets_is_left_in_time() {
    let (outcome, seen) = attempt(failing(Phase::Greeting, HANG), MESSAGE).await;
    assert!(matches!(outcome, Outcome::Retry { phase: Phase::Greeting, code: None, .. }), "{outcome:?}");
    assert!(seen.client_left);
}
