//! Which addresses are public. IPv4 by a list of what is not, IPv6 by the one
//! range that is (`2000::/3`) less its special parts: IANA's special-purpose
//! registries, RFC 6890 and later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Blocked;

/// IPv4 ranges that are not public: network, prefix length, what they are.
const BLOCKED_V4: [(Ipv4Addr, u32, &str); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by carriers"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// IPv6 ranges inside `2000::/3` that are not public.
const BLOCKED_V6: [(Ipv6Addr, u32, &str); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Whether an address is public.
///
/// An IPv4-mapped address is judged as the IPv4 address it stands for. NAT64
/// (`64:ff9b::/96`), IPv4-compatible, unique-local, link-local and site-local
/// addresses all lie outside `2000::/3`.
pub fn classify(address: IpAddr) -> Result<(), Blocked> {
    match address.to_canonical() {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> Result<(), Blocked> {
    let inside =
        |(net, length, _): &&(Ipv4Addr, u32, &str)| (address.to_bits() ^ net.to_bits()) >> (32 - length) == 0;
    BLOCKED_V4.iter().find(inside).map_or(Ok(()), |(_, _, name)| Err(Blocked::Address(name)))
}

fn classify_v6(address: Ipv6Addr) -> Result<(), Blocked> {
    if address.to_bits() >> 125 != 0b001 {
        return Err(Blocked::Address("not global unicast"));
    }
    let inside = |(net, length, _): &&(Ipv6Addr, u32, &str)| {
        (address.to_bits() ^ net.to_bits()) >> (128 - length) == 0
    };
    BLOCKED_V6.iter().find(inside).map_or(Ok(()), |(_, _, name)| Err(Blocked::Address(name)))
}
