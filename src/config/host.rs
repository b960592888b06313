//! Hosts and ports: the one place that splits them.
//!
//! [`Host`] is what a browser sends in a `Host` header; `addresses` reads addresses to listen on and to connect to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// Bytes of the longest host name (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Splits `host:port`, `[address]:port` or a host without a port. The host keeps its brackets and is not checked; it
/// may be empty. `None` if there is more than one colon, or the port is no number below 65536.
pub fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = match text.starts_with('[') {
        true => text.find(']')? + 1,
        false => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((host, Some(digits.parse().ok().filter(|_| is_number)?)))
}

/// The inside of the brackets around an IPv6 address.
pub fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// `name`, `name:port`, `192.0.2.1`, `[2001:db8::1]:8083` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name or address.
    pub name: HostName,
    /// Port, if given.
    pub port: Option<u16>,
}

/// The part before the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// Address; an IPv4 address inside IPv6 is an IPv4 address.
    Ip(IpAddr),
    /// Name in lower case, without a dot at its end.
    Dns(String),
}

impl Host {
    /// Parses a host; `None` if no browser sends that text. Browsers send the ASCII form (`xn--…`) of names with other
    /// letters.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split_port(text).filter(|(_, port)| *port != Some(0))?;
        let name = match without_brackets(host) {
            Some(address) => {
                HostName::Ip(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?).to_canonical())
            }
            None => host.parse().map(HostName::Ip).ok().or_else(|| dns_name(host))?,
        };
        Some(Self { name, port })
    }

    /// Whether a request for `other` is for this host. A host without a port admits each port. Browsers omit port 80,
    /// and behind a TLS proxy 443.
    pub fn admits(&self, other: &Self) -> bool {
        let port = match (self.port, other.port) {
            (None, _) => true,
            (Some(port), None) => [80, 443].contains(&port),
            (Some(port), Some(other)) => port == other,
        };
        port && self.name == other.name
    }
}

fn dns_name(text: &str) -> Option<HostName> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // Browsers read a name with a number as its last label as an IPv4 address (127.1), and send that.
    let last = name.rsplit('.').next()?;
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() <= NAME_MAX && name.split('.').all(is_label) && !is_number)
        .then(|| HostName::Dns(name.to_ascii_lowercase()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            HostName::Ip(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            HostName::Ip(address) => write!(f, "{address}")?,
            HostName::Dns(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (text, expected) in [
            ("Console.Pool.example.", "console.pool.example"),
            ("console.pool:8083", "console.pool:8083"),
            ("db-1_a", "db-1_a"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:65535", "[::1]:65535"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("xn--80a.example", "xn--80a.example"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Some(expected));
        }
        let long = format!("{}.example", "x".repeat(64));
        let longer = format!("{}example", "x.".repeat(125));
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            " a",
            "a ",
            "a,b",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:1:2",
            "a:x",
            "http://a",
            "a/",
            "a/b",
            "user@a",
            "a?",
            "a#",
            "\"a\"",
            "[a]",
            "[\"a\"]",
            "*",
            "*.a",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "127.1",
            "1.2.3.4.5",
            "256.0.0.1",
            "2130706433",
            "консоль",
            "a\u{200b}",
            "a\0",
            &long,
            &longer,
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_without_a_port_stands_for_each_port() {
        for (one, other, admits) in [
            ("pool", "POOL.:8083", true),
            ("pool", "pool", true),
            ("pool", "pool.evil", false),
            ("pool:8083", "pool:8083", true),
            ("pool:8083", "pool:8084", false),
            ("pool:8083", "pool", false),
            ("pool:443", "pool", true),
            ("pool:80", "pool", true),
            ("192.0.2.1", "192.0.2.1:8083", true),
            ("192.0.2.1", "[::ffff:192.0.2.1]:8083", true),
            ("192.0.2.1", "192.0.2.10", false),
        ] {
            let (one_host, other_host) = (Host::parse(one).unwrap(), Host::parse(other).unwrap());
            assert_eq!(one_host.admits(&other_host), admits, "{one} {other}");
        }
    }
}
