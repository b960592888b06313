//! Any bytes as a JSON body of the API.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_api_server::fuzzing::json_body(input));
