use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn context() -> Json {
    json!({
        "name": "Ann <b>",
        "first": "ann", "empty": "", "none": null,
        "count": 3, "price": 12.345,
        "url": "https://example.com/?a=1&b=2",
        "items": [{"title": "Hat"}, {"title": "Scarf"}],
        "big": "x".repeat(60_000),
        "nested": {"a": {"b": "deep"}},
    })
}

fn rendered(source: &str, kind: Kind) -> Result<String, TemplateError> {
    Templates.render(source, kind, &context())
}

fn text(source: &str) -> String {
    rendered(source, Kind::Text).unwrap_or_else(|e| panic!("{source}: {e}"))
}

fn refused(source: &str) -> TemplateError {
    match rendered(source, Kind::Text) {
        Ok(output) => panic!("{}: gave {} bytes", &source[..source.len().min(80)], output.len()),
        Err(error) => error,
    }
}

#[test]
fn what_one_rendering_walked_is_not_charged_to_the_next() {
    // A third of what one may walk.
    let third = "{% for i in items %}{{ big|upper|length }}{% endfor %}".repeat(12);
    for _ in 0..9 {
        assert!(text(&third).starts_with("60000"));
    }
    let over = refused(&third.repeat(4));
    assert!(over.message.contains("8 MiB"), "{over:?}");
}

#[test]
fn the_language_says_what_a_message_needs() {
    for (source, wanted) in [
        ("Hello {{ name }}!", "Hello Ann <b>!"),
        ("{% if count > 1 %}many{% elif count == 1 %}one{% else %}none{% endif %}", "many"),
        ("{% for item in items %}{{ loop.index }}. {{ item.title }}\n{% endfor %}", "1. Hat\n2. Scarf\n"),
        ("{% for i in items if i.title != 'Hat' %}{{ i['title'] }}{% else %}none{% endfor %}", "Scarf"),
        ("{% set who = first|title %}{{ who }} {{ who }}", "Ann Ann"),
        ("{{ missing|default('you') }} {{ none is none }} {{ missing is defined }}", "you True False"),
        (
            "{{ first|upper }} {{ 'ÉTÉ'|lower }} {{ 'hELLO wORLD'|capitalize }} {{ 'o\\'neil and sons'|title }}",
            "ANN été Hello world O'neil And Sons",
        ),
        (
            "{{ price|round(1) }} {{ '7'|int }} {{ -3|abs }} {{ count - 1 }} {{ 7 // 2 }} {{ 7 % 4 }}",
            "12.3 7 3 2 3 3",
        ),
        ("{{ items|length }} {{ (items|first).title }} {{ (items|last).title }}", "2 Hat Scarf"),
        ("{{ 'abcdef'|truncate(4) }} {{ 'abc'|truncate(3) }} {{ ' x '|trim }}", "abc… abc x"),
        ("{{ 'a b&ü'|urlencode }}", "a%20b%26%C3%BC"),
        ("{{ 'yes' if first in ['ann', 'bob'] else 'no' }} {{ 1 < count <= 3 }}", "yes True"),
        (
            "{{ nested.a.b }} {{ count is odd }} {# a comment #}{% raw %}{{ raw }}{% endraw %}",
            "deep True {{ raw }}",
        ),
        ("{% if not empty and first %}x{% endif %}", "x"),
    ] {
        assert_eq!(text(source), wanted, "{source}");
        assert_eq!(Templates.check(source, Kind::Text), Ok(()));
    }
}

/// F7: 57 bytes that abort a process which lets `replace` run.
#[test]
fn the_template_that_aborts_a_process_is_an_error() {
    let bomb = "{% set a='x'*1000000 %}{{ a | replace('x', a) | length }}";
    assert_eq!(bomb.len(), 57);
    assert!(Templates.check(bomb, Kind::Text).is_err());
    let error = refused(bomb);
    assert_eq!(error.line, Some(1));
}

#[test]
fn every_way_to_make_a_value_larger_is_closed() {
    let doubling = |step: &str| {
        let mut source = String::from("{% set a = big %}");
        for _ in 0..40 {
            source.push_str(step);
        }
        source.push_str("{{ a|length }}");
        source
    };
    for source in [
        doubling("{% set a = a ~ a %}"),
        doubling("{% set a = a + a %}"),
        doubling("{% set a %}{{ a }}{{ a }}{% endset %}"),
        doubling("{% set a = [a, a] %}"),
        doubling("{% set a = (a, a) %}"),
        doubling("{% set a = {'x': a, 'y': a} %}"),
        "{{ 'x' * 100000000 }}".into(),
        "{{ 2 ** 100 }}".into(),
        "{{ range(100000) }}".into(),
        "{{ big[::-1] }}".into(),
        "{{ big|replace('x', big) }}".into(),
        "{{ big|indent(100000) }}".into(),
        "{{ big|center(100000000) }}".into(),
        "{{ '%100000000d'|format(1) }}".into(),
        "{{ items|join(big) }}".into(),
        "{{ big|list }}".into(),
        "{{ big|batch(1, big) }}".into(),
        "{% macro m(n) %}{{ n }}{{ m(n) }}{% endmacro %}{{ m(1) }}".into(),
        "{% filter upper %}{{ big }}{% endfilter %}".into(),
        "{% for x in items recursive %}{{ loop(items) }}{% endfor %}".into(),
        "{% call x() %}{% endcall %}".into(),
        "{% include 'x' %}".into(),
        "{% import 'x' as y %}".into(),
        "{% from 'x' import y %}".into(),
        "{% extends 'x' %}".into(),
        "{% block x %}{% endblock %}".into(),
        "{% autoescape false %}{{ name }}{% endautoescape %}".into(),
        "{% with a = big %}{{ a }}{% endwith %}".into(),
        "{% do x() %}".into(),
        "{{ name|safe }}".into(),
        "{{ debug() }}".into(),
        "{{ big.upper() }}".into(),
        "{{ namespace() }}".into(),
        "{{ name|default(*items) }}".into(),
        "{% set a.b = 1 %}".into(),
    ] {
        refused(&source);
        assert!(Templates.check(&source, Kind::Text).is_err(), "{source}");
    }
}

#[test]
fn endless_work_ends() {
    let nested = "{% for a in big %}{% for b in big %}{% endfor %}{% endfor %}";
    assert!(refused(nested).message.contains("fuel"));
    let filters = "{% for a in big %}{% if big|upper == 'x' %}{% endif %}{% endfor %}";
    refused(filters);
    let output = "{% for a in items %}{{ big }}{{ big }}{{ big }}{% endfor %}";
    assert!(refused(output).message.contains("256 KiB"), "{}", refused(output));
}

#[test]
fn deep_and_wide_sources_are_refused_before_they_are_parsed() {
    let chain = |head: &str, link: &str, tail: &str| {
        let links = (SOURCE_BYTES - head.len() - tail.len()) / link.len();
        format!("{head}{}{tail}", link.repeat(links))
    };
    for source in [
        chain("{{ a", "|d", " }}"),
        chain("{{ a", ".a", " }}"),
        chain("{{ a", "-a", " }}"),
        chain("{{ ", "not ", "a }}"),
        chain("{{ ", "-", "a }}"),
        chain("{{ ", "(", "a }}"),
        chain("{{ ", "[", "a }}"),
        chain("{{ a", " if a else a", " }}"),
        chain("{% if a %}", "{% elif a %}", "{% endif %}"),
        chain("", "{% if a %}", ""),
        chain("", "{% for a in a %}", ""),
        chain("", "{{a}}", ""),
    ] {
        assert!(source.len() <= SOURCE_BYTES);
        refused(&source);
    }
    let long = "x".repeat(SOURCE_BYTES + 1);
    assert!(refused(&long).message.contains("64 KiB"));
    let big = json!({ "a": "x".repeat(CONTEXT_BYTES) });
    assert!(Templates.render("x", Kind::Text, &big).is_err());
}

#[test]
fn a_name_that_is_missing_is_an_error_with_its_line() {
    let error = refused("line one\nline two {{ missing }}");
    assert_eq!(error.line, Some(2));
    assert!(error.to_string().starts_with("line 2: undefined"), "{error}");
    assert!(rendered("{{ nested.no.way }}", Kind::Text).is_err());
    assert!(rendered("{% if missing %}{% endif %}", Kind::Text).is_err());
    assert!(rendered("{{ missing }}", Kind::Json).is_err());
    assert!(rendered("{{ missing|upper }}", Kind::Text).is_err());
}

#[test]
fn a_template_that_does_not_parse_is_refused_with_its_line() {
    for (source, line) in [("a\n{{ b", 2), ("{% if a %}", 1), ("\n\n{{ a b }}", 3), ("{{ name|nope }}", 1)] {
        let error = Templates.check(source, Kind::Html).expect_err(source);
        assert_eq!(error.line, Some(line), "{source}: {error}");
    }
}

#[test]
fn values_are_escaped_in_html_and_only_there() {
    assert_eq!(rendered("<b>{{ name }}</b>", Kind::Html), Ok("<b>Ann &lt;b&gt;</b>".into()));
    assert_eq!(rendered("{{ name }}", Kind::Text), Ok("Ann <b>".into()));
    assert_eq!(rendered("{{ name|upper }}", Kind::Html), Ok("ANN &lt;B&gt;".into()));
    assert!(rendered("<a href=\"{{ url }}\">x</a>", Kind::Html).is_ok());
    let evil = json!({"url": "javascript:alert(1)"});
    assert!(Templates.render("<a href=\"{{ url }}\">x</a>", Kind::Html, &evil).is_err());
}

#[test]
fn a_subject_is_one_line() {
    let context = json!({"name": "Ann\r\nBcc: eve@example.com\0\u{202e}"});
    let subject = Templates.render(" Hello\n {{ name }} ", Kind::Subject, &context);
    assert_eq!(subject, Ok("Hello Ann Bcc: eve@example.com".into()));
}

#[test]
fn an_address_has_no_controls() {
    let address = |value: &str| Templates.render(" {{ a }}\n", Kind::Address, &json!({ "a": value }));
    assert_eq!(address("ann@example.com"), Ok("ann@example.com".into()));
    assert!(address("ann@example.com\r\nx").is_err());
}

#[test]
fn json_values_come_with_their_quotes_and_the_whole_must_be_json() {
    let source = "{\"name\": {{ name }}, \"n\": {{ count }}, \"all\": {{ items }}, \"no\": {{ none }}}";
    let output = rendered(source, Kind::Json).expect("json");
    let parsed: Json = serde_json::from_str(&output).expect("json");
    let all = json!([{"title": "Hat"}, {"title": "Scarf"}]);
    assert_eq!(parsed, json!({"name": "Ann <b>", "n": 3, "all": all, "no": null}));
    assert!(rendered("{\"name\": \"{{ name }}\"}", Kind::Json).is_err());
    assert!(rendered("{\"n\": 1e11111}", Kind::Json).is_err(), "no double is as large");
}

#[test]
fn every_listed_filter_and_test_exists() {
    let environment = environment(Kind::Text);
    for filter in FILTERS {
        let mut source = String::new();
        write!(source, "{{{{ x|{filter} }}}}").expect("a string takes it");
        environment.template_from_str(&source).expect("it compiles");
        let error = environment.render_str(&source, json_value(&json!({"x": "1"})));
        assert!(!matches!(error, Err(ref e) if e.kind() == minijinja::ErrorKind::UnknownFilter), "{filter}");
    }
    for test in filters::TESTS {
        let error =
            environment.render_str(&format!("{{{{ x is {test}(1) }}}}"), json_value(&json!({"x": 1})));
        assert!(!matches!(error, Err(ref e) if e.kind() == minijinja::ErrorKind::UnknownTest), "{test}");
    }
}

fn json_value(json: &Json) -> minijinja::Value {
    minijinja::Value::from(Serde(json))
}

proptest! {
    #[test]
    fn no_source_makes_the_engine_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "{{", "}}", "{%", "%}", "{#", "#}", " ", "name", "items", "if", "for", "in", "endif",
                "endfor", "set", "=", "|", "upper", "length", "(", ")", "[", "]", "'x'", "1", ".", ",",
                "*", "~", "-", "not", "is", "defined", "else", "elif", "raw", "endraw", "\n", "é", "99999999999",
            ]),
            0..24,
        ),
    ) {
        let source: String = parts.concat();
        for kind in [Kind::Subject, Kind::Html, Kind::Json] {
            let _ = rendered(&source, kind);
        }
    }
}
