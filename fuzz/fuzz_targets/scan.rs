#![no_main]
//! See `coscribe_fuzz::updates::scan_bytes`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| coscribe_fuzz::updates::scan_bytes(data));
