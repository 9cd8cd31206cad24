//! A resolver that returns only addresses that may be reached.
//!
//! The HTTP client connects to what this returns and looks nothing up again,
//! so a name that changes its mind between check and connection (rebinding)
//! gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Blocked, Egress};

/// Looks a name up.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Every address of the name.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Lets through only addresses that the egress rules allow.
#[derive(Clone)]
pub struct GuardedResolver {
    egress: Arc<Egress>,
    lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    /// A guard before `lookup`.
    pub fn new(egress: Arc<Egress>, lookup: Arc<dyn Lookup>) -> Self {
        Self { egress, lookup }
    }

    /// The allowed addresses of a name.
    ///
    /// A name with at least one allowed address is reached there; one with
    /// none gives the [`Blocked`] of its first address.
    pub async fn allowed(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let found = self.lookup.addresses(name).await?;
        let mut refusal = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match self.egress.check_address(address) {
                Ok(()) => allowed.push(address.to_canonical()),
                Err(blocked) => {
                    refusal.get_or_insert(blocked);
                }
            }
        }
        match refusal {
            Some(blocked) if allowed.is_empty() => Err(blocked.into()),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let allowed = guard.allowed(name.as_str()).await?;
            // Port 0 is replaced by the URL's.
            let addresses: Addrs = Box::new(allowed.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// All its addresses are refused.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// The lookup failed.
    #[error("lookup failed")]
    Lookup(#[from] io::Error),
}
