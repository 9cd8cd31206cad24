//! From CEL syntax to the closed tree: conditions.

use cel::common::ast::operators;
use cel::common::ast::{CallExpr, Expr, IdedExpr, ListExpr, LiteralValue, SourceInfo};

use super::error::{PredicateError, Problem};
use super::tree::{Comparison, Literal, Operand, Pattern, TextTest, Tree};
use super::{MAX_DEPTH, MAX_NODES, Vocabulary};

/// What the lowering of one rule carries along. Functions that return `None` have noted why.
pub(super) struct Lowering<'a> {
    source: &'a str,
    pub(super) vocabulary: Vocabulary,
    info: SourceInfo,
    nodes: usize,
    problems: Vec<Problem>,
}

/// Lowers a parsed source.
pub(super) fn lower(
    source: &str,
    vocabulary: Vocabulary,
    expression: &IdedExpr,
    info: SourceInfo,
) -> Result<Tree, PredicateError> {
    let mut lowering = Lowering { source, vocabulary, info, nodes: 0, problems: Vec::new() };
    match lowering.condition(expression, 1) {
        Some(tree) if lowering.problems.is_empty() => Ok(tree),
        _ => Err(PredicateError::new(lowering.problems)),
    }
}

impl Lowering<'_> {
    /// Notes that an expression is no part of a rule.
    pub(super) fn refuse<T>(&mut self, at: &IdedExpr, message: impl Into<String>) -> Option<T> {
        let start = self.info.offset_for(at.id).map_or(0, |(start, _)| start);
        self.problems.push(Problem::at(self.source, start as usize, message));
        None
    }

    /// Counts one node of the tree.
    pub(super) fn node(&mut self, at: &IdedExpr, depth: usize) -> Option<()> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return self.refuse(at, format!("conditions and functions are at most {MAX_DEPTH} deep"));
        }
        if self.nodes == MAX_NODES + 1 {
            let message = format!("a rule has at most {MAX_NODES} conditions, operands and elements");
            return self.refuse(at, message);
        }
        (self.nodes <= MAX_NODES).then_some(())
    }

    fn condition(&mut self, at: &IdedExpr, depth: usize) -> Option<Tree> {
        match &at.expr {
            Expr::Call(call) => self.call(at, call, depth),
            Expr::Literal(LiteralValue::Boolean(flag)) => {
                self.node(at, depth)?;
                Some(Tree::Const(*flag.inner()))
            }
            Expr::Ident(_) | Expr::Select(_) => self.bare_field(at, depth),
            Expr::Literal(_) => self.refuse(at, "a value is not a condition: compare it with a field"),
            Expr::List(_) => self.refuse(at, "a list stands on the right of `in` only"),
            Expr::Unspecified | Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) => {
                self.refuse(at, "this is not part of the rule language")
            }
        }
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Option<Tree> {
        let name = call.func_name.as_str();
        match (name, call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, None, [_, _]) => self.junction(at, name, depth),
            (operators::LOGICAL_NOT, None, [inner]) => {
                self.node(at, depth)?;
                let inner = self.condition(inner, depth + 1)?;
                Some(Tree::Not(Box::new(inner)))
            }
            (operators::IN, None, [needle, list]) => self.membership(at, needle, list, depth),
            (operators::INDEX, None, [_, _]) => self.bare_field(at, depth),
            (operators::HAS, None, [field]) => {
                self.node(at, depth)?;
                let field = self.field(field)?;
                Some(Tree::Present(Operand::Field(field)))
            }
            ("matches", Some(subject), [pattern]) | ("matches", None, [subject, pattern]) => {
                self.matches(at, subject, pattern, depth)
            }
            (_, None, [left, right]) if comparison(name).is_some() => {
                self.comparison(at, comparison(name)?, [left, right], depth)
            }
            (_, Some(subject), [part]) if text_test(name).is_some() => {
                self.text_test(at, text_test(name)?, [subject, part], depth)
            }
            _ => {
                let message = refusal_of_call(call);
                self.refuse(at, message)
            }
        }
    }

    /// `a && b && c` as one list; the parser gives pairs.
    fn junction(&mut self, at: &IdedExpr, operator: &str, depth: usize) -> Option<Tree> {
        self.node(at, depth)?;
        let mut parts = Vec::new();
        let mut whole = true;
        let mut pending = vec![at];
        while let Some(next) = pending.pop() {
            match &next.expr {
                Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operator => {
                    pending.extend(args.iter().rev());
                }
                _ => match self.condition(next, depth + 1) {
                    Some(part) => parts.push(part),
                    // The others are still looked at, so that every problem is named.
                    None => whole = false,
                },
            }
        }
        whole.then_some(if operator == operators::LOGICAL_AND { Tree::All(parts) } else { Tree::Any(parts) })
    }

    /// A field alone means that it is true.
    fn bare_field(&mut self, at: &IdedExpr, depth: usize) -> Option<Tree> {
        self.node(at, depth)?;
        let field = self.field(at)?;
        if !field.root.may_be_bool() {
            return self.refuse(at, "this field is a text, not a condition: compare it");
        }
        Some(Tree::Compare {
            left: Operand::Field(field),
            comparison: Comparison::Equal,
            right: Operand::Literal(Literal::Bool(true)),
        })
    }

    fn comparison(
        &mut self,
        at: &IdedExpr,
        comparison: Comparison,
        [left, right]: [&IdedExpr; 2],
        depth: usize,
    ) -> Option<Tree> {
        self.node(at, depth)?;
        if is_null(left) || is_null(right) {
            return self.null_test(at, comparison, [left, right], depth);
        }
        let (left, right) = (self.operand(left, depth + 1), self.operand(right, depth + 1));
        let (left, right) = (left?, right?);
        let orders_bool =
            [&left, &right].iter().any(|operand| matches!(operand, Operand::Literal(Literal::Bool(_))));
        if orders_bool && !comparison.is_equality() {
            return self.refuse(at, "truth values have no order: use == or !=");
        }
        Some(Tree::Compare { left, comparison, right })
    }

    /// `x == null` asks whether `x` is missing.
    fn null_test(
        &mut self,
        at: &IdedExpr,
        comparison: Comparison,
        [left, right]: [&IdedExpr; 2],
        depth: usize,
    ) -> Option<Tree> {
        if !comparison.is_equality() {
            return self.refuse(at, "null has no order: use == or !=");
        }
        let present = match (is_null(left), is_null(right)) {
            (true, true) => Tree::Const(false),
            (true, false) => Tree::Present(self.operand(right, depth + 1)?),
            _ => Tree::Present(self.operand(left, depth + 1)?),
        };
        Some(match (comparison, present) {
            (Comparison::NotEqual, present) => present,
            (_, Tree::Const(flag)) => Tree::Const(!flag),
            (_, present) => Tree::Not(Box::new(present)),
        })
    }

    fn membership(
        &mut self,
        at: &IdedExpr,
        needle: &IdedExpr,
        list: &IdedExpr,
        depth: usize,
    ) -> Option<Tree> {
        self.node(at, depth)?;
        if is_null(needle) {
            return self.refuse(needle, "null is in no list: use == null");
        }
        let needle = self.operand(needle, depth + 1);
        if let Expr::List(elements) = &list.expr {
            let elements = self.elements(elements, depth + 1);
            return Some(one_of(needle?, elements?));
        }
        let list = self.field(list);
        Some(Tree::ElementOf { needle: needle?, list: list? })
    }

    /// The literals of a list; `None` among them stands for null.
    fn elements(&mut self, list: &ListExpr, depth: usize) -> Option<Vec<Option<Literal>>> {
        let mut elements = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            self.node(element, depth)?;
            elements.push(if is_null(element) { None } else { Some(self.literal(element)?) });
        }
        Some(elements)
    }

    fn text_test(
        &mut self,
        at: &IdedExpr,
        test: TextTest,
        [subject, part]: [&IdedExpr; 2],
        depth: usize,
    ) -> Option<Tree> {
        self.node(at, depth)?;
        let (subject, part) = (self.text_operand(subject, depth), self.text_operand(part, depth));
        Some(Tree::Text { test, subject: subject?, part: part? })
    }

    fn matches(
        &mut self,
        at: &IdedExpr,
        subject: &IdedExpr,
        pattern: &IdedExpr,
        depth: usize,
    ) -> Option<Tree> {
        self.node(at, depth)?;
        let subject = self.text_operand(subject, depth);
        let Expr::Literal(LiteralValue::String(source)) = &pattern.expr else {
            return self.refuse(pattern, "`matches` takes a regular expression written as a text");
        };
        match Pattern::compile(source.inner()) {
            Ok(pattern) => Some(Tree::Matches { subject: subject?, pattern }),
            Err(message) => self.refuse(pattern, message),
        }
    }
}

fn comparison(operator: &str) -> Option<Comparison> {
    Some(match operator {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::AtMost,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::AtLeast,
        _ => return None,
    })
}

fn text_test(name: &str) -> Option<TextTest> {
    Some(match name {
        "startsWith" => TextTest::StartsWith,
        "endsWith" => TextTest::EndsWith,
        "contains" => TextTest::Contains,
        _ => return None,
    })
}

pub(super) fn is_null(at: &IdedExpr) -> bool {
    matches!(at.expr, Expr::Literal(LiteralValue::Null))
}

/// `x in [null, 1]` is `x == null || x in [1]`.
fn one_of(needle: Operand, elements: Vec<Option<Literal>>) -> Tree {
    let with_null = elements.contains(&None);
    let list = elements.into_iter().flatten().collect();
    if !with_null {
        return Tree::OneOf { needle, list };
    }
    let missing = Tree::Not(Box::new(Tree::Present(needle.clone())));
    Tree::Any(vec![missing, Tree::OneOf { needle, list }])
}

/// Why a call is no condition.
pub(super) fn refusal_of_call(call: &CallExpr) -> String {
    match call.func_name.as_str() {
        operators::ADD
        | operators::SUBSTRACT
        | operators::MULTIPLY
        | operators::DIVIDE
        | operators::MODULO
        | operators::NEGATE => "arithmetic is not part of the rule language".to_owned(),
        operators::CONDITIONAL => "`? :` is not part of the rule language: use && and ||".to_owned(),
        "all" | "exists" | "exists_one" | "existsOne" | "map" | "filter" => {
            format!("`{}` is not part of the rule language: use `in`", call.func_name)
        }
        "size" | "string" | "double" | "lowerAscii" => {
            format!("`{}` gives a value, not a condition: compare it", call.func_name)
        }
        "startsWith" | "endsWith" | "contains" | "matches" => {
            format!("write x.{}(\"text\")", call.func_name)
        }
        operators::HAS => "`has` takes one field: has(event.properties.key)".to_owned(),
        other => format!("unknown function `{other}`"),
    }
}
