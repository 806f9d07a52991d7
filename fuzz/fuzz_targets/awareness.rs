#![no_main]
//! See `coscribe_fuzz::awareness::awareness`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::awareness::awareness(data));
