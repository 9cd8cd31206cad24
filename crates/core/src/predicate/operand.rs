//! From CEL syntax to the closed tree: operands, literals and fields.

use cel::common::ast::operators;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::lower::{Lowering, is_null, refusal_of_call};
use super::tree::{Field, Literal, Operand, Root};
use super::{MAX_DEPTH, Vocabulary};

/// What a function makes of its operand.
type Function = fn(Box<Operand>) -> Operand;

impl Lowering<'_> {
    /// Something with a value.
    pub(super) fn operand(&mut self, at: &IdedExpr, depth: usize) -> Option<Operand> {
        self.node(at, depth)?;
        match &at.expr {
            Expr::Literal(_) => self.literal(at).map(Operand::Literal),
            Expr::Ident(_) | Expr::Select(_) => self.field(at).map(Operand::Field),
            Expr::Call(call) if call.func_name == operators::INDEX => self.field(at).map(Operand::Field),
            Expr::Call(call) => self.function(at, call, depth),
            Expr::List(_) => self.refuse(at, "a list stands on the right of `in` only"),
            Expr::Unspecified | Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) => {
                self.refuse(at, "this is not part of the rule language")
            }
        }
    }

    /// An operand that could be a text.
    pub(super) fn text_operand(&mut self, at: &IdedExpr, depth: usize) -> Option<Operand> {
        let operand = self.operand(at, depth + 1)?;
        match operand {
            Operand::Literal(Literal::Bool(_) | Literal::Number(_))
            | Operand::Number(_)
            | Operand::Size(_) => self.refuse(at, "this is not a text"),
            operand => Some(operand),
        }
    }

    fn function(&mut self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Option<Operand> {
        let name = call.func_name.as_str();
        let (function, inner): (Function, _) = match (name, call.target.as_deref(), &call.args[..]) {
            (operators::NEGATE, None, [_]) => return self.literal(at).map(Operand::Literal),
            ("lowerAscii", Some(inner), []) => (Operand::Lower, inner),
            ("string", None, [inner]) => (Operand::Text, inner),
            ("double", None, [inner]) => (Operand::Number, inner),
            ("size", None, [inner]) | ("size", Some(inner), []) => (Operand::Size, inner),
            _ => {
                let message = refusal_of_operand(call);
                return self.refuse(at, message);
            }
        };
        if is_null(inner) {
            return self.refuse(inner, "null has no functions");
        }
        let inner = self.operand(inner, depth + 1)?;
        Some(function(Box::new(inner)))
    }

    /// A value written in the rule; null is not among them.
    pub(super) fn literal(&mut self, at: &IdedExpr) -> Option<Literal> {
        match &at.expr {
            Expr::Literal(LiteralValue::Boolean(flag)) => Some(Literal::Bool(*flag.inner())),
            Expr::Literal(LiteralValue::Int(number)) => Some(Literal::Number(*number.inner() as f64)),
            Expr::Literal(LiteralValue::UInt(number)) => Some(Literal::Number(*number.inner() as f64)),
            Expr::Literal(LiteralValue::Double(number)) => Some(Literal::Number(*number.inner())),
            Expr::Literal(LiteralValue::String(text)) if text.inner().contains('\0') => {
                self.refuse(at, "a string cannot hold NUL")
            }
            Expr::Literal(LiteralValue::String(text)) => Some(Literal::Text(text.inner().to_owned())),
            Expr::Literal(LiteralValue::Null) => self.refuse(at, "null can only be compared with == and !="),
            Expr::Literal(LiteralValue::Bytes(_)) => {
                self.refuse(at, "bytes are not part of the rule language")
            }
            Expr::Call(call) if call.func_name == operators::NEGATE => self.negated(at, call),
            _ => self.refuse(at, "a value written in the rule is wanted here"),
        }
    }

    fn negated(&mut self, at: &IdedExpr, call: &CallExpr) -> Option<Literal> {
        match call.args.first().map(|inner| &inner.expr) {
            Some(Expr::Literal(LiteralValue::Int(number))) => {
                Some(Literal::Number(-(*number.inner() as f64)))
            }
            Some(Expr::Literal(LiteralValue::Double(number))) => Some(Literal::Number(-*number.inner())),
            _ => self.refuse(at, "arithmetic is not part of the rule language"),
        }
    }

    /// A place in the facts.
    pub(super) fn field(&mut self, at: &IdedExpr) -> Option<Field> {
        let (root, mut path) = self.path(at)?;
        if path.len() > MAX_DEPTH {
            return self.refuse(at, format!("a path has at most {MAX_DEPTH} keys"));
        }
        let root = match root {
            "conversation" => Root::Conversation,
            "customer" => Root::Customer,
            "run" if self.vocabulary == Vocabulary::Run => Root::Run,
            "event" if path.is_empty() => {
                return self.refuse(at, "name a field of the event: event.type");
            }
            "event" => {
                let name = path.remove(0);
                let Some(root) = event_root(&name) else {
                    let hint = format!("did you mean event.properties[\"{name}\"]?");
                    return self.refuse(at, format!("the event has no field `{name}`: {hint}"));
                };
                root
            }
            other => {
                let message = format!("`{other}` is not {}", self.vocabulary.roots());
                return self.refuse(at, message);
            }
        };
        match (root.is_map(), path.is_empty()) {
            (true, true) => self.refuse(at, "name a key: event.properties.key, customer[\"key\"]"),
            (false, false) => self.refuse(at, "this field is a single value and has no keys"),
            _ => Some(Field { root, path }),
        }
    }

    /// The name a chain of selections starts with, and its keys in order.
    fn path<'e>(&mut self, at: &'e IdedExpr) -> Option<(&'e str, Vec<String>)> {
        let mut path = Vec::new();
        let mut rest = at;
        loop {
            match &rest.expr {
                Expr::Ident(name) => {
                    path.reverse();
                    return Some((name, path));
                }
                Expr::Select(select) if !select.test => {
                    path.push(select.field.clone());
                    rest = &select.operand;
                }
                Expr::Call(CallExpr { func_name, target: None, args })
                    if func_name == operators::INDEX && args.len() == 2 =>
                {
                    path.push(self.key(&args[1])?);
                    rest = &args[0];
                }
                _ => return self.refuse(rest, "a field is wanted here: event.type, customer.plan"),
            }
        }
    }

    fn key(&mut self, at: &IdedExpr) -> Option<String> {
        if let Literal::Text(key) = self.literal(at)? {
            return Some(key);
        }
        self.refuse(at, "a key is a text: x[\"key\"]")
    }
}

fn event_root(name: &str) -> Option<Root> {
    Some(match name {
        "type" => Root::EventType,
        "text" => Root::EventText,
        "author" => Root::EventAuthor,
        "public" => Root::EventPublic,
        "automated" => Root::EventAutomated,
        "closing" => Root::EventClosing,
        "properties" => Root::EventProperties,
        _ => return None,
    })
}

/// Why a call is no operand.
fn refusal_of_operand(call: &CallExpr) -> String {
    match call.func_name.as_str() {
        operators::EQUALS
        | operators::NOT_EQUALS
        | operators::LESS
        | operators::LESS_EQUALS
        | operators::GREATER
        | operators::GREATER_EQUALS
        | operators::IN
        | operators::LOGICAL_AND
        | operators::LOGICAL_OR
        | operators::LOGICAL_NOT
        | operators::HAS
        | "matches"
        | "startsWith"
        | "endsWith"
        | "contains" => {
            "a condition has no value to compare: combine conditions with &&, || and !".to_owned()
        }
        "lowerAscii" => "write x.lowerAscii()".to_owned(),
        "string" | "double" | "size" => format!("write {}(x)", call.func_name),
        _ => refusal_of_call(call),
    }
}
