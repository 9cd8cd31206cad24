//! `rekindle completion SHELL`: a script that completes commands and flags.

use std::io;

use clap_complete::Shell;

use crate::cli::{Failure, Surroundings};

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, surroundings: &Surroundings<'_>) -> Result<(), Failure> {
    let mut program = (surroundings.program)();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "rekindle", &mut script);
    io::Write::write_all(&mut io::stdout(), &script)?;
    Ok(())
}
