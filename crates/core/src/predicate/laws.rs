//! What holds for every rule: the written and the lowered form mean the same, the
//! SQL part is implied by the rule, and no source makes the parser fall over.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::value::{Properties, Value, number_text};

const KEYS: &[&str] = &["a", "b", "in", "two words", "q\"uo\\te", "é"];
const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "aB",
    "B",
    "é",
    "É",
    "12",
    "12.5",
    "1e3",
    "1e999",
    "NaN",
    " 1",
    "true",
    "it's \"\\",
    "\n",
    "customer",
];
const NUMBERS: &[f64] =
    &[0.0, -0.0, 1.0, -1.0, 2.0, 12.0, 12.5, 0.1, 1e21, 1e300, 5e-324, 9_007_199_254_740_993.0];

#[derive(Debug, Clone)]
struct World {
    event: Option<(String, Option<String>, [bool; 3])>,
    maps: [Properties; 3],
}

impl World {
    fn facts(&self) -> Facts<'_> {
        let [properties, conversation, customer] = &self.maps;
        Facts {
            event: self.event.as_ref().map(|(kind, text, [public, automated, closing])| EventFacts {
                kind,
                text: text.as_deref(),
                author: "customer",
                public: *public,
                automated: *automated,
                closing: *closing,
                properties,
            }),
            conversation,
            customer,
            run: None,
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    select(TEXTS).prop_map(str::to_owned)
}

fn properties() -> impl Strategy<Value = Properties> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        select(NUMBERS).prop_map(Value::Number),
        text().prop_map(Value::Text),
    ];
    let value = leaf.prop_recursive(2, 12, 4, |inner| {
        let key = select(KEYS).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(key, inner, 0..4).prop_map(Value::Map),
        ]
    });
    prop::collection::btree_map(select(KEYS).prop_map(str::to_owned), value, 0..6)
}

fn world() -> impl Strategy<Value = World> {
    let event = prop::option::weighted(0.9, (text(), prop::option::of(text()), any::<[bool; 3]>()));
    (event, [properties(), properties(), properties()]).prop_map(|(event, maps)| World { event, maps })
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<bool>().prop_map(Literal::Bool),
        select(NUMBERS).prop_map(Literal::Number),
        text().prop_map(Literal::Text),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let path = prop::collection::vec(select(KEYS).prop_map(str::to_owned), 1..3);
    let map = select(vec![Root::EventProperties, Root::Conversation, Root::Customer]);
    let single = select(vec![
        Root::EventType,
        Root::EventText,
        Root::EventAuthor,
        Root::EventPublic,
        Root::EventAutomated,
        Root::EventClosing,
    ]);
    prop_oneof![
        4 => (map, path).prop_map(|(root, path)| Field { root, path }),
        1 => single.prop_map(|root| Field { root, path: Vec::new() }),
    ]
}

fn operand() -> impl Strategy<Value = Operand> {
    let leaf = prop_oneof![
        3 => field().prop_map(Operand::Field),
        1 => literal().prop_map(Operand::Literal),
    ];
    leaf.prop_recursive(2, 3, 1, |inner| {
        (inner, 0..4_u8).prop_map(|(inner, function)| {
            let inner = Box::new(inner);
            match function {
                0 => Operand::Lower(inner),
                1 => Operand::Text(inner),
                2 => Operand::Number(inner),
                _ => Operand::Size(inner),
            }
        })
    })
}

fn text_operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        field().prop_map(Operand::Field),
        text().prop_map(|text| Operand::Literal(Literal::Text(text))),
        field().prop_map(|field| Operand::Lower(Box::new(Operand::Field(field)))),
        field().prop_map(|field| Operand::Text(Box::new(Operand::Field(field)))),
    ]
}

fn atom() -> impl Strategy<Value = Tree> {
    use Comparison::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
    let any_comparison = select(vec![Equal, NotEqual, Less, AtMost, Greater, AtLeast]);
    let test = select(vec![TextTest::StartsWith, TextTest::EndsWith, TextTest::Contains]);
    let pattern = select(vec!["a+", "^1", "(?i)É$", "\\."]);
    prop_oneof![
        1 => any::<bool>().prop_map(Tree::Const),
        2 => operand().prop_map(Tree::Present),
        6 => (operand(), any_comparison, prop::option::weighted(0.8, operand())).prop_map(|(left, comparison, right)| {
            let right = right.unwrap_or_else(|| left.clone());
            let bool_literal = |operand: &Operand| matches!(operand, Operand::Literal(Literal::Bool(_)));
            let ordered = !bool_literal(&left) && !bool_literal(&right);
            Tree::Compare { left, comparison: if ordered { comparison } else { Equal }, right }
        }),
        2 => (operand(), prop::collection::vec(literal(), 0..4))
            .prop_map(|(needle, list)| Tree::OneOf { needle, list }),
        2 => (operand(), field()).prop_map(|(needle, list)| Tree::ElementOf { needle, list }),
        2 => (test, text_operand(), text_operand())
            .prop_map(|(test, subject, part)| Tree::Text { test, subject, part }),
        2 => (text_operand(), pattern).prop_map(|(subject, pattern)| Tree::Matches {
            subject,
            pattern: Pattern::compile(pattern).expect("a small regular expression"),
        }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    atom().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::Any),
            inner.prop_map(|inner| Tree::Not(Box::new(inner))),
        ]
    })
}

/// The meaning once more, slowly and by another road: operands are owned values.
fn slowly(tree: &Tree, world: &World) -> bool {
    match tree {
        Tree::Const(flag) => *flag,
        Tree::All(parts) => !parts.iter().any(|part| !slowly(part, world)),
        Tree::Any(parts) => parts.iter().filter(|part| slowly(part, world)).count() > 0,
        Tree::Not(inner) => !slowly(inner, world),
        Tree::Present(operand) => value(operand, world).is_some(),
        Tree::Compare { left, comparison, right } => {
            let (left, right) = (value(left, world), value(right, world));
            let same = left.is_some() && equal(left.as_ref(), right.as_ref());
            let less = less(left.as_ref(), right.as_ref());
            let greater = self::less(right.as_ref(), left.as_ref());
            match comparison {
                Comparison::Equal => same,
                Comparison::NotEqual => !same,
                Comparison::Less => less,
                Comparison::Greater => greater,
                Comparison::AtMost => less || (same && is_ordered(left.as_ref())),
                Comparison::AtLeast => greater || (same && is_ordered(left.as_ref())),
            }
        }
        Tree::OneOf { needle, list } => {
            list.iter().any(|literal| equal(value(needle, world).as_ref(), Some(&written(literal))))
        }
        Tree::ElementOf { needle, list } => match value(&Operand::Field(list.clone()), world) {
            Some(Value::List(elements)) => {
                elements.iter().any(|element| equal(value(needle, world).as_ref(), Some(element)))
            }
            _ => false,
        },
        Tree::Text { test, subject, part } => match (value(subject, world), value(part, world)) {
            (Some(Value::Text(subject)), Some(Value::Text(part))) => {
                let places = subject.match_indices(part.as_str()).map(|(at, _)| at).collect::<Vec<_>>();
                match test {
                    TextTest::StartsWith => places.contains(&0),
                    TextTest::EndsWith => subject.strip_suffix(part.as_str()).is_some(),
                    TextTest::Contains => !places.is_empty(),
                }
            }
            _ => false,
        },
        Tree::Matches { subject, pattern } => match value(subject, world) {
            Some(Value::Text(text)) => {
                regex::Regex::new(pattern.source()).expect("compiled before").find(&text).is_some()
            }
            _ => false,
        },
    }
}

fn written(literal: &Literal) -> Value {
    match literal {
        Literal::Bool(flag) => Value::Bool(*flag),
        Literal::Number(number) => Value::Number(*number),
        Literal::Text(text) => Value::Text(text.clone()),
    }
}

fn value(operand: &Operand, world: &World) -> Option<Value> {
    match operand {
        Operand::Literal(literal) => Some(written(literal)),
        Operand::Field(field) => {
            let event = world.event.as_ref();
            let start = match field.root {
                Root::EventType => event?.0.as_str().into(),
                Root::EventText => event?.1.clone()?.into(),
                Root::EventAuthor => event.map(|_| "customer".into())?,
                Root::EventPublic => event?.2[0].into(),
                Root::EventAutomated => event?.2[1].into(),
                Root::EventClosing => event?.2[2].into(),
                Root::EventProperties => Value::Map(event.map(|_| world.maps[0].clone())?),
                Root::Conversation => Value::Map(world.maps[1].clone()),
                Root::Customer => Value::Map(world.maps[2].clone()),
                Root::Run => return None,
            };
            let found = field.path.iter().try_fold(start, |value, key| match value {
                Value::Map(mut entries) => entries.remove(key),
                _ => None,
            })?;
            (found != Value::Null).then_some(found)
        }
        Operand::Lower(inner) => match value(inner, world)? {
            Value::Text(text) => {
                Some(text.chars().map(|c| c.to_ascii_lowercase()).collect::<String>().into())
            }
            _ => None,
        },
        Operand::Text(inner) => match value(inner, world)? {
            Value::Bool(flag) => Some(format!("{flag}").into()),
            Value::Number(number) => Some(number_text(number).into()),
            Value::Text(text) => Some(text.into()),
            _ => None,
        },
        Operand::Number(inner) => match value(inner, world)? {
            Value::Number(number) => Some(Value::Number(number)),
            Value::Text(text) if !text.contains(['N', 'n', 'i', 'I']) => {
                text.parse().ok().filter(|number: &f64| number.abs() < f64::INFINITY).map(Value::Number)
            }
            _ => None,
        },
        Operand::Size(inner) => match value(inner, world)? {
            Value::Text(text) => Some(Value::Number(text.chars().map(|_| 1.0).sum())),
            Value::List(list) => Some(Value::Number(list.len() as f64)),
            Value::Map(map) => Some(Value::Number(BTreeMap::len(&map) as f64)),
            _ => None,
        },
    }
}

fn is_ordered(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Number(_) | Value::Text(_)))
}

/// Lists and maps are equal to nothing, and nothing is equal to something missing.
fn equal(left: Option<&Value>, right: Option<&Value>) -> bool {
    let is_single = is_ordered(left) || matches!(left, Some(Value::Bool(_)));
    is_single && left == right
}

fn less(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => left < right,
        (Some(Value::Text(left)), Some(Value::Text(right))) => left < right,
        _ => false,
    }
}

/// A source made of tokens of the language in any order.
fn soup() -> impl Strategy<Value = String> {
    let tokens = vec![
        "(",
        ")",
        "[",
        "]",
        "!",
        "-",
        ".",
        ",",
        "&&",
        "||",
        "==",
        "<",
        "in",
        "event",
        "event.text",
        "has",
        "size",
        "matches",
        "\"",
        "'''",
        "r'",
        "\"a\"",
        "1",
        "1.5e",
        "null",
        "true",
        "//",
        "\n",
        " ",
        "?",
        "{",
        "+",
        "£",
        "\\",
        "\0",
    ];
    prop::collection::vec(select(tokens), 0..120).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_tree_its_source_and_the_slow_reading_agree(
        tree in tree(),
        worlds in prop::collection::vec(world(), 8),
    ) {
        let source = tree.to_string();
        prop_assume!(source.len() <= MAX_SOURCE);
        let rule = parse(&source).map_err(|error| TestCaseError::fail(format!("{source}: {error}")))?;
        for world in &worlds {
            let expected = slowly(&tree, world);
            prop_assert_eq!(tree.holds(&world.facts()), expected, "tree {} in {:?}", source, world);
            prop_assert_eq!(rule.eval(&world.facts()), expected, "rule {} in {:?}", source, world);
        }
    }

    #[test]
    fn the_sql_part_is_implied_by_the_rule(
        tree in tree(),
        worlds in prop::collection::vec(world(), 16),
    ) {
        let narrowed = tree.narrow();
        for world in &worlds {
            let whole = tree.holds(&world.facts());
            let part = narrowed.predicate.as_ref().is_none_or(|part| part.holds(&world.facts()));
            prop_assert!(part || !whole, "{tree} but not {:?} in {world:?}", narrowed.predicate);
            prop_assert!(!narrowed.exact || part == whole, "{tree} is not {:?}", narrowed.predicate);
        }
    }

    #[test]
    fn no_source_makes_the_parser_fall_over(source in soup()) {
        let _ = parse(&source);
    }

    #[test]
    fn no_bytes_make_the_parser_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
