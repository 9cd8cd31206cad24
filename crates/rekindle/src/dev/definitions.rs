//! What the show defines: a relay, a funnel with rules, and a sequence bound to one of them.

use std::net::SocketAddr;

use rekindle_core::funnel::{
    Funnel, Goal, Match, OwedBy, Property, PropertyScope, SilenceRule, Stage, TimeBasis,
};
use rekindle_core::mark::MarkKind;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{
    Action, Branch, Case, QuietHours, QuietPolicy, SendEmail, Sequence, Split, Step, Trigger, UnknownPolicy,
    Variant, Wait,
};
use rekindle_core::time::{HOUR, MINUTE};
use rekindle_engine::{Creation, Engine, error::EngineResult};
use rekindle_ports::resources::{DestinationKind, DestinationRow, MailboxSpec, SmtpTls, WorkspaceRow};

/// Id of the funnel.
pub const FUNNEL: &str = "irc-help";
/// The sequences: id, name, and the stage whose stall starts them.
pub const SEQUENCES: [(&str, &str, &str); 2] =
    [("did-that-help", "Did that help?", "answered"), ("still-there", "Are you still there?", "came-back")];
const RELAY: &str = "sink";

/// Creates everything.
pub async fn create(engine: &Engine, scope: Scope, sink: SocketAddr) -> EngineResult<()> {
    engine
        .write(scope, move |tx, now| {
            Box::pin(async move {
                let mut workspace = WorkspaceRow { updated_at: now, revision: 1, ..tx.workspace().await? };
                let name = "Ubuntu Help".to_owned();
                workspace.body.sender = Some(MailboxSpec { name, address: "help@rekindle.invalid".into() });
                tx.save_workspace(&workspace).await?;
                Ok(tx.save_destination(&relay(sink, now)).await?)
            })
        })
        .await?;
    engine.create_funnel(scope, FUNNEL, funnel(), Creation::default()).await?;
    while engine.fill_step(scope).await? {}
    for (id, name, stage) in SEQUENCES {
        engine.create_sequence(scope, id, sequence(name, stage), Creation::default()).await?;
        engine.start_sequence(scope, id, None).await?;
    }
    Ok(())
}

fn relay(sink: SocketAddr, now: rekindle_core::Timestamp) -> DestinationRow {
    DestinationRow {
        id: RELAY.into(),
        display_name: "The inbox of this program".into(),
        kind: DestinationKind::Smtp {
            host: sink.ip().to_string(),
            port: sink.port(),
            tls: SmtpTls::PlaintextLoopback,
            username: String::new(),
            sender: None,
        },
        secrets: Vec::new(),
        disabled: None,
        etag: "1".into(),
        created_at: now,
        updated_at: now,
    }
}

/// Asked, answered, came back, said thanks.
fn funnel() -> Funnel {
    let stage = |id: &str, name: &str, kind: &str, rule: &str, owed_by| Stage {
        id: id.into(),
        display_name: name.into(),
        enter: vec![Match { event_types: [kind.to_owned()].into(), rule: rule.into() }],
        stall: Some(SilenceRule { after: 2 * MINUTE, basis: TimeBasis::Wall, owed_by }),
        abandon: Some(SilenceRule { after: 25 * MINUTE, basis: TimeBasis::Wall, owed_by }),
        ..Stage::default()
    };
    Funnel {
        display_name: "Help on #ubuntu".into(),
        description: "From a question to a word of thanks.".into(),
        conversion_window: Some(HOUR),
        stages: vec![
            stage("asked", "Asked", "customer_message", "", OwedBy::Agent),
            stage("answered", "Answered", "agent_message", "", OwedBy::Customer),
            stage("came-back", "Came back", "customer_message", "", OwedBy::Customer),
            Stage {
                goal: Some(Goal::Resolution),
                ..stage("thanked", "Thanked", "customer_message", THANKS, OwedBy::Anyone)
            },
        ],
        breakdowns: vec![Property { scope: PropertyScope::Event, key: "author".into() }],
        ..Funnel::default()
    }
}

const THANKS: &str = r#"event.text.lowerAscii().contains("thank")"#;

/// Customers of ten thousand who get nothing, for comparison.
const HELD_OUT: u16 = 2_000;

/// A minute after a stall was noticed a mail: about the link, where the last answer held one, else
/// in one of two tones; a quarter of an hour later another. Nobody is written to before a quarter
/// to seven, and one in five not at all.
fn sequence(name: &str, stage: &str) -> Sequence {
    let trigger = Trigger {
        funnel: FUNNEL.into(),
        stage: stage.into(),
        on: MarkKind::Stalled.into(),
        owed_by: OwedBy::Customer,
    };
    let link = Case {
        when: r#"event.text.lowerAscii().contains("http")"#.into(),
        steps: vec![mail("ask-about-link", "Did the link help, {{ customer.name }}?")],
    };
    let tone = |id: &str, mail| Variant { id: id.into(), weight: 1, steps: vec![mail] };
    let tones = vec![
        tone("plain", mail("ask-plainly", "Did that help, {{ customer.name }}?")),
        tone("warm", mail("ask-warmly", "{{ customer.name }}, we would love to hear how it went")),
    ];
    let ask =
        Branch { cases: vec![link], otherwise: vec![step("tone", Action::Split(Split { variants: tones }))] };
    let steps = vec![
        step("patience", Action::Wait(Wait::wall(MINUTE))),
        step("what-was-said", Action::Branch(ask)),
        step("more-patience", Action::Wait(Wait::wall(15 * MINUTE))),
        mail("ask-again", "Still stuck, {{ customer.name }}?"),
    ];
    Sequence {
        display_name: name.into(),
        quiet: Some(QuietHours {
            hours: "Mo-Su 00:00-06:45".into(),
            holidays: Vec::new(),
            policy: QuietPolicy::Defer,
            max_deferral: HOUR,
        }),
        holdout: HELD_OUT,
        ..Sequence::new(trigger, steps)
    }
}

fn step(id: &str, action: Action) -> Step {
    Step { id: id.into(), action }
}

fn mail(id: &str, subject: &str) -> Step {
    Step {
        id: id.into(),
        action: Action::SendEmail(SendEmail {
            destination: RELAY.into(),
            subject: subject.into(),
            text: MAIL.into(),
            html: String::new(),
            to: String::new(),
            unknown: UnknownPolicy::Resend,
        }),
    }
}

const MAIL: &str = "Hello {{ customer.name }},\n\nsomebody on #ubuntu answered your question ({{ conversation.id }}), \
                    and you have been quiet since {{ silence.since }}.\nDid it help? A short reply is enough.\n\n\
                    Stop these mails: {{ unsubscribe_url }}\n";
