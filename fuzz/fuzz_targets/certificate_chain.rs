//! A chain of certificates of an S3 integrator.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("certificate_chain", data));
