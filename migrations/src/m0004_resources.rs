//! What users define beside funnels: the workspace, sequences, destinations, suppressions, and the requests that created them.

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
CREATE TABLE workspaces (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL,
    body TEXT NOT NULL, revision BIGINT NOT NULL, updated_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace)
);

CREATE TABLE sequences (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {name} NOT NULL,
    revision INTEGER NOT NULL, etag TEXT NOT NULL, state SMALLINT NOT NULL, funnel {name} NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, started_at BIGINT,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE INDEX sequences_of_funnel ON sequences (bucket, workspace, funnel);

CREATE TABLE sequence_revisions (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, sequence {name} NOT NULL, revision INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, sequence, revision)
);

CREATE TABLE destinations (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {name} NOT NULL,
    display_name TEXT NOT NULL, kind TEXT NOT NULL, secrets TEXT NOT NULL,
    disabled_at BIGINT, disabled_reason TEXT,
    etag TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE TABLE suppressions (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, kind SMALLINT NOT NULL, name {name} NOT NULL,
    reason SMALLINT NOT NULL, note TEXT NOT NULL, created_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace, kind, name)
){clustered};

CREATE TABLE requests (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, kind SMALLINT NOT NULL, id {name} NOT NULL,
    digest {uuid} NOT NULL, answer TEXT NOT NULL, created_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, workspace, kind, id)
);

CREATE TABLE shared_keys (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, name {name} NOT NULL,
    secret TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, name)
)
";
