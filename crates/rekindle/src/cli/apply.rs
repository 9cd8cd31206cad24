//! `rekindle apply -f FILE|DIR`: makes the server hold what definition files say.
//!
//! A file holds one resource in proto JSON, as JSON or YAML, or several YAML documents. Beside
//! the fields of the resource a document says its `kind` and its `id` (or full `name`); a funnel
//! may add `livePolicy` and `stageMap` of `UpdateFunnelRequest`, a sequence `runPolicy` and `stepMap`
//! of `UpdateSequenceRequest`.

mod change;
mod destination;
mod diff;
mod document;
mod funnel;
mod schema;
mod sequence;
mod settings;
mod substitute;

use std::path::{Path, PathBuf};

use rekindle_proto::v1;
use serde_json::json;
use tonic::{Code, Response, Status};

use crate::cli::confirm::confirm;
use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format, Sheet};
use crate::cli::{Failure, Surroundings};
use change::{Action, Change, Pending};
use document::{Definition, Document};

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, or directories whose .yaml, .yml and .json files are read; - is stdin
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Show what would change, checked by the server, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Move or cancel live journeys and runs without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
    /// How to print what was done
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// What the kinds need to know to apply a document.
struct Applying<'a> {
    connection: &'a Connection,
    dry_run: bool,
    yes: bool,
    pending: Pending,
}

/// Reads every file, then applies document by document in the order in which they build on each
/// other. Nothing is sent before everything has been read without a fault.
pub async fn run(args: &Args, surroundings: &Surroundings<'_>) -> Result<(), Failure> {
    let mut documents = document::read_all(&args.files, surroundings.variable)?;
    documents.sort_by_key(|document| document.definition.kind());
    let connection = Connection::open(&args.target).await?;
    let mut applying = Applying {
        connection: &connection,
        dry_run: args.dry_run,
        yes: args.yes,
        pending: Pending::default(),
    };
    let mut changes = Vec::new();
    for document in documents {
        match applying.apply(&document).await {
            Ok(change) => changes.push(change),
            Err(failure) => {
                print(args, &changes)?;
                eprintln!("{}: not applied", document.source);
                return Err(failure);
            }
        }
    }
    print(args, &changes)
}

/// Reads the one sequence of a definition file, and its id. Other kinds may stand beside it.
pub(super) fn read_sequence(
    file: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, v1::Sequence), Failure> {
    let documents = document::read_all(&[file.to_owned()], variable)?;
    let mut sequences = documents.into_iter().filter_map(|document| match document.definition {
        Definition::Sequence(definition) => Some((document.id, definition.sequence)),
        _ => None,
    });
    match (sequences.next(), sequences.next()) {
        (Some(sequence), None) => Ok(sequence),
        (None, _) => Err(Failure::Invalid(format!("{}: defines no sequence", file.display()))),
        (Some(_), Some(_)) => {
            Err(Failure::Invalid(format!("{}: defines more than one sequence", file.display())))
        }
    }
}

impl Applying<'_> {
    async fn apply(&mut self, document: &Document) -> Result<Change, Failure> {
        let id = document.id.as_str();
        let change = match &document.definition {
            Definition::Workspace(wanted) => settings::workspace(self, id, wanted).await?,
            Definition::Suppression(wanted) => settings::suppression(self, wanted).await?,
            Definition::Destination(wanted) => destination::apply(self, id, wanted).await?,
            Definition::Funnel(wanted) => funnel::apply(self, id, wanted).await?,
            Definition::Sequence(wanted) => sequence::apply(self, id, wanted).await?,
        };
        if change.action == Action::Create {
            self.pending.add(change.name.clone());
        }
        Ok(change)
    }

    fn name(&self, kind: Kind, id: &str) -> String {
        kind.name(self.connection.workspace(), id)
    }

    fn confirm(&self, question: &str) -> Result<(), Failure> {
        confirm(question, self.yes)
    }
}

/// What a Get says, with "not there" as `None`.
fn found<T>(answer: Result<Response<T>, Status>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(response) => Ok(Some(response.into_inner())),
        // A name that cannot be is not there either; creating it says all that is wrong.
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
        Err(status) => Err(status.into()),
    }
}

fn print(args: &Args, changes: &[Change]) -> Result<(), Failure> {
    if args.output != Format::Table {
        let values: Vec<_> = changes
            .iter()
            .map(|change| {
                json!({
                    "kind": change.kind.word(),
                    "name": change.name,
                    "action": change.action.word(),
                    "checked": change.checked,
                    "diff": change.diff,
                })
            })
            .collect();
        return output::print(args.output, &values, &rows(changes));
    }
    for change in changes {
        if args.dry_run && !change.diff.is_empty() {
            output::print_text(&diff::coloured(&change.headline(), &change.diff))?;
        }
    }
    output::print(Format::Table, &[], &rows(changes))?;
    if args.dry_run {
        eprintln!("dry run: nothing was changed");
    }
    for change in changes.iter().filter(|change| !change.checked) {
        eprintln!(
            "{} was not checked by the server: it builds on something that does not exist yet",
            change.name
        );
    }
    Ok(())
}

fn rows(changes: &[Change]) -> Sheet {
    Sheet {
        header: ["kind", "name", "action"].map(str::to_owned).to_vec(),
        cells: changes
            .iter()
            .map(|change| {
                vec![change.kind.word().to_owned(), change.name.clone(), change.action.word().to_owned()]
            })
            .collect(),
        aligns: Vec::new(),
    }
}
