//! The cookie with the id of a session of the console.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, COOKIE, HeaderMap, LOCATION},
};

use super::sessions::{LIFETIME, SessionKey};

/// The cookie of a listener.
#[derive(Clone)]
pub struct SessionCookie {
    name: Arc<str>,
}

impl SessionCookie {
    /// The name has the listener's port: a browser sends the cookies of a host to all of its ports, and two daemons must
    /// not overwrite each other's.
    pub fn new(port: u16) -> Self {
        Self { name: format!("switcher_session_{port}").into() }
    }

    /// Keys of the sessions in a client's cookies.
    pub fn presented(&self, headers: &HeaderMap) -> impl Iterator<Item = SessionKey> {
        let pairs =
            headers.get_all(COOKIE).flat_map(|it| it.as_bytes().split(|&byte| byte == b';'));
        let ids = pairs.filter_map(|pair| {
            pair.trim_ascii().strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")
        });
        ids.map(SessionKey::of)
    }

    /// The value of `Set-Cookie` that gives a client the id of its session.
    pub fn set(&self, id: &str, is_secure: bool) -> String {
        self.header(id, LIFETIME.as_secs(), is_secure)
    }

    /// The value of `Set-Cookie` that removes the cookie.
    pub fn remove(&self, is_secure: bool) -> String {
        self.header("", 0, is_secure)
    }

    fn header(&self, id: &str, seconds: u64, is_secure: bool) -> String {
        let secure = if is_secure { "; Secure" } else { "" };
        let name = &self.name;
        format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }
}

/// Redirects a browser to another page, by GET.
pub fn see_other(path: &str) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((LOCATION, path)).insert_header((CACHE_CONTROL, "no-store"));
    // A client that is not signed in keeps no connection.
    response.force_close().finish()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn presented(lines: &[&str]) -> Vec<SessionKey> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        SessionCookie::new(8083).presented(&headers).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let of = |id: &str| SessionKey::of(id.as_bytes());
        assert_eq!(presented(&["switcher_session_8083=ab"]), [of("ab")]);
        let lines = ["x=1; switcher_session_8083=ab ;y", "z=2;switcher_session_8083=cd"];
        assert_eq!(presented(&lines), [of("ab"), of("cd")]);
        for line in [
            "",
            ";",
            "switcher_session_8083",
            "switcher_session_80831=ab",
            "xswitcher_session_8083=ab",
            "SWITCHER_SESSION_8083=ab",
            "switcher_session_8083 =ab",
        ] {
            assert_eq!(presented(&[line]), [], "{line}");
        }
    }

    #[test]
    fn the_cookie_of_another_port_is_another_one() {
        assert_eq!(
            SessionCookie::new(9).set("ab", false),
            "switcher_session_9=ab; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            SessionCookie::new(9).remove(true),
            "switcher_session_9=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
        );
    }
}
