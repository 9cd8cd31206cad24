//! Failures that are done again, and the ways to them.

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

// Replay state 1 is `running`; delivery states 4 and 7 are `failed` and `expired`, end reason 10 is
// `failed`.
const UP: &str = "
CREATE TABLE replays (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {uuid} NOT NULL,
    covers TEXT NOT NULL, state SMALLINT NOT NULL,
    total BIGINT NOT NULL, replayed BIGINT NOT NULL, skipped BIGINT NOT NULL,
    place TEXT NOT NULL, created_at BIGINT NOT NULL, ended_at BIGINT,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE INDEX replays_newest ON replays (bucket, workspace, created_at, id);

CREATE INDEX replays_running ON replays (bucket, workspace, created_at) WHERE state = 1;

CREATE INDEX deliveries_failed ON deliveries (bucket, workspace, ended_at, id) WHERE state IN (4, 7);

CREATE INDEX runs_failed ON runs (bucket, workspace, ended_at, id) WHERE end_reason = 10
";
