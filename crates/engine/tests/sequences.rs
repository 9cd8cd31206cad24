//! Sequences from the stall to the last message, over every database that there is.

#[path = "sequences/answers.rs"]
mod answers;
#[path = "sequences/busy.rs"]
mod busy;
#[path = "sequences/capabilities.rs"]
mod capabilities;
#[path = "sequences/chance.rs"]
mod chance;
#[path = "sequences/clock.rs"]
mod clock;
#[path = "sequences/courier.rs"]
mod courier;
#[path = "sequences/creates.rs"]
mod creates;
#[path = "sequences/definitions.rs"]
mod definitions;
#[path = "sequences/edits.rs"]
mod edits;
#[path = "sequences/erased.rs"]
mod erased;
#[path = "sequences/explain.rs"]
mod explain;
#[path = "sequences/fires.rs"]
mod fires;
#[path = "sequences/holdout.rs"]
mod holdout;
#[path = "sequences/house.rs"]
mod house;
#[path = "sequences/late.rs"]
mod late;
#[path = "sequences/limits.rs"]
mod limits;
#[path = "sequences/logged.rs"]
mod logged;
#[path = "sequences/occasions.rs"]
mod occasions;
#[path = "sequences/ours.rs"]
mod ours;
#[path = "sequences/outcomes.rs"]
mod outcomes;
#[path = "sequences/paused.rs"]
mod paused;
#[path = "sequences/poison.rs"]
mod poison;
#[path = "sequences/recommended.rs"]
mod recommended;
#[path = "sequences/recovery.rs"]
mod recovery;
#[path = "sequences/replay.rs"]
mod replay;
#[path = "sequences/resources.rs"]
mod resources;
#[path = "sequences/schedules.rs"]
mod schedules;
#[path = "sequences/shares.rs"]
mod shares;
#[path = "sequences/simulate.rs"]
mod simulate;
#[path = "sequences/stages.rs"]
mod stages;
#[path = "sequences/stamps.rs"]
mod stamps;
#[path = "sequences/stopping.rs"]
mod stopping;
#[path = "sequences/targets.rs"]
mod targets;
#[path = "sequences/timing.rs"]
mod timing;
#[path = "sequences/verbs.rs"]
mod verbs;
#[path = "sequences/walk.rs"]
mod walk;
#[path = "sequences/warnings.rs"]
mod warnings;
#[path = "sequences/ways.rs"]
mod ways;
