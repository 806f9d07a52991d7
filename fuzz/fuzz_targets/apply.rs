#![no_main]
//! See `coscribe_fuzz::updates::apply`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::updates::apply(data));
