//! Which resources to list: flags, what they may be combined with, and what they mean in protos.

use rekindle_proto::v1;

use crate::cli::Failure;
use crate::cli::kind::Kind;

/// Conditions of a list; all that are given must hold.
#[derive(Debug, Default, clap::Args)]
pub struct Conditions {
    /// Predicate over attributes in CEL syntax, such as 'customer.plan == "pro"' (conversations, customers)
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// State, such as open, stalled, scheduled, delivered (conversations, customers, runs, deliveries)
    #[arg(long)]
    state: Option<String>,
    /// Who owes the next word: agent, customer or anyone (conversations)
    #[arg(long, value_name = "WHO")]
    owed_by: Option<String>,
    /// Only those in this funnel; --state is then that of the journey (conversations, customers)
    #[arg(long, value_name = "NAME")]
    funnel: Option<String>,
    /// Only those in this stage of --funnel (conversations, customers)
    #[arg(long, value_name = "ID", requires = "funnel")]
    stage: Option<String>,
    /// Only those of this sequence (runs)
    #[arg(long, value_name = "NAME")]
    sequence: Option<String>,
    /// Only those of this run (deliveries)
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Only those to this destination (deliveries)
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only those about this conversation (runs, deliveries)
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Only those about this customer (runs, deliveries)
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only with this reason: unsubscribed, hard-bounce, complaint or operator (suppressions)
    #[arg(long)]
    reason: Option<String>,
    /// Only the one of this address (suppressions)
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
}

/// Conditions as protos have them; empty and 0 where nothing was said.
#[derive(Debug, Default, Clone)]
pub struct Asked {
    /// Predicate in CEL syntax.
    pub filter: String,
    /// [`v1::OwedBy`].
    pub owed_by: i32,
    /// [`v1::conversation::State`].
    pub conversation_state: i32,
    /// [`v1::run::State`].
    pub run_state: i32,
    /// [`v1::delivery::State`].
    pub delivery_state: i32,
    /// Where a journey is.
    pub position: Option<v1::PositionFilter>,
    /// Name of a sequence.
    pub sequence: String,
    /// Name of a run.
    pub run: String,
    /// Name of a destination.
    pub destination: String,
    /// Name of a conversation.
    pub conversation: String,
    /// Name of a customer.
    pub customer: String,
    /// [`v1::SuppressionReason`].
    pub reason: i32,
    /// An address.
    pub recipient: String,
}

impl Conditions {
    /// Refuses a condition that says nothing about this kind.
    pub fn fit(&self, kind: Kind) -> Result<(), Failure> {
        use Kind::{Conversation, Customer, Delivery, Run, Suppression};
        let given: [(&str, bool, &[Kind]); 12] = [
            ("--filter", self.filter.is_some(), &[Conversation, Customer]),
            ("--state", self.state.is_some(), &[Conversation, Customer, Run, Delivery]),
            ("--owed-by", self.owed_by.is_some(), &[Conversation]),
            ("--funnel", self.funnel.is_some(), &[Conversation, Customer]),
            ("--stage", self.stage.is_some(), &[Conversation, Customer]),
            ("--sequence", self.sequence.is_some(), &[Run]),
            ("--run", self.run.is_some(), &[Delivery]),
            ("--destination", self.destination.is_some(), &[Delivery]),
            ("--conversation", self.conversation.is_some(), &[Run, Delivery]),
            ("--customer", self.customer.is_some(), &[Run, Delivery]),
            ("--reason", self.reason.is_some(), &[Suppression]),
            ("--recipient", self.recipient.is_some(), &[Suppression]),
        ];
        for (flag, is_given, kinds) in given {
            if is_given && !kinds.contains(&kind) {
                return Err(Failure::Invalid(format!(
                    "{flag} is no condition for {}",
                    kind.word().to_lowercase()
                )));
            }
        }
        if kind == Customer && self.state.is_some() && self.funnel.is_none() {
            return Err(Failure::Invalid(
                "--state of customers is that of a journey: name its --funnel".to_owned(),
            ));
        }
        Ok(())
    }

    /// The conditions in words of the protos.
    pub fn resolve(&self, kind: Kind, workspace: &str) -> Result<Asked, Failure> {
        let mut asked = Asked {
            filter: self.filter.clone().unwrap_or_default(),
            owed_by: word(self.owed_by.as_deref(), "--owed-by", "OWED_BY_", |name| {
                v1::OwedBy::from_str_name(name).map(i32::from)
            })?,
            sequence: name(Kind::Sequence, workspace, self.sequence.as_deref()),
            run: name(Kind::Run, workspace, self.run.as_deref()),
            destination: name(Kind::Destination, workspace, self.destination.as_deref()),
            conversation: name(Kind::Conversation, workspace, self.conversation.as_deref()),
            customer: name(Kind::Customer, workspace, self.customer.as_deref()),
            reason: word(self.reason.as_deref(), "--reason", "SUPPRESSION_REASON_", |name| {
                v1::SuppressionReason::from_str_name(name).map(i32::from)
            })?,
            recipient: self.recipient.clone().unwrap_or_default(),
            ..Asked::default()
        };
        self.resolve_state(kind, workspace, &mut asked)?;
        Ok(asked)
    }

    /// `--state` means the journey's when a funnel is named, else the resource's own.
    fn resolve_state(&self, kind: Kind, workspace: &str, asked: &mut Asked) -> Result<(), Failure> {
        let state =
            |prefix, find: fn(&str) -> Option<i32>| word(self.state.as_deref(), "--state", prefix, find);
        if let Some(funnel) = &self.funnel {
            asked.position = Some(v1::PositionFilter {
                funnel: Kind::Funnel.name(workspace, funnel),
                stage: self.stage.clone().unwrap_or_default(),
                state: state("JOURNEY_STATE_", |name| v1::JourneyState::from_str_name(name).map(i32::from))?,
            });
            return Ok(());
        }
        match kind {
            Kind::Conversation => {
                asked.conversation_state =
                    state("STATE_", |name| v1::conversation::State::from_str_name(name).map(i32::from))?;
            }
            Kind::Run => {
                asked.run_state = state("STATE_", |name| v1::run::State::from_str_name(name).map(i32::from))?;
            }
            Kind::Delivery => {
                asked.delivery_state =
                    state("STATE_", |name| v1::delivery::State::from_str_name(name).map(i32::from))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(kind: Kind, workspace: &str, typed: Option<&str>) -> String {
    typed.map_or_else(String::new, |typed| kind.name(workspace, typed))
}

/// An enum value from the word for it.
fn word(
    typed: Option<&str>,
    flag: &str,
    prefix: &str,
    find: impl Fn(&str) -> Option<i32>,
) -> Result<i32, Failure> {
    let Some(typed) = typed else { return Ok(0) };
    find(&enum_name(prefix, typed)).ok_or_else(|| Failure::Invalid(format!("{flag}: `{typed}` is not known")))
}

fn enum_name(prefix: &str, word: &str) -> String {
    let upper = word.to_uppercase().replace(['-', ' '], "_");
    if upper.starts_with(prefix) { upper } else { format!("{prefix}{upper}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_of_another_kind_is_refused() {
        let by_run = Conditions { run: Some("x".to_owned()), ..Conditions::default() };
        assert!(by_run.fit(Kind::Delivery).is_ok());
        let failure = by_run.fit(Kind::Funnel).expect_err("funnels have no run");
        assert_eq!(failure.to_string(), "--run is no condition for funnel");
    }

    #[test]
    fn words_become_enum_values_and_ids_become_names() {
        let conditions = Conditions {
            state: Some("scheduled".to_owned()),
            sequence: Some("win-back".to_owned()),
            owed_by: Some("customer".to_owned()),
            reason: Some("hard-bounce".to_owned()),
            ..Conditions::default()
        };
        let asked = conditions.resolve(Kind::Run, "default").expect("known words");
        assert_eq!(asked.run_state, i32::from(v1::run::State::Scheduled));
        assert_eq!(asked.sequence, "workspaces/default/sequences/win-back");
        assert_eq!(asked.owed_by, i32::from(v1::OwedBy::Customer));
        assert_eq!(asked.reason, i32::from(v1::SuppressionReason::HardBounce));
    }

    #[test]
    fn a_state_within_a_funnel_is_that_of_the_journey() {
        let conditions = Conditions {
            state: Some("stalled".to_owned()),
            funnel: Some("support".to_owned()),
            ..Conditions::default()
        };
        let position =
            conditions.resolve(Kind::Customer, "default").expect("known words").position.expect("a funnel");
        assert_eq!(position.funnel, "workspaces/default/funnels/support");
        assert_eq!(position.state(), v1::JourneyState::Stalled);
    }

    #[test]
    fn a_state_that_the_kind_does_not_know_is_refused() {
        let conditions = Conditions { state: Some("delivered".to_owned()), ..Conditions::default() };
        assert!(conditions.resolve(Kind::Delivery, "default").is_ok());
        assert!(conditions.resolve(Kind::Run, "default").is_err());
    }
}
