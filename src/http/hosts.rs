//! Hosts under which a listener for browsers answers.
//!
//! A page can point its own host name at the address of the daemon (DNS rebinding). The browser then takes the daemon
//! for the server of that page and shows it every answer. The request still names the host of the page, so a listener
//! for browsers answers only under hosts that no other site can have:
//!
//! * loopback names and addresses;
//! * its own address: the host of its configured address, and the local address of the connection;
//! * the hosts in `AdminHosts`.
//!
//! A request without a host is accepted: browsers always send one.

use std::net::IpAddr;

use actix_web::http::{
    Uri,
    header::{HOST, HeaderMap},
};
use switcher_actors::{Shown, clip};

use crate::config::{Host, HostName};

/// Characters of a refused host in answer and log.
const SHOWN: usize = 100;

/// The hosts of a listener, apart from loopback.
#[derive(Clone, Copy)]
pub struct OwnHosts<'a> {
    /// Host of the configured address.
    pub own: Option<&'a Host>,
    /// `AdminHosts`.
    pub listed: &'a [Host],
    /// Local address of the request's connection.
    pub local: Option<IpAddr>,
}

impl OwnHosts<'_> {
    /// The host of a request, for answer and log, unless it is one of these.
    pub fn other_host(&self, target: &Uri, headers: &HeaderMap) -> Option<String> {
        // A host in the target counts before the header (RFC 9112, section 3.2.2). Browsers never send two that
        // differ, so both are checked.
        let target = target.authority().map(|authority| authority.as_str());
        if let Some(target) = target.filter(|target| !self.contains(target)) {
            return Some(shown(target));
        }
        let mut hosts = headers.get_all(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let host = hosts.next()?;
        if !self.contains(&host) {
            return Some(shown(&host));
        }
        hosts.next().map(|second| shown(&format!("{host}, {second}")))
    }

    fn contains(&self, text: &str) -> bool {
        let local = self.local.map(|ip| HostName::Ip(ip.to_canonical()));
        Host::parse(text).is_some_and(|host| {
            is_loopback(&host.name)
                || local.is_some_and(|local| local == host.name)
                || self.own.is_some_and(|own| own.name == host.name)
                || self.listed.iter().any(|listed| listed.admits(&host))
        })
    }
}

/// Loopback addresses, and the names that every resolver keeps for the own machine (RFC 6761, section 6.3).
fn is_loopback(name: &HostName) -> bool {
    match name {
        HostName::Ip(address) => address.is_loopback(),
        HostName::Dns(name) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn shown(host: &str) -> String {
    Shown(clip(host, SHOWN).0).to_string()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    /// The refused host at a listener of `own` on a connection to 10.0.0.5.
    fn refused(own: &str, target: &'static str, hosts: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let listed = ["console.pool.example", "gate:8443"].map(|it| Host::parse(it).unwrap());
        let own = Host::parse(own);
        let local = Some("::ffff:10.0.0.5".parse().unwrap());
        let listener = OwnHosts { own: own.as_ref(), listed: &listed, local };
        listener.other_host(&Uri::from_static(target), &headers)
    }

    #[test]
    fn loopback_the_own_address_and_listed_names_are_own_hosts_with_any_port() {
        for own in [":8083", "0.0.0.0:8083", "[::]:8083", "10.0.0.5:8083", "db1:8083"] {
            for host in [
                "localhost",
                "LocalHost:8083",
                "localhost.:1",
                "console.localhost",
                "127.0.0.1:8083",
                "127.9.9.9",
                "[::1]:8083",
                "[0:0:0:0:0:0:0:1]",
                "[::ffff:127.0.0.1]",
                "10.0.0.5",
                "10.0.0.5:9999",
                "[::ffff:10.0.0.5]:8083",
                "console.pool.example",
                "CONSOLE.pool.example.:443",
                "gate:8443",
                "gate",
            ] {
                let expected = (host == "gate").then(|| host.to_owned());
                assert_eq!(refused(own, "/", &[host]), expected, "{own} {host}");
            }
            assert_eq!(refused(own, "/", &[]), None, "browsers always send the header");
        }
        assert_eq!(refused("DB1.:8083", "/", &["db1:80"]), None);
        assert_eq!(refused("0.0.0.0:8083", "/", &["0.0.0.0:8083"]), None, "as the log shows it");
        assert_eq!(refused("10.0.0.6:8083", "/", &["10.0.0.6"]), None);
    }

    #[test]
    fn every_other_host_is_refused_in_any_spelling() {
        for host in [
            "evil.example",
            "evil.example:8083",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example.localhost.example",
            "localhostx",
            "xlocalhost",
            "notlocalhost:8083",
            "console.pool.example.evil",
            "gate:8444",
            "10.0.0.6",
            "192.0.2.1:8083",
            "[2001:db8::1]",
            "0.0.0.0",
            "",
            "localhost:",
            "localhost:0",
            "localhost:8083:8083",
            "localhost,evil.example",
            "evil@localhost",
            "localhost@evil.example",
            "localhost/",
            "localhost evil",
            "http://localhost",
            "[::1",
            "::1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "evil.example#localhost",
        ] {
            assert!(refused("127.0.0.1:8083", "/", &[host]).is_some(), "{host}");
        }
        for hosts in
            [&["localhost", "localhost"][..], &["localhost", "evil"], &["evil", "localhost"]]
        {
            assert!(refused("127.0.0.1:8083", "/", hosts).is_some(), "{hosts:?}");
        }
    }

    #[test]
    fn the_host_of_the_target_counts_like_the_header() {
        let local = "http://localhost:8083/status";
        assert_eq!(refused(":8083", local, &["localhost:8083"]), None);
        assert_eq!(refused(":8083", local, &[]), None);
        assert!(refused(":8083", local, &["evil.example"]).is_some());
        for target in [
            "http://evil.example/",
            "http://evil.example:8083/",
            "http://a@localhost/",
            "evil.example:80",
        ] {
            assert!(refused(":8083", target, &["localhost:8083"]).is_some(), "{target}");
            assert!(refused(":8083", target, &[]).is_some(), "{target}");
        }
    }

    #[test]
    fn a_refused_host_is_shown_short_and_escaped() {
        assert_eq!(refused(":1", "/", &["evil.example"]).as_deref(), Some("evil.example"));
        let long = refused(":1", "/", &[&"x".repeat(10_000)]).unwrap();
        assert_eq!(long.len(), SHOWN);
        assert_eq!(refused(":1", "/", &["a, b"]).as_deref(), Some("\"a, b\""));
    }
}
