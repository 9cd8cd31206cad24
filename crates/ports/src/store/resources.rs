//! Sequences, destinations, suppressions and the workspace in the store.

use async_trait::async_trait;
use rekindle_core::sequence::Sequence;

use crate::error::StoreResult;
use crate::resources::{
    DestinationRow, RequestKind, RequestRow, RunChange, SequenceRow, SuppressionKind, SuppressionRow,
    WorkspaceRow,
};

/// What users define beside funnels.
#[async_trait]
pub trait Resources {
    /// A sequence, its row locked when the unit of work may write.
    async fn sequence(&mut self, id: &str) -> StoreResult<Option<SequenceRow>>;
    /// Sequences in order of their ids.
    async fn sequences(&mut self, after: &str, limit: u32) -> StoreResult<Vec<SequenceRow>>;
    /// Sequences bound to a funnel, whatever their state.
    async fn sequences_of(&mut self, funnel: &str) -> StoreResult<Vec<SequenceRow>>;
    /// Sequences that start on events, active or paused.
    async fn sequences_on_events(&mut self) -> StoreResult<Vec<SequenceRow>>;
    /// A sequence, its row not locked.
    async fn peek_sequence(&mut self, id: &str) -> StoreResult<Option<SequenceRow>>;
    /// What a revision of a sequence says.
    async fn sequence_revision(&mut self, id: &str, revision: i32) -> StoreResult<Option<Sequence>>;
    /// What the revisions of a sequence say of runs, oldest first; those that let them be are left out.
    async fn run_changes(&mut self, sequence: &str) -> StoreResult<Vec<RunChange>>;
    /// Writes a new sequence with its first revision; a conflict where its id was taken meanwhile.
    async fn insert_sequence(&mut self, row: &SequenceRow) -> StoreResult<()>;
    /// Writes a sequence in the place of the one that is there and, where it is new, its revision.
    async fn save_sequence(&mut self, row: &SequenceRow) -> StoreResult<()>;
    /// Writes a sequence with a new revision, and what that says of runs.
    async fn publish_sequence(&mut self, row: &SequenceRow, change: &RunChange) -> StoreResult<()>;
    /// Deletes a sequence; its runs stay in the ledger.
    async fn delete_sequence(&mut self, id: &str) -> StoreResult<()>;

    /// A destination, its row locked when the unit of work may write.
    async fn destination(&mut self, id: &str) -> StoreResult<Option<DestinationRow>>;
    /// The same without locking it: those who send through it do not wait for each other.
    async fn peek_destination(&mut self, id: &str) -> StoreResult<Option<DestinationRow>>;
    /// Destinations in order of their ids.
    async fn destinations(&mut self, after: &str, limit: u32) -> StoreResult<Vec<DestinationRow>>;
    /// Writes a new destination; a conflict where its id was taken meanwhile.
    async fn insert_destination(&mut self, row: &DestinationRow) -> StoreResult<()>;
    /// Writes a destination in the place of the one that is there, if one is.
    async fn save_destination(&mut self, row: &DestinationRow) -> StoreResult<()>;
    /// Deletes a destination.
    async fn delete_destination(&mut self, id: &str) -> StoreResult<()>;

    /// Whichever of these entries are on the suppression list.
    async fn suppressed(&mut self, entries: &[(SuppressionKind, String)])
    -> StoreResult<Vec<SuppressionRow>>;
    /// Entries in order of kind and value.
    async fn suppressions(
        &mut self,
        after: Option<&(SuppressionKind, String)>,
        limit: u32,
    ) -> StoreResult<Vec<SuppressionRow>>;
    /// Adds an entry; one that is there stays as it is. Whether it is new.
    async fn suppress(&mut self, row: &SuppressionRow) -> StoreResult<bool>;
    /// Removes an entry; whether it was there.
    async fn unsuppress(&mut self, kind: SuppressionKind, value: &str) -> StoreResult<bool>;

    /// What was kept of a create, by the caller's id of the request.
    async fn request(&mut self, kind: RequestKind, id: &str) -> StoreResult<Option<RequestRow>>;
    /// Keeps what was answered to a create; a conflict where the request's id was used meanwhile.
    async fn insert_request(&mut self, row: &RequestRow) -> StoreResult<()>;

    /// The workspace; a default one where nobody has touched it.
    async fn workspace(&mut self) -> StoreResult<WorkspaceRow>;
    /// Writes the workspace.
    async fn save_workspace(&mut self, row: &WorkspaceRow) -> StoreResult<()>;
    /// A key that all replicas share: `fresh` where there is none yet.
    async fn shared_key(&mut self, name: &str, fresh: &str) -> StoreResult<String>;
}
