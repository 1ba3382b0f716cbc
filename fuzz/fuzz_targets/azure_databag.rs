//! What integrators of Azure publish.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("azure_databag", data));
