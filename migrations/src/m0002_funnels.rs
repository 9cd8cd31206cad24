//! Funnels, their revisions, and the fills that fold history into them.

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
CREATE TABLE funnels (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {name} NOT NULL,
    revision INTEGER NOT NULL, etag TEXT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE TABLE funnel_revisions (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, key BIGINT NOT NULL,
    funnel {name} NOT NULL, revision INTEGER NOT NULL,
    is_latest BOOLEAN NOT NULL, published_at BIGINT NOT NULL, policy SMALLINT NOT NULL,
    body TEXT NOT NULL, stage_map TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, key)
);

CREATE UNIQUE INDEX funnel_revisions_by_number ON funnel_revisions (bucket, workspace, funnel, revision);

CREATE TABLE fills (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, revision BIGINT NOT NULL,
    state SMALLINT NOT NULL, cursor_key {uuid}, done BIGINT NOT NULL, total BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace, revision)
)
";
