//! Sets the commit that `--version` prints: from the variable `SWITCHER_COMMIT`, else from git, else "unknown", as in a
//! source archive.

use std::{env, process::Command};

fn main() {
    let commit = env::var("SWITCHER_COMMIT").ok().or_else(from_git);
    println!("cargo::rustc-env=SWITCHER_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rerun-if-env-changed=SWITCHER_COMMIT");
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn from_git() -> Option<String> {
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
