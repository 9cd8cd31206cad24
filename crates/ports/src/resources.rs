//! Resources that users define beside funnels.

use std::collections::BTreeMap;

use rekindle_core::Timestamp;
use rekindle_core::calendar::CalendarSpec;
use rekindle_core::sequence::{ContactLimit, Sequence, SequenceState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A sequence with its newest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceRow {
    /// Id in the workspace.
    pub id: String,
    /// Newest revision, from 1; runs stay with theirs until a later one says otherwise.
    pub revision: i32,
    /// Newest revision that says what becomes of the runs of those before it; 0 when none does.
    pub changed_by: i32,
    /// Changes with every change.
    pub etag: String,
    /// Whether it starts runs.
    pub state: SequenceState,
    /// What the newest revision says.
    pub body: Sequence,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
}

/// What publishing a revision of a sequence does to the runs under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunPolicy {
    /// They stay in their revision until they end.
    #[default]
    Drain,
    /// They go on in the new revision.
    Migrate,
    /// They end.
    Cancel,
}

/// What a revision of a sequence says of the runs of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunChange {
    /// Number of the revision.
    pub revision: i32,
    /// What becomes of them.
    pub policy: RunPolicy,
    /// For [`RunPolicy::Migrate`]: the steps at which they go on that do not go on in their own;
    /// empty for steps whose runs end.
    pub step_map: BTreeMap<String, String>,
}

/// How a connection to an SMTP relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// TLS from the first byte.
    #[default]
    Implicit,
    /// STARTTLS, required.
    StartTls,
    /// None; for relays on this machine only.
    PlaintextLoopback,
}

/// Somebody in a mail header.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailboxSpec {
    /// Name for people; may be empty.
    #[serde(default)]
    pub name: String,
    /// Address.
    pub address: String,
}

/// What a destination is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// An SMTP relay.
    Smtp {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// Protection.
        tls: SmtpTls,
        /// User name, if the relay asks for one.
        username: String,
        /// Sender for mails through this relay; the workspace's when absent.
        sender: Option<MailboxSpec>,
    },
    /// A webhook endpoint.
    Webhook {
        /// URL.
        url: String,
        /// Further headers.
        headers: BTreeMap<String, String>,
        /// Whether plain HTTP is meant.
        allow_http: bool,
    },
}

/// A secret with its life.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretValue {
    /// The secret: an SMTP password, or a `whsec_…` key.
    pub value: String,
    /// When it was set.
    pub created_at: Timestamp,
    /// When it stops to be used.
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretValue").field("created_at", &self.created_at).finish_non_exhaustive()
    }
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRow {
    /// Id in the workspace.
    pub id: String,
    /// Name for people.
    pub display_name: String,
    /// What it is.
    pub kind: DestinationKind,
    /// Its secrets; never leave the service.
    pub secrets: Vec<SecretValue>,
    /// Why and since when it is disabled, if it is.
    pub disabled: Option<(Timestamp, String)>,
    /// Changes with every change.
    pub etag: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl DestinationRow {
    /// Secrets that are used at an instant, newest first.
    pub fn live_secrets(&self, now: Timestamp) -> Vec<&SecretValue> {
        let mut live: Vec<_> =
            self.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|at| at > now)).collect();
        live.sort_by_key(|secret| std::cmp::Reverse(secret.created_at));
        live
    }
}

/// What is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SuppressionKind {
    /// A mail address, in lower case.
    Address,
    /// A customer, by the client's id.
    Customer,
    /// A mail domain, in lower case.
    Domain,
}

/// Why somebody is not written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuppressionReason {
    /// They unsubscribed.
    Unsubscribed,
    /// Their mailbox does not exist.
    HardBounce,
    /// They complained.
    Complaint,
    /// An operator said so.
    Manual,
}

/// An entry of the suppression list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionRow {
    /// What it names.
    pub kind: SuppressionKind,
    /// Address, id or domain.
    pub value: String,
    /// Why.
    pub reason: SuppressionReason,
    /// Anything else.
    pub note: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a workspace is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkspaceBody {
    /// Name for people.
    pub display_name: String,
    /// IANA zone where nothing else names one.
    pub zone: String,
    /// Calendars by name.
    pub calendars: BTreeMap<String, CalendarSpec>,
    /// Who mails are from.
    pub sender: Option<MailboxSpec>,
    /// Who answers go to.
    pub reply_to: Option<MailboxSpec>,
    /// Mailbox for unsubscribe requests by mail; may be empty.
    pub unsubscribe_mailto: String,
    /// How often a customer may be written to, over all sequences.
    pub contact_limits: Vec<ContactLimit>,
    /// Customers of ten thousand who are held out of every marketing sequence.
    pub holdout: u16,
}

impl Default for WorkspaceBody {
    fn default() -> Self {
        Self {
            display_name: String::new(),
            zone: "UTC".into(),
            calendars: BTreeMap::new(),
            sender: None,
            reply_to: None,
            unsubscribe_mailto: String::new(),
            contact_limits: Vec::new(),
            holdout: 0,
        }
    }
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkspaceRow {
    /// What it is set to.
    pub body: WorkspaceBody,
    /// Changes with every change; counts from 0, which is a workspace nobody has touched.
    pub revision: i64,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a request with an id created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// A funnel.
    Funnel,
    /// A sequence.
    Sequence,
    /// A destination.
    Destination,
    /// A run that was started by hand.
    Run,
    /// A replay.
    Replay,
}

/// A create that is safe to repeat, as it was answered first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// What it created.
    pub kind: RequestKind,
    /// The id that the caller chose for the request.
    pub id: String,
    /// Digest of all that the request said.
    pub digest: Uuid,
    /// What the answer said that the request does not say again, as JSON; never a secret.
    pub answer: String,
    /// When it was answered, and so when the resource was created.
    pub created_at: Timestamp,
}
