//! Which part of the code may name what (`docs/develop/architecture.md`, "Invariants"), by a search in its text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The files of `folder` that contain `word`, without those whose path contains `allowed`.
fn name(word: &str, folder: &str, allowed: &str) -> Vec<PathBuf> {
    let named = sources(folder).into_iter().filter(|(path, text)| {
        text.contains(word) && (allowed.is_empty() || !path.to_string_lossy().contains(allowed))
    });
    named.map(|(path, _)| path).collect()
}

#[test]
fn only_the_seam_names_the_zookeeper_crate() {
    assert_eq!(name("zookeeper_client", "actors/src", "/zk/"), Vec::<PathBuf>::new());
    assert_eq!(name("zookeeper_client", "src", ""), Vec::<PathBuf>::new());
    assert!(!name("zookeeper_client", "actors/src", "").is_empty(), "the search finds nothing");
}

#[test]
fn only_the_http_client_names_its_library() {
    for (word, allowed) in [
        ("hyper::", "/http_client.rs"),
        ("hyper_util", "/http_client.rs"),
        ("http_body_util", "/http_client.rs"),
        ("rustls_native_certs", "/tls/"),
    ] {
        assert_eq!(name(word, "actors/src", allowed), Vec::<PathBuf>::new(), "{word}");
        // The listeners' side of TLS.
        let allowed = if word == "tokio_rustls" { allowed } else { "" };
        assert_eq!(name(word, "src", allowed), Vec::<PathBuf>::new(), "{word}");
        assert!(!name(word, "actors/src", "").is_empty(), "the search for {word} finds nothing");
    }
}

#[test]
fn tls_is_spoken_in_few_places() {
    for folder in ["actors/src", "src"] {
        assert_eq!(name("tokio_rustls", folder, "/tls"), Vec::<PathBuf>::new());
        assert!(!name("tokio_rustls", folder, "").is_empty(), "the search finds nothing");
    }
}

#[test]
fn of_the_actors_only_the_observer_names_the_metrics_crate() {
    assert_eq!(name("prometheus_client", "actors/src", "/metrics/"), Vec::<PathBuf>::new());
    assert!(!name("prometheus_client", "actors/src", "").is_empty(), "the search finds nothing");
}

/// Each effect is told in one place, beside its log line.
#[test]
fn only_journals_and_the_session_tell_the_observer_of_effects() {
    for (call, allowed) in [
        ("metrics.switches(", "/journal.rs"),
        ("metrics.chunk(", "/journal.rs"),
        ("metrics.exchange(", "/journal.rs"),
        ("metrics.poll(", "/journal.rs"),
        ("metrics.overwrote(", "/journal.rs"),
        (".recent().note(", "/journal.rs"),
        ("metrics.session_up(", "/zk_writer/session.rs"),
        ("metrics.connection_lost(", "/zk_writer/session.rs"),
        ("metrics.depths(", "/zk_writer/actor.rs"),
    ] {
        assert_eq!(name(call, "actors/src", allowed), Vec::<PathBuf>::new(), "{call}");
        assert!(!name(call, "actors/src", "").is_empty(), "the search for {call} finds nothing");
    }
}

#[test]
fn the_actors_serve_no_http_and_know_neither_files_nor_the_environment() {
    for word in ["actix_web", "std::fs", "std::env", "env::var"] {
        assert_eq!(name(word, "actors/src", ""), Vec::<PathBuf>::new(), "{word}");
    }
}

/// A line as JSON has these already (`logging::format`).
#[test]
fn no_record_has_a_key_of_the_lines_own() {
    for key in ["ts", "level", "module", "msg"] {
        for folder in ["actors/src", "src"] {
            let word = format!("\"{key}\" =>");
            assert_eq!(name(&word, folder, ""), Vec::<PathBuf>::new(), "{word}");
        }
    }
    assert!(!name("\"cause\" =>", "src", "").is_empty(), "the search finds nothing");
}

/// The names of the modules behind `crate::` in a source, those of `use crate::{…}` included.
fn modules_named(text: &str) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            named.extend(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in list.char_indices() {
            if depth == 0 && matches!(c, ':' | ',' | '}' | '{') {
                named.insert(list[start..at].trim());
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
            if matches!(c, ':' | ',' | '}' | '{') {
                start = at + 1;
            }
        }
    }
    named
}

/// The rooms of the daemon's crate, from the lowest to the highest.
#[test]
fn no_room_names_one_above_or_at_its_level() {
    const ROOMS: [&[&str]; 8] = [
        &["tls"],
        &["config"],
        &["http"],
        &["api"],
        &["openapi"],
        &["admin", "client"],
        &["cli"],
        &["daemon"],
    ];
    for (level, rooms) in ROOMS.iter().enumerate() {
        for room in *rooms {
            let others = ROOMS[level..].concat().into_iter().filter(|other| other != room);
            let others: BTreeSet<&str> = others.collect();
            for (path, text) in sources(&format!("src/{room}")) {
                let named: Vec<_> = modules_named(&text).intersection(&others).copied().collect();
                assert!(named.is_empty(), "{} names {named:?}", path.display());
            }
        }
    }
    let named = sources("src/daemon");
    let named: BTreeSet<&str> = named.iter().flat_map(|(_, text)| modules_named(text)).collect();
    for room in ["config", "http", "api", "admin", "client", "cli", "logging"] {
        assert!(named.contains(room), "the search does not find {room} in {named:?}");
    }
}

#[test]
fn nothing_waits_inside_an_actor_and_nothing_is_sent_without_a_bound() {
    for word in ["AtomicResponse", "ctx.wait(", "do_send("] {
        for folder in ["actors/src", "src"] {
            assert_eq!(name(word, folder, ""), Vec::<PathBuf>::new(), "{word}");
        }
    }
}
