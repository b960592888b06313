//! Addresses with a port: those to listen on, ZooKeeper's servers, and the daemon as a client reaches it.

use std::net::{IpAddr, Ipv6Addr};

use super::host::{split_port, without_brackets};

/// Default port of a ZooKeeper server, as in Go's client.
const ZOOKEEPER_PORT: u16 = 2181;

/// Splits an address to listen on or to connect to. `None` without a port, or if the host is neither empty nor a name
/// nor an address.
pub fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = split_port(text)?;
    (host.is_empty() || is_host(host)).then_some((host, port?))
}

/// Whether an address to listen on means every address of the machine.
pub fn is_everywhere(address: &str) -> bool {
    split_host_port(address).is_some_and(|(host, _)| loopback_of_any(host).is_some())
}

/// Whether only programs on the same machine reach a listener at this address.
pub fn is_loopback(address: &str) -> bool {
    let Some((host, _)) = split_host_port(address) else { return false };
    let ip = without_brackets(host).unwrap_or(host).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Loopback address of the same family, for a host that means every address of the machine.
fn loopback_of_any(host: &str) -> Option<&'static str> {
    // Resolvers accept "0" for 0.0.0.0.
    if ["", "0"].contains(&host) {
        return Some("127.0.0.1");
    }
    let address: IpAddr = without_brackets(host).unwrap_or(host).parse().ok()?;
    let address = address.to_canonical();
    address.is_unspecified().then_some(if address.is_ipv4() { "127.0.0.1" } else { "[::1]" })
}

/// Address at which a program on the same machine reaches a listener. `None` for port 0, which the operating system
/// replaces.
pub fn local_address(listen: &str) -> Option<String> {
    let (host, port) = split_host_port(listen).filter(|(_, port)| *port != 0)?;
    Some(format!("{}:{port}", loopback_of_any(host).unwrap_or(host)))
}

/// Whether two listeners need the same port of the same address, as far as their texts show.
pub fn overlap(one: &str, other: &str) -> bool {
    let is_any = |host| loopback_of_any(host).is_some();
    split_host_port(one).zip(split_host_port(other)).is_some_and(|((host, port), (other, same))| {
        port != 0 && port == same && (host == other || is_any(host) || is_any(other))
    })
}

/// A ZooKeeper server's address with its port. The error is the expected form.
pub fn broker(text: &str) -> Result<String, &'static str> {
    match split_port(text) {
        Some((host, port)) if is_host(host) && port != Some(0) => {
            Ok(format!("{host}:{}", port.unwrap_or(ZOOKEEPER_PORT)))
        }
        _ if text.parse::<Ipv6Addr>().is_ok() => {
            Err("expected brackets around an IPv6 address, like [::1]:2181")
        }
        _ if text.starts_with('/') || !text.contains('/') => {
            Err("expected host:port like 127.0.0.1:2181")
        }
        _ => Err(
            "expected host:port like 127.0.0.1:2181, without a scheme and without a path (a chroot belongs \
             into ZKSwitcherWatchDir and ZKSubPoolUpdateBaseDir)",
        ),
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets with or without a zone.
fn is_host(text: &str) -> bool {
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
    };
    match without_brackets(text) {
        Some(inner) => {
            let (address, zone) = inner.split_once('%').unwrap_or((inner, "0"));
            address.parse::<Ipv6Addr>().is_ok() && is_name(zone)
        }
        None => is_name(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_split_from_hosts() {
        assert_eq!(split_host_port("a:1"), Some(("a", 1)));
        assert_eq!(split_host_port("[::1]:80"), Some(("[::1]", 80)));
        assert_eq!(split_host_port("[fe80::1%eth0]:80"), Some(("[fe80::1%eth0]", 80)));
        for text in [
            "a", "a:", "a:x", "a:+1", "::1:80", "a b:1", "", ":99999", "\"a:1\"", "a,b:1", "a：1",
            "[a]:1", "[::1:80",
        ] {
            assert_eq!(split_host_port(text), None, "{text}");
        }
    }

    #[test]
    fn a_broker_without_a_port_has_zookeepers() {
        for (text, address) in [
            ("zk1", "zk1:2181"),
            ("zk_1.example.com", "zk_1.example.com:2181"),
            ("10.0.0.1", "10.0.0.1:2181"),
            ("[::1]", "[::1]:2181"),
            ("zk1:2182", "zk1:2182"),
            ("[::1]:2182", "[::1]:2182"),
        ] {
            assert_eq!(broker(text).as_deref(), Ok(address));
        }
        for text in [
            "",
            ":",
            ":2181",
            "zk1:",
            "zk1:0",
            "zk1:x",
            "::1",
            "zk1 ",
            " zk1",
            "zk1\r",
            "zk1,zk2",
            "zk1;zk2",
            "zk1 zk2",
            "\"zk1\"",
            "zk1:2181,zk2:2181",
            "tcp://zk1",
            "zk1:2181/chroot",
            "zk1/chroot",
            "zk1，zk2",
            "[zk1]",
            "a:b:1",
        ] {
            assert!(broker(text).is_err(), "{text}");
        }
        assert!(broker("::1").is_err_and(|fault| fault.contains("[::1]:2181")));
        assert!(broker("zk1:2181/chroot").is_err_and(|fault| fault.contains("chroot")));
    }

    #[test]
    fn addresses_that_mean_every_one_are_known() {
        for address in [":1", "0.0.0.0:1", "[::]:1", "[0:0::0]:1", "[::ffff:0.0.0.0]:1", "0:1"] {
            assert!(is_everywhere(address), "{address}");
        }
        for address in ["127.0.0.1:1", "[::1]:1", "localhost:1", "nowhere"] {
            assert!(!is_everywhere(address), "{address}");
        }
    }

    #[test]
    fn a_loopback_address_is_known() {
        for address in
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "LocalHost:1", "[::ffff:127.0.0.1]:1"]
        {
            assert!(is_loopback(address), "{address}");
        }
        for address in [":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "pool:1", "nowhere"] {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn a_listener_is_reached_on_its_own_machine() {
        for (listen, expected) in [
            (":8082", Some("127.0.0.1:8082")),
            ("0.0.0.0:8082", Some("127.0.0.1:8082")),
            ("[::]:8082", Some("[::1]:8082")),
            ("10.0.0.5:80", Some("10.0.0.5:80")),
            ("localhost:80", Some("localhost:80")),
            ("127.0.0.1:0", None),
            ("nowhere", None),
        ] {
            assert_eq!(local_address(listen).as_deref(), expected, "{listen}");
        }
    }
}
