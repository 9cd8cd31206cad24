//! Links in rendered HTML: `http` and `https` only.
//!
//! Looks at what is really sent, after values were filled in, and by an allow
//! list: an address attribute whose value does not begin with an allowed
//! scheme (after character references and white space are undone) is refused,
//! however it is disguised.

use super::TemplateError;

/// Attributes whose value is an address.
const ADDRESS_ATTRIBUTES: [&str; 13] = [
    "action",
    "background",
    "cite",
    "data",
    "formaction",
    "href",
    "longdesc",
    "manifest",
    "poster",
    "ping",
    "src",
    "srcset",
    "xlink:href",
];

/// Refuses the first address that is neither `http(s)`, an anchor, nor empty.
pub(super) fn check(html: &str) -> Result<(), TemplateError> {
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        rest = &rest[open + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            rest = tag(rest)?;
        }
    }
    Ok(())
}

/// Checks the attributes of one tag and returns what follows it.
fn tag(text: &str) -> Result<&str, TemplateError> {
    let name_end = text.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
    let mut rest = &text[name_end.unwrap_or(text.len())..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return Ok(rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Ok(after);
        }
        let (name, value, after) = attribute(rest);
        if ADDRESS_ATTRIBUTES.contains(&name.to_ascii_lowercase().as_str()) && !allowed(value) {
            let message = format!("the {name} attribute is neither http nor https: {value}");
            return Err(TemplateError::whole(&message));
        }
        rest = after;
    }
}

/// Name, value (empty if none) and what follows, of the attribute `text` begins with.
fn attribute(text: &str) -> (&str, &str, &str) {
    let boundary = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
    // An equals sign at the very start belongs to the name (HTML standard).
    let start = usize::from(text.starts_with('='));
    let name_end = text[start..].find(boundary).map_or(text.len(), |at| at + start);
    let (name, rest) = text.split_at(name_end);
    let Some(value) = rest.trim_start().strip_prefix('=').map(str::trim_start) else {
        return (name, "", rest);
    };
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            return match quoted.split_once(quote) {
                Some((inner, after)) => (name, inner, after),
                None => (name, quoted, ""),
            };
        }
    }
    let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len());
    (name, &value[..end], &value[end..])
}

fn allowed(value: &str) -> bool {
    let plain = decode(value).to_ascii_lowercase();
    let plain = plain.trim();
    plain.is_empty() || ["http://", "https://", "#"].iter().any(|start| plain.starts_with(start))
}

/// Undoes numeric character references and the few named ones that matter at
/// the start of an address; any other stays and so fails the allow-list.
fn decode(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match reference(rest) {
            Some((letter, after)) => {
                plain.push(letter);
                rest = after;
            }
            None => plain.push('&'),
        }
    }
    plain.push_str(rest);
    plain
}

fn reference(text: &str) -> Option<(char, &str)> {
    let end = text.char_indices().take(10).find(|(_, c)| *c == ';')?.0;
    let (name, after) = (&text[..end], &text[end + 1..]);
    let letter = match name {
        "amp" => '&',
        "sol" => '/',
        "colon" => ':',
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((letter, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn web_links_and_anchors_pass() {
        for html in [
            "<a href=\"https://example.com/?a=1&amp;b=2\">x</a>",
            "<a href='http://example.com'>x</a><img src=https://example.com/i.png>",
            "<a href=\"https:&#x2f;&#x2f;example.com\">escaped by us</a>",
            "<a href=\"#top\" name=x>x</a>",
            "<a HREF = \" https://example.com \" >x</a>",
            "<p title=\"javascript:alert(1)\">not an address</p>",
            "a < b and <!-- <a href=javascript:x> --> more",
            "<a href>x</a><br/><a href=\"\">x</a>",
        ] {
            assert_eq!(check(html), Ok(()), "{html}");
        }
    }

    #[test]
    fn every_other_scheme_is_refused_however_it_is_disguised() {
        for html in [
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=javascript:alert(1)>x</a>",
            "<a HREF='JaVaScRiPt:alert(1)'>x</a>",
            "<a href=\" \tjavascript:alert(1)\">x</a>",
            "<a href=\"&#106;avascript:alert(1)\">x</a>",
            "<a href=\"&#x6A;avascript&colon;alert(1)\">x</a>",
            "<a href=\"java\nscript:alert(1)\">x</a>",
            "<img src=\"data:text/html;base64,xx\">",
            "<a title='>' href=\"vbscript:x\">x</a>",
            "<a/href=\"javascript:x\">x</a>",
            "<a href=\"//evil.example\">x</a>",
            "<a href=\"file:///etc/passwd\">x</a>",
            "<form action=\"javascript:x\">",
            "<button formaction='javascript:x'>",
            "<svg><a xlink:href=\"javascript:x\">",
            "<a href=\"javascript:x",
            "<!-- closed --><a href=javascript:x>",
            "<a =x href=javascript:x>",
        ] {
            assert!(check(html).is_err(), "{html}");
        }
    }

    proptest! {
        #[test]
        fn no_html_makes_the_check_panic(html in "[<>a-c=\"'/ &#x;!é-]{0,60}") {
            let _ = check(&html);
        }
    }
}
