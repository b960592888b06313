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
/// Where every entry that names a file looks for the configuration, and where every one that logs to a file does.
const CONFIG: &str = "/etc/switcher-api-server/config.json";
const LOG_DIR: &str = "/var/log/switcher-api-server";

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

    let port = environment["ListenAddr"].rsplit(':').next().unwrap().to_owned();
    let published = daemon["ports"][0].as_str().unwrap();
    assert!(published.ends_with(&format!(":{port}")), "{published}, but listens on {port}");
    assert!(read("Dockerfile").contains(&format!("\nEXPOSE {port}\n")), "EXPOSE of {port}");

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
    let program = assert_command_is_taken(
        &start
            .replace("${CREDENTIALS_DIRECTORY}/config.json", CONFIG)
            .replace("${LOGS_DIRECTORY}", LOG_DIR),
    );
    // systemd looks for a bare name in /usr/local/bin and /usr/bin, among others.
    let installed = asset("target/release/switcher-api-server");
    assert_eq!(installed, format!("usr/bin/{program}"), "{start}");
    assert_eq!(value(&unit, "LoadCredential"), format!("config.json:{CONFIG}"));
    assert_eq!(format!("/var/log/{}", value(&unit, "LogsDirectory")), LOG_DIR);
    assert_patient(&value(&unit, "TimeoutStopSec"));
    let help = String::from_utf8(run(&["--help"], &BTreeMap::new()).stdout).unwrap();
    let status = value(&unit, "RestartPreventExitStatus");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains(&format!("{status} for a bad configuration")), "{help}");
    let user = value(&unit, "User");
    assert!(read("config/debian/postinst").contains(&format!(" {user}\n")), "{user} is not made");
}

#[test]
fn supervisor_entry_agrees_with_the_daemon_and_the_readme() {
    let entry = read(SUPERVISOR);
    assert_command_is_taken(&value(&entry, "command"));
    assert_patient(&value(&entry, "stopwaitsecs"));
    for name in ["stdout_logfile", "stderr_logfile"] {
        let file = value(&entry, name);
        assert_eq!(Path::new(&file).parent(), Some(Path::new(LOG_DIR)), "{file}");
    }
    let readme = read("README.md");
    let (_, quoted) = readme.split_once("```ini\n").unwrap();
    for line in quoted.split("```").next().unwrap().lines() {
        assert!(entry.lines().any(|found| found == line), "README.md has {line}, {SUPERVISOR} not");
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
        // Of the one pattern, that file stands for all.
        let source = source.replace("*.md", "migration.md");
        assert!(Path::new(ROOT).join(&source).is_file(), "{source} is not there");
    }
    for script in ["postinst", "postrm"] {
        let text = read(&format!("config/debian/{script}"));
        assert!(text.contains("\n#DEBHELPER#\n"), "{script} has no room for what systemd needs");
        let path = format!("{ROOT}/config/debian/{script}");
        assert!(Command::new("sh").args(["-n", &path]).status().unwrap().success(), "{script}");
    }
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
    let samples = script.lines().find_map(|line| line.strip_prefix("readonly SAMPLES=(")).unwrap();
    for sample in samples.trim_end_matches(')').split_whitespace() {
        let sample = sample.trim_matches('"').replace("$NAME", "switcher-api-server");
        assert!(Path::new(ROOT).join(&sample).is_file(), "{sample} is not there");
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
    assert!(!told.contains("warning"), "{told}");
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
