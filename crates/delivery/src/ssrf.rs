//! Which addresses a webhook may reach (server-side request forgery guard).
//!
//! Three doors, each closed by default: the URL (scheme, port, no user
//! information, no address literal of a blocked range), every address a name
//! resolves to, and the connection, which goes to the very address that was
//! checked because the HTTP client resolves through [`GuardedResolver`].

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

mod ranges;
mod resolver;

pub use ranges::classify;
pub use resolver::{GuardedResolver, Lookup, ResolveError, SystemLookup};

/// Longest URL taken, in bytes.
const URL_BYTES: usize = 2048;
/// Ports open to `https` without the operator's word.
const HTTPS_PORTS: [u16; 2] = [443, 8443];
/// The port open to plain `http`, if that is allowed at all.
const HTTP_PORT: u16 = 80;

/// What the operator allows beyond public addresses over `https`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// Networks that may be reached although they are not public.
    pub allow: Vec<IpNet>,
    /// Whether `http` is allowed, and with it port 80.
    pub allow_http: bool,
    /// Ports besides 443 and 8443.
    pub ports: Vec<u16>,
}

/// Why a destination is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// Not a URL, longer than 2 KiB, or without a host.
    #[error("not a usable web address")]
    Malformed,
    /// Neither `https`, nor `http` where that is allowed.
    #[error("the scheme is not allowed")]
    Scheme,
    /// A user name or password in the URL.
    #[error("a user name or password in the address is not allowed")]
    UserInfo,
    /// Not one of the open ports.
    #[error("the port is not allowed")]
    Port,
    /// The address belongs to a range that is not public.
    #[error("the address is not public: {0}")]
    Address(&'static str),
}

impl Egress {
    /// Checks a URL as far as it can be without a lookup and returns it in
    /// canonical form; the host of the result is what gets connected to.
    pub fn check_url(&self, text: &str) -> Result<Url, Blocked> {
        if text.len() > URL_BYTES {
            return Err(Blocked::Malformed);
        }
        let url = Url::parse(text).map_err(|_| Blocked::Malformed)?;
        // What is sent is the canonical form, in which a byte may have become three.
        if url.as_str().len() > URL_BYTES {
            return Err(Blocked::Malformed);
        }
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(Blocked::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::UserInfo);
        }
        let port = url.port_or_known_default().ok_or(Blocked::Port)?;
        if !self.is_open(port) {
            return Err(Blocked::Port);
        }
        match url.host().ok_or(Blocked::Malformed)? {
            Host::Domain("") => return Err(Blocked::Malformed),
            Host::Domain(_) => {}
            Host::Ipv4(address) => self.check_address(address.into())?,
            Host::Ipv6(address) => self.check_address(address.into())?,
        }
        Ok(url)
    }

    /// Checks an address: public, or in a network the operator allows.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Blocked> {
        let canonical = address.to_canonical();
        if self.allow.iter().any(|net| net.contains(&canonical)) {
            return Ok(());
        }
        classify(canonical)
    }

    fn is_open(&self, port: u16) -> bool {
        HTTPS_PORTS.contains(&port) || (self.allow_http && port == HTTP_PORT) || self.ports.contains(&port)
    }
}

#[cfg(test)]
mod tests;
