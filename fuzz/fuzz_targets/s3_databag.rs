//! What an S3 integrator publishes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("s3_databag", data));
