//! `rekindle delete KIND NAME --yes`.

use rekindle_proto::v1;

use crate::cli::Failure;
use crate::cli::confirm::confirm;
use crate::cli::connection::{Connection, Target};
use crate::cli::kind::Kind;

/// Arguments of `delete`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What kind of resource; conversations and customers are erased for good
    #[arg(value_enum)]
    kind: Kind,
    /// Its id or full name
    name: String,
    #[command(flatten)]
    target: Target,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Delete only if this is still the current etag (funnels, sequences, destinations)
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
}

/// Asks, deletes, and says so.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let kind = args.kind;
    if matches!(kind, Kind::Workspace | Kind::Run | Kind::Delivery | Kind::Replay) {
        return Err(Failure::Invalid(format!("a {} cannot be deleted", kind.word().to_lowercase())));
    }
    let name = kind.name(&args.target.workspace, &args.name);
    confirm(&format!("Delete `{name}` for good?"), args.yes)?;
    let connection = Connection::open(&args.target).await?;
    delete(&connection, kind, name.clone(), args.etag.clone()).await?;
    eprintln!("deleted {name}");
    Ok(())
}

async fn delete(connection: &Connection, kind: Kind, name: String, etag: String) -> Result<(), Failure> {
    match kind {
        Kind::Funnel => {
            let request = v1::DeleteFunnelRequest { name, etag };
            connection.funnels().delete_funnel(request).await?;
        }
        Kind::Sequence => {
            let request = v1::DeleteSequenceRequest { name, etag };
            connection.sequences().delete_sequence(request).await?;
        }
        Kind::Destination => {
            let request = v1::DeleteDestinationRequest { name, etag };
            connection.destinations().delete_destination(request).await?;
        }
        Kind::Suppression => {
            let request = v1::RemoveSuppressionRequest { name };
            connection.suppressions().remove_suppression(request).await?;
        }
        Kind::Conversation => {
            let request = v1::EraseConversationRequest { name };
            let answer = connection.conversations().erase_conversation(request).await?;
            eprintln!("erased {} events", answer.into_inner().erased_event_count);
        }
        Kind::Customer => {
            let request = v1::EraseCustomerRequest { name };
            let erased = connection.customers().erase_customer(request).await?.into_inner();
            eprintln!(
                "erased {} conversations and {} events",
                erased.erased_conversation_count, erased.erased_event_count
            );
        }
        Kind::Workspace | Kind::Run | Kind::Delivery | Kind::Replay => {}
    }
    Ok(())
}
