//! Ids that repeat from run to run.

use std::sync::atomic::{AtomicU64, Ordering};

use rekindle_ports::Minter;
use uuid::Uuid;

/// Mints 1, 2, 3 … above a seed; minters with different seeds never mint the same id.
#[derive(Debug)]
pub struct SeededMinter {
    seed: u64,
    minted: AtomicU64,
}

impl SeededMinter {
    /// A minter of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, minted: AtomicU64::new(0) }
    }
}

impl Minter for SeededMinter {
    fn mint(&self) -> Uuid {
        let number = self.minted.fetch_add(1, Ordering::SeqCst) + 1;
        Uuid::from_u64_pair(number, self.seed)
    }
}
