//! Which rounds are done, so that a long run that was interrupted goes on where it stopped.

use std::io::Write;
use std::path::PathBuf;

use crate::surroundings::variable;

/// A file with a line for every round that is done.
const PROGRESS: &str = "REKINDLE_TEST_PROGRESS";

/// Rounds that are done; in a file when one is named.
pub struct Progress(Option<PathBuf>);

impl Progress {
    /// What `REKINDLE_TEST_PROGRESS` says.
    pub fn asked() -> Self {
        Self(variable(PROGRESS).map(PathBuf::from))
    }

    /// Whether a round was done before.
    pub fn has(&self, round: &str) -> bool {
        let Some(text) = self.0.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) else {
            return false;
        };
        text.lines().any(|line| line.split_once(": ").is_some_and(|(done, _)| done == round))
    }

    /// Keeps that a round is done, with what happened in it.
    pub fn keep(&self, round: &str, tally: &str) {
        let Some(path) = &self.0 else {
            return;
        };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{round}: {tally}"))
            .expect("the file named by REKINDLE_TEST_PROGRESS can be written");
    }
}
