//! Messages to values of the core and back.
//!
//! Reading collects every wrong field under its path in proto JSON spelling; writing never
//! fails. What a message leaves out becomes its documented default here, at the door, so that
//! a definition that was read and written back is the same definition.

pub mod choice;
pub mod delivery;
pub mod destination;
pub mod event;
pub mod funnel;
pub mod metrics;
pub mod path;
pub mod preview;
pub mod proportion;
pub mod question;
pub mod recovery;
pub mod replay;
pub mod run;
pub mod sequence;
pub mod share;
pub mod simulation;
pub mod stage;
mod step;
pub mod subject;
pub mod suppression;
pub mod targets;
pub mod time;
pub mod timeline;
pub mod trigger;
pub mod value;
pub mod workspace;
