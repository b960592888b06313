//! A user-coin map as backends write it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switcher_actors::fuzzing::user_coin_map_by_choices(
    input
));
