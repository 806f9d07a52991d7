#![no_main]
//! See `coscribe_fuzz::updates::strip_updates`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::updates::strip_updates(data));
