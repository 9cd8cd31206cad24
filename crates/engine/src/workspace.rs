//! The workspace: what holds for everything in it.

use std::sync::Arc;

use rekindle_core::calendar::{Calendar, CalendarSpec, zone_named};
use rekindle_core::funnel::validate::is_user_id;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::contact;
use rekindle_core::sequence::validate::MOST_HELD_OUT;
use rekindle_core::violation::Violations;
use rekindle_ports::ledger::Message;
use rekindle_ports::resources::{MailboxSpec, WorkspaceBody, WorkspaceRow};
use rekindle_ports::{Deliver, Tx};

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid, Precondition, ResourceKind};
use crate::loops::scheduler;

/// Most calendars of a workspace.
const MOST_CALENDARS: usize = 50;
/// Most holidays of a calendar.
const MOST_HOLIDAYS: usize = 500;
/// Most bytes of a name for people.
const MOST_NAME: usize = 256;

/// A change of a workspace.
#[derive(Debug, Clone)]
pub struct WorkspaceChange {
    /// What it is set to, whole.
    pub body: WorkspaceBody,
    /// The etag the caller read, if it cares.
    pub etag: Option<String>,
}

impl Engine {
    /// The workspace; a default one where nobody has touched it.
    pub async fn workspace(&self, scope: Scope) -> EngineResult<WorkspaceRow> {
        self.read(scope, |tx, _| Box::pin(async { Ok(tx.workspace().await?) })).await
    }

    /// Changes the workspace. Funnel revisions keep the calendars that they were published with;
    /// schedules that name no zone come round by the new one from now on.
    pub async fn update_workspace(
        &self,
        scope: Scope,
        change: WorkspaceChange,
    ) -> EngineResult<WorkspaceRow> {
        let deliver = Arc::clone(&self.inner.deliver);
        self.write(scope, move |tx, now| {
            let (change, deliver) = (change.clone(), Arc::clone(&deliver));
            Box::pin(async move {
                let row = tx.workspace().await?;
                if change.etag.is_some_and(|etag| etag != workspace_etag(&row)) {
                    return Err(EngineError::StaleEtag { kind: ResourceKind::Workspace, id: String::new() });
                }
                let mut violations = Violations::new();
                check(&change.body, &*deliver, &mut violations);
                let body = violations
                    .into_result(change.body)
                    .map_err(|violations| EngineError::invalid(Invalid::Field, violations))?;
                check_calendars_in_use(tx, &row.body, &body).await?;
                let moves = body.zone != row.body.zone;
                let row = WorkspaceRow { body, revision: row.revision + 1, updated_at: now };
                tx.save_workspace(&row).await?;
                if moves {
                    scheduler::follow_workspace(tx, now).await?;
                }
                Ok(row)
            })
        })
        .await
    }
}

/// The etag of a workspace as it is.
pub fn workspace_etag(row: &WorkspaceRow) -> String {
    format!("{:x}", row.revision)
}

/// The calendar of this name, in the workspace's zone where it names none.
pub(crate) fn calendar(body: &WorkspaceBody, name: &str) -> Option<CalendarSpec> {
    body.calendars.get(name).map(|spec| zoned(spec, &body.zone))
}

fn zoned(spec: &CalendarSpec, zone: &str) -> CalendarSpec {
    let mut spec = spec.clone();
    if spec.zone.is_empty() {
        zone.clone_into(&mut spec.zone);
    }
    spec
}

fn check(body: &WorkspaceBody, deliver: &dyn Deliver, v: &mut Violations) {
    v.require_text(&body.display_name, MOST_NAME, "displayName");
    let zone_known = zone_named(&body.zone).is_some();
    v.require(zone_known, "defaultZone", "not a zone of the IANA database");
    v.require(body.calendars.len() <= MOST_CALENDARS, "calendars", "more than 50 calendars");
    // A wrong zone of the workspace is named once, not once for each calendar.
    let zone = if zone_known { body.zone.as_str() } else { "UTC" };
    for (name, spec) in body.calendars.iter().take(MOST_CALENDARS) {
        v.within(format!("calendars.{name}"), |v| {
            v.require(
                is_user_id(name),
                "",
                "a name takes 1 to 63 of a-z, 0-9 and '-', beginning with a letter",
            );
            v.require(spec.holidays.len() <= MOST_HOLIDAYS, "holidays", "more than 500 days");
            Calendar::compile(&zoned(spec, zone), v);
        });
    }
    contact::validate(&body.contact_limits, v);
    v.require(body.holdout <= MOST_HELD_OUT, "holdout", "takes a share of at most 0.5");
    let plain = MailboxSpec { name: String::new(), address: "somebody@rekindle.invalid".into() };
    let sender = body.sender.as_ref();
    if let Err(error) = sender.map_or(Ok(()), |sender| deliver.check_message(&probe(sender, None, ""))) {
        v.add("sender", error);
    }
    let reply_to = body.reply_to.as_ref();
    if let Err(error) =
        reply_to.map_or(Ok(()), |reply_to| deliver.check_message(&probe(&plain, Some(reply_to), "")))
    {
        v.add("replyTo", error);
    }
    if let Err(error) = deliver.check_message(&probe(&plain, None, &body.unsubscribe_mailto)) {
        v.add("unsubscribe.mailto", error);
    }
}

/// A mail that is only built, to learn whether these mailboxes can stand in one.
fn probe(from: &MailboxSpec, reply_to: Option<&MailboxSpec>, unsubscribe_mailto: &str) -> Message {
    Message::Email {
        message_id: "probe@rekindle.invalid".into(),
        date: 0,
        from: from.clone(),
        reply_to: reply_to.cloned(),
        to: "somebody@rekindle.invalid".into(),
        subject: "probe".into(),
        text: "probe".into(),
        html: None,
        unsubscribe_url: "https://rekindle.invalid/".into(),
        unsubscribe_mailto: unsubscribe_mailto.to_owned(),
    }
}

/// A calendar that the newest revision of a funnel names stays.
async fn check_calendars_in_use(
    tx: &mut dyn Tx,
    before: &WorkspaceBody,
    after: &WorkspaceBody,
) -> EngineResult<()> {
    let goes = |name: &str| before.calendars.contains_key(name) && !after.calendars.contains_key(name);
    if !before.calendars.keys().any(|name| goes(name)) {
        return Ok(());
    }
    for head in tx.active_revisions().await?.into_iter().filter(|head| head.is_latest) {
        let Some(revision) = tx.revision_by_key(head.key).await? else {
            continue;
        };
        let name = &revision.body.calendar_name;
        if goes(name) {
            return Err(EngineError::Precondition {
                reason: Precondition::CalendarInUse,
                message: format!("the funnel {:?} names the calendar {name:?}", head.funnel),
                metadata: vec![
                    ("calendar".into(), name.clone()),
                    ("usedBy".into(), format!("workspaces/default/funnels/{}", head.funnel)),
                ],
            });
        }
    }
    Ok(())
}
