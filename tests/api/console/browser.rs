//! A headless Chromium, driven by WebDriver: a request for each thing that it is to do. The client is the tests'
//! own, since the protocol is JSON over HTTP, and the crates that speak it bring many others.
//!
//! The browser is our own child, not the driver's: a driver that is killed leaves its browsers behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::support::client::{self, Request};
use crate::support::{Guarded, Output, eventually, find_program, flag, free_port, seconds};

/// What a key is to WebDriver.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

/// The name of an element in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Browser {
    driver: String,
    session: String,
    _processes: [Guarded; 2],
    _folder: TempDir,
    _permit: OwnedSemaphorePermit,
}

/// Chromium and its driver.
pub type Programs = (PathBuf, PathBuf);

/// Both programs, if they are installed (Debian: chromium, chromium-driver).
pub fn programs() -> Option<Programs> {
    find_program("chromium").zip(find_program("chromedriver"))
}

impl Browser {
    /// One with an empty page, as large as a desk's.
    pub async fn start(programs: Programs) -> Self {
        Self::start_with(programs, &[]).await
    }

    /// The same, with further flags of Chromium.
    pub async fn start_with((chromium, chromedriver): Programs, flags: &[&str]) -> Self {
        // A browser is not small.
        static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));
        let permit = Arc::clone(&ROOM).acquire_owned().await.unwrap();
        let folder = tempfile::Builder::new().prefix("switcher-chromium-").tempdir().unwrap();
        let mut command = Command::new(chromium);
        // Root has no sandbox there, and containers have little shared memory.
        command.args(["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"]);
        command.args(["--disable-gpu", "--no-first-run", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-crash-reporter"]);
        command.args(["--remote-debugging-port=0", "--window-size=1360,900", "--lang=en"]);
        command.arg(flag("--user-data-dir", folder.path())).args(flags).arg("about:blank");
        command.env("HOME", folder.path());
        let browser = spawn(&command, folder.path(), "chromium.log");
        let port_file = folder.path().join("DevToolsActivePort");
        let debugger = eventually("Chromium is up", seconds(60), || async {
            let text = std::fs::read_to_string(&port_file).ok()?;
            text.lines().nth(1)?;
            Some(format!("127.0.0.1:{}", text.lines().next()?))
        })
        .await;
        let port = free_port();
        let mut command = Command::new(chromedriver);
        command.arg(format!("--port={port}")).env("HOME", folder.path());
        let driver_process = spawn(&command, folder.path(), "chromedriver.log");
        let driver = format!("127.0.0.1:{port}");
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"debuggerAddress": debugger}}}});
        let request = request("/session", Some(&capabilities), &driver);
        let answer = eventually("chromedriver is up", seconds(60), || async {
            client::send(&driver, &request).await.ok()
        })
        .await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let session = answer["value"]["sessionId"].as_str();
        let session = session.unwrap_or_else(|| panic!("no session: {answer}")).to_owned();
        let _processes = [driver_process, browser];
        Self { driver, session, _processes, _folder: folder, _permit: permit }
    }

    /// What WebDriver says to a command; panics if it is an error.
    async fn ask(&self, path: &str, body: Option<Value>) -> Value {
        self.try_ask(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_ask(&self, path: &str, body: Option<Value>) -> Result<Value, Value> {
        let path = format!("/session/{}/{path}", self.session);
        let request = request(&path, body.as_ref(), &self.driver);
        let answer = client::send(&self.driver, &request).await;
        let answer = answer.map_err(|error| json!(error.to_string()))?;
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        let value = body["value"].take();
        if answer.status == 200 { Ok(value) } else { Err(value) }
    }

    pub async fn open(&self, url: &str) {
        self.ask("url", Some(json!({"url": url}))).await;
    }

    /// What a function's body returns in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", Some(json!({"script": script, "args": []}))).await
    }

    /// What a promise comes to that an expression makes in the page.
    pub async fn resolve(&self, expression: &str) -> Value {
        let script = format!("const done = arguments[0]; ({expression}).then(done);");
        self.ask("execute/async", Some(json!({"script": script, "args": []}))).await
    }

    /// Waits until an expression is true in the page.
    pub async fn wait_until(&self, expression: &str) {
        let script = format!("return Boolean({expression});");
        let start = Instant::now();
        while self.run(&script).await != true {
            if start.elapsed() > seconds(60) {
                let seen = self.run("return document.body.innerText;").await;
                panic!("not within a minute, in the page: {expression}, in:\n{seen}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text of an element as it is seen.
    pub async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).innerText;", json!(selector));
        self.run(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element's text, as it is seen, contains this.
    pub async fn wait_for_text(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.wait_until(&format!("document.querySelector({selector})?.innerText.includes({text})"))
            .await;
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.ask("element", Some(json!({"using": "css selector", "value": selector})));
        found.await[ELEMENT].as_str().expect("an element").to_owned()
    }

    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.ask(&format!("element/{element}/click"), Some(json!({}))).await;
    }

    /// Empties a field and types into it. Of a file's field, chooses the file.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        if !text.starts_with('/') {
            self.ask(&format!("element/{element}/clear"), Some(json!({}))).await;
        }
        self.ask(&format!("element/{element}/value"), Some(json!({"text": text}))).await;
    }

    /// Types where the focus is.
    pub async fn press(&self, keys: &str) {
        let keys: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.ask("actions", Some(actions)).await;
    }

    /// A command of the browser's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        self.ask("goog/cdp/execute", Some(body)).await
    }

    /// Makes the page so wide and high, as a phone's is if it is narrow.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Has the page think that its reader wants dark colours, or light ones.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Keeps a picture of the page, the first 2,400 lines of it, under `target/console-screenshots`.
    pub async fn keep_picture(&self, name: &str) {
        self.keep(name, "Math.min(document.documentElement.scrollHeight, 2400)").await;
    }

    /// The same of the part that a window shows.
    pub async fn keep_view(&self, name: &str) {
        self.keep(name, "innerHeight").await;
    }

    async fn keep(&self, name: &str, height: &str) {
        let size = self.run(&format!("return [innerWidth, {height}];")).await;
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let whole = json!({"captureBeyondViewport": true, "format": "png", "clip": clip});
        let picture = self.command("Page.captureScreenshot", whole).await;
        let png = STANDARD.decode(picture["data"].as_str().expect("a picture")).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../console-screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// What the browser complains of: errors of scripts, what the content security policy forbids, what could not
    /// be loaded.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.ask("se/log", Some(json!({"type": "browser"}))).await;
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The addresses of all requests since the last call.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.ask("se/log", Some(json!({"type": "performance"}))).await;
        let messages = entries.as_array().expect("a list").iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let sent = &message["message"];
            (sent["method"] == "Network.requestWillBeSent").then(|| sent["params"].clone())
        });
        messages.filter_map(|sent| Some(sent["request"]["url"].as_str()?.to_owned())).collect()
    }
}

fn spawn(command: &Command, folder: &Path, log: &str) -> Guarded {
    Guarded::spawn(command, folder, Output::File(folder.join(log))).unwrap()
}

fn request(path: &str, body: Option<&Value>, driver: &str) -> Request {
    let request = match body {
        Some(body) => Request::post(path).body(body.to_string()),
        None => Request::get(path),
    };
    // It talks to nobody who calls it by another name.
    request.host(driver)
}
