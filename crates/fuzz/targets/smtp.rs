//! SMTP replies: whatever a relay says, reading ends, and no refusal is taken for a yes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rekindle_delivery::outcome::{Outcome, Phase};
use rekindle_delivery::smtp::read_reply;

const PHASES: [Phase; 5] = [Phase::Greeting, Phase::MailFrom, Phase::RcptTo, Phase::Data, Phase::FinalReply];

fuzz_target!(|input: (u8, &[u8])| {
    let (how, bytes) = input;
    let phase = PHASES[usize::from(how) % PHASES.len()];
    let expected = if phase == Phase::Data { 354 } else { 2 };
    let stream = tokio::io::join(bytes, tokio::io::sink());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let outcome = runtime.block_on(read_reply(stream, phase, expected));
    let says_yes = bytes.starts_with(if expected == 2 { b"2" } else { b"354" });
    match outcome {
        None => assert!(says_yes, "taken for a yes"),
        Some(Outcome::Delivered { .. }) => panic!("a reply alone delivers nothing"),
        Some(Outcome::Rejected { code, .. }) => {
            assert!(code.is_some_and(|code| (500..600).contains(&code)), "{code:?}");
        }
        Some(_) => {}
    }
});
