//! What each peer has of ours: connections, and answers that it has not taken.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::layers::answered::Unsent;

/// The peers that are connected.
#[derive(Debug, Clone)]
pub struct Peers {
    connections: usize,
    unsent: usize,
    open: Arc<Mutex<HashMap<IpAddr, Peer>>>,
}

#[derive(Debug)]
struct Peer {
    connections: usize,
    unsent: Unsent,
}

impl Peers {
    /// Nobody yet; each may have this many connections and bytes of answers.
    pub fn new(connections: usize, unsent: usize) -> Self {
        Self { connections, unsent, open: Arc::default() }
    }

    /// A place for one more connection of a peer; `None` when it has all it may have.
    pub fn enter(&self, address: IpAddr) -> Option<PeerPlace> {
        let address = network(address);
        let mut open = self.open();
        let peer =
            open.entry(address).or_insert_with(|| Peer { connections: 0, unsent: Unsent::new(self.unsent) });
        if peer.connections >= self.connections {
            return None;
        }
        peer.connections += 1;
        Some(PeerPlace { address, unsent: peer.unsent.clone(), peers: self.clone() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, Peer>> {
        // Counts are whole even if a holder panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those of its peer; free again when it goes.
#[derive(Debug)]
pub struct PeerPlace {
    address: IpAddr,
    unsent: Unsent,
    peers: Peers,
}

impl PeerPlace {
    /// What the peer may leave untaken, over all its connections.
    pub fn unsent(&self) -> Unsent {
        self.unsent.clone()
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        if let Some(peer) = open.get_mut(&self.address) {
            peer.connections -= 1;
            if peer.connections == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Whoever has one IPv6 address has a /64 of them: they count as one peer.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            Ipv6Addr::from(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_peer_has_so_many_places_and_gets_them_back() {
        let peers = Peers::new(2, 0);
        let first = peers.enter(address("192.0.2.1")).expect("the first");
        let _second = peers.enter(address("::ffff:192.0.2.1")).expect("the second");
        assert!(peers.enter(address("192.0.2.1")).is_none());
        assert!(peers.enter(address("192.0.2.2")).is_some(), "another peer");
        drop(first);
        assert!(peers.enter(address("192.0.2.1")).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peers = Peers::new(1, 0);
        let _first = peers.enter(address("2001:db8::1")).expect("the first");
        assert!(peers.enter(address("2001:db8::ffff:2")).is_none());
        assert!(peers.enter(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_peer_that_left_leaves_nothing_behind() {
        let peers = Peers::new(1, 0);
        drop(peers.enter(address("192.0.2.1")));
        assert!(peers.open().is_empty());
    }
}
