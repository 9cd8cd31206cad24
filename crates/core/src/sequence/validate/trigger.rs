//! What may start a sequence.

use super::LONGEST_JITTER;
use crate::calendar::zone_named;
use crate::funnel::OwedBy;
use crate::funnel::validate::is_user_id;
use crate::predicate;
use crate::schedule::Schedule;
use crate::sequence::{Occasion, OnEvent, OnSchedule, Trigger};
use crate::violation::Violations;

/// Checks a trigger.
pub(super) fn check(trigger: &Trigger, v: &mut Violations) {
    let Trigger { funnel, stage, on, owed_by } = trigger;
    v.require(is_user_id(funnel), "funnel", "names no funnel");
    let is_silence = on.silence().is_some();
    v.require(is_user_id(stage) || (stage.is_empty() && !is_silence), "stage", "names no stage");
    v.require(is_silence || *owed_by == OwedBy::Anyone, "owedBy", "is for silences only");
    match on {
        Occasion::Event(OnEvent { when }) => check_event(when, v),
        Occasion::Schedule(schedule) => v.within("schedule", |v| check_schedule(schedule, v)),
        Occasion::Silence(_) | Occasion::Hand => {}
    }
}

fn check_event(when: &str, v: &mut Violations) {
    match predicate::parse(when) {
        Ok(rule) => v.require(rule.reads().event, "event.when", "names no event: it would take all"),
        Err(_) if when.trim().is_empty() => v.add("event.when", "is required"),
        Err(error) => v.add("event.when", error.to_string()),
    }
}

fn check_schedule(schedule: &OnSchedule, v: &mut Violations) {
    let OnSchedule { cron, zone, overlap: _, jitter } = schedule;
    if let Err(wrong) = Schedule::parse(cron) {
        v.add("cron", wrong);
    }
    v.require(zone.is_empty() || zone_named(zone).is_some(), "zone", "not a zone of the IANA database");
    let fits = (0..=LONGEST_JITTER).contains(jitter);
    v.require(fits, "jitter", "takes a duration of at most a day");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::MarkKind;

    fn fields(trigger: &Trigger) -> Vec<String> {
        let mut v = Violations::new();
        check(trigger, &mut v);
        v.into_vec().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn every_wrong_field_of_every_occasion_is_named() {
        let of = |on: Occasion| Trigger {
            funnel: "support".into(),
            stage: String::new(),
            on,
            owed_by: OwedBy::Anyone,
        };
        assert_eq!(fields(&of(Occasion::Hand)), [""; 0]);
        assert_eq!(fields(&of(MarkKind::Stalled.into())), ["stage"]);
        let event = |when: &str| of(Occasion::Event(OnEvent { when: when.into() }));
        assert_eq!(fields(&event("event.type == 'signup'")), [""; 0]);
        for wrong in ["", "customer.vip", "event.type =="] {
            assert_eq!(fields(&event(wrong)), ["event.when"], "{wrong:?}");
        }
        let schedule = OnSchedule {
            cron: "0 9 30 2 *".into(),
            zone: "Mars/Olympus".into(),
            overlap: crate::sequence::Overlap::Skip,
            jitter: LONGEST_JITTER + 1,
        };
        let mut trigger = of(Occasion::Schedule(schedule));
        trigger.owed_by = OwedBy::Agent;
        assert_eq!(fields(&trigger), ["owedBy", "schedule.cron", "schedule.zone", "schedule.jitter"]);
    }
}
