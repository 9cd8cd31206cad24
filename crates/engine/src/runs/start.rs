//! Runs that somebody starts.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::funnel::{OwedBy, SubjectKind};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{Cause, Origin, SequenceState};
use rekindle_core::violation::Violation;
use rekindle_ports::resources::{RequestKind, SequenceRow};
use rekindle_ports::rows::NameKind;
use rekindle_ports::{StoreError, Tx};
use uuid::Uuid;

use super::{RunView, existing, views};
use crate::engine::{Engine, Inner};
use crate::enroll::{Candidate, start};
use crate::error::{EngineError, EngineResult, Invalid, ResourceKind};
use crate::loops::compose::latest;
use crate::loops::locks::lock_subjects;
use crate::requests::{Asked, Creation, corrupt};
use crate::sequences;
use crate::subjects::normal;

/// Whom a run is about, by the client's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// A conversation.
    Conversation(String),
    /// A customer.
    Customer(String),
}

impl Whom {
    fn field(&self) -> &'static str {
        match self {
            Self::Conversation(_) => "conversation",
            Self::Customer(_) => "customer",
        }
    }

    async fn key(&self, tx: &mut dyn Tx) -> EngineResult<Uuid> {
        let (kind, name, resource) = match self {
            Self::Conversation(name) => (NameKind::Conversation, name, ResourceKind::Conversation),
            Self::Customer(name) => (NameKind::Customer, name, ResourceKind::Customer),
        };
        let key = tx.key_of(kind, &normal(name)).await?;
        key.ok_or_else(|| EngineError::not_found(resource, name.clone()))
    }

    fn is_of(&self, kind: SubjectKind) -> bool {
        match self {
            Self::Conversation(_) => kind == SubjectKind::Conversation,
            Self::Customer(_) => kind == SubjectKind::Customer,
        }
    }
}

impl Engine {
    /// Starts a run of an active sequence, whatever starts it otherwise; with a request id once.
    ///
    /// # Errors
    /// `NotFound` for the sequence or the subject; `SequenceState` when it is not active; a field
    /// violation when its funnel follows something else than `whom`.
    pub async fn start_run(
        &self,
        scope: Scope,
        sequence: &str,
        whom: Whom,
        how: Creation,
    ) -> EngineResult<RunView> {
        let (sequence, inner) = (sequence.to_owned(), Arc::clone(&self.inner));
        let asked = Asked::new(RequestKind::Run, how, &format!("{sequence}/{whom:?}"));
        let view = self
            .write(scope, move |tx, now| {
                let (sequence, whom) = (sequence.clone(), whom.clone());
                let (inner, asked) = (Arc::clone(&inner), asked.clone());
                Box::pin(async move {
                    if let Some(before) = asked.before(tx).await? {
                        let id = before.answer.parse().map_err(|_| corrupt(&before))?;
                        let row = existing(tx, id).await?;
                        return views::of_run(tx, &inner.programs, row).await;
                    }
                    let id = begin(tx, &inner, &sequence, &whom, now).await?;
                    asked.keep(tx, id.to_string(), now).await?;
                    let row = existing(tx, id).await?;
                    views::of_run(tx, &inner.programs, row).await
                })
            })
            .await?;
        self.ring();
        Ok(view)
    }
}

async fn begin(
    tx: &mut dyn Tx,
    inner: &Inner,
    sequence: &str,
    whom: &Whom,
    now: Timestamp,
) -> EngineResult<Uuid> {
    let row = tx.peek_sequence(sequence).await?;
    let row = row.ok_or_else(|| EngineError::not_found(ResourceKind::Sequence, sequence))?;
    let subject = whom.key(tx).await?;
    if row.state != SequenceState::Active {
        return Err(sequences::wrong_state(&row, "only an active sequence starts runs"));
    }
    let funnel = latest(tx, &row.body.trigger.funnel).await?;
    let funnel =
        funnel.ok_or_else(|| EngineError::not_found(ResourceKind::Funnel, &row.body.trigger.funnel))?;
    let follows = funnel.body.subject;
    if !whom.is_of(follows) {
        let message = format!("the funnel of the sequence follows a {}", of(follows));
        let wrong = Violation { field: whom.field().into(), message };
        return Err(EngineError::invalid(Invalid::Field, vec![wrong]));
    }
    let locked = lock_subjects(tx, [subject]).await?;
    let (conversation, customer) = locked.whose(subject).ok_or_else(|| match whom {
        Whom::Conversation(name) => EngineError::not_found(ResourceKind::Conversation, name.clone()),
        Whom::Customer(name) => EngineError::not_found(ResourceKind::Customer, name.clone()),
    })?;
    let candidate = Candidate {
        sequence: &row,
        origin: by_hand(inner, &row, subject),
        conversation,
        customer,
        since: now,
        due_at: now,
        owed_by: OwedBy::Anyone,
        begins_at: now,
        reason: "somebody started it".into(),
        attempt: None,
        depth: 0,
        funnel_revision: None,
        skipped: None,
    };
    let started = start(tx, inner, &[candidate], now).await?;
    // Every start is an origin of its own.
    started.first().copied().ok_or_else(|| StoreError::Conflict("an id was minted twice".into()).into())
}

fn by_hand(inner: &Inner, row: &SequenceRow, subject: Uuid) -> Origin {
    Origin {
        funnel: row.body.trigger.funnel.clone(),
        subject,
        // Whoever starts it knows where the subject is.
        stage: String::new(),
        cause: Cause::Hand,
        anchor: format!("hand:{}", inner.minter.mint()),
    }
}

fn of(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Conversation => "conversation",
        SubjectKind::Customer => "customer",
    }
}
