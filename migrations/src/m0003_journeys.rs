//! Journeys, attempts, silences and timers: what the fold writes.

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
CREATE TABLE journeys (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, revision BIGINT NOT NULL, subject {uuid} NOT NULL,
    funnel {name} NOT NULL, customer {uuid}, live BOOLEAN NOT NULL,
    first_at BIGINT, last_at BIGINT, received_through BIGINT NOT NULL,
    place SMALLINT, entered_at BIGINT, moved_at BIGINT, entry_event {name},
    completed BOOLEAN NOT NULL, ended BOOLEAN NOT NULL,
    open_since BIGINT, open_stall_at BIGINT, open_abandon_at BIGINT,
    passages TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, revision, subject)
);

CREATE UNIQUE INDEX journeys_live ON journeys (bucket, workspace, funnel, subject) WHERE live;

CREATE INDEX journeys_live_by_revision ON journeys (bucket, workspace, revision) WHERE live;

CREATE INDEX journeys_of_subject ON journeys (bucket, workspace, subject);

CREATE TABLE attempts (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, revision BIGINT NOT NULL, subject {uuid} NOT NULL,
    start_at BIGINT NOT NULL, start_sequence BIGINT NOT NULL, start_event {name} NOT NULL,
    customer {uuid}, entered TEXT NOT NULL, voided_at BIGINT,
    episode INTEGER NOT NULL, chained BOOLEAN NOT NULL, entry_values TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, revision, subject, start_at, start_sequence, start_event)
){clustered};

CREATE INDEX attempts_by_start ON attempts (bucket, workspace, revision, start_at);

CREATE TABLE silences (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, revision BIGINT NOT NULL, subject {uuid} NOT NULL,
    place SMALLINT NOT NULL, anchor_at BIGINT NOT NULL, anchor_sequence BIGINT NOT NULL, anchor_event {name} NOT NULL,
    since BIGINT NOT NULL, stall_at BIGINT, abandon_at BIGINT, until_at BIGINT NOT NULL,
    ended_by SMALLINT NOT NULL, owed_by SMALLINT NOT NULL,
    PRIMARY KEY (bucket, workspace, revision, subject, place, anchor_at, anchor_sequence, anchor_event, until_at)
){clustered};

CREATE TABLE timers (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, funnel {name} NOT NULL, subject {uuid} NOT NULL,
    due_at BIGINT NOT NULL,
    epoch BIGINT NOT NULL, lease_owner TEXT, lease_until BIGINT, crash_count INTEGER NOT NULL DEFAULT 0,
    aside_at BIGINT, aside_reason TEXT,
    PRIMARY KEY (bucket, workspace, funnel, subject)
);

CREATE INDEX timers_due ON timers (bucket, due_at)
";
