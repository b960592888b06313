//! The console's files. They are part of the program: a browser loads nothing from elsewhere, and is told so.
//!
//! * `index.html`: all that is shown, before it is filled;
//! * `console.js`: starts the parts below, and asks for the daemon's status;
//! * `api.js`: requests to the daemon, and what an answer lets us claim;
//! * `dom.js`: how texts that anybody may have written are shown; dialogs and outcomes;
//! * `charts.js`: rates as small charts; `changes.js`: the last changes, live;
//! * `switch.js`, `batch.js`, `batch_file.js`, `sub_pool.js`: the forms.

use actix_web::{
    HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};

/// Whatever came into the page: it runs, loads and calls nothing but our own, and stands in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
     require-trusted-types-for 'script'";

/// A file, and where it is.
pub struct File {
    pub path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($path:expr, $name:literal, $content_type:literal) => {
        File {
            path: $path,
            content_type: concat!($content_type, "; charset=utf-8"),
            content: include_str!(concat!("console/", $name)),
        }
    };
}

macro_rules! script {
    ($name:literal) => {
        file!(concat!("/console/", $name), $name, "text/javascript")
    };
}

/// All of them.
pub const FILES: &[File] = &[
    file!("/", "index.html", "text/html"),
    file!("/console/console.css", "console.css", "text/css"),
    file!("/console/icon.svg", "icon.svg", "image/svg+xml"),
    script!("console.js"),
    script!("api.js"),
    script!("dom.js"),
    script!("charts.js"),
    script!("changes.js"),
    script!("switch.js"),
    script!("batch.js"),
    script!("batch_file.js"),
    script!("sub_pool.js"),
];

impl File {
    /// The file, as it is sent.
    pub fn answer(&self) -> HttpResponse {
        HttpResponse::Ok()
            .content_type(self.content_type)
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
            // The daemon's next version has other files.
            .insert_header((CACHE_CONTROL, "no-store"))
            // A browser opens six connections for them, and would keep what others could have.
            .force_close()
            .body(self.content)
    }
}
