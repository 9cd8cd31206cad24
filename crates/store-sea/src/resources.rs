//! Sequences, destinations, suppressions and the workspace in SQL.

use async_trait::async_trait;
use rekindle_core::sequence::Sequence;
use rekindle_ports::StoreResult;
use rekindle_ports::resources::{
    DestinationRow, RequestKind, RequestRow, RunChange, SequenceRow, SuppressionKind, SuppressionRow,
    WorkspaceRow,
};
use rekindle_ports::store::Resources;

use crate::sql::for_update;
use crate::store::SeaTx;

mod destinations;
mod requests;
mod sequences;
mod suppressions;
mod workspace;

#[async_trait]
impl Resources for SeaTx {
    async fn sequence(&mut self, id: &str) -> StoreResult<Option<SequenceRow>> {
        sequences::find(self, id).await
    }

    async fn sequences(&mut self, after: &str, limit: u32) -> StoreResult<Vec<SequenceRow>> {
        sequences::page(self, after, limit).await
    }

    async fn sequences_of(&mut self, funnel: &str) -> StoreResult<Vec<SequenceRow>> {
        sequences::of_funnel(self, funnel).await
    }

    async fn sequences_on_events(&mut self) -> StoreResult<Vec<SequenceRow>> {
        sequences::on_events(self).await
    }

    async fn peek_sequence(&mut self, id: &str) -> StoreResult<Option<SequenceRow>> {
        sequences::peek(self, id).await
    }

    async fn sequence_revision(&mut self, id: &str, revision: i32) -> StoreResult<Option<Sequence>> {
        sequences::revision(self, id, revision).await
    }

    async fn run_changes(&mut self, sequence: &str) -> StoreResult<Vec<RunChange>> {
        sequences::run_changes(self, sequence).await
    }

    async fn insert_sequence(&mut self, row: &SequenceRow) -> StoreResult<()> {
        sequences::insert(self, row).await
    }

    async fn save_sequence(&mut self, row: &SequenceRow) -> StoreResult<()> {
        sequences::save(self, row).await
    }

    async fn publish_sequence(&mut self, row: &SequenceRow, change: &RunChange) -> StoreResult<()> {
        sequences::publish(self, row, change).await
    }

    async fn delete_sequence(&mut self, id: &str) -> StoreResult<()> {
        sequences::delete(self, id).await
    }

    async fn destination(&mut self, id: &str) -> StoreResult<Option<DestinationRow>> {
        destinations::find(self, id).await
    }

    async fn peek_destination(&mut self, id: &str) -> StoreResult<Option<DestinationRow>> {
        destinations::peek(self, id).await
    }

    async fn destinations(&mut self, after: &str, limit: u32) -> StoreResult<Vec<DestinationRow>> {
        destinations::page(self, after, limit).await
    }

    async fn insert_destination(&mut self, row: &DestinationRow) -> StoreResult<()> {
        destinations::insert(self, row).await
    }

    async fn save_destination(&mut self, row: &DestinationRow) -> StoreResult<()> {
        destinations::save(self, row).await
    }

    async fn delete_destination(&mut self, id: &str) -> StoreResult<()> {
        destinations::delete(self, id).await
    }

    async fn suppressed(
        &mut self,
        entries: &[(SuppressionKind, String)],
    ) -> StoreResult<Vec<SuppressionRow>> {
        suppressions::listed(self, entries).await
    }

    async fn suppressions(
        &mut self,
        after: Option<&(SuppressionKind, String)>,
        limit: u32,
    ) -> StoreResult<Vec<SuppressionRow>> {
        suppressions::page(self, after, limit).await
    }

    async fn suppress(&mut self, row: &SuppressionRow) -> StoreResult<bool> {
        suppressions::add(self, row).await
    }

    async fn unsuppress(&mut self, kind: SuppressionKind, value: &str) -> StoreResult<bool> {
        suppressions::remove(self, kind, value).await
    }

    async fn request(&mut self, kind: RequestKind, id: &str) -> StoreResult<Option<RequestRow>> {
        requests::find(self, kind, id).await
    }

    async fn insert_request(&mut self, row: &RequestRow) -> StoreResult<()> {
        requests::insert(self, row).await
    }

    async fn workspace(&mut self) -> StoreResult<WorkspaceRow> {
        workspace::read(self).await
    }

    async fn save_workspace(&mut self, row: &WorkspaceRow) -> StoreResult<()> {
        workspace::save(self, row).await
    }

    async fn shared_key(&mut self, name: &str, fresh: &str) -> StoreResult<String> {
        workspace::shared_key(self, name, fresh).await
    }
}

impl SeaTx {
    fn lock(&self) -> &'static str {
        if self.writes { for_update(self.backend) } else { "" }
    }

    async fn delete_named(&self, table: &str, column: &str, name: &str) -> StoreResult<u64> {
        let sql = format!("DELETE FROM {table} WHERE {} AND {column} = {}", self.here(), self.bind(1));
        self.run(&sql, vec![name.into()]).await
    }
}
