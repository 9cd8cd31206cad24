//! What a rule looks at.

use std::collections::BTreeSet;

use super::tree::{Field, Operand, Root, Tree};

/// The parts of the facts that a rule reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Whether it reads any field of the event.
    pub event: bool,
    /// The attributes of the conversation it reads, by their first key.
    pub conversation_keys: BTreeSet<String>,
    /// The attributes of the customer it reads, by their first key.
    pub customer_keys: BTreeSet<String>,
    /// What it reads of the run, each by its first three keys.
    pub run_paths: BTreeSet<Vec<String>>,
}

impl Tree {
    /// What the condition looks at.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        self.fields(&mut |field| reads.note(field));
        reads
    }

    /// Calls `see` for every field in the condition.
    fn fields(&self, see: &mut impl FnMut(&Field)) {
        match self {
            Self::Const(_) => {}
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.fields(see);
                }
            }
            Self::Not(inner) => inner.fields(see),
            Self::Present(operand)
            | Self::OneOf { needle: operand, .. }
            | Self::Matches { subject: operand, .. } => operand.fields(see),
            Self::Compare { left, right, .. } => {
                left.fields(see);
                right.fields(see);
            }
            Self::ElementOf { needle, list } => {
                needle.fields(see);
                see(list);
            }
            Self::Text { subject, part, .. } => {
                subject.fields(see);
                part.fields(see);
            }
        }
    }
}

impl Operand {
    fn fields(&self, see: &mut impl FnMut(&Field)) {
        match self {
            Self::Literal(_) => {}
            Self::Field(field) => see(field),
            Self::Lower(inner) | Self::Text(inner) | Self::Number(inner) | Self::Size(inner) => {
                inner.fields(see);
            }
        }
    }
}

impl Reads {
    fn note(&mut self, field: &Field) {
        let keys = match field.root {
            Root::Conversation => &mut self.conversation_keys,
            Root::Customer => &mut self.customer_keys,
            Root::Run => {
                self.run_paths.insert(field.path.iter().take(3).cloned().collect());
                return;
            }
            _ => {
                self.event = true;
                return;
            }
        };
        keys.extend(field.path.first().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::parse;

    #[test]
    fn first_keys_of_attributes_are_named_wherever_they_stand() {
        let rule = r#"!(conversation.plan.name in ["a"] || size(customer["two words"]) > 1)
            && customer.a == conversation.b && "x" in customer.tags"#;
        let reads = parse(rule).expect("a rule").reads();
        let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert!(!reads.event);
        assert_eq!(reads.conversation_keys, set(&["b", "plan"]));
        assert_eq!(reads.customer_keys, set(&["a", "tags", "two words"]));
    }

    #[test]
    fn a_rule_over_the_event_reads_no_attribute() {
        let reads = parse("has(event.properties.customer)").expect("a rule").reads();
        assert_eq!(reads, Reads { event: true, ..Reads::default() });
    }
}
