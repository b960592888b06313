//! The console's files, which are part of the binary. A browser loads nothing from elsewhere.
//!
//! * `index.html`: the page;
//! * `console.js`: starts the parts below and polls the daemon's status;
//! * `api.js`: requests to the daemon, and the outcome that an answer proves;
//! * `dom.js`: safe display of foreign texts; dialogs and outcomes;
//! * `charts.js`: rates as small charts; `changes.js`: the last changes, live;
//! * `lists.js`: user lists, held switches, registrations;
//! * `history.js`: searches in the history; `undo.js`: takes a request back;
//! * `user.js`: the user, and the buttons that its roles enable;
//! * `switch.js`, `batch.js`, `batch_file.js`, `sub_pool.js`: the forms.

use actix_web::HttpResponse;

use super::answer::for_browsers;
use crate::{http::Access, users::Role};

/// Content security policy: scripts, styles and requests of this listener only, and no frame around the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
     require-trusted-types-for 'script'";

/// A file and its path.
pub struct ConsoleFile {
    pub path: &'static str,
    /// Users that may use it.
    pub access: Access,
    content_type: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($path:expr, $name:literal, $content_type:literal) => {
        file!($path, $name, $content_type, Access::Role(Role::Viewer))
    };
    ($path:expr, $name:literal, $content_type:literal, $access:expr) => {
        ConsoleFile {
            path: $path,
            access: $access,
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

pub const FILES: &[ConsoleFile] = &[
    file!("/", "index.html", "text/html"),
    file!("/console/console.css", "console.css", "text/css"),
    // The sign-in page shows it, too.
    file!("/console/icon.svg", "icon.svg", "image/svg+xml", Access::Everyone),
    script!("console.js"),
    script!("api.js"),
    script!("dom.js"),
    script!("charts.js"),
    script!("changes.js"),
    script!("lists.js"),
    script!("history.js"),
    script!("undo.js"),
    script!("switch.js"),
    script!("batch.js"),
    script!("batch_file.js"),
    script!("sub_pool.js"),
    script!("user.js"),
];

impl ConsoleFile {
    pub fn answer(&self) -> HttpResponse {
        for_browsers(self.content_type, POLICY, self.content)
    }
}

#[cfg(test)]
mod tests {
    use switcher_actors::INVISIBLE;

    use super::*;

    #[test]
    fn the_console_marks_the_characters_that_the_log_escapes() {
        let dom = FILES.iter().find(|file| file.path == "/console/dom.js").unwrap().content;
        let (_, list) = dom.split_once("const INVISIBLE = `").unwrap();
        let (list, _) = list.split_once('`').unwrap();
        let code = |digits| char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
        let ranges = list.split_whitespace().map(|range| {
            let (first, last) = range.split_once('-').unwrap();
            (code(first), code(last))
        });
        assert_eq!(ranges.collect::<Vec<_>>(), INVISIBLE);
    }
}
