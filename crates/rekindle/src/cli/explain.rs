//! `rekindle explain KIND NAME`: why something was sent, or was not.

use std::fmt::Write;

use rekindle_core::Timestamp;
use rekindle_proto::v1;
use serde_json::Value;

use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format, Sheet};
use crate::cli::{Failure, names};
use crate::render::paint::Paint;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to explain: a conversation, a run or a delivery
    #[arg(value_enum)]
    kind: Kind,
    /// Its id or full name
    name: String,
    #[command(flatten)]
    target: Target,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Asks for the story and prints it.
pub async fn run(args: &Args) -> Result<(), Failure> {
    if !matches!(args.kind, Kind::Conversation | Kind::Run | Kind::Delivery) {
        return Err(Failure::Invalid("conversations, runs and deliveries can be explained".to_owned()));
    }
    let connection = Connection::open(&args.target).await?;
    let name = args.kind.name(connection.workspace(), &args.name);
    let answer = connection.runs().explain(v1::ExplainRequest { name }).await?.into_inner();
    if answer.statements.is_empty() {
        eprintln!("nothing was noticed and nothing was done");
    }
    if args.output == Format::Table {
        return output::print_text(&story(&answer.statements));
    }
    let values = answer.statements.iter().map(output::value).collect::<Result<Vec<Value>, _>>()?;
    output::print(args.output, &values, &sheet(&answer.statements))
}

/// The story for people: a line for each sentence, and below it what decided it.
pub fn story(statements: &[v1::Statement]) -> String {
    // Taken out again where they are not wanted.
    let paint = Paint { colors: true };
    let mut text = String::new();
    let mut day = String::new();
    for told in statements {
        let time = when(told);
        let (date, clock) = time.split_once('T').unwrap_or(("", &time));
        if date != day {
            date.clone_into(&mut day);
            let _ = writeln!(text, "{}", paint.heading(date));
        }
        let clock: String = clock.chars().take(8).collect();
        let _ = writeln!(text, "  {clock}  {}", told.text);
        for input in &told.inputs {
            let because = format!("{}: {}", input.key, input.value);
            let _ = writeln!(text, "            {}", paint.aside(&because));
        }
    }
    text
}

/// The instant of a sentence, RFC 3339.
fn when(told: &v1::Statement) -> String {
    told.time
        .as_ref()
        .map(|time| Timestamp::from_parts(time.seconds, time.nanos).to_rfc3339())
        .unwrap_or_default()
}

fn sheet(statements: &[v1::Statement]) -> Sheet {
    let cells = statements.iter().map(|told| {
        let inputs: Vec<String> =
            told.inputs.iter().map(|input| format!("{}: {}", input.key, input.value)).collect();
        let time = when(told);
        vec![time, names::short(&told.sequence), told.step.clone(), told.text.clone(), inputs.join("; ")]
    });
    Sheet {
        header: ["TIME", "SEQUENCE", "STEP", "WHAT", "BECAUSE"].map(str::to_owned).into(),
        cells: cells.collect(),
        aligns: Vec::new(),
    }
}
