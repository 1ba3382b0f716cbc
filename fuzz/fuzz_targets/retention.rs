//! A retention, and backups to judge by it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("retention", data));
