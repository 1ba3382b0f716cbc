//! What a GCS integrator publishes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("gcs_databag", data));
