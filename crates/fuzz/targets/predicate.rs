//! Predicates: whatever is written, parsing ends with a tree or an error that points into the
//! source, and a tree can be read, narrowed and evaluated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rekindle_core::predicate::{self, EventFacts, Facts, MAX_SOURCE};
use rekindle_core::value::{Properties, Value};

fuzz_target!(|source: &str| {
    let Ok(rule) = predicate::parse(source) else {
        return;
    };
    assert!(source.len() <= MAX_SOURCE, "a rule of {} bytes was taken", source.len());
    assert_eq!(rule.source(), source);
    let _ = (rule.reads(), rule.sql_part());
    let long = "a".repeat(1_000);
    let maps: [Properties; 3] = [
        Properties::new(),
        [("a".to_owned(), Value::Number(1.0)), ("plan".to_owned(), Value::from("pro"))].into(),
        [("a".to_owned(), Value::List(vec![Value::Null, Value::from(long.as_str())]))].into(),
    ];
    for (at, properties) in maps.iter().enumerate() {
        let event = EventFacts {
            kind: "customer_message",
            text: [None, Some("hello"), Some(long.as_str())][at],
            author: "customer",
            public: at == 0,
            automated: at == 1,
            closing: at == 2,
            properties,
        };
        let facts = Facts { event: (at > 0).then_some(event), conversation: properties, customer: &maps[1], run: None };
        let once = rule.eval(&facts);
        assert_eq!(once, rule.eval(&facts), "a rule that changes its mind");
    }
});
