//! A configuration of which one key is any text, in the file or the environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_api_server::fuzzing::environment(input));
