//! Any bytes as an upstream's answer, in parts and packed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_actors::fuzzing::user_coin_map(input));
