//! What Juju's hook tools print.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("hook_tools", data));
