//! The program on a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Cli;
use crate::support::{eventually, seconds};

/// Runs a command on a terminal and types `answer` after `prompt`. Returns the exit status and the output.
pub async fn on_terminal(cli: &Cli, prompt: &str, answer: &str) -> (Option<i32>, String) {
    let (keyboard, screen) = terminal();
    let mut command = cli.command();
    command.stdin(screen.try_clone().unwrap());
    command.stdout(screen.try_clone().unwrap());
    command.stderr(screen);
    let mut child = command.spawn().unwrap();
    drop(command);
    let shown = Arc::new(Mutex::new(Vec::new()));
    let reader = std::thread::spawn({
        let (mut keyboard, shown) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        move || {
            let mut part = [0; 4096];
            // Reading fails when the last program has left the terminal.
            while let Ok(count @ 1..) = keyboard.read(&mut part) {
                shown.lock().unwrap().extend_from_slice(&part[..count]);
            }
        }
    });
    let text = || String::from_utf8_lossy(&shown.lock().unwrap()).into_owned();
    if !prompt.is_empty() {
        let what = format!("the question {prompt:?}");
        eventually(&what, seconds(30), || async { text().contains(prompt).then_some(()) }).await;
        let mut keyboard = keyboard;
        keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    let status = tokio::time::timeout(seconds(60), child.wait()).await.expect("it ends").unwrap();
    reader.join().unwrap();
    (status.code(), text())
}

/// The test's end of a terminal, and the program's.
fn terminal() -> (File, File) {
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = File::options().read(true).write(true).open(name).unwrap();
    (File::from(ours), theirs)
}
