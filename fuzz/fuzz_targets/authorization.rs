//! User name, password and `Authorization` header, a line each.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_api_server::fuzzing::authorization(input));
