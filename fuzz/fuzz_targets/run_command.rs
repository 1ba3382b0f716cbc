//! The command line of the action `run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("run_command", data));
