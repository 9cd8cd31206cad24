//! Ingest, the loops that notice and act, and the questions that read.
//!
//! Every unit of database work runs in a task that no client can cancel: the one
//! tracker that the binary owns. Handlers only wait for the answer.

mod bells;
pub mod budget;
pub mod destinations;
pub mod engine;
mod enroll;
pub mod error;
pub mod failpoint;
pub mod fill;
pub mod funnels;
pub mod ingest;
mod jobs;
pub mod loops;
pub mod metrics;
pub mod replays;
pub mod requests;
mod resources;
pub mod revisions;
pub mod runs;
pub mod sequences;
pub mod subjects;
pub mod suppressions;
pub mod workspace;

pub use engine::{Engine, Options, Parts};
pub use error::{EngineError, Invalid, Precondition, ResourceKind};
pub use requests::Creation;
