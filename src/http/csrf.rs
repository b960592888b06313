//! Recognizes requests that a page of another site sends in an operator's browser.
//!
//! A browser keeps the credentials of HTTP Basic authentication and sends them with every request that any page
//! causes: by a script, a form, a picture or a link. Such a request must have no effect, whatever its method: `/switch`
//! writes by GET, and a stream of changes occupies one of few places. Browsers name the origin of a request in headers
//! that no page can write:
//!
//! * `Sec-Fetch-Site`: over https and to loopback; where it is present, it decides;
//! * `Origin`: in every request but plain GET and HEAD;
//! * `Referer`: a page can leave it out, but cannot forge it. Pictures and links over plain HTTP have nothing else.
//!
//! Programs send none of these headers, and an address typed into a browser has none.

use actix_web::http::{
    Method,
    header::{ACCEPT, HOST, HeaderMap, HeaderName, ORIGIN, REFERER},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether a page of another site sent a request with these headers. `is_secure`: the client's connection has TLS, so
/// pages of this site are `https`.
pub fn is_cross_site(headers: &HeaderMap, is_secure: bool) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| site == "same-origin" || site == "none");
    }
    let host = headers.get(HOST).map(|host| host.as_bytes());
    let is_own = |authority: &[u8]| host.is_some_and(|host| authority.eq_ignore_ascii_case(host));
    let mut origins = headers.get_all(ORIGIN).peekable();
    if origins.peek().is_some() {
        let scheme: &[u8] = if is_secure { b"https://" } else { b"http://" };
        return !origins.all(|origin| origin.as_bytes().strip_prefix(scheme).is_some_and(is_own));
    }
    let mut referers = headers.get_all(REFERER).filter_map(|referer| authority(referer.as_bytes()));
    !referers.all(is_own)
}

/// Whether a request that [`is_cross_site`] accepts proves that a page of this site sent it: programs, typed addresses
/// and old browsers prove nothing.
pub fn proves_own_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).peekable();
    match sites.peek() {
        Some(_) => sites.all(|site| site == "same-origin"),
        None => headers.contains_key(ORIGIN),
    }
}

/// Whether a browser opens a page, not a script.
pub fn accepts_pages(headers: &HeaderMap) -> bool {
    let is_page = |accept: &[u8]| accept.windows(9).any(|it| it.eq_ignore_ascii_case(b"text/html"));
    headers.get_all(ACCEPT).any(|accept| is_page(accept.as_bytes()))
        && headers.get_all(SEC_FETCH_MODE).all(|mode| mode == "navigate")
}

/// Whether a page sends a request by a script or for a part of itself. Over plain HTTP to another machine, only
/// `Referer` shows it.
pub fn is_sent_by_page(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_MODE) || headers.contains_key(REFERER)
}

/// Whether a request is for a page in a tab of its own, as a link on another site causes it. Browsers without these
/// headers are trusted: the pages in question write nothing and cannot be framed.
pub fn opens_a_page(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name, value| headers.get_all(name).all(|it| it == value);
    (*method == Method::GET || *method == Method::HEAD)
        && says(SEC_FETCH_MODE, "navigate")
        && says(SEC_FETCH_DEST, "document")
}

/// Host and port of a URL as browsers write it; `None` for another text, which no browser sends.
fn authority(url: &[u8]) -> Option<&[u8]> {
    let start = url.windows(3).position(|it| it == b"://")? + 3;
    url[start..].split(|byte| b"/?#".contains(byte)).next()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn requests_of_programs_and_of_own_pages_are_not_cross_site() {
        let host = ("host", "pool:8083");
        for pairs in [
            &[][..],
            &[host],
            &[host, ("origin", "http://pool:8083")],
            &[host, ("origin", "http://POOL:8083")],
            &[host, ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "none")],
            // A proxy with TLS in front.
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "https://console.pool")],
            &[host, ("sec-fetch-site", "same-origin"), ("referer", "https://console.pool/")],
            &[host, ("referer", "http://pool:8083/")],
            &[host, ("referer", "https://Pool:8083")],
            &[host, ("referer", "http://pool:8083?x")],
            // Not from a browser.
            &[host, ("referer", "")],
            &[host, ("referer", "backend")],
            // From a program that fetches by the rules of a browser (Node).
            &[host, ("sec-fetch-mode", "cors")],
        ] {
            assert!(!is_cross_site(&headers(pairs), false), "{pairs:?}");
        }
    }

    #[test]
    fn all_others_are_cross_site() {
        let host = ("host", "pool:8083");
        for pairs in [
            &[host, ("sec-fetch-site", "cross-site")][..],
            &[host, ("sec-fetch-site", "Cross-Site")],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "")],
            &[host, ("sec-fetch-site", "Same-Origin")],
            &[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-origin, cross-site")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://pool:8083")],
            &[host, ("origin", "null")],
            &[host, ("origin", "")],
            &[host, ("origin", "http://pool")],
            &[host, ("origin", "http://pool:8084")],
            &[host, ("origin", "https://pool:8083")],
            &[host, ("origin", "http://pool:8083.evil")],
            &[host, ("origin", "http://pool:8083"), ("origin", "http://evil")],
            &[("origin", "http://pool:8083")],
            &[host, ("referer", "http://evil.example/")],
            &[host, ("referer", "http://pool:8084/")],
            &[host, ("referer", "https://evil.example/?http://pool:8083/")],
            &[host, ("referer", "http://pool:8083@evil.example/")],
            &[host, ("referer", "http://pool:8083.evil.example/")],
            &[host, ("referer", "http://pool:8083/"), ("referer", "http://evil/")],
            &[("referer", "http://evil.example/")],
        ] {
            assert!(is_cross_site(&headers(pairs), false), "{pairs:?}");
        }
    }

    #[test]
    fn under_tls_the_own_origin_is_https() {
        for (origin, is_secure) in [("http://pool:8083", false), ("https://pool:8083", true)] {
            let headers = headers(&[("host", "pool:8083"), ("origin", origin)]);
            assert!(!is_cross_site(&headers, is_secure), "{origin}");
            assert!(is_cross_site(&headers, !is_secure), "{origin}");
        }
    }

    #[test]
    fn browsers_prove_the_site_of_a_form_or_a_script() {
        let (host, origin) = (("host", "pool:8083"), ("origin", "http://pool:8083"));
        for (pairs, proves) in [
            (&[host][..], false),
            (&[host, ("sec-fetch-site", "same-origin")], true),
            (&[host, ("sec-fetch-site", "same-origin"), ("origin", "https://console.pool")], true),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[host, ("sec-fetch-site", "none"), origin], false),
            (&[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")], false),
            (&[host, origin], true),
            (&[host, ("referer", "http://pool:8083/")], false),
        ] {
            assert!(!is_cross_site(&headers(pairs), false), "{pairs:?}");
            assert_eq!(proves_own_site(&headers(pairs)), proves, "{pairs:?}");
        }
    }

    #[test]
    fn pages_are_for_browsers_that_open_one_and_scripts_show_their_page() {
        let page = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (pairs, accepts, of_page) in [
            (&[][..], false, false),
            (&[("accept", "*/*")], false, false),
            (&[page], true, false),
            (&[("accept", "application/json"), ("accept", "Text/HTML")], true, false),
            (&[page, ("sec-fetch-mode", "navigate")], true, true),
            (&[page, ("sec-fetch-mode", "cors")], false, true),
            (&[("accept", "text/event-stream"), ("sec-fetch-mode", "cors")], false, true),
            (&[("accept", "*/*"), ("referer", "http://pool:8083/")], false, true),
        ] {
            assert_eq!(accepts_pages(&headers(pairs)), accepts, "{pairs:?}");
            assert_eq!(is_sent_by_page(&headers(pairs)), of_page, "{pairs:?}");
        }
    }

    #[test]
    fn a_page_is_opened_by_a_link_and_by_no_picture_frame_or_script() {
        let (mode, dest) = ("sec-fetch-mode", "sec-fetch-dest");
        for (pairs, opens) in [
            (&[][..], true),
            (&[(mode, "navigate"), (dest, "document")], true),
            (&[(mode, "navigate")], true),
            (&[(mode, "navigate"), (dest, "iframe")], false),
            (&[(mode, "no-cors"), (dest, "image")], false),
            (&[(mode, "cors"), (dest, "empty")], false),
            (&[(mode, "navigate"), (mode, "cors")], false),
        ] {
            assert_eq!(opens_a_page(&Method::GET, &headers(pairs)), opens, "{pairs:?}");
            assert!(!opens_a_page(&Method::POST, &headers(pairs)), "{pairs:?}");
        }
    }
}
