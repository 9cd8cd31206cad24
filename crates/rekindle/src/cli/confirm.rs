//! Asking before something cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::cli::Failure;

/// Asks on the terminal. `yes` answers beforehand; where nobody can be asked, it is demanded.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Invalid(format!("{question} Say --yes to go ahead")));
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Failed("left as it is".to_owned()))
    }
}
