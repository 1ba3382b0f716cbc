//! The headers that a user of an S3 integrator sets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("s3_attributes", data));
