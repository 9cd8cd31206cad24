//! What a template may say: an allow-list over the parser's own tree, so that
//! there is no second grammar to disagree with, and anything new is refused.
//!
//! First the tokens are counted, because the tree of a long chain is deep and
//! a deep tree overflows the stack that parses or drops it.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Spanned, Stmt};
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::filters::{FILTERS, TESTS};
use super::{SOURCE_BYTES, TemplateError};

/// Most tokens in one `{{ … }}` or `{% … %}`.
const TOKENS_PER_TAG: usize = 128;
/// Most tags in a template.
const TAGS: usize = 2_000;
/// Most `if` and `for` inside each other.
const NESTING: usize = 16;
/// Most `elif` in a template: the parser nests each into the one before.
const ELIFS: usize = 64;

/// Refuses what is too large, does not parse, or is outside the language.
pub(super) fn check(source: &str) -> Result<(), TemplateError> {
    if source.len() > SOURCE_BYTES {
        return Err(TemplateError::whole("the template is larger than 64 KiB"));
    }
    count_tokens(source)?;
    let tree =
        parse(source, "template", SyntaxConfig::default()).map_err(|e| TemplateError::from_engine(&e))?;
    statement(&tree)
}

fn count_tokens(source: &str) -> Result<(), TemplateError> {
    let (mut tags, mut in_tag, mut nesting, mut elifs) = (0, 0, 0_usize, 0);
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let (token, span) = token.map_err(|e| TemplateError::from_engine(&e))?;
        match token {
            Token::VariableStart | Token::BlockStart => {
                tags += 1;
                in_tag = 0;
            }
            Token::TemplateData(_) => in_tag = 0,
            Token::Ident(word) if in_tag == 1 => match word {
                "if" | "for" => nesting += 1,
                "endif" | "endfor" => nesting = nesting.saturating_sub(1),
                "elif" => elifs += 1,
                _ => {}
            },
            _ => {}
        }
        in_tag += 1;
        if tags > TAGS || in_tag > TOKENS_PER_TAG || nesting > NESTING || elifs > ELIFS {
            return Err(refused(span, "the template is too complex"));
        }
    }
    Ok(())
}

fn statements(list: &[Stmt<'_>]) -> Result<(), TemplateError> {
    list.iter().try_for_each(statement)
}

fn statement(node: &Stmt<'_>) -> Result<(), TemplateError> {
    match node {
        Stmt::Template(template) => statements(&template.children),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(emit) => expression(&emit.expr),
        Stmt::IfCond(branch) => {
            expression(&branch.expr)?;
            statements(&branch.true_body)?;
            statements(&branch.false_body)
        }
        Stmt::ForLoop(each) => {
            if each.recursive {
                return Err(refused(each.span(), "recursive loops are not available"));
            }
            target(&each.target)?;
            expression(&each.iter)?;
            each.filter_expr.iter().try_for_each(expression)?;
            statements(&each.body)?;
            statements(&each.else_body)
        }
        Stmt::Set(set) => {
            target(&set.target)?;
            expression(&set.expr)
        }
        Stmt::SetBlock(node) => Err(refused(node.span(), "set takes a value, not a block")),
        Stmt::WithBlock(node) => unavailable(node, "with"),
        Stmt::AutoEscape(node) => unavailable(node, "autoescape"),
        Stmt::FilterBlock(node) => unavailable(node, "filter blocks"),
        Stmt::Block(node) => unavailable(node, "block"),
        Stmt::Import(node) => unavailable(node, "import"),
        Stmt::FromImport(node) => unavailable(node, "import"),
        Stmt::Extends(node) => unavailable(node, "extends"),
        Stmt::Include(node) => unavailable(node, "include"),
        Stmt::Macro(node) => unavailable(node, "macro"),
        Stmt::CallBlock(node) => unavailable(node, "call"),
        Stmt::Do(node) => unavailable(node, "do"),
        // Only where other crates switch on more of the grammar.
        #[expect(unreachable_patterns, reason = "the engine's features decide which statements exist")]
        _ => Err(TemplateError::whole("the template uses a statement that is not available")),
    }
}

/// One name, or names separated by commas.
fn target(node: &Expr<'_>) -> Result<(), TemplateError> {
    match node {
        Expr::Var(_) => Ok(()),
        Expr::List(list) => list.items.iter().try_for_each(target),
        Expr::Tuple(tuple) => tuple.items.iter().try_for_each(target),
        other => Err(refused(other.span(), "only names can be assigned to")),
    }
}

fn expression(node: &Expr<'_>) -> Result<(), TemplateError> {
    match node {
        Expr::Var(_) | Expr::Const(_) => Ok(()),
        Expr::UnaryOp(unary) => expression(&unary.expr),
        Expr::BinOp(binary) => {
            operator(binary.op).map_err(|message| refused(binary.span(), &message))?;
            expression(&binary.left)?;
            expression(&binary.right)
        }
        Expr::Compare(chain) => {
            expression(&chain.expr)?;
            chain.ops.iter().try_for_each(|op| expression(&op.expr))
        }
        Expr::IfExpr(choice) => {
            expression(&choice.test_expr)?;
            expression(&choice.true_expr)?;
            choice.false_expr.iter().try_for_each(expression)
        }
        Expr::GetAttr(get) => expression(&get.expr),
        Expr::GetItem(get) => {
            expression(&get.expr)?;
            expression(&get.subscript_expr)
        }
        Expr::Filter(filter) => {
            if !FILTERS.contains(&filter.name) {
                let message = format!("filter {} is not available", filter.name);
                return Err(refused(filter.span(), &message));
            }
            filter.expr.iter().try_for_each(expression)?;
            arguments(&filter.args, filter.span())
        }
        Expr::Test(test) => {
            if !TESTS.contains(&test.name) {
                let message = format!("test {} is not available", test.name);
                return Err(refused(test.span(), &message));
            }
            expression(&test.expr)?;
            arguments(&test.args, test.span())
        }
        Expr::List(list) => constants(&list.items),
        Expr::Tuple(tuple) => constants(&tuple.items),
        Expr::Slice(node) => unavailable(node, "slices"),
        Expr::Call(node) => unavailable(node, "calls"),
        Expr::Map(node) => unavailable(node, "map literals"),
    }
}

/// Operators that make texts or lists longer are not in the language.
fn operator(op: BinOpKind) -> Result<(), String> {
    use BinOpKind::{
        Add, Concat, Div, Eq, FloorDiv, Gt, Gte, In, Lt, Lte, Mul, Ne, Pow, Rem, ScAnd, ScOr, Sub,
    };
    let sign = match op {
        Eq | Ne | Lt | Lte | Gt | Gte | In | ScAnd | ScOr | Sub | Div | FloorDiv | Rem => {
            return Ok(());
        }
        Concat => "~",
        Add => "+",
        Mul => "*",
        Pow => "**",
    };
    Err(format!("operator {sign} is not available: write the parts one after the other"))
}

fn arguments(list: &[CallArg<'_>], span: Span) -> Result<(), TemplateError> {
    list.iter().try_for_each(|argument| match argument {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) => expression(value),
        CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
            Err(refused(span, "spread arguments are not available"))
        }
    })
}

/// Lists of constants only: lists of lists of names grow with every level.
fn constants(items: &[Expr<'_>]) -> Result<(), TemplateError> {
    items.iter().try_for_each(|item| match item {
        Expr::Const(_) => Ok(()),
        other => Err(refused(other.span(), "a list can hold constants only")),
    })
}

fn unavailable<T>(node: &Spanned<T>, what: &str) -> Result<(), TemplateError> {
    Err(refused(node.span(), &format!("not available here: {what}")))
}

fn refused(span: Span, message: &str) -> TemplateError {
    TemplateError::at(span.start_line.into(), message)
}
