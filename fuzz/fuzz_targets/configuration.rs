//! Any text as the configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| switcher_api_server::fuzzing::configuration(input));
