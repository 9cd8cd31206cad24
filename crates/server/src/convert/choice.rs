//! Enumerations: a closed value of the core for each number, or a violation.

use rekindle_core::event::Author;
use rekindle_core::funnel::{Goal, OwedBy, PropertyScope, Reentry, StageOrder, SubjectKind, TimeBasis};
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::{Figure, Granularity};
use rekindle_core::violation::Violations;
use rekindle_ports::resources::RunPolicy;
use rekindle_ports::rows::LivePolicy;
use rekindle_proto::v1;

/// Reads a number as one of the enumeration's values; notes one that it does not have.
pub fn known<E: TryFrom<i32> + Default>(number: i32, field: &str, v: &mut Violations) -> E {
    E::try_from(number).unwrap_or_else(|_| {
        v.add(field, format!("has no value {number}"));
        E::default()
    })
}

/// Whose events a funnel follows; a conversation's unless it says otherwise.
pub fn subject(number: i32, field: &str, v: &mut Violations) -> SubjectKind {
    match known(number, field, v) {
        v1::SubjectKind::Unspecified | v1::SubjectKind::Conversation => SubjectKind::Conversation,
        v1::SubjectKind::Customer => SubjectKind::Customer,
    }
}

/// [`subject`] as a message has it.
pub fn to_subject(subject: SubjectKind) -> v1::SubjectKind {
    match subject {
        SubjectKind::Conversation => v1::SubjectKind::Conversation,
        SubjectKind::Customer => v1::SubjectKind::Customer,
    }
}

/// How stages follow each other; in order unless it says otherwise.
pub fn order(number: i32, field: &str, v: &mut Violations) -> StageOrder {
    match known(number, field, v) {
        v1::StageOrder::Unspecified | v1::StageOrder::Ordered => StageOrder::Ordered,
        v1::StageOrder::Strict => StageOrder::Strict,
        v1::StageOrder::Any => StageOrder::Any,
    }
}

/// [`order`] as a message has it.
pub fn to_order(order: StageOrder) -> v1::StageOrder {
    match order {
        StageOrder::Ordered => v1::StageOrder::Ordered,
        StageOrder::Strict => v1::StageOrder::Strict,
        StageOrder::Any => v1::StageOrder::Any,
    }
}

/// When a subject may pass again; never unless it says otherwise.
pub fn reentry(number: i32, field: &str, v: &mut Violations) -> Reentry {
    match known(number, field, v) {
        v1::Reentry::Unspecified | v1::Reentry::Never => Reentry::Never,
        v1::Reentry::OnReopen => Reentry::OnReopen,
        v1::Reentry::AfterEnd => Reentry::AfterEnd,
    }
}

/// [`reentry`] as a message has it.
pub fn to_reentry(reentry: Reentry) -> v1::Reentry {
    match reentry {
        Reentry::Never => v1::Reentry::Never,
        Reentry::OnReopen => v1::Reentry::OnReopen,
        Reentry::AfterEnd => v1::Reentry::AfterEnd,
    }
}

/// What reaching a stage means, if anything.
pub fn goal(number: i32, field: &str, v: &mut Violations) -> Option<Goal> {
    match known(number, field, v) {
        v1::GoalKind::Unspecified => None,
        v1::GoalKind::Purchase => Some(Goal::Purchase),
        v1::GoalKind::Resolution => Some(Goal::Resolution),
        v1::GoalKind::Engagement => Some(Goal::Engagement),
        v1::GoalKind::Other => Some(Goal::Other),
    }
}

/// [`goal`] as a message has it.
pub fn to_goal(goal: Option<Goal>) -> v1::GoalKind {
    match goal {
        None => v1::GoalKind::Unspecified,
        Some(Goal::Purchase) => v1::GoalKind::Purchase,
        Some(Goal::Resolution) => v1::GoalKind::Resolution,
        Some(Goal::Engagement) => v1::GoalKind::Engagement,
        Some(Goal::Other) => v1::GoalKind::Other,
    }
}

/// The time in which a silence is measured; wall time unless it says otherwise.
pub fn basis(number: i32, field: &str, v: &mut Violations) -> TimeBasis {
    match known(number, field, v) {
        v1::TimeBasis::Unspecified | v1::TimeBasis::Wall => TimeBasis::Wall,
        v1::TimeBasis::Business => TimeBasis::Business,
    }
}

/// [`basis`] as a message has it.
pub fn to_basis(basis: TimeBasis) -> v1::TimeBasis {
    match basis {
        TimeBasis::Wall => v1::TimeBasis::Wall,
        TimeBasis::Business => v1::TimeBasis::Business,
    }
}

/// Whose silence a rule measures; anyone's unless it says otherwise.
pub fn owed_by(number: i32, field: &str, v: &mut Violations) -> OwedBy {
    match known(number, field, v) {
        v1::OwedBy::Unspecified | v1::OwedBy::Anyone => OwedBy::Anyone,
        v1::OwedBy::Agent => OwedBy::Agent,
        v1::OwedBy::Customer => OwedBy::Customer,
    }
}

/// [`owed_by`] as a message has it.
pub fn to_owed_by(owed_by: OwedBy) -> v1::OwedBy {
    match owed_by {
        OwedBy::Anyone => v1::OwedBy::Anyone,
        OwedBy::Agent => v1::OwedBy::Agent,
        OwedBy::Customer => v1::OwedBy::Customer,
    }
}

/// Where a property is found; notes one that does not say.
pub fn property_scope(number: i32, field: &str, v: &mut Violations) -> Option<PropertyScope> {
    match known(number, field, v) {
        v1::PropertyScope::Unspecified => {
            v.add(field, "takes EVENT, CONVERSATION or CUSTOMER");
            None
        }
        v1::PropertyScope::Event => Some(PropertyScope::Event),
        v1::PropertyScope::Conversation => Some(PropertyScope::Conversation),
        v1::PropertyScope::Customer => Some(PropertyScope::Customer),
    }
}

/// [`property_scope`] as a message has it.
pub fn to_property_scope(scope: PropertyScope) -> v1::PropertyScope {
    match scope {
        PropertyScope::Event => v1::PropertyScope::Event,
        PropertyScope::Conversation => v1::PropertyScope::Conversation,
        PropertyScope::Customer => v1::PropertyScope::Customer,
    }
}

/// What publishing a revision does to live journeys; they drain unless it says otherwise.
pub fn live_policy(number: i32, field: &str, v: &mut Violations) -> LivePolicy {
    match known(number, field, v) {
        v1::LivePolicy::Unspecified | v1::LivePolicy::Drain => LivePolicy::Drain,
        v1::LivePolicy::Migrate => LivePolicy::Migrate,
        v1::LivePolicy::Cancel => LivePolicy::Cancel,
    }
}

/// [`live_policy`] as a message has it.
pub fn to_live_policy(policy: LivePolicy) -> v1::LivePolicy {
    match policy {
        LivePolicy::Drain => v1::LivePolicy::Drain,
        LivePolicy::Migrate => v1::LivePolicy::Migrate,
        LivePolicy::Cancel => v1::LivePolicy::Cancel,
    }
}

/// What publishing a revision does to runs under way; they drain unless it says otherwise.
pub fn run_policy(number: i32, field: &str, v: &mut Violations) -> RunPolicy {
    match known(number, field, v) {
        v1::RunPolicy::Unspecified | v1::RunPolicy::Drain => RunPolicy::Drain,
        v1::RunPolicy::Migrate => RunPolicy::Migrate,
        v1::RunPolicy::Cancel => RunPolicy::Cancel,
    }
}

/// Who caused an event; nobody said so when unspecified.
pub fn author(number: i32, field: &str, v: &mut Violations) -> Option<Author> {
    match known(number, field, v) {
        v1::AuthorType::Unspecified => None,
        v1::AuthorType::Customer => Some(Author::Customer),
        v1::AuthorType::Agent => Some(Author::Agent),
        v1::AuthorType::Bot => Some(Author::Bot),
        v1::AuthorType::System => Some(Author::System),
    }
}

/// [`author`] as a message has it.
pub fn to_author(author: Author) -> v1::AuthorType {
    match author {
        Author::Customer => v1::AuthorType::Customer,
        Author::Agent => v1::AuthorType::Agent,
        Author::Bot => v1::AuthorType::Bot,
        Author::System => v1::AuthorType::System,
    }
}

/// Which number; notes one that does not say.
pub fn figure(number: i32, field: &str, v: &mut Violations) -> Option<Figure> {
    match known(number, field, v) {
        v1::FunnelFigure::Unspecified => {
            v.add(field, "is required");
            None
        }
        v1::FunnelFigure::Reached => Some(Figure::Reached),
        v1::FunnelFigure::Dropped => Some(Figure::Dropped),
        v1::FunnelFigure::Converted => Some(Figure::Converted),
        v1::FunnelFigure::Active => Some(Figure::Active),
        v1::FunnelFigure::Stalled => Some(Figure::Stalled),
        v1::FunnelFigure::Abandoned => Some(Figure::Abandoned),
        v1::FunnelFigure::Ended => Some(Figure::Ended),
        v1::FunnelFigure::Recovered => Some(Figure::Recovered),
        v1::FunnelFigure::NeverEntered => Some(Figure::NeverEntered),
    }
}

/// Length of a trend's buckets; notes one that does not say.
pub fn granularity(number: i32, field: &str, v: &mut Violations) -> Option<Granularity> {
    match known(number, field, v) {
        v1::Granularity::Unspecified => {
            v.add(field, "takes DAY, WEEK or MONTH");
            None
        }
        v1::Granularity::Day => Some(Granularity::Day),
        v1::Granularity::Week => Some(Granularity::Week),
        v1::Granularity::Month => Some(Granularity::Month),
    }
}

/// What a silence has become; notes one that does not say.
pub fn silence_kind(number: i32, field: &str, v: &mut Violations) -> Option<MarkKind> {
    match known(number, field, v) {
        v1::SilenceKind::Unspecified => {
            v.add(field, "takes WARNED, STALLED or ABANDONED");
            None
        }
        v1::SilenceKind::Warned => Some(MarkKind::Warned),
        v1::SilenceKind::Stalled => Some(MarkKind::Stalled),
        v1::SilenceKind::Abandoned => Some(MarkKind::Abandoned),
    }
}

/// [`silence_kind`] as a message has it.
pub fn to_silence_kind(kind: MarkKind) -> v1::SilenceKind {
    match kind {
        MarkKind::Warned => v1::SilenceKind::Warned,
        MarkKind::Stalled => v1::SilenceKind::Stalled,
        MarkKind::Abandoned => v1::SilenceKind::Abandoned,
    }
}
