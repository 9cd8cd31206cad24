//! Types, funnel rules and metrics of rekindle as plain functions.
//!
//! Nothing here is asynchronous, reads a clock, draws a random number or does
//! IO: `now` is a value, and the same inputs give the same answer in a test, in
//! a preview and after a crash.

pub mod attributes;
pub mod calendar;
pub mod chance;
pub mod conversation;
pub mod detect;
pub mod episode;
pub mod event;
pub mod fold;
pub mod funnel;
pub mod ingest;
pub mod mark;
pub mod metrics;
pub mod predicate;
pub mod schedule;
pub mod scope;
pub mod sequence;
pub mod time;
pub mod turn;
pub mod value;
pub mod violation;

pub use time::Timestamp;
