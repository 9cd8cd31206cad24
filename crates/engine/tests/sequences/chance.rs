//! Chance plays with sequences: random definitions, replies, edits, crashes and jumps of the clock,
//! all from one seed; and whatever it does, the promises hold.
//!
//! `REKINDLE_TEST_SEEDS` seeds are played on each database (24 where nothing is said), from
//! `REKINDLE_TEST_FIRST_SEED` on. A failure names its seed: the same seed plays the same game.

use rekindle_testkit::databases;

#[path = "chance/dice.rs"]
mod dice;
#[path = "chance/game.rs"]
mod game;
#[path = "chance/promises.rs"]
mod promises;
#[path = "chance/sequences.rs"]
mod sequences;

use dice::Dice;
use game::Game;

/// Moves of a game.
const MOVES: u32 = 30;

/// A number from the environment, for more games or others.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration but its environment")]
pub fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} takes a number")),
        Err(_) => default,
    }
}

#[tokio::test]
async fn whatever_happens_the_promises_hold() {
    let (first, seeds) = (number("REKINDLE_TEST_FIRST_SEED", 0), number("REKINDLE_TEST_SEEDS", 24));
    let mut played = promises::Tally::default();
    for seed in first..first + seeds {
        for database in databases().await {
            let mut game = Game::begin(&database, Dice::of(seed)).await;
            for _ in 0..MOVES {
                game.play().await;
            }
            game.finish().await;
            played.add(&promises::keep(&game, &format!("seed {seed} on {}", database.name)).await);
        }
    }
    eprintln!("{seeds} seeds from {first} on: {played:?}");
    assert!(played.sends > 0 && played.runs > 0, "nothing happened");
}
