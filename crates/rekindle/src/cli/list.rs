//! `rekindle list KIND`.

mod conditions;

use std::future::Future;

use rekindle_proto::v1;
use serde::Serialize;
use serde_json::Value;
use tonic::Status;

use crate::cli::Failure;
use crate::cli::connection::{Connection, Target};
use crate::cli::get;
use crate::cli::kind::Kind;
use crate::cli::output::{self, Format};
use conditions::Conditions;

/// The largest page that a server gives.
const MAX_PAGE: usize = 1000;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What kind of resources
    #[arg(value_enum)]
    kind: Kind,
    #[command(flatten)]
    conditions: Conditions,
    #[command(flatten)]
    target: Target,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// How many at most; 0 for all
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
}

/// Lists the resources and prints them.
pub async fn run(args: &Args) -> Result<(), Failure> {
    args.conditions.fit(args.kind)?;
    let connection = Connection::open(&args.target).await?;
    let page = fetch(&connection, args).await?;
    output::print(args.output, &page.values, &args.kind.rows(&page.values))?;
    if page.more {
        eprintln!("there are more; --limit 0 lists all");
    }
    Ok(())
}

/// Resources as proto JSON, and whether there are more.
struct Listing {
    values: Vec<Value>,
    more: bool,
}

/// Declares a call that reads one page of a list.
macro_rules! list {
    ($connection:expr, $limit:expr, $client:ident.$method:ident($request:ident { $($field:ident: $value:expr),* }) -> $items:ident) => {
        collect($limit, |page_size, page_token| {
            let mut client = $connection.$client();
            let request = v1::$request {
                parent: $connection.parent(),
                page_size,
                page_token,
                $($field: $value,)*
            };
            async move {
                let answer = client.$method(request).await?.into_inner();
                Ok((answer.$items, answer.next_page_token))
            }
        })
        .await
    };
}

async fn fetch(connection: &Connection, args: &Args) -> Result<Listing, Failure> {
    let limit = args.limit;
    let asked = args.conditions.resolve(args.kind, connection.workspace())?;
    match args.kind {
        Kind::Workspace => {
            let value = get::fetch(connection, Kind::Workspace, connection.workspace()).await?;
            Ok(Listing { values: vec![value], more: false })
        }
        Kind::Funnel => list!(connection, limit, funnels.list_funnels(ListFunnelsRequest {}) -> funnels),
        Kind::Sequence => {
            list!(connection, limit, sequences.list_sequences(ListSequencesRequest {}) -> sequences)
        }
        Kind::Destination => {
            list!(connection, limit, destinations.list_destinations(ListDestinationsRequest {}) -> destinations)
        }
        Kind::Conversation => {
            list!(connection, limit, conversations.list_conversations(ListConversationsRequest {
                filter: asked.filter.clone(),
                owed_by: asked.owed_by,
                state: asked.conversation_state,
                position: asked.position.clone()
            }) -> conversations)
        }
        Kind::Customer => list!(connection, limit, customers.list_customers(ListCustomersRequest {
            filter: asked.filter.clone(),
            position: asked.position.clone()
        }) -> customers),
        Kind::Run => list!(connection, limit, runs.list_runs(ListRunsRequest {
            sequence: asked.sequence.clone(),
            state: asked.run_state,
            conversation: asked.conversation.clone(),
            customer: asked.customer.clone()
        }) -> runs),
        Kind::Delivery => list!(connection, limit, deliveries.list_deliveries(ListDeliveriesRequest {
            run: asked.run.clone(),
            state: asked.delivery_state,
            destination: asked.destination.clone(),
            conversation: asked.conversation.clone(),
            customer: asked.customer.clone()
        }) -> deliveries),
        Kind::Replay => list!(connection, limit, replays.list_replays(ListReplaysRequest {}) -> replays),
        Kind::Suppression => {
            list!(connection, limit, suppressions.list_suppressions(ListSuppressionsRequest {
                reason: asked.reason,
                address: asked.recipient.clone()
            }) -> suppressions)
        }
    }
}

/// Walks pages until `limit` resources are there (0: all) or there are no more.
async fn collect<T, F, Fut>(limit: usize, mut fetch: F) -> Result<Listing, Failure>
where
    T: Serialize,
    F: FnMut(i32, String) -> Fut,
    Fut: Future<Output = Result<(Vec<T>, String), Status>>,
{
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut values = Vec::new();
    let mut token = String::new();
    loop {
        let wanted = (limit - values.len()).min(MAX_PAGE) as i32;
        let (items, next) = fetch(wanted, token).await?;
        for item in items {
            values.push(output::value(&item)?);
        }
        let more = !next.is_empty();
        if !more || values.len() >= limit {
            values.truncate(limit);
            return Ok(Listing { values, more });
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of two out of five numbers.
    fn two_of_five(size: i32, token: &str) -> (Vec<i32>, String) {
        let start: i32 = token.parse().unwrap_or(0);
        let end = (start + size.min(2)).min(5);
        let next = if end < 5 { end.to_string() } else { String::new() };
        ((start..end).collect(), next)
    }

    #[tokio::test]
    async fn pages_are_walked_to_the_end_or_to_the_limit() {
        let all =
            collect(0, |size, token| async move { Ok(two_of_five(size, &token)) }).await.expect("pages");
        assert_eq!((all.values.len(), all.more), (5, false));
        let some =
            collect(3, |size, token| async move { Ok(two_of_five(size, &token)) }).await.expect("pages");
        assert_eq!((some.values.len(), some.more), (3, true));
    }
}
