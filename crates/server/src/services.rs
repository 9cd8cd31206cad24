//! The services, one file each, and what they share.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_engine::Engine;
use rekindle_engine::subjects::TimelineCursor;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::admission::Admission;
use crate::layers::call_id::CallId;
use crate::layers::faults::Faults;
use crate::limits::CallLimits;
use crate::page::Pager;
use crate::status::ApiError;

pub mod conversations;
pub mod customers;
pub mod deliveries;
pub mod destinations;
pub mod funnels;
pub mod ingest;
mod ledger;
pub mod metrics;
pub mod replays;
pub mod runs;
pub mod sequences;
pub mod suppressions;
pub mod workspaces;

/// What a handler has at hand.
#[derive(Clone)]
pub struct Desk {
    /// Does the work, in tasks of its own: a handler only awaits.
    pub engine: Engine,
    /// Page tokens.
    pub pager: Pager,
    /// How many events are taken in.
    pub admission: Admission,
    /// How long streams may be silent, and their clients wait.
    pub limits: CallLimits,
    /// Counts what must not happen.
    pub faults: Faults,
    /// Cancelled when the server stops: streams end after their last acknowledgement.
    pub stopping: CancellationToken,
}

impl Desk {
    /// The zone of a workspace, for questions that name none.
    async fn default_zone(&self, scope: Scope) -> Result<String, ApiError> {
        Ok(self.engine.workspace(scope).await?.body.zone)
    }
}

/// A place in a history, as page tokens carry it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    #[serde(rename = "t")]
    at: Timestamp,
    #[serde(rename = "r")]
    rank: u8,
    #[serde(rename = "s")]
    sequence: i64,
    #[serde(rename = "i")]
    id: String,
}

impl From<TimelineCursor> for Place {
    fn from(cursor: TimelineCursor) -> Self {
        let TimelineCursor { at, rank, sequence, id } = cursor;
        Self { at, rank, sequence, id }
    }
}

impl From<Place> for TimelineCursor {
    fn from(place: Place) -> Self {
        let Place { at, rank, sequence, id } = place;
        Self { at, rank, sequence, id }
    }
}

/// Does a call's work and answers; a refusal carries the call's id.
pub async fn answer<Q, A>(
    request: Request<Q>,
    work: impl AsyncFnOnce(Q) -> Result<A, ApiError>,
) -> Result<Response<A>, Status> {
    let id = CallId::of(request.extensions());
    match work(request.into_inner()).await {
        Ok(answer) => Ok(Response::new(answer)),
        Err(error) => Err(error.into_status(id.as_str())),
    }
}

/// Reads a `request_id`: a UUID, or up to 64 printable characters; `None` when it is empty.
pub fn read_request_id(id: &str) -> Result<Option<String>, ApiError> {
    let printable = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_graphic());
    if printable {
        Ok((!id.is_empty()).then(|| id.to_owned()))
    } else {
        Err(ApiError::field("requestId", "takes a UUID, or up to 64 printable characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_short_and_printable() {
        for fine in ["", "5f1f3c1e-8f43-4c5e-9a55-1c6d1f1d4f10", "order-7"] {
            assert!(read_request_id(fine).is_ok(), "{fine}");
        }
        for wrong in ["a b", "é", &"x".repeat(65)] {
            assert!(read_request_id(wrong).is_err(), "{wrong}");
        }
    }
}
