//! What a definition may say: what can be seen in it, its templates, and what it names.

use rekindle_core::funnel::{OwedBy, TimeBasis};
use rekindle_core::mark::MarkKind;
use rekindle_core::sequence::validate::{STEPS, validate};
use rekindle_core::sequence::{Action, SendEmail, Sequence, Step, Wait};
use rekindle_core::violation::{Violation, Violations, quoted};
use rekindle_ports::deliver::TemplateKind;
use rekindle_ports::resources::{DestinationKind, DestinationRow};
use rekindle_ports::{Deliver, Tx};

use crate::error::{EngineError, EngineResult, Invalid, ResourceKind};
use crate::funnels;

/// Checks a definition; all violations at once, those of what surrounds it first.
pub(crate) async fn check(
    tx: &mut dyn Tx,
    deliver: &dyn Deliver,
    sequence: &Sequence,
    mut violations: Vec<Violation>,
) -> EngineResult<()> {
    let mut found = Violations::new();
    validate(sequence, &mut found);
    for (path_of_step, step) in bounded(sequence) {
        for (field, source, kind) in templates(&step.action) {
            if let Err(error) = deliver.check_template(source, kind) {
                found.add(&path(&path_of_step, &step.action, field), error.message);
            }
        }
    }
    violations.extend(found.into_vec());
    for unmet in unmet(tx, sequence).await? {
        // What is malformed is not looked for in vain.
        if !violations.iter().any(|known| known.field == unmet.field) {
            violations.push(unmet);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(EngineError::invalid(Invalid::Sequence, violations)) }
}

/// The steps that are looked at one by one, with their paths: no more than a sequence may have.
fn bounded(sequence: &Sequence) -> impl Iterator<Item = (String, &Step)> {
    sequence.each_step().into_iter().take(*STEPS.end())
}

/// What a definition names that is not there, or is not what the definition needs.
pub(crate) async fn unmet(tx: &mut dyn Tx, sequence: &Sequence) -> EngineResult<Vec<Violation>> {
    let mut unmet = Violations::new();
    let trigger = &sequence.trigger;
    match funnels::view(tx, &trigger.funnel, None).await {
        Ok(view) => {
            let stages = &view.revision.body.stages;
            let has_hours = view.revision.body.calendar.is_some();
            for (path_of_step, step) in bounded(sequence) {
                let lacks_hours = is_in_business_time(&step.action) && !has_hours;
                let field = path(&path_of_step, &step.action, "basis");
                unmet.require(!lacks_hours, &field, "the funnel has no calendar");
            }
            match stages.iter().find(|stage| stage.id == trigger.stage) {
                Some(stage) => {
                    if let Some(kind) = trigger.on.silence() {
                        unmet.require(stage.rule(kind).is_some(), "trigger.on", lacks(kind));
                    }
                }
                None if trigger.stage.is_empty() => {}
                None => {
                    unmet.add("trigger.stage", format!("the funnel has no stage {}", quoted(&trigger.stage)));
                }
            }
        }
        Err(EngineError::NotFound { kind: ResourceKind::Funnel, .. }) => {
            unmet.add("trigger.funnel", format!("there is no funnel {:?}", trigger.funnel));
        }
        Err(error) => return Err(error),
    }
    for (path_of_step, step) in bounded(sequence) {
        if let Action::SendEmail(SendEmail { to, .. }) = &step.action
            && to.is_empty()
            && trigger.owed_by == OwedBy::Agent
        {
            let field = path(&path_of_step, &step.action, "to");
            unmet.add(
                &field,
                "our side owes the word, not the customer: escalate instead, or name an address",
            );
        }
        let Some(id) = step.action.destination() else {
            continue;
        };
        let field = path(&path_of_step, &step.action, "destination");
        match tx.destination(id).await? {
            None => unmet.add(&field, format!("there is no destination {id:?}")),
            Some(row) => {
                unmet.require(fits(&step.action, &row), &field, misfit(&step.action));
                for (field, message) in unsaid(&step.action, &row) {
                    unmet.add(&path(&path_of_step, &step.action, field), message);
                }
            }
        }
    }
    Ok(unmet.into_vec())
}

/// What is said of a stage without the rule.
pub(crate) fn lacks(on: MarkKind) -> &'static str {
    match on {
        MarkKind::Warned => "the stage warns of no stall",
        MarkKind::Stalled => "the stage has no stall rule",
        MarkKind::Abandoned => "the stage has no abandon rule",
    }
}

/// The templates of an action: field, source and kind; those that are not given are left out.
pub(super) fn templates(action: &Action) -> Vec<(&'static str, &str, TemplateKind)> {
    let all = match action {
        Action::SendEmail(email) => vec![
            ("subject", email.subject.as_str(), TemplateKind::Subject),
            ("text", &email.text, TemplateKind::Text),
            ("html", &email.html, TemplateKind::Html),
            ("to", &email.to, TemplateKind::Address),
        ],
        Action::CallWebhook(webhook) => vec![("body", webhook.body.as_str(), TemplateKind::Json)],
        Action::EmitEvent(event) => vec![("properties", event.properties.as_str(), TemplateKind::Json)],
        Action::Escalate(escalate) => vec![
            ("subject", escalate.subject.as_str(), TemplateKind::Subject),
            ("text", &escalate.text, TemplateKind::Text),
            ("to", &escalate.to, TemplateKind::Address),
            ("body", &escalate.body, TemplateKind::Json),
        ],
        _ => Vec::new(),
    };
    all.into_iter().filter(|(_, source, _)| !source.is_empty()).collect()
}

/// Path of a field of a step, such as `steps[1].sendEmail.subject`.
pub(super) fn path(step: &str, action: &Action, field: &str) -> String {
    format!("{step}.{}.{field}", action.field())
}

fn is_in_business_time(action: &Action) -> bool {
    matches!(action, Action::Wait(Wait { basis: TimeBasis::Business, .. }))
}

fn fits(action: &Action, destination: &DestinationRow) -> bool {
    matches!(
        (action, &destination.kind),
        (Action::SendEmail(_), DestinationKind::Smtp { .. })
            | (Action::CallWebhook(_), DestinationKind::Webhook { .. })
            | (Action::Escalate(_), _)
    )
}

/// What an escalation by mail has to say, and does not.
fn unsaid(action: &Action, destination: &DestinationRow) -> Vec<(&'static str, &'static str)> {
    let (Action::Escalate(escalate), DestinationKind::Smtp { .. }) = (action, &destination.kind) else {
        return Vec::new();
    };
    let all = [("to", &escalate.to), ("subject", &escalate.subject), ("text", &escalate.text)];
    all.into_iter()
        .filter(|(_, template)| template.trim().is_empty())
        .map(|(field, _)| (field, "is required for a mail"))
        .collect()
}

fn misfit(action: &Action) -> &'static str {
    match action {
        Action::CallWebhook(_) => "is no webhook",
        _ => "is no mail server",
    }
}
