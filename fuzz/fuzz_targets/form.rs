//! Any bytes as a query and as an urlencoded form.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_api_server::fuzzing::form(input));
