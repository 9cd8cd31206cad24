//! Rules by which sequences take subjects in, parsed once and kept; all are forgotten when there are too many.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rekindle_core::predicate::{self, Predicate};

/// Rules kept at the most; beyond that all are forgotten and parsed again as they are needed.
const MOST: usize = 1_000;

/// The cache. A rule is known by what it says: no edit of a sequence leaves an old one behind.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    known: RwLock<HashMap<String, Option<Arc<Predicate>>>>,
}

impl Rules {
    /// A rule over an event and attributes; `None` for one that this version cannot read.
    pub fn of(&self, source: &str) -> Option<Arc<Predicate>> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(source) {
            return known.clone();
        }
        let rule = predicate::parse(source).ok().map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(source.to_owned(), rule.clone());
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rules: &Rules) -> usize {
        rules.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    #[test]
    fn a_rule_is_parsed_once_and_every_commit_is_given_the_same() {
        let rules = Rules::default();
        let first = rules.of("event.type == 'signup'").expect("a good rule");
        let again = rules.of("event.type == 'signup'").expect("a good rule");
        assert!(Arc::ptr_eq(&first, &again));
        let other = rules.of("event.type == 'login'").expect("a good rule");
        assert_ne!(first, other);
        assert_eq!(kept(&rules), 2);
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_asked_for_once_too() {
        let rules = Rules::default();
        assert_eq!(rules.of("event.type =="), None);
        assert_eq!(rules.of("event.type =="), None);
        assert_eq!(kept(&rules), 1);
    }

    #[test]
    fn no_more_rules_are_kept_than_fit() {
        let rules = Rules::default();
        for number in 0..=MOST {
            assert!(rules.of(&format!("event.type == 'kind-{number}'")).is_some());
            assert!(kept(&rules) <= MOST);
        }
        assert_eq!(kept(&rules), 1, "all were forgotten when one was too many");
    }
}
