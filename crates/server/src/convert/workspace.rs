//! The settings of a workspace.

use rekindle_core::calendar::CalendarSpec;
use rekindle_core::metrics::Granularity;
use rekindle_core::sequence::contact::{ContactLimit, LimitPeriod};
use rekindle_core::violation::Violations;
use rekindle_engine::workspace::workspace_etag;
use rekindle_ports::resources::{MailboxSpec, WorkspaceBody, WorkspaceRow};
use rekindle_proto::v1;

use super::path::each;
use super::{choice, share, time};
use crate::name::workspace_name;

/// Reads the settings. What they mean is checked where they are stored.
pub fn workspace(message: v1::Workspace, v: &mut Violations) -> WorkspaceBody {
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
        contact_limits: each(&message.contact_limits, "contactLimits", v, limit),
        holdout: share::held_out(message.holdout, "holdout", v),
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
        contact_limits: body.contact_limits.iter().map(to_limit).collect(),
        holdout: share::to_share(body.holdout),
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

fn limit(message: &v1::ContactLimit, v: &mut Violations) -> ContactLimit {
    use v1::contact_limit::Period;
    let period = match &message.period {
        Some(Period::Rolling(span)) => {
            LimitPeriod::Rolling(time::duration(span, "rolling", v).unwrap_or_default())
        }
        Some(Period::Calendar(number)) => match choice::granularity(*number, "calendar", v) {
            Some(Granularity::Week) => LimitPeriod::Week,
            Some(Granularity::Month) => LimitPeriod::Month,
            // With a violation noted, what stands here is never used.
            Some(Granularity::Day) | None => LimitPeriod::Day,
        },
        None => {
            v.add("", "takes rolling or calendar");
            LimitPeriod::Day
        }
    };
    v.require(message.count >= 0, "count", "is negative");
    ContactLimit { count: message.count.unsigned_abs(), period }
}

fn to_limit(limit: &ContactLimit) -> v1::ContactLimit {
    use v1::contact_limit::Period;
    let period = match limit.period {
        LimitPeriod::Rolling(span) => Period::Rolling(time::to_duration(span)),
        LimitPeriod::Day => Period::Calendar(v1::Granularity::Day.into()),
        LimitPeriod::Week => Period::Calendar(v1::Granularity::Week.into()),
        LimitPeriod::Month => Period::Calendar(v1::Granularity::Month.into()),
    };
    v1::ContactLimit { count: limit.count as i32, period: Some(period) }
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
            contact_limits: vec![
                ContactLimit { count: 2, period: LimitPeriod::Rolling(3_600_000_000) },
                ContactLimit { count: 4, period: LimitPeriod::Month },
            ],
            holdout: 1_234,
        };
        let row = WorkspaceRow { body: written.clone(), revision: 3, updated_at: Timestamp::EARLIEST };
        let mut v = Violations::new();
        assert_eq!(workspace(to_workspace(&row), &mut v), written);
        assert!(v.is_empty());
    }

    #[test]
    fn a_workspace_that_says_nothing_is_in_utc() {
        let mut v = Violations::new();
        assert_eq!(workspace(v1::Workspace::default(), &mut v), WorkspaceBody::default());
    }
}
