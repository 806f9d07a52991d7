#![no_main]
//! See `coscribe_fuzz::updates::splice_updates`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::updates::splice_updates(data));
