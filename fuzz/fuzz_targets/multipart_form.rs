//! Any bytes as a multipart form and its header.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_api_server::fuzzing::multipart_form(input));
