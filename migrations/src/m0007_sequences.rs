//! What runs remember of their way, and whether their customers are held out.

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

const UP: &str = "
ALTER TABLE runs ADD COLUMN arm SMALLINT NOT NULL DEFAULT 1;

ALTER TABLE runs ADD COLUMN progress TEXT NOT NULL DEFAULT '{}'
";
