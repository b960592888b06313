//! Any bytes as a jobmaker's ack.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_actors::fuzzing::ack(input));
