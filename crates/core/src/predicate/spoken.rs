//! Rules, what they mean, and what is said about those that mean nothing.

use super::*;
use crate::value::Properties;

/// Whether a rule holds for one small world.
fn holds(rule: &str) -> bool {
    let read = |json: &str| serde_json::from_str::<Properties>(json).expect("valid JSON");
    let properties = read(
        r#"{"n": 12, "half": 12.5, "t": "Ab", "yes": true, "none": null, "list": [1, "x", null],
            "map": {"in ner": {"deep": 3}}, "12": "12", "spelled": "1.5e2", "nan": "NaN"}"#,
    );
    let customer = read(r#"{"plan": "pro", "since": 2020}"#);
    let conversation = Properties::new();
    let facts = Facts {
        event: Some(EventFacts {
            kind: "customer_message",
            text: Some("Wo bleibt meine Bestellung 4711? ÄÖ"),
            author: "customer",
            public: true,
            automated: false,
            closing: false,
            properties: &properties,
        }),
        conversation: &conversation,
        customer: &customer,
        run: None,
    };
    parse(rule).expect(rule).eval(&facts)
}

fn refusal(rule: &str) -> String {
    parse(rule).expect_err(rule).to_string()
}

#[test]
fn only_rules_of_steps_can_name_the_run() {
    let rule = r#"run.steps["first-mail"].outcome == "delivered" && run.variables.score > 3"#;
    let refused = "line 1, column 24: `run` is not event, conversation or customer; \
        line 1, column 64: `run` is not event, conversation or customer";
    assert_eq!(refusal(rule), refused);
    let rule = parse_in_run(rule).expect(rule);
    let none = Properties::new();
    let run = r#"{"steps": {"first-mail": {"outcome": "delivered"}}, "variables": {"score": 4}}"#;
    let run: Properties = serde_json::from_str(run).expect("valid JSON");
    let facts = Facts { event: None, conversation: &none, customer: &none, run: None };
    assert!(!rule.eval(&facts));
    assert!(rule.eval(&Facts { run: Some(&run), ..facts }));
}

#[test]
fn rules_that_hold() {
    for rule in [
        "event.type == 'customer_message' && event.author == \"customer\" && event.public",
        "!event.automated && !(event.closing)",
        "event.properties.n == 12 && event.properties.n == 12u && 12.0 == event.properties.n",
        "event.properties.half > -1 && event.properties.half <= 12.5",
        "event.properties.t == 'Ab' && event.properties.t < 'a' && event.properties.t.lowerAscii() == 'ab'",
        "event.properties['12'] == '12' && event[\"properties\"].t != 'ab'",
        "event.properties.map[\"in ner\"].deep == 3",
        "1 in event.properties.list && 'x' in event.properties.list && !(2 in event.properties.list)",
        "customer.plan in ['free', 'pro'] && !(customer.plan in [])",
        "event.text.contains('4711') && event.text.endsWith('ÄÖ') && event.text.startsWith(\"Wo\")",
        "event.text.matches(r'\\d{4}\\?') && matches(event.text, '^Wo') && !event.text.matches('^wo')",
        "size(event.properties.list) == 3 && event.properties.map.size() == 1 && size('ÄÖ') == 2",
        "string(event.properties.n) == '12' && string(event.properties.half) == '12.5'",
        "string(event.properties.yes) == 'true' && double(event.properties.spelled) == 150",
        "double(event.properties.nan) == null && double(event.properties.yes) == null",
        "event.text.lowerAscii().endsWith('ÄÖ')",
        "customer.since == 2020 || false",
        "true // with a comment",
    ] {
        assert!(holds(rule), "{rule}");
    }
}

#[test]
fn what_is_missing_or_of_another_kind_compares_false_and_differs() {
    for rule in [
        "!has(event.properties.none) && !has(conversation.x) && has(customer.plan)",
        "!has(customer['no such']) && has(event.text)",
        "event.properties.none == null && conversation.x.y == null && customer.plan != null",
        "conversation.x != 1 && !(conversation.x == 1) && !(conversation.x < 1) && !(conversation.x >= 1)",
        "!(conversation.x == conversation.x) && conversation.x != conversation.x",
        "event.properties.n != '12' && !(event.properties.n < '2') && event.properties.yes != 1",
        "!(event.properties.list == event.properties.list) && event.properties.map != event.properties.map",
        "!conversation.x && !event.properties.n",
        "!(event.properties.n.contains('1')) && size(event.properties.n) == null",
        "!(event.properties.yes < event.properties.yes) && !(event.properties.yes <= event.properties.none)",
        "!(event.public <= event.public) && !(event.public >= event.public) && event.public == event.public",
        "conversation.x in [null, 1] && !(customer.plan in [null]) && null == null && !(null != null)",
        "event.properties.list.x == null && !(null == 1)",
    ] {
        assert!(holds(rule), "{rule}");
    }
}

#[test]
fn whatever_does_not_lower_is_refused_with_its_place() {
    for (rule, said) in [
        ("event.type ==", "column 14: the rule ends too early"),
        ("event.type = 'x'", "column 12: unexpected `=`"),
        ("event.type == 'x' 'y'", "column 19: unexpected `'y'`"),
        ("event.foo == 1", "column 6: the event has no field `foo`: did you mean event.properties[\"foo\"]?"),
        ("event.public && evnt.type == 1", "column 21: `evnt` is not event, conversation or customer"),
        ("event.type", "column 6: this field is a text"),
        ("customer == 1", "column 1: name a key"),
        ("event == 1", "column 1: name a field of the event"),
        ("event.type.x == 1", "column 11: this field is a single value"),
        ("customer.tags[0] == 1", "column 15: a key is a text"),
        ("customer.tags.all(t, t == 1)", "column 18: `all` is not part of the rule language"),
        ("customer.a - 1 < 3", "column 12: arithmetic"),
        ("-customer.a < 3", "column 1: arithmetic"),
        ("customer.a + 1 < 3", "column 12: arithmetic"),
        ("upper(customer.a) == 'A'", "column 6: unknown function `upper`"),
        ("customer.a.trim() == 'A'", "unknown function `trim`"),
        ("size(customer.a)", "column 5: `size` gives a value, not a condition"),
        ("customer.a < true", "truth values have no order"),
        ("customer.a > null", "null has no order"),
        ("null in [1]", "null is in no list"),
        ("(customer.a == 1) == true", "a condition has no value to compare"),
        ("customer.a == [1]", "a list stands on the right"),
        ("customer.a in [customer.b]", "column 24: a value written in the rule"),
        ("1 in 2", "column 6: a field is wanted here"),
        ("customer.a.matches('(')", "column 20: the regular expression is not valid: unclosed group"),
        ("customer.a.matches('(a{1000}){1000}')", "needs too much memory"),
        ("customer.a.matches(customer.b)", "takes a regular expression written as a text"),
        ("customer.a.startsWith(1)", "this is not a text"),
        ("startsWith(customer.a, 'x')", "write x.startsWith"),
        ("customer.a == '\\u0000'", "cannot hold NUL"),
        ("customer.a == 99999999999999999999", "invalid int literal"),
        ("'text'", "a value is not a condition"),
    ] {
        let found = refusal(rule);
        assert!(found.contains(said), "{rule}: {found}");
    }
}

#[test]
fn every_problem_of_a_rule_is_named_at_once() {
    let error = parse("evnt.a == 1 ||\n event.b == 2 && size(customer.a)").expect_err("three problems");
    let places: Vec<_> = error.problems.iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(1, 5), (2, 7), (2, 22)]);
    assert_eq!(error.problems[0].offset, 4);
}

#[test]
fn rules_have_limits() {
    let many = |count: usize| vec!["customer.a == 1"; count].join(" && ");
    assert!(parse(&many(80)).is_ok());
    assert!(refusal(&many(90)).contains("at most 256"));
    let chain = format!("customer.a{} == 'x'", ".lowerAscii()".repeat(40));
    assert!(refusal(&chain).contains("at most 32 deep"));
    let path = format!("has(customer{})", ".a".repeat(33));
    assert!(refusal(&path).contains("at most 32 keys"));
    let regex = format!("customer.a.matches('{}')", "a".repeat(513));
    assert!(refusal(&regex).contains("at most 512 bytes"));
    let nested = format!("{}event.public{}", "!(".repeat(31), ")".repeat(31));
    assert!(!holds(&nested));
    assert!(refusal(&("!(".repeat(32) + "!event.public" + &")".repeat(32))).contains("deep"));
}

#[test]
fn hostile_sources_are_refused_quickly_and_without_harm() {
    let motif = "!!(!!!!!!(!!!!(((((!!(!!(!!!!((".repeat(40);
    for source in [
        "(".repeat(200_000),
        "(".repeat(4000),
        "!".repeat(4096),
        "a".repeat(1_000_000),
        "[".repeat(32) + &"]".repeat(32),
        motif,
        ">".to_owned() + &"{".repeat(63) + "?[" + &"(".repeat(11) + "l\u{0}?(-",
        "customer.a".to_owned() + &".b".repeat(2000) + " == 1",
        "customer.a == ".repeat(290) + "1",
        "-1".repeat(2000),
    ] {
        assert!(parse(&source).is_err(), "{}", &source[..40.min(source.len())]);
    }
}

#[test]
fn a_long_text_is_not_searched() {
    let long = Properties::from([("t".to_owned(), "a".repeat(MAX_HAYSTACK + 1).into())]);
    let none = Properties::new();
    let facts = Facts { event: None, conversation: &none, customer: &long, run: None };
    assert!(!parse("customer.t.matches('a')").expect("a rule").eval(&facts));
    assert!(parse("customer.t.contains('a')").expect("a rule").eval(&facts));
}
