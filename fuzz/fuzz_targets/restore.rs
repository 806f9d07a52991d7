#![no_main]
//! See `coscribe_fuzz::restore::restores`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::restore::restores(data));
