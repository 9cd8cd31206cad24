//! Who may be written to at all: the operator's word, whatever a sequence says.

use std::collections::HashSet;

use crate::email::Address;

/// Addresses and domains that may be written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    /// In lower case.
    addresses: HashSet<String>,
    /// In lower case and ASCII; not their subdomains.
    domains: HashSet<String>,
}

impl Recipients {
    /// Reads `ann@example.com` as an address and `example.com` or `@example.com` as a domain;
    /// the entry that is neither, if there is one.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let mut recipients = Self::default();
        for entry in entries {
            let text = entry.trim();
            let domain = text.strip_prefix('@').unwrap_or(text);
            if domain.contains('@') {
                let address = canonical(domain).ok_or_else(|| entry.clone())?;
                recipients.addresses.insert(format!("{}@{}", address.0, address.1));
            } else {
                let (_, domain) = canonical(&format!("somebody@{domain}")).ok_or_else(|| entry.clone())?;
                recipients.domains.insert(domain);
            }
        }
        Ok(recipients)
    }

    /// Whether an address may be written to; without any entry, all may.
    pub fn include(&self, address: &str) -> bool {
        if self.addresses.is_empty() && self.domains.is_empty() {
            return true;
        }
        canonical(address).is_some_and(|(local, domain)| {
            self.domains.contains(&domain) || self.addresses.contains(&format!("{local}@{domain}"))
        })
    }
}

/// The parts of an address, compared without case.
fn canonical(text: &str) -> Option<(String, String)> {
    let address = Address::parse("recipient", text).ok()?;
    Some((address.local().to_ascii_lowercase(), address.domain().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Recipients {
        let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
        Recipients::parse(&entries).expect("addresses and domains")
    }

    #[test]
    fn without_entries_everybody_may_be_written_to() {
        assert!(list(&[]).include("ann@example.com"));
    }

    #[test]
    fn addresses_and_domains_are_named_one_by_one() {
        let list = list(&["Ann@Example.com", "@test.example", "bücher.example"]);
        for allowed in ["ann@example.com", "ANN@EXAMPLE.COM", "any@test.example", "a@xn--bcher-kva.example"] {
            assert!(list.include(allowed), "{allowed}");
        }
        for refused in
            ["bob@example.com", "a@sub.test.example", "a@test.example.evil", "ann", "", "ann@example.com\r\n"]
        {
            assert!(!list.include(refused), "{refused}");
        }
    }

    #[test]
    fn what_is_neither_is_named() {
        for wrong in ["", "@", "a b@example.com", "a@b@c", "exa mple"] {
            assert_eq!(Recipients::parse(&[wrong.to_owned()]), Err(wrong.to_owned()));
        }
    }
}
