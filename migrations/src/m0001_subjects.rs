//! Customers, conversations, their names and their events.

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
CREATE TABLE identities (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, kind SMALLINT NOT NULL, name {name} NOT NULL,
    key {uuid} NOT NULL,
    PRIMARY KEY (bucket, workspace, kind, name)
){clustered};

CREATE TABLE customers (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, key {uuid} NOT NULL,
    name {name} NOT NULL,
    attributes {json} NOT NULL,
    latest TEXT NOT NULL,
    attribute_events BIGINT NOT NULL,
    first_at BIGINT, last_at BIGINT, created_at BIGINT NOT NULL, erased_at BIGINT,
    PRIMARY KEY (bucket, workspace, key)
);

CREATE TABLE conversations (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, key {uuid} NOT NULL,
    name {name} NOT NULL,
    owner {uuid}, owner_order TEXT,
    attributes {json} NOT NULL,
    latest TEXT NOT NULL,
    state TEXT NOT NULL,
    owed_by SMALLINT NOT NULL, resolved BOOLEAN NOT NULL,
    event_count BIGINT NOT NULL,
    first_at BIGINT, last_at BIGINT, created_at BIGINT NOT NULL, erased_at BIGINT,
    PRIMARY KEY (bucket, workspace, key)
);

CREATE INDEX conversations_by_owner ON conversations (bucket, workspace, owner) WHERE owner IS NOT NULL;

CREATE TABLE events (
    bucket SMALLINT NOT NULL, workspace BIGINT NOT NULL, id {name} NOT NULL,
    conversation {uuid}, customer {uuid}, customer_name {name},
    kind TEXT NOT NULL,
    occurred_at BIGINT NOT NULL, effective_at BIGINT NOT NULL, received_at BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    author SMALLINT NOT NULL, flags SMALLINT NOT NULL,
    body TEXT, properties {json} NOT NULL,
    digest {uuid} NOT NULL,
    PRIMARY KEY (bucket, workspace, id)
);

CREATE INDEX events_of_conversation ON events (bucket, workspace, conversation, effective_at, sequence, id)
    WHERE conversation IS NOT NULL;

CREATE INDEX events_of_customer ON events (bucket, workspace, customer, effective_at, sequence, id) WHERE conversation IS NULL;

CREATE INDEX attributes_of_customer ON events (bucket, workspace, customer, effective_at, sequence, id) WHERE kind = 'customer_updated'
";
