//! `rekindle get KIND NAME`.

use clap::ValueEnum;
use rekindle_proto::v1;
use serde::Serialize;
use serde_json::Value;
use tonic::Status;

use crate::cli::Failure;
use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format};

/// Arguments of `get`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What kind of resource
    #[arg(value_enum)]
    kind: Kind,
    /// Its id or full name; suppressions are found by their address too
    name: String,
    #[command(flatten)]
    target: Target,
    /// How to print it; YAML can be given back to `apply`
    #[arg(short, long, value_enum, default_value = "yaml")]
    output: Shape,
}

/// How one resource is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// A definition as `apply` reads it
    Yaml,
    /// Columns for people
    Table,
    /// Indented JSON
    Json,
    /// JSON on one line
    Jsonl,
    /// RFC 4180 with a header
    Csv,
}

/// Reads the resource and prints it.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let connection = Connection::open(&args.target).await?;
    let value = fetch(&connection, args.kind, &args.name).await?;
    match args.output {
        Shape::Yaml => output::print_yaml(&definition(args.kind, value)),
        Shape::Json => output::print_json(&value),
        Shape::Jsonl => output::print_jsonl(&[value]),
        Shape::Table => print_row(Format::Table, args.kind, value),
        Shape::Csv => print_row(Format::Csv, args.kind, value),
    }
}

fn print_row(format: Format, kind: Kind, value: Value) -> Result<(), Failure> {
    let values = [value];
    output::print(format, &values, &kind.rows(&values))
}

/// Declares a call that reads one resource and gives it as proto JSON.
macro_rules! read {
    ($client:expr, $method:ident, $request:ident, $field:ident, $name:expr) => {{
        let request = v1::$request { name: $name };
        let answer = $client.$method(request).await?.into_inner();
        present(answer.$field)
    }};
}

/// Reads one resource as proto JSON.
pub async fn fetch(connection: &Connection, kind: Kind, typed: &str) -> Result<Value, Failure> {
    let name = kind.name(connection.workspace(), typed);
    match kind {
        Kind::Workspace => {
            read!(connection.workspaces(), get_workspace, GetWorkspaceRequest, workspace, name)
        }
        Kind::Destination => {
            read!(connection.destinations(), get_destination, GetDestinationRequest, destination, name)
        }
        Kind::Funnel => {
            read!(connection.funnels(), get_funnel, GetFunnelRequest, funnel, name)
        }
        Kind::Sequence => {
            read!(connection.sequences(), get_sequence, GetSequenceRequest, sequence, name)
        }
        Kind::Conversation => {
            read!(connection.conversations(), get_conversation, GetConversationRequest, conversation, name)
        }
        Kind::Customer => {
            read!(connection.customers(), get_customer, GetCustomerRequest, customer, name)
        }
        Kind::Run => read!(connection.runs(), get_run, GetRunRequest, run, name),
        Kind::Delivery => {
            read!(connection.deliveries(), get_delivery, GetDeliveryRequest, delivery, name)
        }
        Kind::Replay => read!(connection.replays(), get_replay, GetReplayRequest, replay, name),
        Kind::Suppression => suppression(connection, typed).await,
    }
}

/// What an answer holds, as proto JSON. A server that answers without it is none of ours.
fn present<T: Serialize>(message: Option<T>) -> Result<Value, Failure> {
    let message = message.ok_or_else(|| Failure::Failed("the server answered nothing".to_owned()))?;
    output::value(&message)
}

/// Suppressions have no Get: an address is asked for as such.
async fn suppression(connection: &Connection, typed: &str) -> Result<Value, Failure> {
    let request = v1::ListSuppressionsRequest {
        parent: connection.parent(),
        address: typed.to_owned(),
        ..Default::default()
    };
    if !typed.contains('@') {
        return Err(Failure::Invalid(
            "suppressions are read by e-mail address; others stand in `list suppressions`".to_owned(),
        ));
    }
    let answer = connection.suppressions().list_suppressions(request).await?.into_inner();
    match answer.suppressions.into_iter().next() {
        Some(found) => output::value(&found),
        None => Err(Status::not_found(format!("`{typed}` is not suppressed")).into()),
    }
}

/// The resource as a definition file has it.
fn definition(kind: Kind, value: Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            fields.insert("kind".to_owned(), Value::from(kind.word()));
            Value::Object(fields)
        }
        other => other,
    }
}
