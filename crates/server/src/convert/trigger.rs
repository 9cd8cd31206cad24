//! What starts the runs of a sequence.

use rekindle_core::sequence::{Occasion, OnEvent, OnSchedule, Overlap, Trigger};
use rekindle_core::violation::Violations;
use rekindle_proto::v1;
use rekindle_proto::v1::sequence_trigger::Other;

use super::path::within;
use super::{choice, time};
use crate::name::Collection;

/// Reads a trigger.
pub fn trigger(message: &v1::SequenceTrigger, v: &mut Violations) -> Trigger {
    let v1::SequenceTrigger { funnel, stage, on: _, owed_by, other: _ } = message;
    let funnel = Collection::Funnels.parse_within(funnel, "funnel", v);
    let on = occasion(message, v);
    // Of other occasions it may be left out.
    v.require(
        !stage.is_empty() || on.as_ref().is_some_and(|on| on.silence().is_none()),
        "stage",
        "is required",
    );
    Trigger {
        funnel,
        stage: stage.clone(),
        // With a violation noted, what stands here is never used.
        on: on.unwrap_or(Occasion::Hand),
        owed_by: choice::owed_by(*owed_by, "owedBy", v),
    }
}

fn occasion(message: &v1::SequenceTrigger, v: &mut Violations) -> Option<Occasion> {
    let Some(other) = &message.other else {
        return choice::silence_kind(message.on, "on", v).map(Occasion::Silence);
    };
    v.require(message.on == 0, "on", "stands beside something else that starts it: takes one of them");
    Some(match other {
        Other::Event(v1::EventTrigger { when }) => Occasion::Event(OnEvent { when: when.clone() }),
        Other::Schedule(schedule) => {
            Occasion::Schedule(within(v, "schedule", |v| self::schedule(schedule, v)))
        }
        Other::Hand(v1::HandTrigger {}) => Occasion::Hand,
    })
}

fn schedule(message: &v1::ScheduleTrigger, v: &mut Violations) -> OnSchedule {
    use v1::schedule_trigger::Overlap as Policy;
    let jitter = message.jitter.as_ref();
    OnSchedule {
        cron: message.cron.clone(),
        zone: message.zone.clone(),
        overlap: match choice::known(message.overlap, "overlap", v) {
            Policy::Unspecified | Policy::Skip => Overlap::Skip,
            Policy::Allow => Overlap::Allow,
        },
        jitter: jitter.and_then(|span| time::duration(span, "jitter", v)).unwrap_or(0),
    }
}

/// A trigger as a message.
pub fn to_trigger(trigger: &Trigger) -> v1::SequenceTrigger {
    let Trigger { funnel, stage, on, owed_by } = trigger;
    v1::SequenceTrigger {
        funnel: Collection::Funnels.name(funnel),
        stage: stage.clone(),
        on: on.silence().map(choice::to_silence_kind).unwrap_or_default().into(),
        owed_by: choice::to_owed_by(*owed_by).into(),
        other: match on {
            Occasion::Silence(_) => None,
            Occasion::Event(OnEvent { when }) => Some(Other::Event(v1::EventTrigger { when: when.clone() })),
            Occasion::Schedule(schedule) => Some(Other::Schedule(to_schedule(schedule))),
            Occasion::Hand => Some(Other::Hand(v1::HandTrigger {})),
        },
    }
}

fn to_schedule(schedule: &OnSchedule) -> v1::ScheduleTrigger {
    use v1::schedule_trigger::Overlap as Policy;
    let OnSchedule { cron, zone, overlap, jitter } = schedule;
    v1::ScheduleTrigger {
        cron: cron.clone(),
        zone: zone.clone(),
        overlap: match overlap {
            Overlap::Skip => Policy::Skip,
            Overlap::Allow => Policy::Allow,
        }
        .into(),
        jitter: (*jitter != 0).then(|| time::to_duration(*jitter)),
    }
}

#[cfg(test)]
mod tests {
    use rekindle_core::funnel::OwedBy;
    use rekindle_core::mark::MarkKind;

    use super::*;

    #[test]
    fn every_occasion_survives_the_message() {
        let schedule = OnSchedule {
            cron: "0 9 * * mon".into(),
            zone: "Europe/Berlin".into(),
            overlap: Overlap::Allow,
            jitter: 60_000_000,
        };
        for (stage, on) in [
            ("asked", Occasion::Silence(MarkKind::Warned)),
            ("", Occasion::Event(OnEvent { when: "event.type == 'signup'".into() })),
            ("asked", Occasion::Schedule(schedule)),
            ("", Occasion::Hand),
        ] {
            let written =
                Trigger { funnel: "support".into(), stage: stage.into(), on, owed_by: OwedBy::Anyone };
            let mut v = Violations::new();
            assert_eq!(trigger(&to_trigger(&written), &mut v), written);
            assert!(v.is_empty());
        }
    }

    #[test]
    fn a_trigger_starts_on_one_thing() {
        let message = v1::SequenceTrigger {
            funnel: "workspaces/default/funnels/support".into(),
            on: v1::SilenceKind::Stalled.into(),
            other: Some(Other::Hand(v1::HandTrigger {})),
            ..v1::SequenceTrigger::default()
        };
        let mut v = Violations::new();
        trigger(&message, &mut v);
        let fields: Vec<String> = v.into_vec().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["on"]);
    }
}
