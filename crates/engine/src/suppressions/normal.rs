//! One text for everybody who is meant by it.

use rekindle_core::violation::Violations;
use rekindle_ports::resources::SuppressionKind;

/// Most bytes of an address.
const MOST_ADDRESS: usize = 254;
/// Most bytes before its `@`.
const MOST_LOCAL: usize = 64;
/// Most bytes of a domain.
const MOST_DOMAIN: usize = 253;
/// Most bytes of a customer's id.
const MOST_ID: usize = 128;

/// The text under which an entry is kept; notes what is wrong with it.
pub(super) fn normal(kind: SuppressionKind, value: &str, v: &mut Violations) -> String {
    match kind {
        SuppressionKind::Address => {
            let address = value.trim().to_lowercase();
            v.require(is_address(&address), "address", "not an address such as ann@example.com");
            address
        }
        SuppressionKind::Domain => {
            let domain = value.trim().to_lowercase();
            v.require(is_domain(&domain), "domain", "not a domain such as example.com");
            domain
        }
        SuppressionKind::Customer => {
            let printable = !value.chars().any(char::is_control);
            let fits = (1..=MOST_ID).contains(&value.len()) && printable;
            v.require(fits, "customer", "takes 1 to 128 printable bytes");
            value.to_owned()
        }
    }
}

/// Whether a text is an address that could be written to, in lower case.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;:\"()[]\\@".contains(c);
    text.len() <= MOST_ADDRESS
        && (1..=MOST_LOCAL).contains(&local.len())
        && local.chars().all(plain)
        && is_domain(domain)
}

fn is_domain(text: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MOST_DOMAIN && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: SuppressionKind, value: &str) -> Result<String, String> {
        let mut violations = Violations::new();
        let value = normal(kind, value, &mut violations);
        violations.into_result(value).map_err(|found| found[0].field.clone())
    }

    #[test]
    fn case_and_margins_do_not_tell_people_apart() {
        assert_eq!(read(SuppressionKind::Address, " Ann@Example.COM ").as_deref(), Ok("ann@example.com"));
        assert_eq!(read(SuppressionKind::Domain, "Example.COM").as_deref(), Ok("example.com"));
        assert_eq!(read(SuppressionKind::Customer, "Ann-7").as_deref(), Ok("Ann-7"));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for wrong in
            ["", "ann", "@example.com", "ann@", "a b@example.com", "a@b@c", "ann@-x.com", "<ann@example.com>"]
        {
            assert_eq!(read(SuppressionKind::Address, wrong), Err("address".into()), "{wrong}");
        }
        for wrong in ["", "a..b", "exa mple", "x@example.com", &"a".repeat(64)] {
            assert_eq!(read(SuppressionKind::Domain, wrong), Err("domain".into()), "{wrong}");
        }
        for wrong in ["", "a\nb", &"x".repeat(129)] {
            assert_eq!(read(SuppressionKind::Customer, wrong), Err("customer".into()), "{wrong}");
        }
    }
}
