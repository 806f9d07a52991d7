#![no_main]
//! See `coscribe_fuzz::heads::heads`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::heads::heads(data));
