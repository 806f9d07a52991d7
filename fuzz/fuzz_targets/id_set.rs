#![no_main]
//! See `coscribe_fuzz::sets::id_set`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::sets::id_set(data));
