//! What a folded journey means for marks, runs and timers.

use std::collections::BTreeSet;

use rekindle_core::Timestamp;
use rekindle_core::detect::first_look;
use rekindle_core::fold::Silence;
use rekindle_core::time::MINUTE;
use rekindle_ports::rows::{JourneyWrite, TimerSet};

use super::super::effects::{Whereabouts, clocks, due_keys};
use super::Fold;
use crate::revisions::ActiveRevision;

/// How far a replica's idea of now may lie behind that of the one whose detector looked last.
const CLOCK_MARGIN: i64 = MINUTE;

impl Fold {
    /// Notes what marks and runs have to hear of a journey that is live.
    pub(super) fn note_effects(
        &mut self,
        revision: &ActiveRevision,
        write: &JourneyWrite,
        before: Option<&Silence>,
    ) {
        let funnel = &revision.funnel;
        let (id, subject) = (write.row.funnel.as_str(), write.row.key.subject);
        if !write.row.live {
            return;
        }
        self.effects.subjects.insert(subject);
        let open = write.row.journey.watch.open.as_ref();
        let stage = write.standing.place.map(|place| funnel.funnel.stages[place].id.clone());
        let quiet_since = open.map(|open| open.key.anchor.at);
        let revision = revision.head.revision;
        let running = open.into_iter().flat_map(Silence::clocks);
        let running = running.map(|(kind, clock)| (kind, clock.anchor.at)).collect();
        let whereabouts =
            Whereabouts { standing: write.standing, stage, revision, quiet_since, clocks: running };
        self.effects.standings.insert((id.to_owned(), subject), whereabouts);
        if write.replaces && write.existed {
            let known = write.silences.iter().chain(open);
            let keys = known.flat_map(|silence| due_keys(funnel, id, subject, silence)).collect();
            self.effects.rebuilt.insert((id.to_owned(), subject), keys);
        } else if let Some(before) = before.filter(|before| Some(*before) != open) {
            let still: BTreeSet<_> = write
                .silences
                .iter()
                .chain(open)
                .flat_map(|silence| due_keys(funnel, id, subject, silence))
                .map(|(key, _)| key)
                .collect();
            // A clock that has not run out by now cannot have been noticed.
            let noticeable = self.now.plus(CLOCK_MARGIN);
            let gone = clocks(funnel, id, subject, before).into_iter().filter(|(_, due)| *due <= noticeable);
            self.effects.stopped.extend(gone.map(|(key, _)| key).filter(|key| !still.contains(key)));
        }
    }

    /// Sets the timer of a live journey, unless one that is early enough is sure to be there.
    pub(super) fn set_timer(&mut self, write: &JourneyWrite, before: Option<Timestamp>) {
        let open = write.row.journey.watch.open.as_ref();
        let (Some(due_at), true) = (open.and_then(first_look), write.row.live) else {
            return;
        };
        let may_have_fired = |at: Timestamp| at <= self.now.plus(CLOCK_MARGIN);
        let set_already = before.is_some_and(|at| at <= due_at && !may_have_fired(at));
        if !set_already || !write.existed {
            let (funnel, subject) = (write.row.funnel.clone(), write.row.key.subject);
            self.timers.push(TimerSet { funnel, subject, due_at });
        }
    }
}
