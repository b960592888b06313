//! What we ship to run the daemon agrees with the daemon and with itself: every variable and key that a sample
//! names is one, every flag is taken, every file named is there. Needs neither network nor ZooKeeper.

// A test that unwraps fails where it should.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode, Yaml};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switcher-api-server");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const UNIT: &str = "config/switcher-api-server.service";
const SUPERVISOR: &str = "config/supervisor.conf";
const GUIDE: &str = "docs/guide/install.md";
/// Where every entry that names a file looks for the configuration, and where every one that logs to a file does.
const CONFIG: &str = "/etc/switcher-api-server/config.json";
const LOG_DIR: &str = "/var/log/switcher-api-server";
/// Directory of the history in all samples that turn it on.
const STATE_DIR: &str = "/var/lib/switcher-api-server";

#[test]
fn compose_file_configures_the_daemon_by_its_environment_alone() {
    let text = read("config/compose.yaml");
    let compose = &Yaml::load_from_str(&text).unwrap()[0];
    let daemon = &compose["services"]["daemon"];
    let environment = daemon["environment"].as_mapping().expect("a mapping of variables");
    let environment: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or_else(|| panic!("{name:?} is no text: quote it"));
            (name.as_str().unwrap().to_owned(), value.to_owned())
        })
        .collect();
    assert_good_environment(&environment);

    let ports = ["ListenAddr", "AdminListenAddr"].map(|key| {
        let (_, port) = environment[key].rsplit_once(':').unwrap();
        port.to_owned()
    });
    for (place, port) in ports.iter().enumerate() {
        let published = daemon["ports"][place].as_str().unwrap();
        assert!(published.ends_with(&format!(":{port}")), "{published}, but listens on {port}");
    }
    let exposed = format!("\nEXPOSE {}\n", ports.join(" "));
    assert!(read("Dockerfile").contains(&exposed), "EXPOSE of {ports:?}");

    let (broker, _) = environment["ZKBroker"].split_once(':').unwrap();
    assert!(compose["services"].as_mapping_get(broker).is_some(), "no service {broker}");
    for (name, service) in compose["services"].as_mapping().unwrap() {
        let ports = service.as_mapping_get("ports").and_then(|ports| ports.as_sequence());
        for port in ports.into_iter().flatten() {
            let port = port.as_str().unwrap();
            assert!(port.starts_with("127.0.0.1:"), "{name:?} is open to the network: {port}");
        }
    }
    let grace = daemon["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s'));
    assert_patient(grace.unwrap());
}

#[test]
fn compose_file_and_dockerfile_agree_on_the_stages() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<&str> =
        lines_of(&dockerfile, "FROM ").filter_map(|line| line.split(" AS ").nth(1)).collect();
    assert_eq!(stages.last(), Some(&"daemon"), "the last stage is what `docker build` makes");

    let text = read("config/compose.yaml");
    let compose = &Yaml::load_from_str(&text).unwrap()[0];
    for service in ["daemon", "jobmaker"] {
        let build = &compose["services"][service]["build"];
        assert!(stages.contains(&build["target"].as_str().unwrap()), "no stage for {service}");
        let context = Path::new(ROOT).join("config").join(build["context"].as_str().unwrap());
        assert!(context.join("Dockerfile").exists(), "no Dockerfile in {}", context.display());
    }
    for copied in lines_of(&dockerfile, "COPY --from=") {
        let stage = copied.split(' ').next().unwrap();
        assert!(stages.contains(&stage), "COPY --from={copied}: no such stage");
    }
}

#[test]
fn dockerfiles_example_is_a_good_configuration() {
    let dockerfile = read("Dockerfile");
    assert_eq!(lines_of(&dockerfile, "ENV ").count(), 0, "it would win over a mounted file");
    assert!(lines_of(&dockerfile, "USER ").all(|user| user.starts_with(char::is_numeric)));
    let comments: String = lines_of(&dockerfile, "# ").collect::<Vec<_>>().join(" ");
    let environment: BTreeMap<String, String> = comments
        .split("--env ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .map(|word| {
            // Without a value, docker takes that of its own environment.
            let (name, value) = word.split_once('=').unwrap_or((word, "a password"));
            (name.to_owned(), value.to_owned())
        })
        .collect();
    assert_good_environment(&environment);
}

#[test]
fn systemd_unit_agrees_with_the_daemon_and_the_debian_package() {
    let unit = read(UNIT);
    let start = value(&unit, "ExecStart");
    let program = assert_command_is_taken(&start.replace("${LOGS_DIRECTORY}", LOG_DIR));
    // systemd looks for a bare name in /usr/local/bin and /usr/bin, among others.
    let installed = asset("target/release/switcher-api-server");
    assert_eq!(installed, format!("usr/bin/{program}"), "{start}");
    // What `tests/api/service_manager.rs` sees the daemon do.
    assert_eq!(value(&unit, "Type"), "notify");
    assert_eq!(value(&unit, "ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(format!("/var/log/{}", value(&unit, "LogsDirectory")), LOG_DIR);
    assert_patient(&value(&unit, "TimeoutStopSec"));
    let help = String::from_utf8(run(&["--help"], &BTreeMap::new()).stdout).unwrap();
    let status = value(&unit, "RestartPreventExitStatus");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&format!("{status} for an invalid configuration")), "{help}");
    let user = value(&unit, "User");
    let postinst = read("config/debian/postinst");
    assert!(postinst.contains(&format!(" {user}\n")), "{user} is not made");
    // A daemon that reads its configuration again reads the file itself.
    assert!(postinst.contains(&format!("config={CONFIG}\n")), "{CONFIG} is not let be read");
    assert!(postinst.contains(&format!("chgrp {user} ")), "{CONFIG} is not let be read");
}

#[test]
fn samples_keep_the_history_where_the_daemon_may_write() {
    let is_in_place = |file: Option<&str>| {
        assert_eq!(Path::new(file.unwrap()).parent(), Some(Path::new(STATE_DIR)));
    };
    for sample in ["config/default.json", "config/debian/config.json"] {
        let sample: Value = serde_json::from_str(&read(sample)).unwrap();
        is_in_place(sample["HistoryFile"].as_str());
    }
    assert_eq!(format!("/var/lib/{}", value(&read(UNIT), "StateDirectory")), STATE_DIR);
    assert!(read("config/debian/postinst").contains(&format!(" -m 750 {STATE_DIR}\n")));
    assert!(!read("config/debian/postrm").contains(&format!("rm -rf {STATE_DIR}")));
    assert!(read(SUPERVISOR).contains(&format!("{LOG_DIR}\n; {STATE_DIR}` first")));

    let text = read("config/compose.yaml");
    let compose = &Yaml::load_from_str(&text).unwrap()[0];
    let daemon = &compose["services"]["daemon"];
    is_in_place(daemon["environment"]["HistoryFile"].as_str());
    let volume = daemon["volumes"][0].as_str().and_then(|it| it.strip_suffix(STATE_DIR));
    let volume = volume.and_then(|it| it.strip_suffix(':')).expect("a volume there");
    assert!(compose["volumes"].as_mapping_get(volume).is_some(), "no volume {volume}");
    let dockerfile = read("Dockerfile");
    let user = lines_of(&dockerfile, "USER ").last().unwrap();
    let directory = format!("COPY --from=build --chown={user} /out/history {STATE_DIR}\n");
    assert!(dockerfile.contains(&directory), "user {user} cannot write the volume");
    assert!(dockerfile.contains(&format!(":{STATE_DIR} switcher-api-server\n")));

    // `make run` starts the daemon in the repository, with files below the ignored `.run`.
    let sample: Value = serde_json::from_str(&read("config/dev.json")).unwrap();
    assert_eq!(sample["HistoryFile"].as_str(), Some(".run/history.db"));
}

#[test]
fn containers_ask_for_health_as_the_program_understands_it() {
    let dockerfile = read("Dockerfile");
    let (_, last) = dockerfile.split_once("\nFROM scratch AS daemon\n").unwrap();
    let check = lines_of(last, "HEALTHCHECK ").next().expect("a health check");
    let (options, command) = check.split_once(" CMD ").unwrap();
    let timeout = options.split("--timeout=").nth(1).and_then(|it| it.split('s').next()).unwrap();
    let command: Vec<String> = serde_json::from_str(command).expect("no shell is there");
    assert_asks_for_health(&command, timeout);

    let text = read("config/compose.yaml");
    let compose = &Yaml::load_from_str(&text).unwrap()[0];
    let check = &compose["services"]["daemon"]["healthcheck"];
    let words = check["test"].as_sequence().unwrap().iter();
    let words: Vec<String> = words.map(|word| word.as_str().unwrap().to_owned()).collect();
    assert_eq!(words[0], "CMD", "no shell is there");
    let timeout = check["timeout"].as_str().and_then(|text| text.strip_suffix('s')).unwrap();
    assert_asks_for_health(&words[1..], timeout);
}

/// The program takes that command, and gives up before it is given up on.
fn assert_asks_for_health(command: &[String], timeout: &str) {
    assert!(read("Dockerfile").contains(&format!("ENTRYPOINT [\"{}\"]", command[0])));
    let arguments: Vec<&str> = command[1..].iter().map(String::as_str).collect();
    // Nobody listens on port 1.
    let environment = [("AdminListenAddr".to_owned(), "127.0.0.1:1".to_owned())].into();
    let output = run(&arguments, &environment);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let help = run(&["health", "--help"], &BTreeMap::new()).stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, default) = help.split_once("Seconds to wait for the answer").unwrap();
    let (_, default) = default.split_once("[default: ").unwrap();
    let default: u64 = default.split(']').next().unwrap().parse().unwrap();
    assert!(default < timeout.parse().unwrap(), "{default} s, but only {timeout} s are given");
}

#[test]
fn supervisor_entry_agrees_with_the_daemon_and_the_guide() {
    let entry = read(SUPERVISOR);
    assert_command_is_taken(&value(&entry, "command"));
    assert_patient(&value(&entry, "stopwaitsecs"));
    for name in ["stdout_logfile", "stderr_logfile"] {
        let file = value(&entry, name);
        assert_eq!(Path::new(&file).parent(), Some(Path::new(LOG_DIR)), "{file}");
    }
    let guide = read(GUIDE);
    let (_, quoted) = guide.split_once("```ini\n").unwrap();
    for line in quoted.split("```").next().unwrap().lines() {
        assert!(entry.lines().any(|found| found == line), "{GUIDE} has {line}, {SUPERVISOR} not");
    }
}

#[test]
fn logrotate_rotates_the_daemons_log_and_has_it_opened_again() {
    let text = read("config/logrotate.conf");
    assert!(text.contains(&format!("\n{LOG_DIR}/switcher-api-server.log {{\n")), "{text}");
    assert!(!text.contains("copytruncate") && text.contains("\n    delaycompress\n"), "{text}");
    let program = value(&read(UNIT), "ExecStart").split(' ').next().unwrap().to_owned();
    assert!(text.contains(&format!("kill --signal=USR1 {program}.service")), "{text}");
    assert!(read(SUPERVISOR).contains(&format!("[program:{program}]")));
    assert!(text.contains(&format!("supervisorctl signal USR1 {program}\n")), "{text}");
}

#[test]
fn debian_packages_files_are_there() {
    let assets = assets();
    for (source, _, _) in assets.iter().filter(|(source, ..)| !source.starts_with("target/")) {
        let (folder, name) = source.rsplit_once('/').unwrap_or((".", source));
        let is_meant = |found: &str| match name.split_once('*') {
            Some((start, end)) => found.starts_with(start) && found.ends_with(end),
            None => found == name,
        };
        let files = std::fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
        let mut files = files.map(|file| file.unwrap()).filter(|file| file.path().is_file());
        let is_there = files.any(|file| is_meant(file.file_name().to_str().unwrap()));
        assert!(is_there, "{source} is not there");
    }
    // Links between the documents lead somewhere in the package too.
    for page in ["docs/console.png", "docs/guide/*.md", "docs/operate/*.md"] {
        assert_eq!(asset(page), format!("usr/share/doc/switcher-api-server/{page}"));
    }
    for script in ["postinst", "postrm"] {
        let text = read(&format!("config/debian/{script}"));
        assert!(text.contains("\n#DEBHELPER#\n"), "{script} has no room for what systemd needs");
        let path = format!("{ROOT}/config/debian/{script}");
        assert!(Command::new("sh").args(["-n", &path]).status().unwrap().success(), "{script}");
    }
}

/// Each page that the packages take is made, and each that is made is taken, to where Debian looks for it.
#[test]
fn manual_pages_and_completions_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    let script = format!("{ROOT}/.ci/package");
    let making = Command::new("bash").args([&*script, "pages", PROGRAM]).arg(&pages).output();
    let made = making.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = |kind: &str| -> Vec<String> {
        let files = std::fs::read_dir(pages.join(kind)).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let manual = made("man");
    assert!(manual.contains(&"switcher-api-server.1.gz".to_owned()), "{manual:?}");
    assert!(manual.contains(&"switcher-api-server-doctor.1.gz".to_owned()), "{manual:?}");
    assert!(manual.iter().all(|name| name.ends_with(".1.gz")), "{manual:?}");
    let all = assets().into_iter().map(|(source, destination, _)| (source, destination));
    let all: BTreeMap<String, String> = all.collect();
    assert_eq!(all["target/release/pages/man/*.1.gz"], "usr/share/man/man1/");
    let completions: Vec<(&str, &str)> = all
        .iter()
        .filter_map(|(source, to)| {
            Some((source.strip_prefix("target/release/pages/completions/")?, &**to))
        })
        .collect();
    let names: Vec<&str> = completions.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, made("completions"));
    assert_eq!(
        completions,
        [
            ("_switcher-api-server", "usr/share/zsh/vendor-completions/"),
            ("switcher-api-server", "usr/share/bash-completion/completions/"),
            ("switcher-api-server.fish", "usr/share/fish/vendor_completions.d/"),
        ]
    );
}

#[test]
fn debian_packages_configuration_lacks_nothing_but_a_password() {
    let source = "config/debian/config.json";
    assert_eq!(format!("/{}", asset(source)), CONFIG);
    let (_, _, mode) = assets().into_iter().find(|(found, ..)| found == source).unwrap();
    assert_eq!(mode, "600", "it will hold a password");

    let Value::Object(known) = serde_json::from_str(&read("config/default.json")).unwrap() else {
        panic!("no object");
    };
    let Value::Object(mut config) = serde_json::from_str(&read(source)).unwrap() else {
        panic!("no object");
    };
    for name in config.keys() {
        assert!(known.contains_key(name), "{source}: {name} is no key");
    }
    let refused = run(&["check", "--config", &format!("{ROOT}/{source}")], &BTreeMap::new());
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(78), "{told}");
    assert_eq!(told.lines().count(), 2, "more than the password is missing: {told}");
    assert!(told.contains("\nAPIPassword: "), "{told}");

    config["APIPassword"] = Value::from("chosen");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, Value::Object(config).to_string()).unwrap();
    assert_good(&run(&["check", "--config", file.to_str().unwrap()], &BTreeMap::new()));
}

#[test]
fn archives_samples_are_there() {
    let script = read(".ci/package");
    let (_, samples) = script.split_once("\nreadonly SAMPLES=(").unwrap();
    let (samples, _) = samples.split_once(')').unwrap();
    for sample in samples.split_whitespace() {
        let sample = sample.trim_matches('"').replace("$NAME", "switcher-api-server");
        assert!(Path::new(ROOT).join(&sample).is_file(), "{sample} is not there");
    }
}

#[test]
fn handbook_names_lines_that_the_daemon_writes_and_keys_that_it_takes() {
    let handbook = read("docs/operate/operations.md");
    let source = source();
    let lines = rows(&handbook, "Log lines worth watching");
    let lines: Vec<&str> = lines.iter().filter_map(|row| row[0].split('`').nth(1)).collect();
    assert!(lines.len() >= 8, "{lines:?}");
    for line in lines {
        let text = line.trim_end_matches('…').trim();
        assert!(source.contains(text), "the daemon never says {text}");
    }
    let known = read("config/default.json");
    let keys: Vec<String> = rows(&handbook, "Tuning").iter().map(|row| row[1].clone()).collect();
    let keys: Vec<&str> = keys.iter().filter_map(|cell| cell.split('`').nth(1)).collect();
    assert!(keys.len() >= 10, "{keys:?}");
    for key in keys {
        assert!(known.contains(&format!("\"{key}\"")), "no key {key}");
    }
}

#[test]
fn states_and_log_lines_name_texts_that_the_daemon_writes() {
    let document = read("docs/operate/monitoring.md");
    let rows = ["States", "History"].map(|heading| rows(&document, heading)).concat();
    let cells = rows.iter().flatten().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let texts: Vec<&str> = cells.filter(|text| text.contains(' ')).collect();
    assert!(texts.len() >= 10, "{texts:?}");
    let source = source();
    for text in texts {
        assert!(source.contains(text), "the daemon never says {text}");
    }
}

/// The cells of the tables below that heading.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    lines_of(section, "| ").map(|row| row.split(" | ").map(str::to_owned).collect()).collect()
}

/// The daemon's source, with texts that continue on the next line in one piece.
fn source() -> String {
    let mut source = String::new();
    for folder in ["src", "actors/src"] {
        gather(&Path::new(ROOT).join(folder), &mut source);
    }
    source.split("\\\n").map(str::trim_start).collect()
}

/// The text of all files below that folder.
fn gather(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, text);
        } else {
            *text += &std::fs::read_to_string(&path).unwrap();
        }
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn lines_of<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(start))
}

/// The value of a `name=value` line, which is there once.
fn value(text: &str, name: &str) -> String {
    let start = format!("{name}=");
    let found: Vec<&str> = lines_of(text, &start).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].to_owned()
}

/// What the program says in an empty folder and with no other environment.
fn run(arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder.path()).env_clear().envs(environment);
    command.output().unwrap()
}

fn assert_good(output: &Output) {
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{told}");
    // A sample's password is published, whatever it is, and its file readable; the history's directory is not on every
    // machine.
    let no_directory = format!("the directory {STATE_DIR} does not exist");
    let readable = "every user of this machine may read it";
    let expected = ["is the password of the published samples", readable, &no_directory];
    let mut warnings = told.lines().filter(|line| line.contains("warning"));
    assert!(warnings.all(|line| expected.iter().any(|it| line.contains(it))), "{told}");
}

/// Each variable is a key, and together they are enough.
fn assert_good_environment(environment: &BTreeMap<String, String>) {
    let output = run(&["check"], environment);
    assert_good(&output);
    let listing = String::from_utf8(output.stdout).unwrap();
    for name in environment.keys() {
        let taken = listing.lines().any(|line| {
            line.starts_with(&format!("{name} = ")) && line.contains("(environment variable ")
        });
        assert!(taken, "{name} is no key:\n{listing}");
    }
}

/// The daemon understands all flags of that command, which names the usual places. Tells the program's name.
fn assert_command_is_taken(command: &str) -> String {
    assert!(command.contains(CONFIG) && command.contains(LOG_DIR), "{command}");
    let command = command.replace(CONFIG, &format!("{ROOT}/config/default.json"));
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let arguments: Vec<&str> = words.chain(["check"]).collect();
    assert_good(&run(&arguments, &BTreeMap::new()));
    program.rsplit('/').next().unwrap().to_owned()
}

/// Whoever stops the daemon waits for longer than that takes.
fn assert_patient(seconds: &str) {
    let config: Value = serde_json::from_str(&read("config/default.json")).unwrap();
    let grace = config["ShutdownGraceSeconds"].as_u64().unwrap();
    assert!(
        seconds.parse::<u64>().unwrap() > grace,
        "{seconds} s, but stopping takes up to {grace} s"
    );
}

/// Source, destination and mode of each file of the Debian package.
fn assets() -> Vec<(String, String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(ROOT);
    let metadata: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "switcher-api-server").unwrap();
    let assets = package["metadata"]["deb"]["assets"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assets.iter().map(|asset| (text(&asset[0]), text(&asset[1]), text(&asset[2]))).collect()
}

/// Where the Debian package puts that file.
fn asset(source: &str) -> String {
    let (_, destination, _) = assets()
        .into_iter()
        .find(|(found, ..)| found == source)
        .unwrap_or_else(|| panic!("{source} is not in the package"));
    if destination.ends_with('/') {
        let name = Path::new(source).file_name().unwrap().to_str().unwrap();
        return destination + name;
    }
    destination
}
