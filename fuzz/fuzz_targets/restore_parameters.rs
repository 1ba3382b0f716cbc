//! The parameters of the action `restore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("restore_parameters", data));
