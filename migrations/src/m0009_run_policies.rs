//! What a revision of a sequence says of the runs of those before it.

use sea_orm_migration::prelude::*;

/// The step.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::dialect::run(manager, UP).await
    }
}

// Policy 0 lets them be; `changed_by` is the newest revision with another one, and 0 when there is none.
const UP: &str = "
ALTER TABLE sequence_revisions ADD COLUMN run_policy SMALLINT NOT NULL DEFAULT 0;

ALTER TABLE sequence_revisions ADD COLUMN step_map TEXT NOT NULL DEFAULT '{}';

ALTER TABLE sequences ADD COLUMN changed_by INTEGER NOT NULL DEFAULT 0
";
