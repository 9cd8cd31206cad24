//! A short way to events that were erased, and room beside rows that change with every event.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend};

/// The step.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        // SQLite is told what to know of its indexes (statistics.rs), and changes rows in place.
        if connection.get_database_backend() == DatabaseBackend::Postgres {
            connection.execute_unprepared(UP).await?;
        }
        Ok(())
    }
}

// An erased event is kept under its tombstone, for which every insert looks: the index of these
// is small, and younger than those of all events, so that it is taken before them.
//
// Indexed columns of journeys, conversations and customers rarely change. A new version of such a
// row that fits beside the old one needs no entry in any index, and the old one is cleared away
// without a vacuum.
const UP: &str = "
CREATE INDEX events_erased ON events (bucket, workspace, id) WHERE id LIKE 'sha256:%';
ALTER TABLE journeys SET (fillfactor = 70);
ALTER TABLE conversations SET (fillfactor = 70);
ALTER TABLE customers SET (fillfactor = 70)
";
