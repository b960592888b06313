//! The console, as an operator meets it: in a headless Chromium, beside the real daemon and a real ZooKeeper.
//! Without Chromium these tests say so and do nothing.

mod batch;
pub mod browser;
mod held;
mod history;
mod lists;
mod other_sites;
mod page;
mod picture;
mod registration;
mod sign_in;
mod sub_pool;
mod switching;

use self::browser::{Browser, Programs, programs};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::untested;

/// Where Chromium is.
pub fn browser_programs() -> Option<Programs> {
    let programs = programs();
    if programs.is_none() {
        untested("the console: no chromium and chromedriver on PATH");
    }
    programs
}

/// The console of the daemon whose admin pages are there, once it follows the daemon.
async fn show(admin: &str, programs: Programs) -> Browser {
    let browser = Browser::start(programs).await;
    browser.open(&format!("http://{USER}:{PASSWORD}@{admin}/")).await;
    browser.wait_for_text("#stream-state", "live").await;
    browser
}

/// A daemon, and its console in a browser.
struct Console {
    daemon: Daemon,
    admin: String,
    browser: Browser,
}

impl Console {
    /// Starts both, and waits until the page follows the daemon. `None` without a browser.
    async fn open(builder: Builder) -> Option<Self> {
        Self::open_at(builder.admin()).await
    }

    /// The same, where the admin pages have an address of their own.
    async fn open_at(builder: Builder) -> Option<Self> {
        let programs = browser_programs()?;
        let daemon = builder.start().await;
        let admin = daemon.admin().await;
        let browser = show(&admin, programs).await;
        browser.wait_for_text("#states", "ready").await;
        Some(Self { daemon, admin, browser })
    }

    /// What the browser complained of, and panics if anything was asked of anybody else.
    async fn complaints(&self) -> Vec<String> {
        let ours = [
            format!("http://{}/", self.admin),
            format!("http://{USER}:{PASSWORD}@{}/", self.admin),
        ];
        let requests = self.browser.requests().await;
        assert!(!requests.is_empty());
        // The browser's own icons are data.
        for request in requests.iter().filter(|request| !request.starts_with("data:")) {
            assert!(ours.iter().any(|ours| request.starts_with(ours)), "{request}");
        }
        self.browser.complaints().await
    }

    /// The end of a test in which nothing was to go wrong in the page.
    async fn has_no_complaints(&self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
    }
}
