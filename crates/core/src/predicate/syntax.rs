//! The CEL parser, and what it says about a source in our words.

use std::thread;

use cel::parser::ParseError;

use super::error::{PredicateError, Problem};
use super::lower::lower;
use super::tree::Tree;
use super::{MAX_DEPTH, Vocabulary};

/// Stack of the thread that parses: twice what 32 brackets take without optimisation.
const PARSER_STACK: usize = 16 * 1024 * 1024;
/// The parser's own recursion limit; the screen refuses deeper brackets already.
const PARSER_DEPTH: u16 = MAX_DEPTH as u16 + 4;

/// Parses and lowers a screened source.
///
/// The generated parser needs more stack than a caller may have left, so it gets
/// a thread of its own; the expression is dropped there, too.
pub(super) fn parse(source: &str, vocabulary: Vocabulary) -> Result<Tree, PredicateError> {
    let failed = |message: &str| Err(PredicateError::new(vec![Problem::at(source, 0, message)]));
    thread::scope(|scope| {
        let parser = thread::Builder::new()
            .name("rule-parser".to_owned())
            .stack_size(PARSER_STACK)
            .spawn_scoped(scope, move || parse_here(source, vocabulary));
        match parser.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => failed("the rule cannot be parsed"),
            Err(_io) => failed("the system has no thread left to parse the rule, try again"),
        }
    })
}

fn parse_here(source: &str, vocabulary: Vocabulary) -> Result<Tree, PredicateError> {
    let (expression, info) = cel::Env::default()
        .parser()
        .max_recursion_depth(PARSER_DEPTH)
        .parse_with_source_info(source)
        .map_err(|errors| {
            let problems = errors.errors.iter().map(|error| syntax_problem(source, error));
            PredicateError::new(problems.collect())
        })?;
    lower(source, vocabulary, &expression, info)
}

/// A parser error in our words, with its place as a byte offset.
fn syntax_problem(source: &str, error: &ParseError) -> Problem {
    let (line, column) = (error.pos.0.max(1) as usize, error.pos.1.max(1) as usize);
    let start: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let offset: usize = source[start..].chars().take(column - 1).map(char::len_utf8).sum();
    Problem::at(source, start + offset, syntax_message(&error.msg))
}

fn syntax_message(message: &str) -> String {
    let Some(syntax) = message.strip_prefix("Syntax error: ") else {
        return message.to_owned();
    };
    let quoted = |after: &str| {
        let rest = &syntax[syntax.find(after)? + after.len()..];
        let end = rest.find("' expecting").or_else(|| rest.rfind('\''))?;
        Some(rest[..end].trim())
    };
    match quoted("input '").or_else(|| quoted("at: '")).or_else(|| quoted("at '")) {
        Some(found) if found.ends_with("<EOF>") => "the rule ends too early".to_owned(),
        Some(found) => format!("unexpected `{found}`"),
        None => syntax.to_owned(),
    }
}
