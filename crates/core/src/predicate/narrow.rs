//! The part of a rule that both databases can test.
//!
//! `matches`, `string()` and `double()` have no SQL with exactly their meaning on
//! both. A condition that uses them is replaced by "anything" where it must hold
//! and by "nothing" where it must not, so that what remains is implied by the
//! rule: SQL narrows by it and the rule itself tests what SQL lets through.

use super::tree::{Operand, Tree};

/// What SQL can test of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Narrowed {
    /// Implied by the rule; `None` when nothing narrower than "everything" is.
    /// Holds no `matches`, `string()` or `double()`.
    pub predicate: Option<Tree>,
    /// Whether it means the same as the rule, so that nothing is left to test.
    pub exact: bool,
}

impl Tree {
    /// What SQL can test of the condition on both databases.
    pub fn narrow(&self) -> Narrowed {
        self.narrow_by(&|_| true)
    }

    /// What SQL can test of the condition on a database that is further limited:
    /// `testable` says so for a condition that is no combination of others.
    pub fn narrow_by(&self, testable: &dyn Fn(&Self) -> bool) -> Narrowed {
        let mut exact = true;
        let tree = self.bounded(Bound::Above, &mut |atom| {
            let kept = atom.is_lowered() && testable(atom);
            exact &= kept;
            kept
        });
        Narrowed { predicate: (tree != Self::Const(true)).then_some(tree), exact }
    }

    /// The condition without what SQL lacks, as an upper or lower bound of it.
    fn bounded(&self, bound: Bound, keeps: &mut dyn FnMut(&Self) -> bool) -> Self {
        match self {
            Self::All(parts) => all(parts.iter().map(|part| part.bounded(bound, keeps))),
            Self::Any(parts) => any(parts.iter().map(|part| part.bounded(bound, keeps))),
            Self::Not(inner) => not(inner.bounded(bound.opposite(), keeps)),
            atom if keeps(atom) => atom.clone(),
            _ => Self::Const(bound == Bound::Above),
        }
    }

    /// Whether a condition that is no combination of others has SQL with its meaning.
    fn is_lowered(&self) -> bool {
        match self {
            Self::Const(_) => true,
            Self::All(_) | Self::Any(_) | Self::Not(_) | Self::Matches { .. } => false,
            Self::Present(operand)
            | Self::OneOf { needle: operand, .. }
            | Self::ElementOf { needle: operand, .. } => operand.is_lowered(),
            Self::Compare { left, right, .. } => left.is_lowered() && right.is_lowered(),
            Self::Text { subject, part, .. } => subject.is_lowered() && part.is_lowered(),
        }
    }
}

impl Operand {
    fn is_lowered(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Field(_) => true,
            Self::Lower(inner) | Self::Size(inner) => inner.is_lowered(),
            Self::Text(_) | Self::Number(_) => false,
        }
    }
}

/// On which side of the truth a replacement may err.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// It may hold where the condition does not.
    Above,
    /// It may fail where the condition holds.
    Below,
}

impl Bound {
    fn opposite(self) -> Self {
        match self {
            Self::Above => Self::Below,
            Self::Below => Self::Above,
        }
    }
}

fn all(parts: impl Iterator<Item = Tree>) -> Tree {
    let mut kept: Vec<Tree> = parts.filter(|part| *part != Tree::Const(true)).collect();
    match kept.len() {
        _ if kept.contains(&Tree::Const(false)) => Tree::Const(false),
        0 => Tree::Const(true),
        1 => kept.remove(0),
        _ => Tree::All(kept),
    }
}

fn any(parts: impl Iterator<Item = Tree>) -> Tree {
    let mut kept: Vec<Tree> = parts.filter(|part| *part != Tree::Const(false)).collect();
    match kept.len() {
        _ if kept.contains(&Tree::Const(true)) => Tree::Const(true),
        0 => Tree::Const(false),
        1 => kept.remove(0),
        _ => Tree::Any(kept),
    }
}

fn not(inner: Tree) -> Tree {
    match inner {
        Tree::Const(flag) => Tree::Const(!flag),
        inner => Tree::Not(Box::new(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::{Literal, parse};

    /// The SQL part of a rule, written as the rule it should be.
    fn narrows(rule: &str, to: Option<&str>, exact: bool) {
        let narrowed = parse(rule).expect(rule).sql_part();
        let expected = to.map(|rule| parse(rule).expect(rule).tree().clone());
        assert_eq!(narrowed.predicate, expected, "{rule}");
        assert_eq!(narrowed.exact, exact, "{rule}");
    }

    #[test]
    fn a_rule_that_sql_can_test_stays_whole() {
        narrows(
            r#"event.type == "a" && size(event.text) > 3"#,
            Some(r#"event.type == "a" && size(event.text) > 3"#),
            true,
        );
        narrows("true", None, true);
        narrows("false", Some("false"), true);
    }

    #[test]
    fn a_required_match_narrows_nothing_and_the_rest_stays() {
        narrows(r#"event.public && event.text.matches("a+")"#, Some("event.public"), false);
        narrows(r#"event.public || event.text.matches("a+")"#, None, false);
        narrows(r#"event.text.matches("a+")"#, None, false);
    }

    #[test]
    fn under_negation_the_bound_turns_around() {
        narrows(r#"!(event.public || event.text.matches("a"))"#, Some("!event.public"), false);
        narrows(r#"!(event.public && event.text.matches("a"))"#, None, false);
        narrows(r#"!(event.public && !event.text.matches("a"))"#, None, false);
        narrows(
            r#"!(event.public || !(event.closing || string(customer.a) == "1"))"#,
            Some("!event.public"),
            false,
        );
    }

    #[test]
    fn a_database_may_leave_more_to_the_rule() {
        let rule = parse(r#"customer.a == "x" && !(customer.b == 1)"#).expect("a rule");
        let texts_only =
            |atom: &Tree| !matches!(atom, Tree::Compare { right: Operand::Literal(Literal::Number(_)), .. });
        let narrowed = rule.tree().narrow_by(&texts_only);
        let kept = parse(r#"customer.a == "x""#).expect("a rule").tree().clone();
        assert_eq!((narrowed.predicate, narrowed.exact), (Some(kept), false));
    }

    #[test]
    fn conversions_are_left_to_the_rule_itself() {
        narrows("double(customer.a) > 1.0 && customer.b", Some("customer.b"), false);
        narrows(r#"string(customer.a).lowerAscii() in ["x"] && customer.b"#, Some("customer.b"), false);
    }
}
