//! What else starts runs than silences, when schedules come round, and runs that somebody holds.

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

// Occasion 1 is a silence, 2 an event.
const UP: &str = "
ALTER TABLE sequences ADD COLUMN occasion SMALLINT NOT NULL DEFAULT 1;

CREATE INDEX sequences_on_events ON sequences (bucket, workspace, id) WHERE occasion = 2;

ALTER TABLE runs ADD COLUMN paused_at BIGINT;

CREATE TABLE schedules (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, sequence {name} NOT NULL,
    fires_at BIGINT NOT NULL, look_at BIGINT NOT NULL, cursor_subject {uuid},
    PRIMARY KEY (bucket, workspace, sequence)
);

CREATE INDEX schedules_due ON schedules (bucket, look_at)
";
