//! A batch written in any of the ways that Go's decoder understands.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_api_server::fuzzing::json_body_by_choices(
    input
));
