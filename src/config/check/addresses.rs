//! Addresses: `host:port` to listen on, and ZooKeeper's servers.

use std::net::{IpAddr, Ipv6Addr};

/// The port of a ZooKeeper server whose address has none, as in Go's client.
const ZOOKEEPER_PORT: u16 = 2181;

/// Whether an address to listen on means every address of the machine.
pub fn is_everywhere(address: &str) -> bool {
    split_host_port(address).is_some_and(|(host, _)| is_every(host))
}

fn is_every(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // "0" is how a system's resolver lets 0.0.0.0 be written, too.
    ["", "0"].contains(&host)
        || address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_unspecified())
}

/// Whether two addresses to listen on cannot both be had, as far as their texts tell.
pub fn overlap(one: &str, other: &str) -> bool {
    match (split_host_port(one), split_host_port(other)) {
        (Some((host, port)), Some((other_host, other_port))) => {
            port != 0
                && port == other_port
                && (host == other_host || is_every(host) || is_every(other_host))
        }
        _ => false,
    }
}

/// Splits at the last colon; an IPv6 address keeps its brackets. `None` without a port, or with a host that is no
/// name and no address.
pub fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.bytes().all(|digit| digit.is_ascii_digit());
    if !is_port || !(host.is_empty() || is_host(host)) {
        return None;
    }
    Some((host, port.parse().ok()?))
}

/// A ZooKeeper server's address with its port. The error is the expected form.
pub fn broker(text: &str) -> Result<String, &'static str> {
    if is_host(text) {
        return Ok(format!("{text}:{ZOOKEEPER_PORT}"));
    }
    match split_host_port(text) {
        Some((host, port)) if !host.is_empty() && port != 0 => Ok(text.to_owned()),
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

/// A name, an IPv4 address, or an IPv6 address in brackets, maybe with a zone.
fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let (address, zone) = inner.split_once('%').unwrap_or((inner, "0"));
        return address.parse::<Ipv6Addr>().is_ok() && is_name(zone);
    }
    is_name(text)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_hosts() {
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
}
