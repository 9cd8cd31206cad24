//! The store over sea-orm: SQLite and PostgreSQL on one code path.

mod browse;
mod catalog;
mod codes;
pub mod connect;
mod erase;
mod error;
mod facts;
mod filter;
mod journeys;
mod leases;
mod listing;
mod marks;
mod outbox;
pub mod predicate_sql;
mod probe;
mod replays;
mod resources;
mod runs;
mod schedules;
mod sql;
mod statistics;
mod store;
mod subjects;
mod timers;
mod tombstone;

pub use connect::{StoreOptions, open};
pub use store::SeaStore;
