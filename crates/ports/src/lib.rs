//! What the engine needs of the world: a store, somewhere to send, a clock.

pub mod browse;
pub mod clock;
pub mod deliver;
pub mod erasure;
pub mod error;
pub mod facts;
pub mod ledger;
pub mod resources;
pub mod rows;
pub mod store;

pub use clock::{Clock, Minter};
pub use deliver::Deliver;
pub use error::{StoreError, StoreResult};
pub use store::{Store, Tx};
