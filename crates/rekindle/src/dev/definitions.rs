//! What the show defines: a relay, a funnel with rules, and a sequence bound to one of them.

use std::net::SocketAddr;

use rekindle_core::funnel::{
    Funnel, Goal, Match, OwedBy, Property, PropertyScope, SilenceRule, Stage, TimeBasis,
};
use rekindle_core::mark::MarkKind;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{Action, MessageClass, SendEmail, Sequence, Step, Trigger, UnknownPolicy};
use rekindle_core::time::{HOUR, MINUTE};
use rekindle_engine::{Creation, Engine, error::EngineResult};
use rekindle_ports::resources::{DestinationKind, DestinationRow, MailboxSpec, SmtpTls, WorkspaceRow};

/// Id of the funnel.
pub const FUNNEL: &str = "irc-help";
/// The sequences: id, name, and the stage whose stall starts them.
const SEQUENCES: [(&str, &str, &str); 2] =
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

/// A minute after a stall was noticed: a mail; a quarter of an hour later another.
fn sequence(name: &str, stage: &str) -> Sequence {
    Sequence {
        display_name: name.into(),
        trigger: Trigger {
            funnel: FUNNEL.into(),
            stage: stage.into(),
            on: MarkKind::Stalled,
            owed_by: OwedBy::Customer,
        },
        steps: vec![
            Step { id: "patience".into(), action: Action::Wait(MINUTE) },
            mail("ask", "Did that help, {{ customer.name }}?"),
            Step { id: "more-patience".into(), action: Action::Wait(15 * MINUTE) },
            mail("ask-again", "Still stuck, {{ customer.name }}?"),
        ],
        max_delay: HOUR,
        class: MessageClass::Marketing,
    }
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
