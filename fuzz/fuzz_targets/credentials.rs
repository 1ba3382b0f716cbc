//! A credential, on its way into a credentials file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("credentials", data));
