use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;

/// Blocked hosts in every spelling that some parser has been fooled by.
const HOSTILE_HOSTS: &[&str] = &[
    // loopback
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "127.0.0.1.",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "０x7f.1",
    "127.0.0.0x1",
    "0x7F.0X0.0x0.0x1",
    // this network
    "0",
    "0.0.0.0",
    "0x0",
    "00.0.0.0",
    "0.1.2.3",
    // private
    "10.0.0.1",
    "10.255.255.255",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "172.16.1",
    "2886729729",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "0xc0a80001",
    "0300.0250.0.1",
    // carriers, link-local and the metadata service
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "0xA9.0xFE.0xA9.0xFE",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    // protocol, documentation, benchmark, relays
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "198.18.0.1",
    "198.19.255.255",
    "192.88.99.1",
    // multicast, reserved, broadcast
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    // IPv6 loopback and unspecified
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    // IPv4-mapped and -compatible
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:192.168.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::a9fe:a9fe]",
    // translated and tunnelled
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::8.8.8.8]",
    "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:808:808::]",
    "[2001::1]",
    "[2001:0:53aa:64c::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    // documentation, local, multicast, discard, segment routing
    "[2001:db8::1]",
    "[3fff::1]",
    "[3fff:fff::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
    "[e000::1]",
];

/// URLs refused for something else than their host.
const HOSTILE_URLS: &[(&str, Blocked)] = &[
    ("http://example.com/", Blocked::Scheme),
    ("HTTP://example.com/", Blocked::Scheme),
    ("file:///etc/passwd", Blocked::Scheme),
    ("ftp://example.com/", Blocked::Scheme),
    ("gopher://example.com:443/", Blocked::Scheme),
    ("javascript:alert(1)", Blocked::Scheme),
    ("data:text/plain,x", Blocked::Scheme),
    ("unix:/run/docker.sock", Blocked::Scheme),
    ("https://user@example.com/", Blocked::UserInfo),
    ("https://user:pass@example.com/", Blocked::UserInfo),
    ("https://:pass@example.com/", Blocked::UserInfo),
    ("https://example.com@127.0.0.1/", Blocked::UserInfo),
    ("https://example.com%40x@example.org/", Blocked::UserInfo),
    ("https://example.com:80/", Blocked::Port),
    ("https://example.com:22/", Blocked::Port),
    ("https://example.com:25/", Blocked::Port),
    ("https://example.com:5432/", Blocked::Port),
    ("https://example.com:6379/", Blocked::Port),
    ("https://example.com:0/", Blocked::Port),
    ("", Blocked::Malformed),
    ("example.com", Blocked::Malformed),
    ("//example.com/", Blocked::Malformed),
    ("https://", Blocked::Malformed),
    ("https://[::1/", Blocked::Malformed),
    ("https://[fe80::1%25eth0]/", Blocked::Malformed),
    ("https://example.com:99999/", Blocked::Malformed),
    ("https://exa mple.com/", Blocked::Malformed),
    ("https://256.256.256.256/", Blocked::Malformed),
    ("https://0x100000000/", Blocked::Malformed),
];

#[test]
fn every_spelling_of_a_blocked_host_is_refused() {
    let egress = Egress::default();
    for host in HOSTILE_HOSTS {
        for suffix in ["/", ":8443/hook?x=1#f", "\\@example.com/"] {
            let url = format!("https://{host}{suffix}");
            let verdict = egress.check_url(&url);
            assert!(matches!(verdict, Err(Blocked::Address(_))), "{url}: {verdict:?}");
        }
    }
    assert!(HOSTILE_HOSTS.len() + HOSTILE_URLS.len() >= 100);
}

#[test]
fn a_url_is_refused_for_the_right_reason() {
    let egress = Egress::default();
    for (url, reason) in HOSTILE_URLS {
        assert_eq!(egress.check_url(url).err(), Some(*reason), "{url}");
    }
    let long = format!("https://example.com/{}", "x".repeat(2100));
    assert_eq!(egress.check_url(&long).err(), Some(Blocked::Malformed));
}

#[test]
fn a_url_is_as_long_as_it_is_sent() {
    let padded = |path: &str, count| format!("https://example.com/{}", path.repeat(count));
    assert!(Egress::default().check_url(&padded("a", 2_028)).is_ok());
    assert_eq!(Egress::default().check_url(&padded("a", 2_029)), Err(Blocked::Malformed));
    assert_eq!(
        Egress::default().check_url(&padded(" a", 600)),
        Err(Blocked::Malformed),
        "a space becomes %20"
    );
}

#[test]
fn public_destinations_pass() {
    let egress = Egress::default();
    for url in [
        "https://example.com/hook",
        "https://EXAMPLE.com:443/",
        "https://example.com:8443/a?b=c",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://bücher.example/",
        "https://172.32.0.1/",
        "https://100.128.0.1/",
        "https://[2001:200::1]/",
        "https://[3ffe::1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://192.0.1.1/",
        "https://223.255.255.255/",
    ] {
        assert!(egress.check_url(url).is_ok(), "{url}: {:?}", egress.check_url(url));
    }
}

#[test]
fn the_operator_opens_networks_ports_and_plain_http() {
    let egress = Egress {
        allow: vec!["10.1.0.0/16".parse().expect("a network"), "::1/128".parse().expect("a network")],
        allow_http: true,
        ports: vec![9000],
    };
    for url in [
        "http://10.1.2.3/",
        "https://10.1.2.3:9000/",
        "http://[::1]:9000/",
        "https://[::ffff:10.1.2.3]/",
        "http://example.com/",
        "http://example.com:8443/",
    ] {
        assert!(egress.check_url(url).is_ok(), "{url}: {:?}", egress.check_url(url));
    }
    for url in ["https://10.2.0.1/", "https://127.0.0.1/", "https://example.com:9001/"] {
        assert!(egress.check_url(url).is_err(), "{url}");
    }
}

struct Fixed(Vec<&'static str>);

#[async_trait]
impl Lookup for Fixed {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.iter().map(|a| a.parse().expect("an address")).collect())
    }
}

async fn resolved(addresses: &[&'static str]) -> Result<Vec<String>, String> {
    let guard = GuardedResolver::new(Arc::default(), Arc::new(Fixed(addresses.to_vec())));
    let allowed = guard.allowed("example.com").await.map_err(|e| e.to_string())?;
    Ok(allowed.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn a_name_is_reached_only_at_its_public_addresses() {
    let mixed = ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "::ffff:127.0.0.1"];
    assert_eq!(resolved(&mixed).await, Ok(vec!["8.8.8.8".into(), "2606:4700::1111".into()]));
    assert_eq!(
        resolved(&["169.254.169.254", "10.0.0.1"]).await,
        Err("the address is not public: link-local".into())
    );
    assert_eq!(resolved(&[]).await, Ok(vec![]));
}

proptest! {
    #[test]
    fn a_mapped_address_is_judged_as_the_address_it_stands_for(bits: u32) {
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        prop_assert_eq!(classify(v4.into()), classify(v4.to_ipv6_mapped().into()));
    }

    #[test]
    fn an_address_spelled_as_a_number_is_judged_as_that_address(bits: u32) {
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        let verdict = Egress::default().check_url(&format!("https://{bits}/")).map(|_| ());
        prop_assert_eq!(verdict, classify(v4.into()));
    }

    #[test]
    fn no_text_makes_the_guard_panic(text in ".{0,120}") {
        let _ = Egress::default().check_url(&text);
        let _ = Egress::default().check_url(&format!("https://{text}"));
    }
}
