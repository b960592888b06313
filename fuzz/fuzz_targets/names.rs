//! Any text as a name that ZooKeeper shall have.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| switcher_actors::fuzzing::names(input));
