#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mtask_fuzz::record_placeholders(data));
