//! The one fuzz target: a binary's name says which reader it feeds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lapidary_fuzz::read(env!("CARGO_BIN_NAME"), input));
