#![no_main]
//! See `coscribe_fuzz::frame::frame`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::frame::frame(data));
