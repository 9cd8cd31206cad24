//! Destinations: mail servers and webhooks. Secrets go in; no answer of the API carries them.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::SequenceState;
use rekindle_core::violation::{Violation, Violations};
use rekindle_ports::resources::{DestinationKind, DestinationRow, RequestKind, SecretValue};
use rekindle_ports::{Deliver, Tx};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid, Precondition, ResourceKind};
use crate::requests::{Asked, Creation};
use crate::resources;

mod secrets;
mod trial;

pub use trial::Trial;

/// Why a destination is disabled that an operator disabled; any other text was written by the dispatcher.
pub const DISABLED_BY_OPERATOR: &str = "an operator disabled it";

/// Most bytes of a name for people.
const MOST_NAME: usize = 256;
/// Sequences read at once when it is asked which of them use a destination.
const PAGE: u32 = 200;

/// What a destination is to be.
#[derive(Clone)]
pub struct DestinationDraft {
    /// Name for people.
    pub display_name: String,
    /// What it is.
    pub kind: DestinationKind,
    /// Its secrets, newest first: a password, or `whsec_…` keys. `None` keeps those that are there.
    pub secrets: Option<Vec<String>>,
}

impl std::fmt::Debug for DestinationDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DestinationDraft").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A change of a destination.
#[derive(Debug, Clone)]
pub struct DestinationChange {
    /// What it is to be, whole but for its secrets.
    pub draft: DestinationDraft,
    /// The etag the caller read, if it cares.
    pub etag: Option<String>,
}

impl Engine {
    /// Creates a destination.
    pub async fn create_destination(
        &self,
        scope: Scope,
        id: &str,
        draft: DestinationDraft,
        how: Creation,
    ) -> EngineResult<DestinationRow> {
        let (id, deliver) = (id.to_owned(), Arc::clone(&self.inner.deliver));
        let asked = Asked::new(RequestKind::Destination, how, &content(&id, &draft));
        self.write(scope, move |tx, now| {
            let (id, draft, deliver, asked) =
                (id.clone(), draft.clone(), Arc::clone(&deliver), asked.clone());
            Box::pin(async move {
                // Looked for first: whoever takes the id after this has left its request by then.
                let is_taken = tx.destination(&id).await?.is_some();
                if let Some(before) = asked.before(tx).await? {
                    // The request says it all again: no secret is kept a second time.
                    return Ok(created(id, draft, before.created_at));
                }
                let row = created(id, draft, now);
                let wrong_id = resources::wrong_id(&row.id, "destinationId");
                check(&*deliver, &row, wrong_id.into_iter().collect())?;
                if is_taken {
                    return Err(EngineError::Exists { kind: ResourceKind::Destination, id: row.id });
                }
                if !asked.is_check() {
                    tx.insert_destination(&row).await?;
                    asked.keep(tx, String::new(), now).await?;
                }
                Ok(row)
            })
        })
        .await
    }

    /// Changes a destination, for deliveries under way too.
    pub async fn update_destination(
        &self,
        scope: Scope,
        id: &str,
        change: DestinationChange,
    ) -> EngineResult<DestinationRow> {
        let (id, deliver) = (id.to_owned(), Arc::clone(&self.inner.deliver));
        self.write(scope, move |tx, now| {
            let (id, change, deliver) = (id.clone(), change.clone(), Arc::clone(&deliver));
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                check_etag(&row, change.etag.as_deref())?;
                let DestinationDraft { display_name, kind, secrets } = change.draft;
                let mut violations = Vec::new();
                if field_of(&kind) != field_of(&row.kind) {
                    let message = "cannot become another kind: create another destination";
                    violations.push(Violation { field: field_of(&kind).into(), message: message.into() });
                }
                let secrets = match secrets {
                    Some(given) => secrets::replaced(&row.secrets, &given, now),
                    None => secrets::live(&row, now),
                };
                let row = tagged(DestinationRow { display_name, kind, secrets, updated_at: now, ..row });
                check(&*deliver, &row, violations)?;
                tx.save_destination(&row).await?;
                Ok(row)
            })
        })
        .await
    }

    /// A destination.
    pub async fn destination(&self, scope: Scope, id: &str) -> EngineResult<DestinationRow> {
        let id = id.to_owned();
        self.read(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move { existing(tx, &id).await })
        })
        .await
    }

    /// Destinations in order of their ids, after `after`.
    pub async fn destinations(
        &self,
        scope: Scope,
        after: &str,
        limit: u32,
    ) -> EngineResult<Vec<DestinationRow>> {
        let after = after.to_owned();
        self.read(scope, move |tx, _| {
            let after = after.clone();
            Box::pin(async move { Ok(tx.destinations(&after, limit).await?) })
        })
        .await
    }

    /// Deletes a destination that no sequence uses any more.
    pub async fn delete_destination(&self, scope: Scope, id: &str, etag: Option<&str>) -> EngineResult<()> {
        let (id, etag) = (id.to_owned(), etag.map(str::to_owned));
        self.write(scope, move |tx, _| {
            let (id, etag) = (id.clone(), etag.clone());
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                check_etag(&row, etag.as_deref())?;
                let users = users_of(tx, &id).await?;
                if !users.is_empty() {
                    return Err(EngineError::Precondition {
                        reason: Precondition::DestinationInUse,
                        message: format!("sequences that are not archived name it: {}", users.join(", ")),
                        metadata: vec![("sequences".into(), users.join(", "))],
                    });
                }
                Ok(tx.delete_destination(&id).await?)
            })
        })
        .await
    }

    /// Signs with a new secret beside the one that is the newest now, which ends in 24 hours;
    /// older ones end at once. Repeating the call with the newest secret changes nothing.
    pub async fn rotate_webhook_secret(
        &self,
        scope: Scope,
        id: &str,
        secret: &str,
    ) -> EngineResult<DestinationRow> {
        let (id, secret, deliver) = (id.to_owned(), secret.to_owned(), Arc::clone(&self.inner.deliver));
        self.write(scope, move |tx, now| {
            let (id, secret, deliver) = (id.clone(), secret.clone(), Arc::clone(&deliver));
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                if !matches!(row.kind, DestinationKind::Webhook { .. }) {
                    let message = "only a webhook has secrets to sign with".to_owned();
                    return Err(invalid(vec![Violation { field: "name".into(), message }]));
                }
                if row.live_secrets(now).first().is_some_and(|newest| newest.value == secret) {
                    return Ok(row);
                }
                check_secret(&*deliver, &row, &secret, now)?;
                let secrets = secrets::rotated(&row, &secret, now);
                let row = tagged(DestinationRow { secrets, updated_at: now, ..row });
                tx.save_destination(&row).await?;
                Ok(row)
            })
        })
        .await
    }

    /// Lets a destination take messages again; enabling an enabled one changes nothing.
    pub async fn enable_destination(&self, scope: Scope, id: &str) -> EngineResult<DestinationRow> {
        self.set_disabled(scope, id, None).await
    }

    /// Stops messages to a destination; disabling a disabled one changes nothing.
    pub async fn disable_destination(&self, scope: Scope, id: &str) -> EngineResult<DestinationRow> {
        self.set_disabled(scope, id, Some(DISABLED_BY_OPERATOR)).await
    }

    async fn set_disabled(
        &self,
        scope: Scope,
        id: &str,
        reason: Option<&'static str>,
    ) -> EngineResult<DestinationRow> {
        let id = id.to_owned();
        self.write(scope, move |tx, now| {
            let id = id.clone();
            Box::pin(async move {
                let row = existing(tx, &id).await?;
                if row.disabled.is_some() == reason.is_some() {
                    return Ok(row);
                }
                let disabled = reason.map(|reason| (now, reason.to_owned()));
                let row = tagged(DestinationRow { disabled, updated_at: now, ..row });
                tx.save_destination(&row).await?;
                Ok(row)
            })
        })
        .await
    }
}

/// A new destination.
fn created(id: String, draft: DestinationDraft, now: Timestamp) -> DestinationRow {
    tagged(DestinationRow {
        id,
        display_name: draft.display_name,
        kind: draft.kind,
        secrets: secrets::replaced(&[], draft.secrets.as_deref().unwrap_or_default(), now),
        disabled: None,
        etag: String::new(),
        created_at: now,
        updated_at: now,
    })
}

/// All that a create says.
fn content(id: &str, draft: &DestinationDraft) -> String {
    let secrets = draft.secrets.as_deref().unwrap_or_default();
    serde_json::json!([id, draft.display_name, draft.kind, secrets]).to_string()
}

async fn existing(tx: &mut dyn Tx, id: &str) -> EngineResult<DestinationRow> {
    tx.destination(id).await?.ok_or_else(|| EngineError::not_found(ResourceKind::Destination, id))
}

fn check_etag(row: &DestinationRow, read: Option<&str>) -> EngineResult<()> {
    resources::check_etag(ResourceKind::Destination, &row.id, &row.etag, read)
}

/// The row with the etag of what it says; secrets are told apart by when they were set.
fn tagged(row: DestinationRow) -> DestinationRow {
    let kind = serde_json::to_string(&row.kind).unwrap_or_default();
    let set: Vec<_> = row.secrets.iter().map(|secret| (secret.created_at, secret.expires_at)).collect();
    let text = format!("{kind}/{}/{set:?}/{:?}/{}", row.display_name, row.disabled, row.updated_at.0);
    DestinationRow { etag: format!("{:x}", xxh3_64(text.as_bytes())), ..row }
}

fn check(deliver: &dyn Deliver, row: &DestinationRow, mut violations: Vec<Violation>) -> EngineResult<()> {
    let mut name = Violations::new();
    name.require_text(&row.display_name, MOST_NAME, "displayName");
    violations.extend(name.into_vec());
    let wrong = deliver.check_destination(row).into_iter();
    violations.extend(wrong.map(|(field, message)| Violation { field, message }));
    if violations.is_empty() { Ok(()) } else { Err(invalid(violations)) }
}

/// Checks a new secret on its own, so that its field can be named as the caller knows it.
fn check_secret(
    deliver: &dyn Deliver,
    row: &DestinationRow,
    secret: &str,
    now: Timestamp,
) -> EngineResult<()> {
    let alone = SecretValue { value: secret.to_owned(), created_at: now, expires_at: None };
    let probe = DestinationRow { secrets: vec![alone], ..row.clone() };
    let wrong = deliver.check_destination(&probe).into_iter();
    let violations: Vec<Violation> = wrong
        .filter(|(field, _)| field.starts_with("webhook.secrets"))
        .map(|(_, message)| Violation { field: "secret".into(), message })
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(invalid(violations)) }
}

fn invalid(violations: Vec<Violation>) -> EngineError {
    EngineError::invalid(Invalid::Destination, violations)
}

/// The field under which a kind stands in a definition.
fn field_of(kind: &DestinationKind) -> &'static str {
    match kind {
        DestinationKind::Smtp { .. } => "smtp",
        DestinationKind::Webhook { .. } => "webhook",
    }
}

/// Sequences that are not archived and name a destination.
async fn users_of(tx: &mut dyn Tx, destination: &str) -> EngineResult<Vec<String>> {
    let (mut users, mut after) = (Vec::new(), String::new());
    loop {
        let page = tx.sequences(&after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        if let Some(last) = page.last() {
            after.clone_from(&last.id);
        }
        for row in page.into_iter().filter(|row| row.state != SequenceState::Archived) {
            if row.body.each_step().iter().any(|(_, step)| step.action.destination() == Some(destination)) {
                users.push(row.id);
            }
        }
        if is_last {
            return Ok(users);
        }
    }
}
