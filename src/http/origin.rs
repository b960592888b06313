//! Tells requests that a page of another site has sent in somebody's browser.
//!
//! A browser keeps the credentials of HTTP Basic authentication and sends them along with whatever any page has it
//! send. So a listener that people open in a browser must not do what a page of another site asks for. The browser
//! says where a request comes from, and no page can have it say anything else:
//!
//! * by `Sec-Fetch-Site`, over https and to the own machine;
//! * by `Origin`, with each request but GET and HEAD.
//!
//! What has neither comes from no browser. GET and HEAD are never judged, so they must not change anything.

use actix_web::http::{
    Method,
    header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request was sent by a page of another site, and may change something.
pub fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    if *method == Method::GET || *method == Method::HEAD {
        return false;
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| site == "same-origin" || site == "none");
    }
    let host = headers.get(HOST);
    !headers.get_all(ORIGIN).all(|origin| host.is_some_and(|host| is_of(origin, host)))
}

/// Whether an origin is the one that this request was sent to. We speak no TLS. Behind a proxy that does, browsers
/// send the other header.
fn is_of(origin: &HeaderValue, host: &HeaderValue) -> bool {
    let scheme_cut = origin.as_bytes().strip_prefix(b"http://");
    scheme_cut.is_some_and(|origin| origin.eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign_post(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        assert!(!is_foreign(&Method::GET, &headers) && !is_foreign(&Method::HEAD, &headers));
        let is_foreign_post = is_foreign(&Method::POST, &headers);
        for method in [Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(is_foreign(&method, &headers), is_foreign_post, "{method}");
        }
        is_foreign_post
    }

    #[test]
    fn what_comes_from_no_browser_or_from_our_own_pages_is_not_foreign() {
        let host = ("host", "pool:8083");
        for pairs in [
            &[][..],
            &[host],
            &[host, ("origin", "http://pool:8083")],
            &[host, ("origin", "http://POOL:8083")],
            &[host, ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "none")],
            // A proxy with TLS before us.
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "https://console.pool")],
        ] {
            assert!(!is_foreign_post(pairs), "{pairs:?}");
        }
    }

    #[test]
    fn all_else_is() {
        let host = ("host", "pool:8083");
        for pairs in [
            &[host, ("sec-fetch-site", "cross-site")][..],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "")],
            &[host, ("sec-fetch-site", "Same-Origin")],
            &[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://pool:8083")],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://pool")],
            &[host, ("origin", "http://pool:8084")],
            &[host, ("origin", "https://pool:8083")],
            &[host, ("origin", "http://pool:8083.evil")],
            &[host, ("origin", "http://pool:8083"), ("origin", "http://evil")],
            &[("origin", "http://pool:8083")],
        ] {
            assert!(is_foreign_post(pairs), "{pairs:?}");
        }
    }
}
