#![no_main]
//! See `coscribe_fuzz::log::log`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::log::log(data));
