//! Marks, runs and deliveries: what was noticed and done.

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

// Run state 1 is `running`. `claim_at` of a delivery is when its next attempt is due, 0 while
// one is under way (its sender may be gone), and nothing once it is settled.
const UP: &str = "
CREATE TABLE marks (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL,
    funnel {name} NOT NULL, subject {uuid} NOT NULL, stage {name} NOT NULL, kind SMALLINT NOT NULL,
    anchor_event {name} NOT NULL, anchor_at BIGINT NOT NULL, anchor_sequence BIGINT NOT NULL,
    revision BIGINT NOT NULL, due_at BIGINT NOT NULL, noticed_at BIGINT NOT NULL,
    owed_by SMALLINT NOT NULL, reason TEXT NOT NULL, fate SMALLINT NOT NULL, voided_at BIGINT,
    customer {uuid}, conversation {uuid},
    PRIMARY KEY (bucket, workspace, funnel, subject, stage, kind, anchor_event)
);

CREATE INDEX marks_of_subject ON marks (bucket, workspace, subject);

CREATE TABLE runs (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {uuid} NOT NULL,
    sequence {name} NOT NULL, sequence_revision INTEGER NOT NULL,
    funnel {name} NOT NULL, subject {uuid} NOT NULL, stage {name} NOT NULL, kind SMALLINT NOT NULL,
    anchor_event {name} NOT NULL,
    conversation {uuid}, customer {uuid},
    since BIGINT NOT NULL, due_at BIGINT NOT NULL, noticed_at BIGINT NOT NULL,
    state SMALLINT NOT NULL, end_reason SMALLINT, step INTEGER NOT NULL, next_at BIGINT,
    created_at BIGINT NOT NULL, ended_at BIGINT,
    epoch BIGINT NOT NULL DEFAULT 0, lease_owner TEXT, lease_until BIGINT,
    crash_count INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE UNIQUE INDEX runs_once ON runs (bucket, workspace, sequence, funnel, subject, stage, kind, anchor_event);

CREATE INDEX runs_due ON runs (bucket, next_at) WHERE state = 1 AND next_at IS NOT NULL;

CREATE INDEX runs_open ON runs (bucket, workspace, subject) WHERE state = 1;

CREATE INDEX runs_of_conversation ON runs (bucket, workspace, conversation, created_at) WHERE conversation IS NOT NULL;

CREATE INDEX runs_of_customer ON runs (bucket, workspace, customer, created_at) WHERE customer IS NOT NULL;

CREATE INDEX runs_newest ON runs (bucket, workspace, created_at, id);

CREATE TABLE run_events (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, run {uuid} NOT NULL, place INTEGER NOT NULL,
    at BIGINT NOT NULL, kind TEXT NOT NULL, step {name} NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, run, place)
){clustered};

CREATE TABLE deliveries (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {name} NOT NULL,
    run {uuid}, step {name} NOT NULL, destination {name} NOT NULL,
    customer {uuid}, conversation {uuid}, recipient TEXT NOT NULL,
    message TEXT NOT NULL, park_unknown BOOLEAN NOT NULL,
    state SMALLINT NOT NULL, reason TEXT NOT NULL, overtaken BOOLEAN NOT NULL,
    next_at BIGINT, claim_at BIGINT, expires_at BIGINT NOT NULL, attempts INTEGER NOT NULL,
    created_at BIGINT NOT NULL, ended_at BIGINT,
    epoch BIGINT NOT NULL DEFAULT 0, lease_owner TEXT, lease_until BIGINT,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE INDEX deliveries_due ON deliveries (bucket, claim_at) WHERE claim_at IS NOT NULL;

CREATE INDEX deliveries_of_run ON deliveries (bucket, workspace, run) WHERE run IS NOT NULL;

CREATE INDEX deliveries_newest ON deliveries (bucket, workspace, created_at, id);

CREATE TABLE delivery_attempts (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, delivery {name} NOT NULL, number INTEGER NOT NULL,
    started_at BIGINT NOT NULL, ended_at BIGINT, outcome SMALLINT,
    phase TEXT NOT NULL, code INTEGER, response TEXT NOT NULL,
    PRIMARY KEY (bucket, workspace, delivery, number)
)
";
