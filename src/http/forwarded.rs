//! The client behind trusted proxies: its address, from `X-Forwarded-For`, and whether its connection has TLS, from
//! `X-Forwarded-Proto` (trust contract, section 3).

use std::net::{IpAddr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::header::{X_FORWARDED_FOR, X_FORWARDED_PROTO},
};

use super::connections::ConnectionHandle;
use crate::config::Network;

/// The client's address. Behind trusted proxies it is the last address in `X-Forwarded-For` that is not a trusted
/// proxy's: each proxy appends the address of its peer, so everything before that one may be forged.
pub fn client(request: &HttpRequest, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_proxy = |client| trusted.iter().any(|network| network.contains(client));
    if !is_proxy(peer) {
        return Some(peer);
    }
    let lines: Vec<_> = request.headers().get_all(X_FORWARDED_FOR).collect();
    // Several lines are one list.
    let last_first = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|it| *it == b','));
    let mut client = peer;
    for text in last_first {
        match address(text) {
            Some(before) if is_proxy(client) => client = before,
            _ => break,
        }
    }
    Some(client)
}

/// Whether the client's connection has TLS: ours, or that of a trusted proxy, by `X-Forwarded-Proto`.
pub fn is_secure(request: &HttpRequest, trusted: &[Network]) -> bool {
    if request.conn_data().is_some_and(ConnectionHandle::is_tls) {
        return true;
    }
    let peer = request.peer_addr().map(|peer| peer.ip());
    if !peer.is_some_and(|peer| trusted.iter().any(|it| it.contains(peer))) {
        return false;
    }
    // Of several proxies, the client reached the one with the first value.
    let protocol = request.headers().get(X_FORWARDED_PROTO).and_then(|it| it.to_str().ok());
    let protocol = protocol.and_then(|it| it.split(',').next()).unwrap_or_default();
    protocol.trim().eq_ignore_ascii_case("https")
}

/// An address, with or without a port: some proxies write one.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    let with_port = || text.parse().ok().map(|it: SocketAddr| it.ip());
    text.parse().ok().or_else(with_port).map(|it: IpAddr| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn client_of(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<Network> =
            ["10.0.0.0/8", "::1", "fd00::/8"].map(|it| it.parse().unwrap()).into();
        let mut request =
            TestRequest::default().peer_addr(SocketAddr::new(peer.parse().unwrap(), 9));
        for line in lines {
            request = request.append_header((X_FORWARDED_FOR, line.as_bytes()));
        }
        client(&request.to_http_request(), &trusted).unwrap().to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        for (peer, lines, expected) in [
            // Not from a proxy: the header says nothing, and without a header there is only the peer.
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("192.0.2.1", &["10.0.0.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            // Addresses before it are forged, whatever they look like.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["10.0.0.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["::1,nonsense, 198.51.100.7"], "198.51.100.7"),
            // A chain of proxies.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.3 ,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4,192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Several lines are one list.
            ("10.0.0.1", &["1.2.3.4", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, 10.0.0.3", "10.0.0.2"], "198.51.100.7"),
            // An unreadable address ends the walk.
            ("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7,, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7, "], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7", ""], "10.0.0.1"),
            ("10.0.0.1", &["_hidden"], "10.0.0.1"),
            ("10.0.0.1", &["010.1.2.3"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7; 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.\u{ff17}"], "10.0.0.1"),
            // Other spellings of an address.
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("::1", &["2001:DB8:0::7, ::ffff:10.0.0.2"], "2001:db8::7"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::7]:4711, 10.0.0.2:80"], "2001:db8::7"),
        ] {
            assert_eq!(client_of(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn without_trusted_proxies_the_client_is_the_peer() {
        let peer = "[::ffff:127.0.0.1]:9".parse().unwrap();
        let request = TestRequest::default().peer_addr(peer);
        let request = request.insert_header((X_FORWARDED_FOR, "198.51.100.7")).to_http_request();
        assert_eq!(client(&request, &[]).unwrap().to_string(), "127.0.0.1");
        assert_eq!(client(&TestRequest::default().to_http_request(), &[]), None);
    }

    #[test]
    fn only_a_trusted_proxy_may_say_that_the_client_has_tls() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (peer, protocol, expected) in [
            ("10.0.0.5:1", "https", true),
            ("10.0.0.5:1", "HTTPS, http", true),
            ("10.0.0.5:1", "http, https", false),
            ("10.0.0.5:1", "http", false),
            ("10.0.0.5:1", "", false),
            ("192.0.2.1:1", "https", false),
        ] {
            let request = TestRequest::default().peer_addr(peer.parse().unwrap());
            let request = request.insert_header((X_FORWARDED_PROTO, protocol)).to_http_request();
            assert_eq!(is_secure(&request, &trusted), expected, "{peer} {protocol}");
        }
        assert!(!is_secure(&TestRequest::default().to_http_request(), &trusted));
    }
}
