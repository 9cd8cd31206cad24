//! What runs remember of their way and whose silence it is, whether their customers are held out, which messages go to
//! our own side, and when customers were written to.

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

ALTER TABLE runs ADD COLUMN owed_by SMALLINT NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN progress TEXT NOT NULL DEFAULT '{}';

ALTER TABLE deliveries ADD COLUMN internal BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE contacts (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, customer {uuid} NOT NULL, delivery {name} NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace, customer, delivery)
){clustered}
";
