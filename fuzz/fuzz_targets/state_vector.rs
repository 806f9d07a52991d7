#![no_main]
//! See `coscribe_fuzz::sets::state_vector`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::sets::state_vector(data));
