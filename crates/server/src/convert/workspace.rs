//! The settings of a workspace.

use rekindle_core::calendar::CalendarSpec;
use rekindle_engine::workspace::workspace_etag;
use rekindle_ports::resources::{MailboxSpec, WorkspaceBody, WorkspaceRow};
use rekindle_proto::v1;

use super::time;
use crate::name::workspace_name;

/// Reads the settings. What they mean is checked where they are stored.
pub fn workspace(message: v1::Workspace) -> WorkspaceBody {
    let unsubscribe = message.unsubscribe.unwrap_or_default();
    let default_zone = WorkspaceBody::default().zone;
    let address_alone = |address: String| MailboxSpec { name: String::new(), address };
    WorkspaceBody {
        display_name: message.display_name,
        zone: if message.default_zone.is_empty() { default_zone } else { message.default_zone },
        calendars: message.calendars.into_iter().map(|(name, it)| (name, calendar(it))).collect(),
        sender: message.sender.as_ref().map(mailbox),
        reply_to: (!message.reply_to.is_empty()).then(|| address_alone(message.reply_to)),
        unsubscribe_mailto: unsubscribe.mailto,
    }
}

/// A workspace as a message.
pub fn to_workspace(row: &WorkspaceRow) -> v1::Workspace {
    let body = &row.body;
    let mailto = &body.unsubscribe_mailto;
    let unsubscribe = v1::UnsubscribeSettings { mailto: mailto.clone() };
    v1::Workspace {
        name: workspace_name(),
        display_name: body.display_name.clone(),
        default_zone: body.zone.clone(),
        calendars: body.calendars.iter().map(|(name, spec)| (name.clone(), to_calendar(spec))).collect(),
        sender: body.sender.as_ref().map(to_mailbox),
        reply_to: body.reply_to.as_ref().map(|it| it.address.clone()).unwrap_or_default(),
        unsubscribe: (!mailto.is_empty()).then_some(unsubscribe),
        etag: workspace_etag(row),
        create_time: None,
        // Nobody has touched revision 0.
        update_time: (row.revision > 0).then(|| time::to_instant(row.updated_at)),
    }
}

/// Reads a name and an address.
pub fn mailbox(message: &v1::Mailbox) -> MailboxSpec {
    MailboxSpec { name: message.display_name.clone(), address: message.address.clone() }
}

/// A name and an address as a message.
pub fn to_mailbox(mailbox: &MailboxSpec) -> v1::Mailbox {
    v1::Mailbox { display_name: mailbox.name.clone(), address: mailbox.address.clone() }
}

fn calendar(message: v1::Calendar) -> CalendarSpec {
    CalendarSpec { hours: message.hours, holidays: message.holidays, zone: message.zone }
}

fn to_calendar(spec: &CalendarSpec) -> v1::Calendar {
    v1::Calendar { hours: spec.hours.clone(), holidays: spec.holidays.clone(), zone: spec.zone.clone() }
}

#[cfg(test)]
mod tests {
    use rekindle_core::Timestamp;

    use super::*;

    #[test]
    fn settings_survive_the_message_with_every_field() {
        let office = CalendarSpec {
            hours: "Mo-Fr 09:00-18:00; PH off".into(),
            holidays: vec!["2026-12-25".into()],
            zone: "Europe/Berlin".into(),
        };
        let written = WorkspaceBody {
            display_name: "Shop".into(),
            zone: "Europe/Berlin".into(),
            calendars: [("office".to_owned(), office)].into(),
            sender: Some(MailboxSpec { name: "Shop".into(), address: "hello@example.com".into() }),
            reply_to: Some(MailboxSpec { name: String::new(), address: "desk@example.com".into() }),
            unsubscribe_mailto: "stop@example.com".into(),
        };
        let row = WorkspaceRow { body: written.clone(), revision: 3, updated_at: Timestamp::EARLIEST };
        assert_eq!(workspace(to_workspace(&row)), written);
    }

    #[test]
    fn a_workspace_that_says_nothing_is_in_utc() {
        assert_eq!(workspace(v1::Workspace::default()), WorkspaceBody::default());
    }
}
