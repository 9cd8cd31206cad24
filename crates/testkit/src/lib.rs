//! What tests share: a clock that they move, databases of their own, a store that
//! fails when told to, a proxy and a server to break connections with, events and funnels
//! that read well, and a naive model of the definitions to compare the fold with.

pub mod build;
pub mod clock;
pub mod database;
pub mod dump;
pub mod engine;
pub mod everything;
pub mod faulty;
pub mod http2;
pub mod minter;
pub mod model;
pub mod mortal;
pub mod outbox;
pub mod proxy;
pub mod server;
pub mod sql;

pub use clock::ManualClock;
pub use database::{TestDatabase, databases};
pub use dump::Dump;
pub use engine::TestEngine;
pub use everything::everything;
pub use faulty::{Fault, FaultyStore};
pub use minter::SeededMinter;
pub use mortal::MortalStore;
pub use outbox::Outbox;
pub use proxy::{Proxy, Weather};
pub use server::OwnServer;
pub use sql::Sql;
